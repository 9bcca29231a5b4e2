# shellcheck shell=bash
# ./dev check: the steps. Fast steps and steps that are likely to fail come first. A step that fails does not stop the
# others, except those that need it. The tests share one server, which is built with the sanitizers and has a stack of
# its own.

# What steps may need, and the name of the step that provides it.
declare -A PROVIDERS=(
    [gcc]="build: gcc, -Werror"
    [san]="build: gcc, sanitizers"
    [npm]="npm packages"
    [client]="client: build"
    [example]="example app: build"
    [installed]="install"
    [page]="demo page"
    [server]="start database, pool (sanitizers), nginx"
    [limited]="nginx: published rate limit"
    [stopped]="nothing in the logs of pool and push process"
)

# step KIND NAME COMMAND...; see step.sh. `needs` applies to the steps after it, up to the next `needs`.
check_steps() {
    needs nothing
    step one "shellcheck" check_shell
    step one "every file is in a makefile" check_lists
    step one "includes: no way up, no circle" check_includes
    step one "layout of the C sources" check_layout
    step one "length of lines and files" check_length
    step one "tour of the sources in README.md" check_tour
    step one "drawing of the architecture" check_drawing
    step one "man pages" check_manual
    step node "torture: the judge finds planted errors" check_node tests/torture
    step one "build: gcc, -Werror" check_build gcc CC=gcc --enable-werror
    needs gcc
    step one "engine: no libpq, no database" check_engine gcc
    step check "unit tests" check_unit gcc
    needs nothing
    step one "npm packages" check_npm
    needs npm
    step one "contract: lint of the API description" check_script tests/contract lint
    step one "client: build" check_script client build
    needs client
    step one "client: types" check_script client types
    step one "client: the package" check_script client lint
    step node "client: unit tests" check_beside client/test "$DIR/contract"
    step one "example app: build" check_example
    needs nothing
    step one "build: clang, -Werror" check_build clang CC=clang --enable-werror
    step one "build: gcc, sanitizers" check_build san CC=gcc --enable-werror --enable-sanitizers CFLAGS='-g -O1'
    needs san
    step check "unit tests, sanitizers" check_unit san
    needs nothing
    step check "fuzzing: corpus, and eight seconds a target" check_fuzz
    needs san
    step one "install" check_install
    needs nothing
    step one "nginx: the shipped files" check_nginx_files
    step node "nginx: the shipped site" check_node tests/nginx/site
    step node "monitoring: rules, dashboard, manual" check_node tests/monitoring
    needs installed
    step one "systemd: the units" check_units
    needs installed client example
    step one "demo page" check_page
    needs installed
    step one "start database, pool (sanitizers), nginx" check_start
    needs server
    step check "database tests, sanitizers" check_db san
    step check "database tests, the statements for Citus" check_db_citus
    step check "memory runs out at every point of a request" check_memory
    step node "http tests" check_beside tests/http "$ROOT"
    step node "http tests, faults of the database" check_node tests/http/faults
    step node "command line" check_node tests/cmd
    step node "pool tests" check_beside tests/pool "$ROOT" purge quota resync restore # commands for all users
    step node "push tests" check_node tests/push
    step node "push tests, the process stopped and hung" check_node tests/push/process
    needs server gcc
    step node "the tools of the benchmark" check_bench gcc
    needs server
    step node "overload, a database that is sick" check_node tests/overload
    step node "nginx: large bodies, slow clients" check_node tests/nginx/large
    step one "torture: edits of many devices under faults" check_torture
    needs server npm
    step node "contract: examples of the API description" check_node tests/contract "$DIR/contract"
    step node "contract: generated clients" check_node tests/clients "$DIR/contract"
    needs server client
    step node "client: against the server" check_node client/test/server "$DIR/contract"
    needs server npm
    step node "engines: RxDB, WatermelonDB, TanStack DB, Dexie" check_node tests/engines "$DIR/contract"
    needs server page
    step node "in a browser" check_node tests/e2e "$DIR/contract"
    step node "in a browser: restarts of the server" check_node tests/e2e/restart "$DIR/contract"
    needs server
    step node "several hosts: failures under load" ha_run tests/ha
    step one "nginx: published rate limit" check_rate_published
    needs limited
    step node "nginx: before the pool" check_node tests/nginx
    needs server
    step one "nothing in the logs of pool and push process" check_pool_log
    needs stopped
    step node "nginx: the pool is down" check_node tests/nginx/pool-down
    needs server
    step one "systemd: socket activation" check_activation
    needs gcc
    step check "unit tests, valgrind" check_valgrind
    step one "make distcheck" check_dist
}

cmd_check() {
    check_steps
    steps_select "$@"
    # A check of one commit finds the same each time. Other seeds are for BOOKY_SEED=random and the long commands.
    export BOOKY_SEED=${BOOKY_SEED:-1}
    [[ $BOOKY_SEED != random ]] || BOOKY_SEED=$((RANDOM * 32768 + RANDOM))
    stack_open
    trap check_end EXIT
    trap 'exit 130' INT TERM HUP PIPE
    stack_stop # the leftovers of a killed run
    stack_purge
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${CHECK_PACKAGES[@]}"
    node_install
    run_open
    steps_run
}

check_end() {
    local status=$?
    trap - EXIT
    step_kill
    cd /
    stack_stop || true
    stack_purge || true
    steps_summary || status=1
    exit $status
}
