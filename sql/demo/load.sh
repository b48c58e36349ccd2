#!/usr/bin/env bash
# Loads the demo store into the database named by the usual PG* variables: schema.sql, then seed.sql.zst, then
# constraints.sql. Refuses a database that has a schema `synthea` already. Needs psql and zstd; `smelt demo` needs neither.
#
#   createdb demo && PGDATABASE=demo ./load.sh
set -euo pipefail
cd "$(dirname "$0")"
command -v zstd >/dev/null || { echo "zstd was not found (Debian: apt-get install zstd)" >&2; exit 1; }
{
  echo "SET client_min_messages = warning; BEGIN;"
  cat schema.sql
  zstd -dc seed.sql.zst
  cat constraints.sql
  echo "COMMIT; ANALYZE;"
} | psql -X -q -v ON_ERROR_STOP=1
