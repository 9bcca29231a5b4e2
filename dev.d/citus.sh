# shellcheck shell=bash
# ./dev citus: the server on a Citus cluster, which must be there: a coordinator and nodes for the shards.
#   CITUS_DSN      connection string (host=... port=...) of a superuser to the coordinator, to a database that has the
#                  extension on all nodes
#   CITUS_RESTART  optional: a program that restarts the PostgreSQL of a node; it gets host, port, and fast or immediate

cmd_citus() { # cmd_citus [MINUTES [SEED]]
    local minutes=${1:-5}
    [[ $# -le 2 && $minutes =~ ^[0-9]*\.?[0-9]+$ ]] || usage_error citus
    [[ -n ${CITUS_DSN:-} ]] || die "CITUS_DSN must be the connection string of a superuser to the coordinator"
    stack_open
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}"
    ! node_missing || packages_install nodejs
    run_open
    dsn() { if [[ $1 == postgres ]]; then say "$CITUS_DSN"; else say "$CITUS_DSN user=$1"; fi; }
    say "Building (log: $DIR/log/build.log)"
    TARGETS=(all tests/db/dbtest)
    logged build build citus
    logged install build_install citus
    trap 'cd / && stack_stop' EXIT
    trap 'exit 130' INT TERM HUP
    logged start citus_start
    example
    export_test_environment
    export BOOKY_DATABASE_DISTRIBUTED=citus BOOKY_TORTURE_CITUS=1
    say "Database tests" && citus_database
    say "HTTP tests" && check_node tests/http
    say "Torture" && torture_run "$minutes" "${@:2}"
    say "Everything passed."
}

citus_start() {
    config_write
    check_keys
    printf '%s\n' '[database]' 'distributed = citus' '[push]' "dsn = $(dsn booky)" >>"$RUN/booky-sync.conf"
    # Roles that are made on the coordinator reach the nodes.
    citus_role booky_owner "CREATEROLE"
    citus_query <<<"SELECT format('ALTER DATABASE %I OWNER TO booky_owner', current_database()) \gexec"
    booky migrate --config "$RUN/booky-sync.conf"
    citus_role booky "IN ROLE booky_worker"
    booky check-config --config "$RUN/booky-sync.conf"
    booky_start pool serve
    booky_start push push
    nginx_start
    server_wait
}

citus_query() { psql -XqAt -v ON_ERROR_STOP=1 "$CITUS_DSN"; }

citus_role() { # citus_role NAME ATTRIBUTES
    [[ -n $(citus_query <<<"SELECT 1 FROM pg_roles WHERE rolname = '$1'") ]] ||
        citus_query <<<"CREATE ROLE $1 LOGIN $2"
}

citus_database() { # one suite after the other: each waits for locks of its own only
    local suite
    cd "$DIR/build-citus"
    export CK_DEFAULT_TIMEOUT=900 BOOKY_HISTORIES=${BOOKY_HISTORIES:-20}
    for suite in $(tests/db/dbtest --list); do CK_RUN_SUITE=$suite tests/db/dbtest; done
}

# citus_restart coordinator|node MODE: restarts the coordinator, or a node with shards.
citus_restart() {
    local -a address
    local where="NOT shouldhaveshards"
    [[ $1 == coordinator ]] || where="shouldhaveshards"
    IFS='|' read -ra address \
        < <(citus_query <<<"SELECT nodename, nodeport FROM pg_dist_node WHERE $where ORDER BY random() LIMIT 1")
    "$CITUS_RESTART" "${address[@]}" "$2"
}
