# shellcheck shell=bash
# ./dev torture, and the same in `check`. tests/torture/torture.mjs cannot restart processes that run as ACCOUNT. It
# writes such orders to its standard output, one per line, and reads the results from its standard input.

cmd_torture() {
    [[ $# -ge 1 && $# -le 2 && $1 =~ ^[0-9]*\.?[0-9]+$ ]] || usage_error torture
    stack_open
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}"
    ! node_missing || packages_install nodejs
    run_open
    say "Building (log: $DIR/log/build.log)"
    logged build build torture
    logged install build_install torture
    logged start stack_start 'fsync = off'
    trap 'cd / && stack_stop' EXIT
    trap 'exit 130' INT TERM HUP
    torture_run "$@"
}

# torture_run MINUTES [SEED]: on a stack that is running. Meanwhile the pool connects through the proxy of torture.mjs.
torture_run() {
    local status=0
    export_test_environment
    install -d -m 711 "$RUN/proxy"
    rm -f "$RUN/proxy/.s.PGSQL.5432"
    pid_stop pool TERM
    coproc TORTURE { torture_orders 9>&-; }
    node "$ROOT/tests/torture/torture.mjs" "$@" <&"${TORTURE[0]}" 2>&1 >&"${TORTURE[1]}" || status=$?
    eval "exec ${TORTURE[1]}>&-"
    wait "$TORTURE_PID" || true
    pid_stop pool TERM
    rm -rf "$RUN/proxy"
    return $status
}

# Carries out the orders on standard input and prints `done` or `failed` after each.
torture_orders() {
    local order result
    while read -r order; do
        if (torture_order "$order") </dev/null >>"$DIR/log/torture-orders.log" 2>&1; then
            result="done"
        else
            result=failed
        fi
        say "$result"
    done
}

torture_order() { # torture_order ORDER
    case $1 in
        start) BOOKY_DATABASE_DSN="$(dsn booky) host=$RUN/proxy port=5432" booky_start pool serve ;;
        'restart '*' node') citus_restart node "$(cut -d ' ' -f 2 <<<"$1")" ;;
        'restart '*) database_restart "${1#* }" ;;
        reload) nginx_run -s reload ;;
        resync) booky resync --config "$RUN/booky-sync.conf" --erased "$RUN/erasures" ;;
        *) die "torture: unknown order: $1" ;;
    esac
}

database_restart() { # database_restart MODE
    if [[ -n ${BOOKY_TORTURE_CITUS:-} ]]; then
        citus_restart coordinator "$1"
    else
        pg pg_ctl -D "$RUN/pg" -l "$RUN/log/postgres.log" -m "$1" -w restart
    fi
}

check_torture() { # half a minute on the server of the tests, which is restored afterwards
    local status=0
    torture_run 0.5 "$BOOKY_SEED" || status=$?
    booky_start pool serve
    server_wait
    return $status
}
