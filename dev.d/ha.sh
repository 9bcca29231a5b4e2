# shellcheck shell=bash
# The tests of several hosts: those in `check`, and ./dev ha, in which Patroni replaces the primary.

cmd_ha() {
    [[ $# -eq 0 ]] || usage_error ha
    stack_open
    packages_install "${BUILD_PACKAGES[@]}" "${RUN_PACKAGES[@]}" "${HA_PACKAGES[@]}"
    ! node_missing || packages_install nodejs
    run_open
    say "Building (log: $DIR/log/build.log)"
    logged build build ha
    logged install build_install ha
    logged start stack_start 'fsync = off' # for the keys, the certificate and the version of PostgreSQL
    trap 'cd / && stack_stop' EXIT
    trap 'exit 130' INT TERM HUP
    stack_stop
    ha_run tests/ha/patroni
}

# ha_run FOLDER: runs the tests in the folder. The hosts are network namespaces inside namespaces that are created here;
# all processes end with the first one. Without root, a user namespace gives the right to create them; if the kernel
# forbids user namespaces, sudo gives it.
ha_run() {
    export_test_environment
    export BOOKY_TEST_AS="${AS_ACCOUNT[*]}"
    local -a unshare=(unshare --net --pid --fork --kill-child --mount-proc)
    local -a namespace=("${unshare[@]}")
    local rights=+net_admin,+sys_admin
    if [[ $EUID -ne 0 ]]; then namespace=("${unshare[@]}" --user --map-current-user --keep-caps); fi
    if ! "${namespace[@]}" true && [[ $EUID -ne 0 ]]; then
        namespace=(as_root "${unshare[@]}" setpriv "--reuid=$EUID" "--regid=$(id -g)" --init-groups
            "--inh-caps=$rights" "--ambient-caps=$rights" env)
        mapfile -t -O "${#namespace[@]}" namespace \
            < <(env | grep -E '^(BOOKY_|srcdir=|PATH=|HOME=|[AU][SB]*SAN_OPTIONS=)')
    fi
    cd "$ROOT/$1"
    NO_COLOR=1 "${namespace[@]}" bash -c 'trap exit TERM INT HUP
        node --test --test-reporter=spec ./*.test.mjs &
        wait $!'
}
