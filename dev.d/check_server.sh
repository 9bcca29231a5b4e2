# shellcheck shell=bash
# Steps of `check` that need a running server.

# What the tests read from the environment.
export_test_environment() {
    export srcdir=$ROOT
    export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
    BOOKY_URL=$(url)
    BOOKY_TEST_ADMIN_DSN=$(dsn postgres)
    BOOKY_TEST_DSN=$(dsn booky)
    export BOOKY_URL BOOKY_TEST_ADMIN_DSN BOOKY_TEST_DSN
    export BOOKY_BIN=$RUN/inst/sbin/booky-sync
    export BOOKY_TEST_KEY=$RUN/keys.d/dev.hmac BOOKY_TEST_CA=$RUN/tls/cert.pem BOOKY_TEST_STATE=$RUN
    export NODE_EXTRA_CA_CERTS=$BOOKY_TEST_CA # for the client's fetch
}

# A key of each kind. The tests sign with the private keys.
check_keys() {
    local kid
    install -d -m 700 "$RUN/private"
    [[ -s $RUN/private/rs.pem ]] ||
        openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$RUN/private/rs.pem"
    [[ -s $RUN/private/es.pem ]] ||
        openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/private/es.pem"
    for kid in rs es; do openssl pkey -in "$RUN/private/$kid.pem" -pubout -out "$RUN/keys.d/$kid.pem"; done
}

check_start() {
    check_keys
    stack_start 'fsync = off'
}

# The demo page, with additions for the tests in a browser: the package as published, a page that does nothing, service
# workers, and the example app.
check_page() {
    page_build
    cp -r "$DIR/contract/client/examples/library/dist" "$RUN/page/demo/library"
    cp -r "$DIR/contract/client/dist" "$ROOT"/tests/e2e/{bare.html,worker.js,worker-module.js} "$RUN/page/demo"
}

check_db() { # check_db BUILD
    export_test_environment
    build_enter "$1"
    side_by_side CK_RUN_SUITE tests/db/dbtest
}

# On PostgreSQL itself: the statements of sql_citus.c, and a transaction block around each read.
check_db_citus() {
    export_test_environment
    build_enter san
    export BOOKY_DATABASE_DISTRIBUTED=citus BOOKY_HISTORIES=20
    tests/db/dbtest --list | grep -vE '^(plans|shards|siblings|large|views)$' |
        xargs -d '\n' -P "$JOBS" -I{} env CK_RUN_SUITE={} tests/db/dbtest
}

check_memory() {
    export_test_environment
    build_enter san
    # Every second allocation; all of them take twice as long.
    BOOKY_MEMORY_STEP=2 side_by_side CK_RUN_CASE tests/memory/memtest
}

check_bench() { # check_bench BUILD: a build without sanitizers
    export BENCH_BUILD=$DIR/build-$1 BENCH_DIR=$DIR/bench
    mkdir -p "$BENCH_DIR"
    check_node tests/bench
}

check_rate_published() { # the steps after this one have the published rate limit, and no demo page
    rm -rf "$RUN/page"
    RATE_LIMIT=published nginx_start
}

check_pool_log() { # stops the server; the sanitizers must have reported nothing, including leaks at the end
    pid_stop push TERM
    pid_stop pool TERM
    ! grep -E -A40 'AddressSanitizer|LeakSanitizer|runtime error' "$RUN/log/pool.log" "$RUN/log/push.log"
}

check_activation() { # the pool takes both sockets from systemd, and sends READY=1 before it answers
    local sock=$RUN/sock/activation pid status=1
    cd "$RUN"
    "${AS_ACCOUNT[@]}" systemd-socket-activate -l "$sock.sock" -l "$sock-status.sock" \
        "$RUN/inst/sbin/booky-sync" serve --config "$RUN/booky-sync.conf" 9>&- &
    pid=$!
    for _ in {1..50}; do
        [[ ! -S $sock-status.sock ]] || break
        sleep 0.1
    done
    if BOOKY_SERVER_STATUS_SOCKET=$sock-status.sock booky status --config "$RUN/booky-sync.conf"; then status=0; fi
    kill $pid
    wait $pid || true
    return $status
}
