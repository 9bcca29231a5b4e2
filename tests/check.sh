# shellcheck shell=bash
# The steps of `./dev check`, sourced by it: what is fast and likely to fail comes first. A step that fails does not stop
# the others. They share one server, built with the sanitizers, in a stack of their own.

PASSED=0
FAILED=0
COMPLETE=no
LAST_FAILED=0
NPM_READY=0
STEP= # the process group of the step that runs
STEP_LIMIT=1200 # seconds after which it hangs

# step KIND NAME COMMAND...: KIND says where the number of cases comes from: `one` (the step is one case), `check` (the
# lines of the library Check) or `node` (the summary of node's test runner). Shows the output of a step that fails.
step() {
    local kind=$1 name=$2 log status passed=0 failed=0 start=$SECONDS
    log=$DIR/log/check-${2//[^A-Za-z0-9]/-}.log
    shift 2
    printf '%-52s ' "$name"
    # In the background and as a process group, so that an interrupted check can end it at once.
    set -m
    (set -e; "$@") >"$log" 2>&1 </dev/null &
    STEP=$!
    set +m
    {
        timeout "$STEP_LIMIT" tail -s 0.2 --pid=$STEP -f /dev/null ||
            { say "Stopped after $STEP_LIMIT seconds." >>"$log" && kill -- "-$STEP"; }
    } 9>&- &
    wait $STEP && status=0 || status=$?
    STEP=
    case $kind in
        one) ((status == 0)) && passed=1 ;;
        check) read -r passed failed < <(sed -nE 's/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+).*/\1 \2 \3/p' "$log" |
            awk '{ p += $1 - $2 - $3; f += $2 + $3 } END { print p + 0, f + 0 }') ;;
        node) read -r passed failed < <(awk '$2 == "pass" { p += $3 } $2 == "fail" || $2 == "cancelled" { f += $3 }
            END { print p + 0, f + 0 }' <(grep -E '^ℹ (pass|fail|cancelled) [0-9]+$' "$log")) ;;
    esac
    # A step that fails without a failed case, or ran no case at all, is a failure of its own.
    if ((failed == 0 && (status != 0 || passed == 0))); then failed=1; fi
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    LAST_FAILED=$failed
    if ((failed == 0)); then
        printf 'ok    %4d  %4d s\n' "$passed" $((SECONDS - start))
    else
        printf 'FAIL  %4d  %4d s   %d failed, exit %d\n' "$passed" $((SECONDS - start)) "$failed" "$status"
        sed 's/^/    | /' "$log" | tail -n 100
    fi
}

