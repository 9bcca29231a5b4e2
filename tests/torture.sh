# shellcheck shell=bash
# The hand of tests/torture, sourced by `dev` after check.sh: what that program cannot do itself, because it takes the account
# of the database.

# Carries out the orders on standard input, a line each, and says `done` or `failed` after each.
torture_hand() {
    local order answer
    while read -r order; do
        answer="done"
        if ! (
            case $order in
                start) BOOKY_DATABASE_DSN="host=$RUN/proxy user=booky dbname=booky" booky_start pool serve ;;
                'restart '*) pg pg_ctl -D "$RUN/pg" -l "$RUN/log/postgres.log" -m "${order#* }" -w restart ;;
                reload) nginx_run -s reload ;;
                *) die "torture: unknown order: $order" ;;
            esac
        ) </dev/null >>"$DIR/log/torture-hand.log" 2>&1; then
            answer=failed
        fi
        say "$answer"
    done
}

# torture_run MINUTES [SEED]: on a stack that is up. The pool's connections go through the program's proxy while it runs.
torture_run() {
    local status=0
    export_test_environment
    install -d -m 711 "$RUN/proxy"
    rm -f "$RUN/proxy/.s.PGSQL.5432"
    pid_stop pool TERM
    coproc TORTURE_HAND { torture_hand 9>&-; }
    node "$ROOT/tests/torture/torture.mjs" "$@" <&"${TORTURE_HAND[0]}" 2>&1 >&"${TORTURE_HAND[1]}" || status=$?
    eval "exec ${TORTURE_HAND[1]}>&-"
    wait "$TORTURE_HAND_PID" || true
    pid_stop pool TERM
    rm -rf "$RUN/proxy"
    return $status
}

check_torture() { # half a minute of edits on the server of the tests, which goes on afterwards as it was
    local status=0
    torture_run 0.5 || status=$?
    booky_start pool serve
    ready
    return $status
}
