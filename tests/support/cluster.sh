# Runs a throw-away PostgreSQL until standard input closes, that is, until the test process is gone, however it ended.
# Arguments: directory of the server's programs, TCP port. SMELT_TEST_POSTGRES_CONF has further
# settings. Says "ready DIRECTORY" when connections are accepted.
set -eu
trap '' INT TERM HUP PIPE
bin=$1 port=$2
umask 077
cd /
# Programs started below must not read what is meant for us.
exec 3<&0 </dev/null
dir=$(mktemp -d "${TMPDIR:-/tmp}/smelt-test.XXXXXX")

finish() {
    "$bin/pg_ctl" -D "$dir/standby" -m immediate stop >/dev/null 2>&1 || true
    "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap finish EXIT

# Certificates: an authority, a stranger, a server certificate for localhost, a client certificate.
cat >"$dir/openssl.cnf" <<CNF
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
subjectAltName = DNS:localhost
[client]
extendedKeyUsage = clientAuth
CNF
ssl() { openssl "$@" >>"$dir/openssl.log" 2>&1; }
for name in authority stranger; do
    ssl req -config "$dir/openssl.cnf" -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=smelt test $name" \
        -extensions authority -keyout "$dir/$name.key" -out "$dir/$name.crt"
done
for name in server client; do
    ssl req -config "$dir/openssl.cnf" -newkey rsa:2048 -nodes -subj "/CN=smelt_$name" \
        -keyout "$dir/$name.key" -out "$dir/$name.csr"
    ssl x509 -req -in "$dir/$name.csr" -CA "$dir/authority.crt" -CAkey "$dir/authority.key" -CAcreateserial -days 2 \
        -extfile "$dir/openssl.cnf" -extensions "$name" -out "$dir/$name.crt"
done

"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$dir'
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
shared_buffers = 32MB
temp_file_limit = 200MB
max_connections = 200
max_prepared_transactions = 20
wal_level = logical
wal_keep_size = 1GB
ssl = on
ssl_ca_file = '$dir/authority.crt'
ssl_cert_file = '$dir/server.crt'
ssl_key_file = '$dir/server.key'
${SMELT_TEST_POSTGRES_CONF:-}
CONF
cat >"$dir/data/pg_hba.conf" <<HBA
local all all trust
local replication all trust
host all smelt_password 127.0.0.1/32 scram-sha-256
hostssl all smelt_client 127.0.0.1/32 cert
host all all 127.0.0.1/32 trust
HBA
"$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w start >/dev/null 2>&1 || { cat "$dir/log" >&2; exit 1; }
echo "ready $dir"

# A line on standard input ends the server at once, starts it again, or asks for a replica on the port it gives; its
# socket is in the same directory.
while read -r standby <&3; do
    case $standby in
        # Commits are not synchronous here: a fast stop keeps them.
        down) "$bin/pg_ctl" -D "$dir/data" -m fast stop >/dev/null 2>&1 ;;
        up) "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w start >/dev/null 2>&1 || cat "$dir/log" >&2 ;;
    esac
    case $standby in down | up) echo "ready $standby" && continue ;; esac
    "$bin/pg_basebackup" -h "$dir" -p "$port" -U postgres -D "$dir/standby" -R -c fast >>"$dir/log" 2>&1
    echo "port = $standby" >>"$dir/standby/postgresql.conf"
    "$bin/pg_ctl" -D "$dir/standby" -l "$dir/standby.log" -w start >/dev/null 2>&1 || cat "$dir/standby.log" >&2
    echo "ready $standby"
done