check_shell() { (cd "$ROOT" && shellcheck -x dev tests/*.sh tests/bench/*.sh .ci/run); }

check_manual() { mandoc -Tlint -W warning "$ROOT"/docs/man/*.[58]; }

check_lists() { # the makefiles name every source, one by one
    local file unlisted=0
    cd "$ROOT"
    for file in lib/*.[ch] fcgi-app/*.[ch] migrations/*.sql nginx/*.conf nginx/*/*.conf systemd/*.* docs/*.* docs/man/* docs/examples/* docs/examples/scale/* \
        monitoring/*.* tests/*.sh tests/*.mjs tests/unit/*.[ch] tests/db/*.[ch] tests/fuzz/*.[ch] tests/memory/*.[ch] tests/bench/*.* tests/bench/peer/*.* tests/contract/*.* \
        client/*.* client/src/*.ts client/demo/*.* client/test/*.mjs tests/e2e/*.* tests/e2e/restart/*.*; do
        [[ ! -f $file || $file == *.mk ]] || grep -qF "${file%.in}" ./*/local.mk || { say "$file is in no local.mk" && unlisted=1; }
    done
    return $unlisted
}

check_build() { # check_build NAME CONFIGURE_ARGUMENTS...
    rm -f "$DIR/build-$1/complete"
    build "$@"
    make --no-print-directory -j"$JOBS" check TESTS=
    touch complete
}

# build_enter NAME: into a build that is complete; never runs what an earlier one left.
build_enter() {
    cd "$DIR/build-$1"
    [[ -f complete ]] || die "build-$1 failed"
}

check_install() {
    build_enter san
    stack_install san
}

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

# The stack, with a key of each kind. The private halves are for the tests.
check_start() {
    local kid
    install -d -m 700 "$RUN/private"
    [[ -s $RUN/private/rs.pem ]] || openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$RUN/private/rs.pem"
    [[ -s $RUN/private/es.pem ]] || openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/private/es.pem"
    for kid in rs es; do openssl pkey -in "$RUN/private/$kid.pem" -pubout -out "$RUN/keys.d/$kid.pem"; done
    stack_start 'fsync = off'
}

check_unit() { # check_unit BUILD
    build_enter "$1"
    srcdir=$ROOT UBSAN_OPTIONS=print_stacktrace=1 tests/unit/unit
}

check_db() { # check_db BUILD
    export_test_environment
    build_enter "$1"
    tests/db/dbtest
}

check_fuzz() { # each target over its corpus and a while beyond, always with the same seed; a target is a case
    local target failed=0
    local -a targets
    build_fuzz
    mapfile -t targets < <(fuzz_targets)
    rm -rf "$DIR/corpus" "$DIR"/log/fuzz-*.log
    export DIR ROOT
    export -f say fuzz_run
    # shellcheck disable=SC2016
    printf '%s\n' "${targets[@]}" | xargs -P "$JOBS" -I{} bash -c 'fuzz_run {} 8 "$DIR/corpus/{}" -seed=1' || true
    for target in "${targets[@]}"; do
        grep -qE '^#[0-9]+.DONE' "$DIR/log/fuzz-$target.log" || failed=$((failed + 1))
    done
    say "100%: Checks: ${#targets[@]}, Failures: $failed, Errors: 0"
    return $((failed > 0))
}

check_memory() {
    export_test_environment
    build_enter san
    BOOKY_MEMORY_STEP=2 tests/memory/memtest # all of them, by hand, take twice as long
}

check_valgrind() { # each test is a process of its own, whose exit code says whether valgrind found something
    build_enter gcc
    srcdir=$ROOT CK_DEFAULT_TIMEOUT=600 BOOKY_HISTORIES=100 valgrind --quiet --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite tests/unit/unit
}

# Makes DIR/contract, a copy of the client and of what the tests of the API description read, beside the packages that
# they need.
check_npm() {
    local folder
    rm -rf "$DIR/contract"
    mkdir "$DIR/contract"
    (cd "$ROOT" && tar --exclude=node_modules --exclude=dist -cf - client docs fcgi-app lib migrations nginx tests) |
        tar -C "$DIR/contract" -xf -
    for folder in tests/contract tests/e2e client; do
        npm_install $folder
        ln -s "$DIR/npm/$folder/node_modules" "$DIR/contract/$folder/node_modules"
    done
}

# The demo page, and beside it what the tests in a browser load: the package as it is published, and a page that does nothing.
check_page() {
    page_build
    cp -r "$DIR/contract/client/dist" "$ROOT/tests/e2e/bare.html" "$RUN/page/demo"
}

check_script() { # check_script FOLDER SCRIPT: of its package.json
    cd "$DIR/contract/$1"
    npm run --silent --cache "$DIR/npm/cache" --no-update-notifier "$2"
}

check_client() { # and what else needs only the packages
    step one "contract: lint of the API description" check_script tests/contract lint
    step one "client: build" check_script client build
    step one "client: types" check_script client types
    step one "client: the package" check_script client lint
    step node "client: unit tests" check_node client/test "$DIR/contract"
}

check_node() { # check_node FOLDER [TREE]
    if [[ -e $RUN/port ]]; then export_test_environment; fi
    cd "${2:-$ROOT}/$1"
    NO_COLOR=1 node --test --test-reporter=spec ./*.test.mjs
}

check_bench() { # with the build that has no sanitizers
    export BENCH_BUILD=$DIR/build-gcc BENCH_DIR=$DIR/bench
    mkdir -p "$BENCH_DIR"
    check_node tests/bench
}

# Several hosts, as network namespaces within one that is made here. Without root a user namespace gives the right to make
# them; where the kernel keeps those from people, sudo does.
check_ha() {
    export_test_environment
    export BOOKY_TEST_AS="${AS_ACCOUNT[*]}"
    local -a within=(unshare --net) rights=+net_admin,+sys_admin
    if [[ $EUID -ne 0 ]]; then within=(unshare --user --net --map-current-user --keep-caps); fi
    if ! "${within[@]}" true && [[ $EUID -ne 0 ]]; then
        within=(as_root unshare --net setpriv "--reuid=$EUID" "--regid=$(id -g)" --init-groups "--inh-caps=$rights" "--ambient-caps=$rights" env)
        mapfile -t -O "${#within[@]}" within < <(env | grep -E '^(BOOKY_|srcdir=|PATH=|HOME=|[AU][SB]*SAN_OPTIONS=)')
    fi
    cd "$ROOT/tests/ha"
    NO_COLOR=1 "${within[@]}" node --test --test-reporter=spec ./*.test.mjs
}

check_rate_published() { # from here on with the published rate limit, and without the page
    rm -rf "$RUN/page"
    RATE_LIMIT=published nginx_start
}

check_pool_log() { # the sanitizers must have found nothing in the server, leaks at its end included
    pid_stop push TERM
    pid_stop pool TERM
    ! grep -E -A40 'AddressSanitizer|LeakSanitizer|runtime error' "$RUN/log/pool.log" "$RUN/log/push.log"
}

check_nginx_files() { # the shipped site as it is, but for ports and certificate
    local rate
    config_write
    for rate in rate rate-off; do
        rm -rf "$RUN/nginx-shipped"
        mkdir "$RUN/nginx-shipped"
        ln -s "$ROOT/nginx/booky-sync" "$RUN/nginx-shipped/booky-sync"
        {
            nginx_main
            sed -e '/listen \[::\]/d' -e 's/listen 80;/listen 127.0.0.1:18080;/' -e 's/listen 443 /listen 127.0.0.1:18443 /' \
                -e "s|/etc/ssl/private/booky-sync.crt|$RUN/tls/cert.pem|" -e "s|/etc/ssl/private/booky-sync.key|$RUN/tls/key.pem|" \
                -e "s|/var/log/nginx|$RUN/log|" -e "s|booky-sync/rate.conf|booky-sync/$rate.conf|" "$ROOT/nginx/booky-sync.conf"
            say '}'
        } >"$RUN/nginx-shipped/nginx.conf"
        nginx -t -p "$RUN/nginx-shipped/" -e "$RUN/log/nginx-error.log" -c "$RUN/nginx-shipped/nginx.conf"
    done
}

check_units() { # the units as installed: well-formed, locked up, and what they start exists
    local units=$RUN/inst/lib/systemd/system program command unit
    systemd-analyze verify --man=no "$units"/booky-sync*.{service,socket,timer}
    for unit in "$units"/booky-sync*.service; do
        systemd-analyze security --offline=yes --threshold=15 "$unit" >"$DIR/log/security.log" ||
            { tail -n 3 "$DIR/log/security.log" && return 1; }
        read -r program command _ < <(sed -n 's/^ExecStart=//p' "$unit")
        "$program" "$command" --help
    done
}

check_activation() { # the pool takes both sockets from systemd, and READY=1 comes before the first answer
    local sock=$RUN/sock/passed pid status=1
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

check_dist() {
    make --no-print-directory -C "$DIR/build-gcc" -j"$JOBS" distcheck
}

check_end() {
    local status=$?
    trap - EXIT
    [[ -z $STEP ]] || kill -- "-$STEP" 2>/dev/null || true
    [[ $COMPLETE == yes ]] || FAILED=$((FAILED + 1))
    cd /
    stack_stop || true
    stack_purge || true
    printf '%d minutes %d seconds\n' $((SECONDS / 60)) $((SECONDS % 60))
    printf '%d passed, %d failed\n' $PASSED $FAILED # the last line, and nothing else on it: it is read by machines
    ((FAILED == 0)) || exit 1
    exit $status
}

check_server() { # what needs a running server
    step check "database tests, sanitizers" check_db san
    step check "memory runs out at every point of a request" check_memory
    step node "http tests" check_node tests/http
    step node "http tests, faults of the database" check_node tests/http/faults
    step node "pool tests" check_node tests/pool
    step node "push tests" check_node tests/push
    step node "push tests, the process stopped and hung" check_node tests/push/process
    step node "the tools of the benchmark" check_bench
    step node "overload, a database that is sick" check_node tests/overload
    step node "nginx: large bodies, slow clients" check_node tests/nginx/large
    step one "torture: edits of many devices under faults" check_torture
    if ((NPM_READY)); then
        step node "contract: examples of the API description" check_node tests/contract "$DIR/contract"
        step node "client: against the server" check_node client/test/server "$DIR/contract"
        step node "in a browser" check_node tests/e2e "$DIR/contract"
        step node "in a browser: restarts of the server" check_node tests/e2e/restart "$DIR/contract"
    else
        say "No npm packages: the tests of contract, client and demo page cannot run."
        FAILED=$((FAILED + 1))
    fi
    step node "several hosts: failures under load" check_ha
    step one "nginx: published rate limit" check_rate_published
    step node "nginx: before the pool" check_node tests/nginx
    step one "nothing in the logs of pool and push process" check_pool_log
    step node "nginx: the pool is down" check_node tests/nginx/pool-down
    step one "systemd: socket activation" check_activation
}

cmd_check() {
    stack_open
    trap check_end EXIT
    trap 'exit 130' INT TERM HUP PIPE
    stack_stop # what a killed run left
    stack_purge
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${CHECK_PACKAGES[@]}"
    node_install
    run_open

    step one "shellcheck" check_shell
    step one "every file is in a makefile" check_lists
    step one "man pages" check_manual
    step node "torture: the judge finds planted errors" check_node tests/torture
    step one "build: gcc, -Werror" check_build gcc CC=gcc --enable-werror
    step check "unit tests" check_unit gcc
    step one "npm packages" check_npm
    NPM_READY=$((LAST_FAILED == 0))
    ((NPM_READY == 0)) || check_client
    step one "build: clang, -Werror" check_build clang CC=clang --enable-werror
    step one "build: gcc, sanitizers" check_build san CC=gcc --enable-werror --enable-sanitizers CFLAGS='-g -O1'
    step check "unit tests, sanitizers" check_unit san
    step check "fuzzing: corpus, and eight seconds a target" check_fuzz
    step one "install" check_install
    step one "nginx: the shipped files" check_nginx_files
    step node "nginx: the shipped site" check_node tests/nginx/site
    step node "monitoring: rules, dashboard, manual" check_node tests/monitoring
    step one "systemd: the units" check_units
    ((NPM_READY == 0)) || step one "demo page" check_page
    step one "start database, pool (sanitizers), nginx" check_start
    if ((LAST_FAILED)); then
        say "No server: the tests of database, http and nginx cannot run."
        FAILED=$((FAILED + 1))
    else
        check_server
    fi
    step check "unit tests, valgrind" check_valgrind
    step one "make distcheck" check_dist
    COMPLETE=yes
}
