#!/usr/bin/env bash
# Tests the Debian package and the manual. Builds the package in a fresh Debian and runs lintian; installs it in another
# fresh Debian; boots that with systemd, in namespaces and without a network; executes the command blocks of
# docs/operations.md there, from the installation to the removal, and looks at what they do.
#
# Usage, as root on Debian with debootstrap and iproute2: tests/package.sh [--suite bookworm|trixie] [CACHE]
# The fresh Debian is kept in the folder CACHE for the next run. Prints the failures, and a line with the numbers. Exits
# with 0, with 1 if a case failed, or with 77 if it cannot run here.
# shellcheck disable=SC2031
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset CDPATH MAKEFLAGS MAKELEVEL TMPDIR

# Inside the fresh Debian the script is /package/package.sh, and ROOT is not used.
TESTS=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd -P)
ROOT=${TESTS%/*}
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
SECURITY=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
NAMESPACES=(--mount --pid --net --ipc --uts --cgroup)

say() { printf '%s\n' "$*"; }
die() {
    printf 'package.sh: %s\n' "$*" >&2
    exit 1
}

cannot() {
    say "package: not run: $*"
    exit 77
}

# expect NAME COMMAND...: one case. Writes the result to RESULTS; prints the output of a case that fails.
expect() {
    local name=$1 output status
    shift
    set +e
    output=$(set -e; "$@" 2>&1 </dev/null)
    status=$?
    set -e
    if ((status == 0)); then
        say "ok $name" >>"$RESULTS"
    else
        say "FAIL $name" >>"$RESULTS"
        say "FAIL $name: $*"
        tail -n 40 <<<"$output" | cut -c1-300 | sed 's/^/    | /'
    fi
}

# must NAME COMMAND...: like expect, but a failure ends the run.
must() {
    expect "$@"
    [[ $(tail -n 1 "$RESULTS") == ok* ]] || exit 1
}

is() { [[ $1 == "$2" ]] || { say "is \"$1\", not \"$2\"" && return 1; }; }
has() { [[ $1 == *"$2"* ]] || { say "\"$2\" is not in: $1" && return 1; }; }
fails() { ! "$@"; }

# shellcheck source=tests/package/manual.sh
source "$TESTS/package/manual.sh"
# shellcheck source=tests/package/operate.sh
source "$TESTS/package/operate.sh"
# shellcheck source=tests/package/stages.sh
source "$TESTS/package/stages.sh"
# shellcheck source=tests/package/debian.sh
source "$TESTS/package/debian.sh"

finish() {
    local status=$? passed failed
    trap - EXIT
    set +e
    if [[ -n $UNSHARE ]]; then
        kill -KILL "$UNSHARE" 2>/dev/null
        wait "$UNSHARE" 2>/dev/null
        for _ in {1..50}; do # a control group cannot be removed before its last process has ended
            find "$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null
            [[ -d $CGROUP ]] || break
            sleep 0.1
        done
    fi
    passed=$(grep -c ^ok "$RESULTS")
    failed=$(grep -c ^FAIL "$RESULTS")
    ((status == 0 || failed > 0)) || failed=1
    findmnt -rno TARGET | grep "^$WORK/" | sort -r | xargs -r umount -l
    rm -rf --one-file-system "$WORK"
    printf 'package: %d passed, %d failed, %d seconds\n' "$passed" "$failed" "$SECONDS"
    ((failed == 0)) || exit 1
    exit "$status"
}

main() {
    WORK=$(mktemp -d /var/tmp/booky-package.XXXXXX)
    SUITE=bookworm
    [[ ${1:-} != --suite ]] || { SUITE=$2 && shift 2; }
    [[ $SUITE == bookworm || $SUITE == trixie ]] || die "--suite $SUITE: must be bookworm or trixie"
    [[ $# -eq 0 ]] || mkdir -p "$1"
    BASE=$(realpath "${1:-$WORK}")/debian-$SUITE.tar
    RESULTS=$WORK/package/results
    UNSHARE=
    mkdir "$WORK/package"
    : >"$RESULTS"
    cp -r "$ROOT/tests/package.sh" "$ROOT/tests/package" "$ROOT/docs/operations.md" "$WORK/package"
    trap finish EXIT
    trap 'exit 130' INT TERM HUP PIPE

    must "debootstrap" base_make
    unpack build
    sources_copy
    in_chroot build stage_build
    unpack host
    in_chroot host stage_install
    boot host
    in_booted /package/package.sh --inside stage_boot
}

case ${1:-} in
    --inside)
        RESULTS=/package/results
        POSTGRESQL=$(basename "$(compgen -G '/usr/lib/postgresql/*' || say 15)")
        "$2"
        ;;
    --boot) boot_enter "$2" ;;
    --unshared) main "${@:2}" ;;
    *)
        for program in debootstrap unshare nsenter ip; do
            command -v $program >/dev/null || cannot "$program is missing"
        done
        unshare "${NAMESPACES[@]}" --fork mount -t tmpfs tmpfs /mnt || cannot "no root, or no namespaces"
        # In a mount namespace, whose mounts end with it.
        exec unshare --mount --propagation private "$ROOT/tests/package.sh" --unshared "$@"
        ;;
esac
