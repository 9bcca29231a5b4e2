# shellcheck shell=bash
# `./dev bench`, sourced by it: a stack of its own, an optimised build, and tests/bench/run.mjs, which measures.

BENCH_WORKERS=16 # as many as the largest number of connections, so that server and limit have the same number

bench_build() {
    build bench CFLAGS=-O2
    make --no-print-directory tests/bench/fcgiload tests/bench/statements
}

bench_start() {
    # No worker is replaced, so that what it takes of memory is seen to the end.
    export BOOKY_POOL_WORKERS=$BENCH_WORKERS BOOKY_POOL_MAX_REQUESTS=0
    # The log as JSON is where the limits' statements come from. The sizes are those of a small server; the rest is as
    # PostgreSQL comes: every commit is on the disk before it is answered.
    stack_start 'shared_buffers = 1GB' 'max_wal_size = 4GB' 'logging_collector = on' "log_destination = 'jsonlog'"
}

# Another server with the same endpoints, behind an nginx of its own, as tests/bench/peer has it. Its address is in RUN/peer-url.
peer_start() {
    local port=38443 own=38080
    npm_install tests/bench/peer
    cp "$ROOT/tests/bench/peer/server.mjs" "$DIR/npm/tests/bench/peer"
    db_query booky <"$ROOT/tests/bench/peer/schema.sql"
    until port_free $port; do port=$((port + 1)); done
    until port_free $own; do own=$((own + 1)); done
    mkdir -p "$RUN/nginx-peer"
    {
        nginx_main
        cat "$ROOT/tests/bench/peer/nginx.conf"
    } | sed -e "s|@RUN@|$RUN|; s|@PORT@|$port|; s|@PEER_PORT@|$own|; s|pid $RUN/pid/nginx;|pid $RUN/pid/nginx-peer;|" >"$RUN/nginx-peer/nginx.conf"
    setsid node "$DIR/npm/tests/bench/peer/server.mjs" $own "$RUN/sock" "$RUN/keys.d/dev.hmac" </dev/null >"$RUN/log/peer.log" 2>&1 9>&- &
    say $! >"$RUN/pid/peer"
    nginx -p "$RUN/nginx-peer/" -e "$RUN/log/nginx-error.log" -c "$RUN/nginx-peer/nginx.conf" 9>&-
    say "https://127.0.0.1:$port" >"$RUN/peer-url"
    for _ in {1..100}; do
        [[ $(curl -sk -o /dev/null -w '%{http_code}' "https://127.0.0.1:$port/api/sync/status") != 401 ]] || return 0
        sleep 0.1
    done
    cat "$RUN/log/peer.log"
    return 1
}

bench_stop() {
    if [[ -n $RUN && -d $RUN ]]; then
        pid_stop nginx-peer QUIT
        pid_stop peer TERM
    fi
    stack_stop
    stack_purge
}

bench_end() {
    local status=$?
    trap - EXIT
    cd /
    bench_stop || true
    exit $status
}

cmd_bench() {
    stack_open
    trap bench_end EXIT
    trap 'exit 130' INT TERM HUP PIPE
    bench_stop # what a killed run left
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${BENCH_PACKAGES[@]}"
    ! node_missing || packages_install nodejs
    node "$ROOT/tests/bench/options.mjs" "$@" || exit
    run_open
    say "Building (log: $DIR/log/bench-build.log)"
    logged bench-build bench_build
    logged bench-install stack_install bench
    logged bench-start bench_start
    if [[ " $* " == *" --peer "* ]]; then
        command -v npm >/dev/null || packages_install npm
        logged bench-peer peer_start
        BENCH_PEER_URL=$(cat "$RUN/peer-url")
        export BENCH_PEER_URL
    fi
    export_test_environment
    export BENCH_DIR=$DIR/scratch BENCH_BUILD=$DIR/build-bench BENCH_RESULT=$DIR/result
    BENCH_COMMIT=$(git -C "$ROOT" describe --always --dirty 2>/dev/null || say unknown)
    export BENCH_COMMIT
    rm -rf "$BENCH_DIR"
    mkdir -p "$BENCH_DIR"
    node "$ROOT/tests/bench/run.mjs" "$@"
    say "The figures: $BENCH_RESULT/bench.json"
}
