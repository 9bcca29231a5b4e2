# shellcheck shell=bash
# Runs the steps of `check` and counts their cases.

STEP_LIMIT=1200 # seconds; a step that runs longer is stopped

STEPS=() # names; the other arrays have the name as key
declare -A STEP_KIND=() STEP_COMMAND=() STEP_NEEDS=()
declare -A STEP_SELECTED=() # the steps that are to run
declare -A STEP_PASSED=()   # the steps that ran without a failure
NEEDS=()
PATTERNS=()
STEP_GROUP= # the process group of the step that is running
STEP_STATUS=0
PASSED=0    # cases
FAILED=0
COMPLETE=no

# needs LABEL...: the steps after it run only if the steps that provide the labels passed. `nothing` means no label.
needs() {
    NEEDS=("$@")
    [[ $* != nothing ]] || NEEDS=()
}

# step KIND NAME COMMAND...: adds a step. KIND says how its cases are counted: `one` (the step is one case), `check`
# (the summary lines of the library Check) or `node` (the summary of node's test runner).
step() {
    local label
    for label in ${NEEDS[@]+"${NEEDS[@]}"}; do
        [[ -n ${PROVIDERS[$label]:-} && -n ${STEP_KIND[${PROVIDERS[$label]}]:-} ]] ||
            die "step $2: no step before it provides $label"
    done
    STEPS+=("$2")
    STEP_KIND[$2]=$1
    STEP_COMMAND[$2]=$(shift 2 && printf '%q ' "$@")
    STEP_NEEDS[$2]=${NEEDS[*]-}
}

# steps_select [PATTERN...]: selects the steps whose names contain one of the patterns, and the steps that those need.
steps_select() {
    local i name pattern label list
    PATTERNS=("$@")
    list=$(printf '\n  %s' "${STEPS[@]}")
    for pattern; do
        [[ -n $pattern ]] || usage_error check
        [[ $list == *"$pattern"* ]] || die "check: no step contains \"$pattern\"; the steps are:$list"
    done
    # Backwards, because a step comes after the steps that it needs.
    for ((i = ${#STEPS[@]} - 1; i >= 0; i--)); do
        name=${STEPS[i]}
        [[ $# -gt 0 ]] || STEP_SELECTED[$name]=1
        for pattern; do
            [[ $name != *"$pattern"* ]] || STEP_SELECTED[$name]=1
        done
        [[ -n ${STEP_SELECTED[$name]:-} ]] || continue
        for label in ${STEP_NEEDS[$name]}; do STEP_SELECTED[${PROVIDERS[$label]}]=1; done
    done
}

steps_run() {
    local name label missing
    for name in "${STEPS[@]}"; do
        [[ -n ${STEP_SELECTED[$name]:-} ]] || continue
        missing=
        for label in ${STEP_NEEDS[$name]}; do
            [[ -n ${STEP_PASSED[${PROVIDERS[$label]}]:-} ]] || missing=${PROVIDERS[$label]}
        done
        printf '%-52s ' "$name"
        if [[ -n $missing ]]; then
            say "FAIL  not run; it needs \"$missing\""
            FAILED=$((FAILED + 1))
        else
            step_run "$name"
        fi
    done
    COMPLETE=yes
}

# step_run NAME: prints the number of cases, the seconds, and the output of a step that fails.
step_run() {
    local log passed failed start=$SECONDS
    log=$DIR/log/check-${1//[^A-Za-z0-9]/-}.log
    step_execute "${STEP_COMMAND[$1]}" "$log"
    read -r passed failed < <(step_count "${STEP_KIND[$1]}" "$STEP_STATUS" "$log")
    # A step that exits with an error but reports no failed case, or that ran no case, counts as one failed case.
    if ((failed == 0 && (STEP_STATUS != 0 || passed == 0))); then failed=1; fi
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    if ((failed == 0)); then
        STEP_PASSED[$1]=1
        printf 'ok    %4d  %4d s\n' "$passed" $((SECONDS - start))
    else
        printf 'FAIL  %4d  %4d s   %d failed, exit %d\n' "$passed" $((SECONDS - start)) "$failed" "$STEP_STATUS"
        sed 's/^/    | /' "$log" | tail -n 100
    fi
}

# step_execute COMMAND LOG: runs it in the background and as a process group, so that an interrupted check can end it at
# once. Sets STEP_STATUS to its exit code. A caller must not test it with `if` or `||`: bash would then ignore `set -e`.
step_execute() {
    set -m
    (set -e; eval "$1") >"$2" 2>&1 </dev/null &
    STEP_GROUP=$!
    set +m
    {
        timeout "$STEP_LIMIT" tail -s 0.2 --pid=$STEP_GROUP -f /dev/null ||
            { say "Stopped after $STEP_LIMIT seconds." >>"$2" && kill -- "-$STEP_GROUP"; }
    } 9>&- &
    wait $STEP_GROUP && STEP_STATUS=0 || STEP_STATUS=$?
    STEP_GROUP=
}

step_kill() { [[ -z $STEP_GROUP ]] || kill -- "-$STEP_GROUP" 2>/dev/null || true; }

step_count() { # step_count KIND STATUS LOG: prints the numbers of passed and of failed cases
    case $1 in
        one) say $(($2 == 0)) 0 ;;
        check)
            sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+).*/\1 \2 \3/p' "$3" |
                awk '{ passed += $1 - $2 - $3; failed += $2 + $3 } END { print passed + 0, failed + 0 }'
            ;;
        node)
            { grep -E '^ℹ (pass|fail|cancelled) [0-9]+$' "$3" || true; } |
                awk '$2 == "pass" { passed += $3 } $2 != "pass" { failed += $3 } END { print passed + 0, failed + 0 }'
            ;;
    esac
}

# Prints the totals. The last line is read by programs; it must have this form and nothing else on it.
steps_summary() {
    [[ $COMPLETE == yes ]] || FAILED=$((FAILED + 1))
    printf '%d minutes %d seconds\n' $((SECONDS / 60)) $((SECONDS % 60))
    if ((${#PATTERNS[@]} > 0)); then
        say "This was only a part of the check: ${#STEP_SELECTED[@]} of ${#STEPS[@]} steps."
    fi
    printf '%d passed, %d failed\n' $PASSED $FAILED
    ((FAILED == 0))
}
