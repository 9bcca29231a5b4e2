# shellcheck shell=bash
# ./dev bench: an optimised build, a stack of its own, and tests/bench/run.mjs, which measures.

BENCH_WORKERS=16 # equals the largest number of connections, so that the server and the limit use the same number

bench_build() {
    build bench CFLAGS=-O2
    make --no-print-directory tests/bench/fcgiload tests/bench/statements
}

bench_start() {
    # No worker is replaced, so that the memory of each can be followed to the end.
    export BOOKY_POOL_WORKERS=$BENCH_WORKERS BOOKY_POOL_MAX_REQUESTS=0
    # limit.mjs reads the server's statements from the JSON log. The sizes suit a small server. Everything else has
    # PostgreSQL's defaults: a commit is answered when it is on the disk.
    stack_start 'shared_buffers = 1GB' 'max_wal_size = 4GB' 'logging_collector = on' "log_destination = 'jsonlog'"
}

# Starts the server of tests/bench/peer, which has the same endpoints, behind an nginx of its own. Writes RUN/peer-url.
peer_start() {
    local port=38443 peer_port=38080 url
    npm_install tests/bench/peer
    cp "$ROOT/tests/bench/peer/server.mjs" "$DIR/npm/tests/bench/peer"
    db_query booky <"$ROOT/tests/bench/peer/schema.sql"
    until port_free $port; do port=$((port + 1)); done
    until port_free $peer_port; do peer_port=$((peer_port + 1)); done
    mkdir -p "$RUN/nginx-peer"
    {
        nginx_main
        cat "$ROOT/tests/bench/peer/nginx.conf"
    } | sed -e "s|@RUN@|$RUN|; s|@PORT@|$port|; s|@PEER_PORT@|$peer_port|" \
        -e "s|pid $RUN/pid/nginx;|pid $RUN/pid/nginx-peer;|" >"$RUN/nginx-peer/nginx.conf"
    setsid node "$DIR/npm/tests/bench/peer/server.mjs" $peer_port "$RUN/sock" "$RUN/keys.d/dev.hmac" \
        </dev/null >"$RUN/log/peer.log" 2>&1 9>&- &
    say $! >"$RUN/pid/peer"
    nginx -p "$RUN/nginx-peer/" -e "$RUN/log/nginx-error.log" -c "$RUN/nginx-peer/nginx.conf" 9>&-
    url=https://127.0.0.1:$port
    say "$url" >"$RUN/peer-url"
    for _ in {1..100}; do
        [[ $(curl -sk -o /dev/null -w '%{http_code}' "$url/api/sync/status") != 401 ]] || return 0
        sleep 0.1
    done
    cat "$RUN/log/peer.log"
    return 1
}

# Builds another revision of the repository, and starts a stack of it beside this one with its own scripts. Leaves its
# environment as JSON in DIR/base/environment.
base_start() { # base_start REVISION
    local file
    rm -rf "$DIR/base" # its objects may be of another revision
    mkdir -p "$DIR/base/tree"
    git -C "$ROOT" archive "$1" | tar -x -C "$DIR/base/tree"
    ROOT=$DIR/base/tree
    [[ -d $ROOT/dev.d ]] || die "$1 is too old to compare with: it has no dev.d"
    for file in stack process build database server nginx page bench; do
        # shellcheck source=/dev/null
        source "$ROOT/dev.d/$file.sh"
    done
    base_select
    mkdir -p "$DIR/log" "$DIR/scratch"
    run_open
    bench_build
    build_install bench
    bench_start
    export_test_environment
    BENCH_DIR=$DIR/scratch BENCH_BUILD=$DIR/build-bench node -e '
        const all = Object.entries(process.env).filter(([name]) => /^(BOOKY|BENCH)_/.test(name));
        console.log(JSON.stringify(Object.fromEntries(all)));' >"$DIR/environment"
}

base_select() {
    DIR=$DIR/base
    RUN=$(readlink -f "$DIR/run" || true)
}

bench_stop() {
    if [[ -d $DIR/base ]]; then (base_select && stack_stop && stack_purge); fi
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
    bench_stop # the leftovers of a killed run
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${BENCH_PACKAGES[@]}"
    ! node_missing || packages_install nodejs
    node "$ROOT/tests/bench/options.mjs" "$@" || exit
    run_open
    say "Building (log: $DIR/log/bench-build.log)"
    logged bench-build bench_build
    logged bench-install build_install bench
    logged bench-start bench_start
    if [[ " $* " == *" --peer "* ]]; then
        command -v npm >/dev/null || packages_install npm
        logged bench-peer peer_start
        BENCH_PEER_URL=$(cat "$RUN/peer-url")
        export BENCH_PEER_URL
    fi
    if [[ " $* " =~ " --compare"[\ =]([^ ]+) ]]; then
        logged bench-base base_start "${BASH_REMATCH[1]}"
        BENCH_BASE=$(cat "$DIR/base/environment")
        export BENCH_BASE
    fi
    export_test_environment
    export BENCH_DIR=$DIR/scratch BENCH_BUILD=$DIR/build-bench BENCH_RESULT=$DIR/result
    BENCH_COMMIT=$(git -C "$ROOT" describe --always --dirty 2>/dev/null || say unknown)
    export BENCH_COMMIT
    rm -rf "$BENCH_DIR"
    mkdir -p "$BENCH_DIR"
    node "$ROOT/tests/bench/run.mjs" "$@"
    say "Results: $BENCH_RESULT/bench.json"
}
