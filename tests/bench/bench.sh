# shellcheck shell=bash
# `./dev bench`, sourced by it: a stack of its own, an optimised build, and tests/bench/run.mjs, which measures.

BENCH_WORKERS=16 # as many as the largest number of connections, so that server and limit have the same number

bench_build() {
    build bench CFLAGS=-O2
    make --no-print-directory tests/bench/fcgiload tests/bench/statements
}

bench_start() {
    export BOOKY_POOL_WORKERS=$BENCH_WORKERS
    # The log as JSON is where the limits' statements come from. The sizes are those of a small server; the rest is as
    # PostgreSQL comes: every commit is on the disk before it is answered.
    stack_start 'shared_buffers = 1GB' 'max_wal_size = 4GB' 'logging_collector = on' "log_destination = 'jsonlog'"
}

bench_end() {
    local status=$?
    trap - EXIT
    cd /
    stack_stop || true
    stack_purge || true
    exit $status
}

cmd_bench() {
    stack_open
    trap bench_end EXIT
    trap 'exit 130' INT TERM HUP PIPE
    stack_stop # what a killed run left
    stack_purge
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${BENCH_PACKAGES[@]}"
    ! node_missing || packages_install nodejs
    run_open
    say "Building (log: $DIR/log/bench-build.log)"
    logged bench-build bench_build
    logged bench-install stack_install bench
    logged bench-start bench_start
    export_test_environment
    export BENCH_DIR=$DIR/scratch BENCH_BUILD=$DIR/build-bench BENCH_RESULT=$DIR/result
    BENCH_COMMIT=$(git -C "$ROOT" describe --always --dirty 2>/dev/null || say unknown)
    export BENCH_COMMIT
    rm -rf "$BENCH_DIR"
    mkdir -p "$BENCH_DIR"
    node "$ROOT/tests/bench/run.mjs" "$@"
    say "The figures: $BENCH_RESULT/bench.json"
}
