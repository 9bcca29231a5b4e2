#!/usr/bin/env bash
# The Debian package, from the sources to its purge. Builds it in a fresh Debian 12 and holds lintian against it; installs
# it in another fresh one; starts that one with systemd, in namespaces of its own and without a network; sets the server
# up as docs/operations.md says and sends requests through nginx with TLS; upgrades, removes and purges the package.
#
# For root on Debian 12, with debootstrap and iproute2: tests/package.sh [CACHE]
# CACHE is a folder to keep the fresh Debian in for the next run. Prints what failed, and one line with the numbers; exits
# with 0, with 1 when something failed, or with 77 where it cannot run.
# shellcheck disable=SC2031
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset CDPATH MAKEFLAGS MAKELEVEL TMPDIR

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd -P)
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
SECURITY=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}

say() { printf '%s\n' "$*"; }
die() {
    printf 'package.sh: %s\n' "$*" >&2
    exit 1
}

cannot() {
    say "package: not run: $*"
    exit 77
}

# expect NAME COMMAND...: one case. The result goes to RESULTS; the output is shown when it fails.
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

# must NAME COMMAND...: as expect, for what all the rest builds upon.
must() {
    expect "$@"
    [[ $(tail -n 1 "$RESULTS") == ok* ]] || exit 1
}

is() { [[ $1 == "$2" ]] || { say "is \"$1\", not \"$2\"" && return 1; }; }
has() { [[ $1 == *"$2"* ]] || { say "\"$2\" is not in: $1" && return 1; }; }
fails() { ! "$@"; }

# ---- inside the fresh Debian ------------------------------------------------------------------------------------------

apt() { apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@"; }

owner_mode() { stat -c '%U:%G %a' "$1"; }

# All that dpkg lists is there and only root may write it; what a table row names has exactly that owner and mode.
files_right() {
    local path owner mode bad=0
    while read -r path owner mode; do
        is "$path $(owner_mode "$path")" "$path $owner $mode" || bad=1
    done <<'TABLE'
/usr/sbin/booky-sync root:root 755
/lib/systemd/system/booky-sync.service root:root 644
/lib/systemd/system/booky-sync.socket root:root 644
/lib/systemd/system/booky-sync-migrate.service root:root 644
/lib/systemd/system/booky-sync-push.service root:root 644
/lib/systemd/system/booky-sync-push.socket root:root 644
/lib/systemd/system/booky-sync-purge.service root:root 644
/lib/systemd/system/booky-sync-purge.timer root:root 644
/usr/lib/sysusers.d/booky-sync.conf root:root 644
/usr/lib/tmpfiles.d/booky-sync.conf root:root 644
/usr/share/man/man8/booky-sync.8.gz root:root 644
/usr/share/man/man5/booky-sync.conf.5.gz root:root 644
/usr/share/bash-completion/completions/booky-sync root:root 644
/usr/share/booky-sync/migrations/0001_sync.sql root:root 644
/etc/booky-sync root:root 755
/etc/booky-sync/booky-sync.conf root:booky-sync 640
/etc/booky-sync/keys.d root:booky-sync 750
/etc/booky-sync/credentials root:root 700
/etc/nginx/sites-available/booky-sync root:root 644
/etc/nginx/booky-sync/server.conf root:root 644
TABLE
    while read -r path; do
        [[ -e $path ]] || { say "$path is missing" && bad=1; }
        [[ $path == /etc/booky-sync* || $(stat -Lc %U:%G%A "$path") =~ ^root:root.....-..-. ]] ||
            { say "$path: $(owner_mode "$path")" && bad=1; }
    done < <(dpkg -L booky-sync)
    return $bad
}

files_gone() { # nothing anywhere is named after us, but for what this script brought
    ! find / \( -path /proc -o -path /sys -o -path /package \) -prune -o -name '*booky*' -print | grep .
}

listing() { # every path outside of what PostgreSQL, nginx, apt, dpkg and systemd write as they please
    find / \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /package -o -path /var/cache \
        -o -path /var/log -o -path /var/tmp -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/postgresql \
        -o -path /var/lib/systemd -o -path /var/lib/nginx -o -path /etc/postgresql \) -prune -o -print | sort
}

