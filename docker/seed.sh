#!/bin/sh
# Fills the database with synthetic patients, and makes the role that smelt connects as. The image of PostgreSQL runs it
# once, when the data directory is new; it needs psql, zstd, and the PG* or POSTGRES_* variables of that image.
set -eu

seed=${SEED_DIRECTORY:-/seed}
export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}" PGDATABASE="${PGDATABASE:-${POSTGRES_DB:-postgres}}"
# Tables are named without their schema.
export PGOPTIONS='-c search_path=synthea'
sql() { psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"; }

sql --file="$seed/schema.sql"
zstd -dc "$seed/seed.sql.zst" | sql
sql --file="$seed/constraints.sql"
sql --command=analyze

# The password is a value for psql to quote, not a part of the text.
sql --set=password="${READER_PASSWORD:?a password for the role smelt_reader}" <<'SQL'
create role smelt_reader login password :'password';
alter role smelt_reader set default_transaction_read_only = on;
grant usage on schema synthea to smelt_reader;
grant select on all tables in schema synthea to smelt_reader;
grant pg_read_all_stats to smelt_reader;
SQL
