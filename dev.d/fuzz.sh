# shellcheck shell=bash
# ./dev fuzz, and the same in `check`. New inputs are kept in DIR/corpus, findings in DIR/findings.

cmd_fuzz() {
    local minutes=${1:-10} target=${2:-} failed=0 seconds
    local -a targets
    [[ $# -le 2 && $minutes =~ ^[1-9][0-9]*$ ]] || usage_error fuzz
    mapfile -t targets < <(fuzz_targets)
    [[ -z $target || " ${targets[*]} " == *" $target "* ]] ||
        die "fuzz: there is no target $target; the targets are: ${targets[*]}"
    [[ -z $target ]] || targets=("$target")
    stack_open
    packages_install "${BUILD_PACKAGES[@]}" "${FUZZ_PACKAGES[@]}"
    say "Building (log: $DIR/log/build.log)"
    logged build fuzz_build
    seconds=$((minutes * 60 / ${#targets[@]}))
    say "Each of ${#targets[@]} targets runs for $seconds seconds; inputs are kept in $DIR/corpus"
    for target in "${targets[@]}"; do
        fuzz_run "$target" $seconds "$DIR/corpus/$target" || failed=1
    done
    return $failed
}

fuzz_targets() { (cd "$ROOT/tests/fuzz" && for target in fuzz_*.c; do basename "${target#fuzz_}" .c; done); }

# Makes DIR/build-fuzz, which holds the fuzz targets and the libraries that they need.
fuzz_build() {
    local -a TARGETS=(fuzzers LIB_FUZZING_ENGINE=-fsanitize=fuzzer)
    build fuzz CC=clang --enable-werror --enable-sanitizers CFLAGS='-g -O1 -fsanitize=fuzzer-no-link'
}

# fuzz_run TARGET SECONDS CORPUS [OPTION...]: starts with the committed corpus; adds new inputs to CORPUS. Prints a line
# of statistics, or a finding and the command that repeats it.
fuzz_run() {
    local target=$1 seconds=$2 corpus=$3 log=$DIR/log/fuzz-$1.log program=$DIR/build-fuzz/tests/fuzz/fuzz_$1
    shift 3
    mkdir -p "$corpus" "$DIR/findings"
    if "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$DIR/findings/$target-" "$@" \
        "$corpus" "$ROOT/tests/fuzz/corpus/$target" >"$log" 2>&1 </dev/null; then
        printf '%-8s %s\n' "$target" "$(grep -E '^#[0-9]+.DONE' "$log" | tail -1)"
    else
        tail -n 60 "$log"
        say "$target: a finding. To repeat it: $program $(sed -n 's/.*Test unit written to //p' "$log" | tail -1)"
        return 1
    fi
}

# Each target runs over its corpus and then for eight seconds with a fixed seed; a target is a case.
check_fuzz() {
    local target failed=0
    local -a targets
    fuzz_build
    mapfile -t targets < <(fuzz_targets)
    rm -rf "$DIR/corpus" "$DIR"/log/fuzz-*.log
    export DIR ROOT
    export -f say fuzz_run
    # shellcheck disable=SC2016
    printf '%s\n' "${targets[@]}" |
        xargs -P "$JOBS" -I{} bash -c 'fuzz_run {} 8 "$DIR/corpus/{}" -seed=1' || true
    for target in "${targets[@]}"; do
        grep -qE '^#[0-9]+.DONE' "$DIR/log/fuzz-$target.log" || failed=$((failed + 1))
    done
    say "100%: Checks: ${#targets[@]}, Failures: $failed, Errors: 0"
    return $((failed > 0))
}