stage_build() { # as an account without rights; the sources are in /source/booky-sync
    cd /source/booky-sync
    apt update
    must "build dependencies" apt build-dep /source/booky-sync
    must "lintian" apt install lintian
    chown -R nobody /source
    must "dpkg-buildpackage" as_nobody dpkg-buildpackage -us -uc
    expect "unit tests are part of the build" test -s build-debian/tests/unit/unit.log
    expect "lintian finds nothing" is "$(as_nobody lintian -EIL +pedantic /source/*.changes 2>&1)" ""
    expect "completion knows every kind" is \
        "$(sed -nE "s/.*KIND\) .*compgen -W '([^']*)'.*/\1/p" completions/booky-sync | tr ' ' '\n' | sort)" \
        "$(sed -nE 's/.*const kind kind_.*\.name = "([^"]*)".*/\1/p; s/^ +\.name = "([^"]*)", \.plural.*/\1/p' lib/kind_*.c | sort)"
    cp /source/booky-sync_*[0-9a-z].deb /package/booky-sync.deb
}

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent "$@"; }

stage_install() { # in a chroot, as image builders do: no systemd runs, and nothing is there that we do not depend on
    apt update
    must "install into a bare Debian" apt install /package/booky-sync.deb
    expect "files, owners, modes" files_right
    expect "the program runs" booky-sync --version
    expect "service enabled" systemctl is-enabled booky-sync.service booky-sync.socket booky-sync-push.service booky-sync-push.socket \
        booky-sync-purge.timer
    expect "migrations not run unasked" fails systemctl is-enabled booky-sync-migrate.service
    expect "site not enabled unasked" fails test -e /etc/nginx/sites-enabled/booky-sync
    expect "account" is "$(getent passwd booky-sync | cut -d: -f6,7)" /var/lib/booky-sync:/usr/sbin/nologin
    must "purge" apt purge booky-sync
    expect "purge leaves nothing" files_gone
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    must "install nginx, PostgreSQL" apt install nginx postgresql curl openssl procps bash-completion
    rm /usr/sbin/policy-rc.d
    systemctl mask --quiet getty.target console-getty.service
}

setup() { # as docs/operations.md says
    local pg=/etc/postgresql/15/main
    runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE booky_worker NOLOGIN;
CREATE ROLE booky LOGIN IN ROLE booky_worker;
CREATE ROLE booky_owner LOGIN;
CREATE DATABASE booky OWNER booky_owner ENCODING 'UTF8' TEMPLATE template0;
SQL
    sed -i '1i local booky booky,booky_owner peer map=booky' $pg/pg_hba.conf
    printf '%s\n' 'booky booky-sync booky' 'booky booky-sync booky_owner' >>$pg/pg_ident.conf
    systemctl reload postgresql
    sed -i -e '/^\[database\]/a dsn = dbname=booky user=booky\nadmin_dsn = dbname=booky user=booky_owner' \
        /etc/booky-sync/booky-sync.conf
    systemctl start booky-sync-migrate
    openssl rand -hex 32 | install -m 640 -g booky-sync /dev/stdin /etc/booky-sync/keys.d/main.hmac
}

site_enable() { # the site as it is shipped, its name resolved by curl
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=api.example.org \
        -addext subjectAltName=DNS:api.example.org -keyout /etc/ssl/private/booky-sync.key -out /etc/ssl/private/booky-sync.crt
    ln -s ../sites-available/booky-sync /etc/nginx/sites-enabled/
    nginx -t && systemctl reload nginx
}

call() { # call METHOD PATH [BODY]: the reply
    curl -sS --max-time 10 --cacert /etc/ssl/private/booky-sync.crt --resolve api.example.org:443:127.0.0.1 -X "$1" \
        ${TOKEN:+-H "Authorization: Bearer $TOKEN"} ${3:+-H 'Content-Type: application/json' -d "$3"} "https://api.example.org$2"
}

