# shellcheck shell=bash
# A stack: its folder DIR (log, builds, lock) and its run folder RUN (sockets, keys, cluster, installed program).
#
# PostgreSQL refuses to run as root. For root, the database, the pool, the push process and nginx's workers therefore
# run as an account without rights, ACCOUNT. RUN is DIR/run; that is a link to a private folder elsewhere if the account
# cannot reach DIR (a checkout below /root), or if the path is too long for a unix socket.

# stack_select NAME: sets DIR, ACCOUNT, AS_ACCOUNT, and RUN if it exists.
stack_select() {
    [[ $ROOT$STATE != *[!A-Za-z0-9/._+@-]* ]] ||
        die "make does not support paths with blanks or special characters: $ROOT, $STATE"
    DIR=$STATE/$1
    ACCOUNT=$(id -un)
    AS_ACCOUNT=()
    RUN=$(readlink -f "$DIR/run" || true)
    [[ $EUID -ne 0 ]] || account_select
}

account_select() { # for root
    ACCOUNT=postgres
    id -u "$ACCOUNT" >/dev/null 2>&1 || ACCOUNT=nobody
    AS_ACCOUNT=(setpriv "--reuid=$(id -u $ACCOUNT)" "--regid=$(id -g $ACCOUNT)" --init-groups --
        env "HOME=/nonexistent")
}

# Creates DIR and takes its lock. Daemons must not inherit the lock: start them with 9>&-.
stack_open() {
    mkdir -p "$DIR/log" 2>/dev/null || true
    [[ -w $DIR/log ]] || die "$DIR is not writable; set BOOKY_STATE to use another folder"
    exec 9>"$DIR/lock"
    flock -n 9 || die "another ./dev is running in $DIR"
}

# Creates RUN. Call it after the packages are installed, because one of them creates the account.
run_open() {
    [[ $EUID -ne 0 ]] || account_select
    if [[ ! -e $DIR/run ]]; then
        local path=$DIR/run key
        key=$(sha256sum <<<"$DIR" | cut -c1-12)
        # The path of a socket may have 107 bytes.
        if [[ $EUID -eq 0 ]]; then
            if ((${#path} > 80)) || ! "${AS_ACCOUNT[@]}" test -x "$DIR"; then path=/var/lib/booky-sync-dev-$key; fi
        elif ((${#path} > 80)); then
            path=/var/tmp/booky-sync-dev-$key
        fi
        install -d -m 700 -o "$ACCOUNT" "$path"
        [[ $path == "$DIR/run" ]] || ln -sfn "$path" "$DIR/run"
    fi
    RUN=$(readlink -f "$DIR/run")
    [[ $(stat -c %U "$RUN") == "$ACCOUNT" ]] || die "$RUN does not belong to $ACCOUNT; ./dev down --purge removes it"
    install -d -m 700 -o "$ACCOUNT" "$RUN/sock" "$RUN/log" "$RUN/keys.d" "$RUN/tls" "$RUN/nginx" "$RUN/pid"
}

stack_start() { # stack_start [POSTGRESQL_SETTING...]
    config_write
    db_start "$@"
    booky_start pool serve
    booky_start push push
    nginx_start
    server_wait
}

stack_stop() {
    [[ -n $RUN && -d $RUN ]] || return 0
    pid_stop nginx QUIT
    pid_stop push TERM
    pid_stop pool TERM
    if db_running; then pg pg_ctl -D "$RUN/pg" -m fast -w stop >/dev/null; fi
}

stack_purge() { # removes RUN, also where it is a link
    if [[ -n $RUN && -d $RUN ]]; then rm -rf "$RUN"; fi
    rm -rf "$DIR/run"
}

stack_must_exist() {
    [[ -n $RUN && -x $RUN/inst/sbin/booky-sync && -s $RUN/port ]] ||
        die "there is no server in $DIR; ./dev up starts one"
    cd /
}
