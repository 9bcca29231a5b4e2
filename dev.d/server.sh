# shellcheck shell=bash
# The installed program of a stack: its configuration, the pool and the push process, tokens.

booky() { "${AS_ACCOUNT[@]}" "$RUN/inst/sbin/booky-sync" "$@"; }

# Writes the configuration; creates key and certificate if they are missing.
config_write() {
    cat >"$RUN/booky-sync.conf" <<END
# Written by ./dev
[server]
socket = $RUN/sock/pool.sock
status_socket = $RUN/sock/status.sock
[pool]
workers = 4
[database]
dsn = $(dsn booky)
admin_dsn = $(dsn booky_owner)
[auth]
keys_dir = $RUN/keys.d
[erasure]
journal = $RUN/erasures
[push]
socket = $RUN/sock/push.sock
pokes_socket = $RUN/sock/pokes.sock
END
    if [[ ! -s $RUN/keys.d/dev.hmac ]]; then
        (umask 077 && openssl rand -hex 32 >"$RUN/keys.d/dev.hmac")
    fi
    if [[ ! -s $RUN/tls/cert.pem ]]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 825 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$RUN/tls/key.pem" -out "$RUN/tls/cert.pem"
    fi
    : >>"$RUN/erasures"
    [[ $EUID -ne 0 ]] || chown -R "$ACCOUNT" "$RUN/keys.d" "$RUN/tls" "$RUN/booky-sync.conf" "$RUN/erasures"
}

# booky_start NAME COMMAND: starts the pool or the push process. A running one is restarted only if the program or its
# configuration changed since its start.
booky_start() {
    local version
    version=$(sha256sum "$RUN/inst/sbin/booky-sync" "$RUN/booky-sync.conf")
    if pid_alive "$1" && [[ $version == "$(cat "$RUN/pid/$1.started" 2>/dev/null)" ]]; then return; fi
    pid_stop "$1" TERM
    cd "$RUN"
    "${AS_ACCOUNT[@]}" setsid "$RUN/inst/sbin/booky-sync" "$2" --config "$RUN/booky-sync.conf" \
        </dev/null >>"$RUN/log/$1.log" 2>&1 9>&- &
    say $! >"$RUN/pid/$1"
    say "$version" >"$RUN/pid/$1.started"
}

# Waits until the server reports that it is healthy.
server_wait() {
    local i
    for ((i = 0; i < 150; i++)); do
        curl -fsS --cacert "$RUN/tls/cert.pem" "$(url)/health" && return
        pid_alive pool || break
        sleep 0.2
    done 2>/dev/null
    say "the pool does not answer; the end of its log:" && tail -n 30 "$RUN/log/pool.log"
    return 1
}

url() { say "https://127.0.0.1:$(cat "$RUN/port")/api"; }

token_mint() { booky token mint --config "$RUN/booky-sync.conf" --user "$1" --ttl 604800; } # token_mint USER