eventually() { # eventually COMMAND...: whether it succeeds within ten seconds or so
    local i
    for ((i = 0; i < 50; i++)); do
        "$@" && return
        sleep 0.2
    done
    return 1
}

healthy() { has "$(call GET /api/health)" '"success":true'; }

redirects() { is "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: api.example.org' http://127.0.0.1/)" 308; }

starts() { journalctl -u booky-sync.service -o cat | grep -c '^Started booky-sync.service'; }

upgrade_lossless() { # one restart, and requests sent one after the other meanwhile: none fails
    local socket status before
    before=$(starts)
    socket=$(stat -c %i /run/booky-sync.sock)
    : >/tmp/upgrade
    while [[ -e /tmp/upgrade ]]; do
        curl -sk -o /dev/null -w '%{http_code}\n' https://127.0.0.1/api/health || true
    done >/tmp/statuses 2>/dev/null &
    apt install --reinstall /package/booky-sync.deb
    eventually healthy
    rm /tmp/upgrade
    wait $!
    is "$(stat -c %i /run/booky-sync.sock)" "$socket"
    is "$(($(starts) - before))" 1
    status=$(sort /tmp/statuses | uniq -c)
    is "${status##* }" 200
    is "$(wc -l <<<"$status")" 1
}

crash_recovers() {
    kill -KILL "$(systemctl show -p MainPID --value booky-sync)"
    sleep 1.5
    eventually healthy
}

password_used() { # the database over TCP, with a password that systemd hands over, as booky-sync.service says
    local dropin=/etc/systemd/system/booky-sync.service.d
    runuser -u postgres -- psql -q -c "ALTER ROLE booky PASSWORD 'from-a-file'"
    (umask 077 && say from-a-file >/etc/booky-sync/credentials/db-password)
    mkdir $dropin
    printf '[Service]\nLoadCredential=db-password:%s\n' /etc/booky-sync/credentials/db-password >$dropin/password.conf
    sed -i -e 's/^dsn = /&host=127.0.0.1 /' -e 's,^;password_file =,password_file = /run/credentials/booky-sync.service/db-password,' \
        /etc/booky-sync/booky-sync.conf
    systemctl daemon-reload
    systemctl restart booky-sync
    rm -r $dropin
    has "$(call GET '/api/sync/changes?since=2020-01-01T00:00:00Z')" '"title":"The Dispossessed"'
}

