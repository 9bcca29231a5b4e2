#!/bin/sh
# Backup of the database booky, for booky-sync-backup.service and booky-sync-restore-test.service. As postgres:
#
#     backup.sh take    writes roles.sql and a dump to $BOOKY_BACKUPS; keeps the last $BOOKY_BACKUPS_KEPT dumps
#     backup.sh test    restores the last dump into a database of its own, checks it and drops it
set -eu
dumps=${BOOKY_BACKUPS:-/var/backups/booky}
kept=${BOOKY_BACKUPS_KEPT:-7}
scratch=booky_restore_test
cd /

ask() { psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -c "$2"; } # ask DATABASE STATEMENT

migrations() { ask "$1" "SELECT string_agg(version::text, ',' ORDER BY version) FROM booky.migrations"; }

take() {
    name=booky-$(date -u +%Y%m%dT%H%M%SZ).dump
    pg_dumpall --globals-only -f "$dumps/roles.sql.new"
    mv "$dumps/roles.sql.new" "$dumps/roles.sql"
    trap 'rm -f "$dumps/$name.new"' EXIT
    pg_dump -Fc -f "$dumps/$name.new" booky
    sync "$dumps/$name.new"
    mv "$dumps/$name.new" "$dumps/$name"
    ln -sfn "$name" "$dumps/booky.dump"
    # The names sort by time.
    for old in $(find "$dumps" -name 'booky-*Z.dump' -printf '%f\n' | sort -r | tail -n "+$((kept + 1))"); do
        rm "$dumps/$old"
    done
    echo "$name: $(stat -c %s "$dumps/$name") bytes"
}

check() {
    dump=$(readlink -e "$dumps/booky.dump") || { echo "there is no $dumps/booky.dump" && return 1; }
    if [ -z "$(find "$dump" -mtime -2)" ]; then
        echo "$dump is older than two days; see booky-sync-backup.timer"
        return 1
    fi
    trap 'dropdb --if-exists --force "$scratch"' EXIT
    dropdb --if-exists --force "$scratch"
    createdb -E UTF8 -T template0 "$scratch"
    ask postgres "REVOKE ALL ON DATABASE $scratch FROM PUBLIC"
    pg_restore -d "$scratch" --exit-on-error --no-owner --no-privileges "$dump"
    if [ "$(migrations "$scratch")" != "$(migrations booky)" ]; then
        echo "$dump has migrations $(migrations "$scratch"), the database has $(migrations booky)"
        return 1
    fi
    users=$(ask "$scratch" "SELECT count(*) FROM booky.clocks")
    if [ "$users" -eq 0 ] && [ "$(ask booky "SELECT count(*) FROM booky.clocks")" -gt 0 ]; then
        echo "$dump has no users"
        return 1
    fi
    echo "$dump can be restored: $users users, $(ask "$scratch" "SELECT count(*) FROM booky.entities") entities"
}

case ${2-}${1-} in
    take) take ;;
    test) check ;;
    --help*) echo "usage: backup.sh take|test" ;;
    *)
        echo "usage: backup.sh take|test" >&2
        exit 64
        ;;
esac
