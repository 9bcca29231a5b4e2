# shellcheck shell=bash
# The Debian packages that the commands need, and Node.

BUILD_PACKAGES=(gcc libc6-dev make autoconf automake pkgconf libfcgi-dev libpq-dev libjansson-dev libjwt-dev libinih-dev
    libssl-dev zlib1g-dev libwebsockets-dev libev-dev check)
RUN_PACKAGES=(postgresql nginx openssl curl)
FUZZ_PACKAGES=(clang libclang-rt-dev)
BENCH_PACKAGES=(wrk)
# clang-format lays out some lines differently from one version to the next; Debian 12 and 13 both have 19.
CLANG_FORMAT=clang-format-19
CHECK_PACKAGES=("${FUZZ_PACKAGES[@]}" "${BENCH_PACKAGES[@]}" "$CLANG_FORMAT" shellcheck graphviz ca-certificates mandoc
    prometheus systemd valgrind chromium iproute2 pgbouncer)

HA_PACKAGES=(iproute2 pgbouncer patroni etcd-server etcd-client)

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: run ./dev as root or install sudo; the command was: $*"
    fi
}

packages_missing() { # packages_missing PACKAGE...: prints those that are not installed
    local package
    for package; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || say "$package"
    done
}

# Installs without starting services, and without the cluster `main` that the package postgresql creates. etcd would
# start with the machine, so it is disabled.
packages_apt() {
    local conf=/etc/postgresql-common/createcluster.conf
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
    local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends)
    if [[ " $* " == *" postgresql "* ]] && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then
        as_root "${apt[@]}" postgresql-common
        as_root sed -i.before-booky 's/^#\?create_main_cluster.*/create_main_cluster = false/' $conf
        as_root "${apt[@]}" "$@"
        as_root mv $conf.before-booky $conf
    else
        as_root "${apt[@]}" "$@"
    fi
    if [[ " $* " == *" etcd-server "* ]] && command -v systemctl >/dev/null; then as_root systemctl disable etcd; fi
}

packages_install() { # packages_install PACKAGE...: installs those that are missing
    command -v apt-get >/dev/null || die "this machine has no apt-get; ./dev requires Debian 12 or later"
    local -a missing
    mapfile -t missing < <(packages_missing "$@")
    ((${#missing[@]})) || return 0
    say "Installing ${missing[*]}"
    logged packages packages_apt "${missing[@]}"
}

# Whether the machine lacks a Node that is new enough: 18.17 or later.
node_missing() {
    ! node -e 'const [a, b] = process.versions.node.split(".").map(Number)
        process.exit(a > 18 || (a == 18 && b >= 17) ? 0 : 1)' 2>/dev/null
}

# Debian's Node and npm, unless the machine has a Node of another source that is new enough.
node_install() {
    ! node_missing || packages_install nodejs
    command -v npm >/dev/null || packages_install npm
}
