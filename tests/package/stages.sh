# shellcheck shell=bash
# The stages of tests/package.sh that run inside a fresh Debian, with the package or its sources.

# A person answers the questions of apt; here nobody does.
apt_prepare() {
    printf 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n' >/etc/apt/apt.conf.d/99test
    apt update
}

apt() { apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@"; }

owner_mode() { stat -c '%U:%G %a' "$1"; }

# Every path that dpkg lists exists, and only root may write it. The paths of the table have this owner and mode.
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
/lib/systemd/system/booky-sync-backup.service root:root 644
/lib/systemd/system/booky-sync-restore-test.timer root:root 644
/usr/share/booky-sync/backup.sh root:root 755
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

files_gone() { # no file on this system is named after the project, except those of this script
    ! find / \( -path /proc -o -path /sys -o -path /package \) -prune -o -name '*booky*' -print | grep .
}

listing() { # every path, except where PostgreSQL, nginx, rsyslog, apt, dpkg and systemd write
    find / \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /package \
        -o -path /var/cache -o -path /var/log -o -path /var/tmp -o -path /var/lib/apt -o -path /var/lib/dpkg \
        -o -path /var/lib/postgresql -o -path /var/lib/systemd -o -path /var/lib/nginx -o -path /etc/postgresql \
        -o -path /var/spool/rsyslog \) \
        -prune -o -print | sort
}

stage_build() { # builds as an account without rights; the sources are in /source/booky-sync
    manual_split
    cd /source/booky-sync
    apt_prepare
    must "lintian" apt install lintian
    chown -R nobody /source
    manual "Build the package" dpkg-buildpackage as_nobody
    expect "unit tests are part of the build" test -s build-debian/tests/unit/unit.log
    expect "lintian finds nothing" is "$(lintian_all 2>&1)" ""
    expect "completion knows every kind" is "$(kinds_completed)" "$(kinds_in_sources)"
    cp /source/booky-sync_*[0-9a-z].deb /package/booky-sync.deb
    must "what a host has" apt install systemd
    mkdir -p /etc/nginx/sites-available # nginx is not installed here
    systemctl() { [[ $1 == daemon-reload ]] || command systemctl "$@"; } # no systemd runs here
    manual "By hand" systemctl
    expect "the program that was installed by hand runs" /usr/sbin/booky-sync --version
}

kinds_completed() {
    sed -nE "s/.*KIND\) .*compgen -W '([^']*)'.*/\1/p" completions/booky-sync | tr ' ' '\n' | sort
}

kinds_in_sources() {
    sed -nE -e 's/.*const kind kind_.*\.name = "([^"]*)".*/\1/p' \
        -e 's/^ +\.name = "([^"]*)", \.plural.*/\1/p' lib/engine/kind_*.c | sort
}

dpkg-buildpackage() { as_nobody dpkg-buildpackage "$@"; } # without root's rights