completes() { # completes LINE EXPECTED: what the shell offers at the end of LINE
    local reply
    reply=$(
        # shellcheck disable=SC1091
        source /usr/share/bash-completion/bash_completion
        # shellcheck disable=SC1091
        source /usr/share/bash-completion/completions/booky-sync
        COMP_LINE=$1
        COMP_POINT=${#1}
        read -ra COMP_WORDS <<<"$1"
        [[ $1 != *' ' ]] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _booky_sync booky-sync
        printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
    )
    is "$reply" "$2"
}

journal() { journalctl --no-pager -u 'booky-sync*' | grep -v '"event":"request"' | tail -n 60; }

stage_boot() { # with systemd as the first process
    local now reply
    trap '! grep -q ^FAIL "$RESULTS" || journal' EXIT
    listing >/package/listing
    must "install under systemd" apt install /package/booky-sync.deb
    expect "waits for a key: service" is "$(systemctl is-active booky-sync.service)" inactive
    expect "waits for a key: socket" is "$(systemctl is-active booky-sync.socket)" inactive
    expect "nothing failed" is "$(systemctl list-units --failed --no-legend 'booky-sync*')" ""

    must "database, migrations, key" setup
    expect "settings stay private" is "$(owner_mode /etc/booky-sync/booky-sync.conf)" "root:booky-sync 640"
    expect "check-config" runuser -u booky-sync -- booky-sync check-config
    must "start" systemctl start booky-sync
    expect "socket" is "$(owner_mode /run/booky-sync.sock)" "booky-sync:www-data 660"
    expect "runs as booky-sync" is "$(ps -o user= -p "$(systemctl show -p MainPID --value booky-sync)")" booky-sync
    must "nginx" site_enable
    must "health" eventually healthy

    expect "no token: 401" has "$(call GET /api/sync/status)" '"error":"UNAUTHORIZED"'
    TOKEN=$(booky-sync token mint --user reader-1)
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    reply=$(call POST /api/sync/operations '{"operations":[{"id":"op-1","type":"create","entity":"book","entityId":"book-1",
        "timestamp":"'"$now"'","data":{"title":"The Dispossessed"}}]}')
    expect "POST /operations" has "$reply" '"success":true'
    reply=$(call GET '/api/sync/changes?since=2020-01-01T00:00:00Z')
    expect "GET /changes" has "$reply" '"title":"The Dispossessed"'

    must "start of the push process" systemctl start booky-sync-push
    expect "push sockets" is "$(owner_mode /run/booky-sync-push.sock) $(owner_mode /run/booky-sync-pokes.sock)" \
        "booky-sync:www-data 660 booky-sync:www-data 660"
    expect "GET /events" has "$(curl -skN -m 2 -H "Authorization: Bearer $TOKEN" https://127.0.0.1/api/sync/events)" 'data: {"cursor":'

    expect "plain HTTP is sent to HTTPS" eventually redirects
    expect "status" runuser -u booky-sync -- booky-sync status
    expect "reload" systemctl reload booky-sync
    expect "migrations before each start, on demand" systemctl enable booky-sync-migrate
    expect "purge by its timer's service" systemctl start booky-sync-purge.service
    expect "a killed master comes back" crash_recovers
    expect "an upgrade loses no request" upgrade_lossless
    expect "an upgrade keeps the settings" grep -q '^dsn = dbname=booky user=booky$' /etc/booky-sync/booky-sync.conf
    expect "an upgrade keeps owners and modes" files_right
    expect "an upgrade keeps what is enabled" systemctl is-enabled booky-sync-migrate.service
    expect "nothing failed" is "$(systemctl list-units --failed --no-legend 'booky-sync*')" ""

    expect "password from a credential" password_used

    expect "completion: commands" completes 'booky-sync ch' check-config
    expect "completion: verbs" completes 'booky-sync conflicts ' '--help list resolve'
    expect "completion: options" completes 'booky-sync migrate --s' --status
    expect "completion: choices" completes 'booky-sync conflicts list --status ' 'open resolved'
    expect "completion: kinds" completes 'booky-sync replay --as r' 'rating readingLog'

    must "remove" apt remove booky-sync
    expect "remove stops the service" fails systemctl is-active --quiet booky-sync.service booky-sync.socket booky-sync-push.service \
        booky-sync-push.socket
    expect "remove keeps the settings" test -s /etc/booky-sync/booky-sync.conf
    rm /etc/ssl/private/booky-sync.{key,crt}
    must "purge" apt purge booky-sync
    expect "purge leaves nothing" files_gone
    expect "purge leaves nothing under other names" diff /package/listing <(listing)
    expect "nginx can start without the site" nginx -t
}

# ---- outside ----------------------------------------------------------------------------------------------------------

