# Runs a throw-away PostgreSQL until standard input closes, that is, until smelt is gone, however it ended.
# Argument: directory of the server's programs. Says "ready DIRECTORY" when connections are accepted through the socket
# in that directory; otherwise everything it says is why not. The line "keep" on standard input leaves the server alone.
set -eu
# PIPE: nobody may be left to hear that the server is ready.
trap '' INT TERM HUP PIPE
bin=$1
umask 077
# Programs started below must not read what is meant for us.
exec 3<&0 </dev/null 2>&1

# A socket's whole path is limited to about 100 bytes.
base=${TMPDIR:-/tmp}
if [ ! -w "$base" ] || [ "${#base}" -gt 60 ]; then base=/tmp; fi
dir=$(mktemp -d "$base/smelt-demo.XXXXXX")
cd "$dir"

finish() {
    "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    cd /
    rm -rf "$dir"
}
trap finish EXIT

"$bin/initdb" -D "$dir/data" -U smelt -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 3<&- ||
    { tail -n 5 "$dir/log"; exit 1; }
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
unix_socket_permissions = 0700
port = 5432
max_connections = 200
shared_buffers = 64MB
wal_level = minimal
max_wal_senders = 0
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
CONF
"$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w start >/dev/null 2>&1 3<&- || { tail -n 5 "$dir/log"; exit 1; }
echo "ready $dir"

read -r order <&3 || order=
if [ "$order" = keep ]; then trap - EXIT; fi