# The sources follow the standards of Debian 12. A later lintian lacks a tag that they override, and knows newer ones.
lintian_all() {
    local -a later=()
    grep -q VERSION_CODENAME=bookworm /etc/os-release ||
        later=(--suppress-tags "alien-tag,mismatched-override,out-of-date-standards-version")
    as_nobody lintian -EIL +pedantic "${later[@]}" /source/*.changes
}

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent "$@"; }

stage_install() { # in a chroot, as image builders do: without systemd running, and with nothing but our dependencies
    apt_prepare
    must "install into a bare Debian" apt install /package/booky-sync.deb
    expect "files, owners, modes" files_right
    expect "the program runs" booky-sync --version
    expect "service enabled" systemctl is-enabled booky-sync.service booky-sync.socket \
        booky-sync-push.service booky-sync-push.socket booky-sync-purge.timer
    expect "migrations not enabled by default" fails systemctl is-enabled booky-sync-migrate.service
    expect "backups not enabled by default" fails systemctl is-enabled booky-sync-backup.timer
    expect "site not enabled by default" fails test -e /etc/nginx/sites-enabled/booky-sync
    expect "account" is "$(getent passwd booky-sync | cut -d: -f6,7)" /var/lib/booky-sync:/usr/sbin/nologin
    must "purge" apt purge booky-sync
    rm -rf /etc/letsencrypt/{accounts,archive,csr,keys,live,renewal,renewal-hooks} /var/lib/letsencrypt # of certbot
    expect "purge leaves nothing" files_gone
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    manual "Packages"
    must "tools of this test" apt install procps bash-completion pebble python3-minimal
    rm /usr/sbin/policy-rc.d
    systemctl mask --quiet getty.target console-getty.service
}

completes() { # completes LINE EXPECTED: whether the shell offers EXPECTED at the end of LINE
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

journal() {
    journalctl --no-pager -u booky-sync-backup -u booky-sync-restore-test -u 'booky-alert@*' | tail -n 30
    journalctl --no-pager -u 'booky-sync*' | grep -v '"event":"request"' | tail -n 60
}

stage_boot() { # with systemd as the first process
    trap '! grep -q ^FAIL "$RESULTS" || journal' EXIT
    cd /root
    echo '127.0.0.1 api.example.org logs.example.org' >>/etc/hosts
    export CURL_CA_BUNDLE=/run/pebble/root.pem
    listing >/package/listing
    cp /package/booky-sync.deb booky-sync_1.0.0_amd64.deb
    boot_install
    boot_serve
    boot_operate
    boot_restore
    boot_upgrade
    boot_troubles
    boot_remove
}

boot_install() {
    manual "The package"
    expect "waits for a key: service" is "$(systemctl is-active booky-sync.service)" inactive
    expect "waits for a key: socket" is "$(systemctl is-active booky-sync.socket)" inactive
    expect "nothing failed" is "$(systemctl list-units --failed --no-legend 'booky-sync*')" ""
    manual "The database"
    expect "settings stay private" is "$(owner_mode /etc/booky-sync/booky-sync.conf)" "root:booky-sync 640"
    manual "A key, and the start"
    expect "socket" is "$(owner_mode /run/booky-sync.sock)" "booky-sync:www-data 660"
    expect "push sockets" is "$(owner_mode /run/booky-sync-push.sock) $(owner_mode /run/booky-sync-pokes.sock)" \
        "booky-sync:www-data 660 booky-sync:www-data 660"
    expect "runs as booky-sync" is "$(ps -o user= -p "$(systemctl show -p MainPID --value booky-sync)")" booky-sync
    acme_start
    manual "nginx" certbot
    must "health" eventually healthy
}

boot_serve() {
    local reply
    expect "no token: 401" has "$(request GET /api/sync/status)" '"error":"UNAUTHORIZED"'
    TOKEN=$(booky-sync token mint --user reader-1)
    expect "POST /operations" has "$(add_book book-1 'The Dispossessed')" '"success":true'
    expect "GET /changes" has "$(library)" '"title":"The Dispossessed"'
    expect "GET /events" has "$(events)" 'data: {"cursor":'
    expect "plain HTTP is redirected to HTTPS" eventually redirects
    expect "the certificate is that of the ACME authority" acme_certified
    expect "nothing in /var/log is world-readable" logs_private
    expect "status" runuser -u booky-sync -- booky-sync status
}

boot_operate() {
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out issuer.pem
    manual "Keys"
    TOKEN=$(booky-sync token mint --user reader-1)
    manual "Logs"
    receiver_start
    manual "Send logs to another machine"
    expect "both logs reach a file and the other machine as JSON" logs_sent
    manual "Alerts to a person"
    expect "a failed unit calls the hook" hook_called
    manual "Size the pool"
    manual "Size the disk"
    manual "Tune PostgreSQL"
    manual "Rate limits"
    manual "Reload, restart, signals"
    manual "Retention and purge"
    add_book_as alice book-a 'Orsinian Tales' >/dev/null
    manual "Quota"
    manual "Look at one user"
    manual "Export and erase a user"
    expect "migrations before each start, on demand" systemctl enable booky-sync-migrate
    expect "a killed master is restarted" crash_recovers
    expect "a bad configuration with traffic: the service starts again as soon as it is corrected" fault_recovers
}

boot_restore() {
    manual "Back up and restore"
    expect "a restore that fails leaves the present data" restore_fails
    expect "a restored dump" restore_dump
    expect "a restore to a point in time" restore_time
    expect "nothing failed" is "$(systemctl list-units --failed --no-legend 'booky-sync*')" ""
}

boot_upgrade() {
    package_newer
    expect "an upgrade loses no request" upgrade_lossless
    expect "an upgrade keeps the settings" grep -q '^dsn = dbname=booky user=booky$' /etc/booky-sync/booky-sync.conf
    expect "an upgrade keeps owners and modes" files_right
    expect "an upgrade keeps what is enabled" systemctl is-enabled booky-sync-migrate.service
    expect "nothing failed" is "$(systemctl list-units --failed --no-legend 'booky-sync*')" ""
}

boot_troubles() {
    local heading
    add_book_as alice book-a 'Orsinian Tales' >/dev/null
    while read -r heading; do manual "$heading"; done \
        < <(cut -f 2 "$MANUAL/headings" | grep -E '^(BookySync|Sync Not|Conflicts Not|The clock|High Lat)' | uniq)
    expect "password from a credential" password_used
    expect "completion: commands" completes 'booky-sync ch' check-config
    expect "completion: verbs" completes 'booky-sync conflicts ' '--help list resolve'
    expect "completion: options" completes 'booky-sync migrate --s' --status
    expect "completion: choices" completes 'booky-sync conflicts list --status ' 'open resolved'
    expect "completion: kinds" completes 'booky-sync replay --as r' 'rating readingLog'
}

boot_remove() {
    rm -rf /root/*.deb /root/issuer.pem /root/alice.json
    expect "manual: Remove" manual_block "$(manual_number Remove)"
    expect "remove stops the service" fails systemctl is-active --quiet booky-sync.service booky-sync.socket \
        booky-sync-push.service booky-sync-push.socket
    expect "remove keeps the settings" test -s /etc/booky-sync/booky-sync.conf
    expect "manual: Remove, for good" manual_block "$(manual_number Remove 2)"
    expect "manual: Remove, database and backups" manual_block "$(manual_number Remove 3)"
    rm -rf /etc/letsencrypt/{accounts,archive,csr,keys,live,renewal,renewal-hooks} /var/lib/letsencrypt # of certbot
    expect "purge leaves nothing" files_gone
    expect "purge leaves nothing under other names" diff /package/listing <(listing)
    expect "nginx can start without the site" nginx -t
    expect "every command block of the manual was executed" manual_complete
}
