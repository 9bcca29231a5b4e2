# shellcheck shell=bash
# What the stage under systemd does with the running server; see boot_serve and its neighbours in stages.sh.

request() { # request METHOD PATH [BODY]: prints the reply
    curl -sS --max-time 10 -X "$1" ${TOKEN:+-H "Authorization: Bearer $TOKEN"} \
        ${3:+-H 'Content-Type: application/json' -d "$3"} "https://api.example.org$2"
}

add_book() { # add_book ID TITLE: prints the reply
    request POST /api/sync/operations '{"operations":[{"id":"op-'"$1-$RANDOM"'","type":"create","entity":"book",
        "entityId":"'"$1"'","timestamp":"'"$(date -u +%FT%TZ)"'","data":{"title":"'"$2"'"}}]}'
}

add_book_as() { TOKEN=$(booky-sync token mint --user "$1") add_book "${@:2}"; } # add_book_as USER ID TITLE

library() { request GET '/api/sync/changes?since=2020-01-01T00:00:00Z'; }

events() { # prints what GET /events sends in two seconds
    curl -sN -m 2 -H "Authorization: Bearer $TOKEN" https://api.example.org/api/sync/events
}

eventually() { # eventually COMMAND...: whether it succeeds within about ten seconds
    local i
    for ((i = 0; i < 50; i++)); do
        "$@" && return
        sleep 0.2
    done
    return 1
}

healthy() { has "$(request GET /api/health)" '"success":true'; }

redirects() { is "$(curl -s -o /dev/null -w '%{http_code}' http://api.example.org/)" 308; }

# An authority for the ACME protocol, on this machine. It believes that this machine is api.example.org.
acme_start() {
    local dir=/run/pebble
    mkdir $dir
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout $dir/key.pem -out $dir/cert.pem 2>/dev/null
    cat >$dir/config.json <<END
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "httpPort": 80,
 "tlsPort": 443, "certificate": "$dir/cert.pem", "privateKey": "$dir/key.pem"}}
END
    PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 setsid pebble -config $dir/config.json >$dir/log 2>&1 </dev/null &
    eventually curl -sk -o $dir/root.pem https://localhost:15000/roots/0
}

certbot() {
    REQUESTS_CA_BUNDLE=/run/pebble/cert.pem command certbot --server https://localhost:14000/dir --agree-tos \
        --register-unsafely-without-email --non-interactive "$@"
}

acme_certified() {
    has "$(openssl s_client -connect 127.0.0.1:443 -servername api.example.org -verify_return_error \
        -CAfile /run/pebble/root.pem </dev/null 2>&1)" 'Verify return code: 0 (ok)'
    is "$(curl -s -o /dev/null -w '%{http_code}' http://api.example.org/.well-known/acme-challenge/none)" 404
}

receiver_start() { # another machine's syslog server, on the loopback
    cat >/run/receiver.conf <<'END'
module(load="imtcp")
input(type="imtcp" port="6514")
template(name="raw" type="string" string="%programname% %msg%\n")
action(type="omfile" file="/run/received" template="raw")
END
    setsid rsyslogd -f /run/receiver.conf -i /run/receiver.pid >/run/receiver.log 2>&1
}

# FILE has one JSON object a line, and of both sources one with the request id.
sent_to() { # sent_to REQUEST-ID SELECT FILE: SELECT makes "source id" of each line
    is "$(jq -Rr "$2" "$3" | grep -F " $1" | sort -u | cut -d ' ' -f 1 | paste -sd ' ')" "booky-nginx booky-sync"
}

logs_sent() {
    curl -s -o /dev/null -H 'X-Request-Id: log-of-both-1' -H "Authorization: Bearer $TOKEN" \
        https://api.example.org/api/sync/status
    eventually sent_to log-of-both-1 'fromjson | "\(.source) \(.record.requestId? // "")"' /var/log/booky-sync.json
    eventually sent_to log-of-both-1 'capture("^(?<source>\\S+) (?<record>.*)$")
        | "\(.source) \(.record | fromjson | .requestId? // "")"' /run/received
    logs_private
}

hook_called() {
    sed -i 's,https://alerts.example.org/hook,http://127.0.0.1:9999/hook,' /usr/local/sbin/booky-alert
    timeout 30 python3 - >/run/hook <<'END' &
from http.server import BaseHTTPRequestHandler, HTTPServer
class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 9999), Hook)
open("/run/hook-ready", "w").close()
server.handle_request()
END
    eventually test -e /run/hook-ready
    mkdir -p /run/systemd/system/booky-sync-purge.service.d
    printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >/run/systemd/system/booky-sync-purge.service.d/fail.conf
    systemctl daemon-reload
    systemctl start booky-sync-purge || true
    wait $!
    is "$(jq -r '"\(.alert) \(.unit)"' /run/hook)" "UnitFailed booky-sync-purge.service"
    rm -r /run/systemd/system/booky-sync-purge.service.d /run/hook*
    systemctl daemon-reload
    systemctl reset-failed booky-sync-purge
}

logs_private() { # nobody but root, an owner and a group can read a file of ours in /var/log
    request GET /api/sync/status
    eventually test -s /var/log/nginx/booky-sync.log
    is "$(find /var/log -name '*booky*' -type f -perm /007)" ""
}