base_make() { # WORK/base.tar: a Debian 12 with nothing but apt
    if [[ ! -s $CACHE/debian-12.tar ]]; then
        debootstrap --variant=minbase bookworm "$WORK/base" "$MIRROR"
        say "deb $SECURITY bookworm-security main" >>"$WORK/base/etc/apt/sources.list"
        rm -f "$WORK"/base/var/cache/apt/archives/*.deb
        tar -C "$WORK/base" -cf "$CACHE/debian-12.tar.new" .
        mv "$CACHE/debian-12.tar.new" "$CACHE/debian-12.tar"
    fi
}

unpack() { # unpack NAME: a fresh Debian in WORK/NAME, which has this script and its results in /package
    mkdir -p "$WORK/$1"
    tar -C "$WORK/$1" -xf "$CACHE/debian-12.tar"
    cp /etc/resolv.conf "$WORK/$1/etc/"
    mkdir "$WORK/$1/package"
    mount --bind "$WORK/package" "$WORK/$1/package"
    mount -t proc proc "$WORK/$1/proc"
    mount -t tmpfs -o mode=1777 tmpfs "$WORK/$1/dev/shm"
}

sources_copy() { # what a clone has, and what is new in this one
    mkdir -p "$WORK/build/source/booky-sync"
    tar -C "$ROOT" -cf - --exclude=./.git --exclude=./.dev --exclude='./build*' --exclude=node_modules \
        --exclude=./configure --exclude=./Makefile.in --exclude=./aclocal.m4 --exclude=./autom4te.cache . |
        tar -C "$WORK/build/source/booky-sync" -xf -
}

INSIDE=(env -i "PATH=$PATH" HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)

in_chroot() { "${INSIDE[@]}" chroot "$WORK/$1" /package/package.sh --inside "$2"; } # in_chroot NAME FUNCTION

# boot NAME: starts systemd in WORK/NAME, with processes, network, host name and control groups of its own. Nothing of
# this machine can be changed from there but through root's rights on devices, of which there are none but /dev/null & co.
boot() {
    CGROUP=$WORK/cgroup/booky-package-$$
    mkdir "$WORK/cgroup"
    mount -t cgroup2 cgroup2 "$WORK/cgroup"
    mkdir "$CGROUP"
    (
        say "$BASHPID" >"$CGROUP/cgroup.procs"
        exec setpriv --pdeathsig KILL unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child "$0" --boot "$WORK/$1"
    ) >"$WORK/boot.log" 2>&1 </dev/null &
    UNSHARE=$!
    local i
    for ((i = 0; i < 300; i++)); do
        read -r INIT _ <"/proc/$UNSHARE/task/$UNSHARE/children" || true
        if in_booted sh -c '[ -e /package ] && systemctl is-system-running' 2>/dev/null | grep -qE '^(running|degraded)$'; then return; fi
        sleep 0.2
    done
    tail -n 40 "$WORK/boot.log"
    die "systemd did not start"
}

in_booted() { nsenter --target "$INIT" --mount --uts --ipc --net --pid --cgroup --root --wd "${INSIDE[@]}" "$@"; }

boot_enter() { # boot_enter ROOT: runs as the first process of its namespaces, and becomes systemd
    # Mount points of their own; over a /dev that is none, systemd would mount that of this machine.
    mount --rbind "$1" "$1"
    mount --rbind "$1/dev" "$1/dev"
    mount -t proc proc "$1/proc"
    mount --bind "$1/proc/sys" "$1/proc/sys"
    mount -o remount,bind,ro "$1/proc/sys"
    mount -t sysfs -o ro sysfs "$1/sys"
    mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$1/run"
    mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
    mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
    ip link set lo up
    # Not chroot, in which the units could have no user namespace.
    cd "$1"
    pivot_root . mnt
    exec env -i container=other "PATH=$PATH" chroot . \
        /bin/sh -c 'umount -l /mnt && mount --make-rshared / && exec /lib/systemd/systemd --log-target=journal'
}

finish() {
    local status=$? passed failed
    trap - EXIT
    set +e
    if [[ -n $UNSHARE ]]; then
        kill -KILL "$UNSHARE" 2>/dev/null
        wait "$UNSHARE" 2>/dev/null
        for _ in {1..50}; do # until the last process is gone
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
    CACHE=$(realpath "${1:-$WORK}")
    RESULTS=$WORK/package/results
    UNSHARE=
    mkdir "$WORK/package"
    : >"$RESULTS"
    cp "$0" "$WORK/package/package.sh"
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
        "$2"
        ;;
    --boot) boot_enter "$2" ;;
    --unshared) main "${@:2}" ;;
    *)
        for program in debootstrap unshare nsenter ip; do command -v $program >/dev/null || cannot "$program is missing"; done
        unshare --mount --pid --net --ipc --uts --cgroup --fork mount -t tmpfs tmpfs /mnt || cannot "no root, or no namespaces"
        # Mounts of its own, which end with it.
        exec unshare --mount --propagation private "$ROOT/tests/package.sh" --unshared "$@"
        ;;
esac
