#!/bin/sh
# The roles of the database, at its first start: an owner of the schema, and the workers' login. The migrations need no
# superuser.
set -eu
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
    -v owner="$(cat /run/secrets/owner)" -v worker="$(cat /run/secrets/worker)" <<END
CREATE ROLE booky_owner LOGIN CREATEROLE PASSWORD :'owner';
CREATE ROLE booky_worker NOLOGIN;
CREATE ROLE booky LOGIN IN ROLE booky_worker PASSWORD :'worker';
ALTER DATABASE booky OWNER TO booky_owner;
END
