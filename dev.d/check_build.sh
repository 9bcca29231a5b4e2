# shellcheck shell=bash
# Steps of `check` that build and that need no server.

check_build() { # check_build NAME CONFIGURE_ARGUMENT...
    rm -f "$DIR/build-$1/complete"
    build "$@"
    make --no-print-directory -j"$JOBS" check TESTS=
    touch complete
}

# build_enter NAME: changes to the folder of a build, if it is complete: no test may run a program of an earlier check.
build_enter() {
    cd "$DIR/build-$1"
    [[ -f complete ]] || die "build-$1 failed"
}

check_install() {
    build_enter san
    build_install san
}

# side_by_side VARIABLE PROGRAM [COMMAND...]: runs PROGRAM (under COMMAND) once for each line of `PROGRAM --list`, with
# the line in VARIABLE, as many at a time as there are cores.
side_by_side() {
    "$2" --list | srcdir=$ROOT xargs -d '\n' -P "$JOBS" -I{} env "$1={}" "${@:3}" "$2"
}

check_unit() { # check_unit BUILD
    build_enter "$1"
    UBSAN_OPTIONS=print_stacktrace=1 side_by_side CK_RUN_SUITE tests/unit/unit
}

check_valgrind() { # a suite is one process; its exit code tells whether valgrind reported an error
    build_enter gcc
    CK_FORK=no BOOKY_HISTORIES=100 side_by_side CK_RUN_SUITE tests/unit/unit \
        valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
}

check_dist() {
    make --no-print-directory -C "$DIR/build-gcc" -j"$JOBS" distcheck
}

# Makes DIR/contract, a copy of the client and of what the tests of the API description read, with their npm packages.
check_npm() {
    local folder
    rm -rf "$DIR/contract"
    mkdir "$DIR/contract"
    (cd "$ROOT" &&
        tar --exclude=node_modules --exclude=dist -cf - \
            LICENSE client docs fcgi-app lib migrations monitoring nginx tests) |
        tar -C "$DIR/contract" -xf -
    for folder in tests/contract tests/clients tests/engines tests/e2e client; do
        # Debian's npm, 9.2, only understands overrides that are versions.
        node -e 'process.exitCode = +/:/.test(Object.values(require(process.argv[1]).overrides ?? {}))' \
            "$ROOT/$folder/package.json" || die "$folder/package.json: overrides must be versions"
        npm_install $folder
        ln -s "$DIR/npm/$folder/node_modules" "$DIR/contract/$folder/node_modules"
    done
}

check_script() { # check_script FOLDER SCRIPT: runs SCRIPT of FOLDER/package.json
    cd "$DIR/contract/$1"
    npm run --silent --cache "$DIR/npm/cache" --no-update-notifier "$2"
}

# The example app, with the client that was built: from its lock file, as its README says.
check_example() {
    cd "$DIR/contract/client/examples/library"
    npm ci --cache "$DIR/npm/cache" --prefer-offline --no-update-notifier --fetch-retry-mintimeout 1000
    npm run --silent --no-update-notifier build
}

check_node() { # check_node FOLDER [TREE]: runs the tests of FOLDER in TREE (default: the checkout)
    if [[ -e $RUN/port ]]; then export_test_environment; fi
    cd "${2:-$ROOT}/$1"
    NO_COLOR=1 node --test --test-reporter=spec ./*.test.mjs
}

# check_beside FOLDER TREE [NAME...]: the same with as many files at a time as there are cores. The files called NAME
# run one after the other, because they share something.
check_beside() {
    local out=$DIR/log/beside file
    if [[ -e $RUN/port ]]; then export_test_environment; fi
    cd "$2/$1"
    rm -rf "$out"
    mkdir "$out"
    # shellcheck disable=SC2016 # the inner shell expands it
    {
        say "${@:3}"
        for file in *.test.mjs; do
            file=${file%.test.mjs}
            [[ " ${*:3} " == *" $file "* ]] || say "$file"
        done
    } | sed '/^$/d' | NO_COLOR=1 xargs -d '\n' -P "$JOBS" -I{} bash -c 'status=0
        for file in $1; do
            node --test --test-reporter=spec "$file.test.mjs" >"$0/$file" 2>&1 || status=1
            cat "$0/$file"
        done
        exit $status' "$out" {}
}

check_units() { # the installed units are well-formed and sandboxed, and the commands that they start exist
    local units=$RUN/inst/lib/systemd/system program command unit
    systemd-analyze verify --man=no "$units"/booky-sync*.{service,socket,timer}
    for unit in "$units"/booky-sync*.service; do
        systemd-analyze security --offline=yes --threshold=15 "$unit" >"$DIR/log/security.log" ||
            { tail -n 3 "$DIR/log/security.log" && return 1; }
        read -r program command _ < <(sed -n 's/^ExecStart=//p' "$unit")
        "$program" "$command" --help
    done
}

check_nginx_files() { # the shipped site; only ports, certificate and log are replaced
    local rate
    config_write
    for rate in rate rate-off; do
        rm -rf "$RUN/nginx-shipped"
        mkdir "$RUN/nginx-shipped"
        ln -s "$ROOT/nginx/booky-sync" "$RUN/nginx-shipped/booky-sync"
        {
            nginx_main
            sed -e '/listen \[::\]/d' \
                -e 's/listen 80;/listen 127.0.0.1:18080;/' \
                -e 's/listen 443 /listen 127.0.0.1:18443 /' \
                -e "s|/etc/ssl/private/booky-sync.crt|$RUN/tls/cert.pem|" \
                -e "s|/etc/ssl/private/booky-sync.key|$RUN/tls/key.pem|" \
                -e "s|/var/log/nginx|$RUN/log|" \
                -e "s|booky-sync/rate.conf|booky-sync/$rate.conf|" "$ROOT/nginx/booky-sync.conf"
            say '}'
        } >"$RUN/nginx-shipped/nginx.conf"
        nginx -t -p "$RUN/nginx-shipped/" -e "$RUN/log/nginx-error.log" -c "$RUN/nginx-shipped/nginx.conf"
    done
}
