# shellcheck shell=bash
# Commands with a log, and the processes of a stack: RUN/pid/NAME holds the process id of NAME.

# logged NAME COMMAND...: runs it with its output in log/NAME.log. If it fails, shows the end of the log and exits.
logged() {
    local name=$1 status
    shift
    set +e
    (set -e; "$@") >"$DIR/log/$name.log" 2>&1 </dev/null
    status=$?
    set -e
    ((status == 0)) && return
    tail -n 60 "$DIR/log/$name.log" >&2
    die "$name failed; the whole output is in $DIR/log/$name.log"
}

# pid_alive NAME: whether the process is alive and one of this stack, which means that its command line names RUN.
pid_alive() {
    local pid
    read -r pid 2>/dev/null <"$RUN/pid/$1" || return 1
    grep -qF "$RUN" "/proc/$pid/cmdline" 2>/dev/null
}

# pid_stop NAME SIGNAL: sends the signal and waits; kills the process after 15 seconds.
pid_stop() {
    local pid i
    if pid_alive "$1"; then
        read -r pid <"$RUN/pid/$1"
        kill -s "$2" "$pid"
        for ((i = 0; i < 150; i++)); do
            pid_alive "$1" || break
            sleep 0.1
        done
        if pid_alive "$1"; then kill -s KILL "$pid"; fi
    fi
    rm -f "$RUN/pid/$1"
}

port_free() { ! (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
