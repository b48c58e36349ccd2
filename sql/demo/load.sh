#!/usr/bin/env bash
# Loads the demo store into the database named by the usual PG* variables: schema.sql, then seed/ in the order of
# tables.txt, then constraints.sql. Refuses a database that has a schema `synthea` already.
#
#   createdb demo && PGDATABASE=demo ./load.sh
set -euo pipefail
cd "$(dirname "$0")"
run() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }
{
  echo "SET client_min_messages = warning; BEGIN;"
  cat schema.sql
  while read -r table columns; do
    echo "\\copy $table ($columns) FROM PROGRAM 'gzip -dc seed/$table.csv.gz' (FORMAT csv)"
  done < tables.txt
  cat constraints.sql
  echo "COMMIT; ANALYZE;"
} | run
