# shellcheck shell=bash
# The fresh Debian of tests/package.sh: made by debootstrap, used as a chroot or booted with systemd in namespaces.

base_make() { # BASE: a Debian with nothing but apt
    if [[ ! -s $BASE ]]; then
        debootstrap --variant=minbase "$SUITE" "$WORK/base" "$MIRROR"
        say "deb $SECURITY $SUITE-security main" >>"$WORK/base/etc/apt/sources.list"
        rm -f "$WORK"/base/var/cache/apt/archives/*.deb
        tar -C "$WORK/base" -cf "$BASE.new" .
        mv "$BASE.new" "$BASE"
    fi
}

unpack() { # unpack NAME: a fresh Debian in WORK/NAME; its /package holds the scripts and the results
    mkdir -p "$WORK/$1"
    tar -C "$WORK/$1" -xf "$BASE"
    cp /etc/resolv.conf "$WORK/$1/etc/"
    mkdir "$WORK/$1/package"
    mount --bind "$WORK/package" "$WORK/$1/package"
    mount -t proc proc "$WORK/$1/proc"
    mount -t tmpfs -o mode=1777 tmpfs "$WORK/$1/dev/shm"
}

sources_copy() { # the files of this checkout, committed or not
    mkdir -p "$WORK/build/source/booky-sync"
    tar -C "$ROOT" -cf - --exclude=./.git --exclude=./.dev --exclude='./build*' --exclude=node_modules \
        --exclude=./configure --exclude=./Makefile.in --exclude=./aclocal.m4 --exclude=./autom4te.cache . |
        tar -C "$WORK/build/source/booky-sync" -xf -
}

INSIDE=(env -i "PATH=$PATH" HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)

in_chroot() { "${INSIDE[@]}" chroot "$WORK/$1" /package/package.sh --inside "$2"; } # in_chroot NAME FUNCTION

# boot NAME: starts systemd in WORK/NAME, with processes, network, host name and control groups of its own. It has
# root's rights on devices of this machine, but its /dev holds only null and the like.
boot() {
    CGROUP=$WORK/cgroup/booky-package-$$
    mkdir "$WORK/cgroup"
    mount -t cgroup2 cgroup2 "$WORK/cgroup"
    mkdir "$CGROUP"
    (
        say "$BASHPID" >"$CGROUP/cgroup.procs"
        exec setpriv --pdeathsig KILL unshare "${NAMESPACES[@]}" --fork --kill-child "$0" --boot "$WORK/$1"
    ) >"$WORK/boot.log" 2>&1 </dev/null &
    UNSHARE=$!
    local i
    for ((i = 0; i < 300; i++)); do
        read -r INIT _ <"/proc/$UNSHARE/task/$UNSHARE/children" || true
        if booted; then return; fi
        sleep 0.2
    done
    tail -n 40 "$WORK/boot.log"
    die "systemd did not start"
}

booted() { # systemd reports `degraded`, and fails, if a unit failed
    local state
    state=$(in_booted sh -c '[ -e /package ] && systemctl is-system-running' 2>/dev/null || true)
    [[ $state == running || $state == degraded ]]
}

in_booted() { nsenter --target "$INIT" --mount --uts --ipc --net --pid --cgroup --root --wd "${INSIDE[@]}" "$@"; }

boot_enter() { # boot_enter ROOT: runs as the first process of the namespaces and becomes systemd
    # ROOT and /dev must be mount points: otherwise systemd would mount this machine's devices over /dev.
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
    # pivot_root, because in a chroot the units could not create user namespaces.
    cd "$1"
    pivot_root . mnt
    exec env -i container=other "PATH=$PATH" chroot . \
        /bin/sh -c 'umount -l /mnt && mount --make-rshared / && exec /lib/systemd/systemd --log-target=journal'
}