crash_recovers() {
    kill -KILL "$(systemctl show -p MainPID --value booky-sync)"
    sleep 1.5
    eventually healthy
}

# Requests come in while the configuration cannot be read. Afterwards nobody has to reset a unit.
fault_recovers() {
    local i
    sed -i '1i [pool]\nworkers = none' /etc/booky-sync/booky-sync.conf
    systemctl restart booky-sync || true
    for ((i = 0; i < 60; i++)); do
        request GET /api/health >/dev/null &
        sleep 0.25
    done
    sed -i '1,2d' /etc/booky-sync/booky-sync.conf
    eventually healthy
    is "$(systemctl is-active booky-sync.socket booky-sync.service | sort -u)" active
}

restore_fails() { # with half a dump: the block stops, and the present database stays
    local dump=/var/backups/booky/booky.dump
    add_book book-now 'Written after the backup' >/dev/null
    cp -a "$(readlink -f $dump)" /tmp/whole.dump
    truncate -s -2000 "$(readlink -f $dump)"
    fails manual_block "$(manual_number "Restore a dump")"
    cp -a /tmp/whole.dump "$(readlink -f $dump)"
    rm /tmp/whole.dump
    systemctl start booky-sync.socket booky-sync-push.socket booky-sync booky-sync-push booky-sync-purge.timer
    eventually healthy
    has "$(library)" '"Written after the backup"'
}

clients_connected() { # the pool and the push process
    is "$(runuser -u postgres -- psql -XAtc "SELECT count(*) > 4 FROM pg_stat_activity WHERE datname = 'booky'")" t
}

services_active() {
    is "$(systemctl is-active booky-sync.socket booky-sync-push.socket booky-sync booky-sync-push \
        booky-sync-purge.timer | sort -u)" active
}

restore_dump() {
    local cursor reply
    add_book book-lost 'Lost by the restore' >/dev/null
    cursor=$(library | jq -r .cursor)
    eventually clients_connected
    manual_block "$(manual_number "Restore a dump")"
    eventually healthy
    services_active
    reply=$(library)
    has "$reply" '"The Dispossessed"'
    fails has "$reply" '"Lost by the restore"' >/dev/null
    has "$(request GET "/api/sync/changes?cursor=$cursor")" '"reason":"restored"'
    manual_block "$(manual_number "Restore a dump" 2)"
}

restore_time() {
    local number reply
    number=$(manual_number "Restore to a point in time")
    add_book book-kept 'Before the point in time' >/dev/null
    sleep 1.1
    sed -i "s/^TARGET=.*/TARGET='$(date -u +%F\ %T.%N | cut -c1-26)+00'/" "$MANUAL/$number.sh"
    sleep 1.1
    add_book book-gone 'After the point in time' >/dev/null
    manual_block "$number"
    eventually healthy
    services_active
    reply=$(library)
    has "$reply" '"Before the point in time"'
    fails has "$reply" '"After the point in time"' >/dev/null
    manual_block "$(manual_number "Restore to a point in time" 2)"
}

starts() { journalctl -u booky-sync.service -o cat | grep -c '^Started booky-sync.service'; }

package_newer() { # the same package as version 1.1.0, in the current folder
    dpkg-deb -R /package/booky-sync.deb /tmp/newer
    sed -i 's/^Version: .*/Version: 1.1.0/' /tmp/newer/DEBIAN/control
    dpkg-deb -b /tmp/newer booky-sync_1.1.0_amd64.deb
    rm -r /tmp/newer
}

upgrade_lossless() { # the service restarts once, and no request of those sent meanwhile fails
    local socket status before
    before=$(starts)
    socket=$(stat -c %i /run/booky-sync.sock)
    : >/tmp/upgrade
    while [[ -e /tmp/upgrade ]]; do
        curl -s -o /dev/null -w '%{http_code}\n' https://api.example.org/api/health || true
    done >/tmp/statuses 2>/dev/null &
    manual_block "$(manual_number Upgrade)"
    eventually healthy
    rm /tmp/upgrade
    wait $!
    is "$(stat -c %i /run/booky-sync.sock)" "$socket"
    is "$(($(starts) - before))" 1
    status=$(sort /tmp/statuses | uniq -c)
    is "${status##* }" 200
    is "$(wc -l <<<"$status")" 1
    is "$(dpkg-query -W -f '${Version}' booky-sync)" 1.1.0
}

password_used() { # the database over TCP, with a password from systemd's credentials, as booky-sync.service describes
    local dropin=/etc/systemd/system/booky-sync.service.d
    runuser -u postgres -- psql -q -c "ALTER ROLE booky PASSWORD 'from-a-file'"
    (umask 077 && say from-a-file >/etc/booky-sync/credentials/db-password)
    mkdir $dropin
    printf '[Service]\nLoadCredential=db-password:%s\n' /etc/booky-sync/credentials/db-password >$dropin/password.conf
    sed -i -e 's/^dsn = /&host=127.0.0.1 /' \
        -e 's,^;password_file =,password_file = /run/credentials/booky-sync.service/db-password,' \
        /etc/booky-sync/booky-sync.conf
    systemctl daemon-reload
    systemctl restart booky-sync
    rm -r $dropin
    has "$(library)" '"title":"The Dispossessed"'
}
