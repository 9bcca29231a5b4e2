# shellcheck shell=bash
# The PostgreSQL cluster of a stack, RUN/pg.

# pg PROGRAM ARGUMENT...: runs a program of the PostgreSQL version that created the cluster, or of the newest one.
pg() {
    local version
    version=$(cat "$RUN/pg/PG_VERSION" 2>/dev/null ||
        printf '%s\n' /usr/lib/postgresql/*/bin/initdb | cut -d/ -f5 | sort -n | tail -1)
    "${AS_ACCOUNT[@]}" "/usr/lib/postgresql/$version/bin/$1" "${@:2}" 9>&-
}

dsn() { say "host=$RUN/sock user=$1 dbname=${2:-booky}"; } # dsn ROLE [DATABASE]

db_query() { # db_query DATABASE: runs the SQL on standard input as the superuser
    psql -XqAt -v ON_ERROR_STOP=1 "$(dsn postgres "$1")"
}

db_running() { [[ -d $RUN/pg ]] && pg pg_ctl -D "$RUN/pg" status >/dev/null 2>&1; }

# db_start [SETTING...]: starts the cluster and migrates the database. If there is no cluster, creates one with these
# settings. It listens on a unix socket in a folder that only ACCOUNT can enter; `trust` is therefore safe.
db_start() {
    cd "$RUN"
    if [[ ! -f $RUN/pg/ready ]]; then
        rm -rf "$RUN/pg"
        pg initdb -D "$RUN/pg" -U postgres -A trust -E UTF8 --locale=C.UTF-8
        printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$RUN/sock'" "$@" >>"$RUN/pg/postgresql.conf"
        touch "$RUN/pg/ready"
    fi
    db_running || pg pg_ctl -D "$RUN/pg" -l "$RUN/log/postgres.log" -w start
    # The migrations need no superuser: CREATEROLE is the only attribute of the schema's owner.
    if [[ -z $(db_query postgres <<<"SELECT 1 FROM pg_database WHERE datname = 'booky'") ]]; then
        db_query postgres <<<"DROP ROLE IF EXISTS booky_owner; CREATE ROLE booky_owner LOGIN CREATEROLE;"
        db_query postgres <<<"CREATE DATABASE booky OWNER booky_owner"
    fi
    booky migrate --config "$RUN/booky-sync.conf"
    if [[ -z $(db_query booky <<<"SELECT 1 FROM pg_roles WHERE rolname = 'booky'") ]]; then
        db_query booky <<<"CREATE ROLE booky LOGIN IN ROLE booky_worker"
    fi
}
