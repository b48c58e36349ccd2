#!/usr/bin/env bash
# Published bulk clients, written by others, against `smelt serve` on the demo store: open, then with authorization.
#   test-clients.sh CLIENTS.PY    a program that takes --base, --group, --client-id, --jwks and --work, and judges
set -euo pipefail
clients=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=$(scripts/postgres.sh)
smelt=$PWD/target/release/smelt
work=$(mktemp -d)
tools=${TMPDIR:-/tmp}/bulk-clients
as_postgres=()
if ((EUID == 0)); then
    chown postgres "$work"
    as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
server=
finish() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    "${as_postgres[@]}" "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

"${as_postgres[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust >/dev/null
"${as_postgres[@]}" "$bin/pg_ctl" -D "$work/data" -l "$work/data/log" -w \
    -o "-c listen_addresses='' -c unix_socket_directories='$work' -c fsync=off" start >/dev/null
export PGHOST=$work PGUSER=postgres PGDATABASE=demo
"$bin/createdb" demo
sql/demo/load.sh

serve() { # ARGUMENT...; sets base
    "$smelt" serve --database "host=$work user=postgres dbname=demo" --mappings mappings/synthea \
        --listen 127.0.0.1:0 --state-dir "$work/state" "$@" >"$work/ready" &
    server=$!
    until base=$(sed -n 's/^smelt is ready at \([^ ,]*\).*/\1/p' "$work/ready") && [[ -n $base ]]; do
        kill -0 "$server"
        sleep 0.1
    done
}

failed=0
mkdir "$work/state"
serve --auth none
echo "== open"
python3 "$clients" --base "$base" --group diabetes --work "$tools" || failed=1
kill "$server"
wait "$server" || true

"$tools/venv/bin/python" - "$work" <<'PY'
import json, sys
from jwcrypto import jwk
key = jwk.JWK.generate(kty="EC", crv="P-384", kid="clients", alg="ES384")
private = json.loads(key.export())
public = json.loads(key.export_public())
json.dump({"keys": [private]}, open(sys.argv[1] + "/private.jwks", "w"))
json.dump({"clients": [{"client_id": "clients", "jwks": {"keys": [public]}, "scopes": ["system/*.rs"], "groups": "all"}]},
          open(sys.argv[1] + "/clients.yaml", "w"))
PY
serve --auth smart --clients "$work/clients.yaml"
echo "== with SMART Backend Services"
python3 "$clients" --base "$base" --group diabetes --work "$tools" --client-id clients --jwks "$work/private.jwks" || failed=1
exit "$failed"
