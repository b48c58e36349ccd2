#!/usr/bin/env bash
# Prints the directory of PostgreSQL's programs (14 or later: initdb, pg_ctl, postgres, psql).
# Where there are none, the Debian package `postgresql` is installed, if root or sudo without a password allows it.
set -euo pipefail

newest() {
    local dir version
    {
        command -v postgres | xargs -r dirname
        command -v pg_config >/dev/null && pg_config --bindir
        ls -d /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin 2>/dev/null
    } | sort -u | while read -r dir; do
        for program in initdb pg_ctl postgres psql; do
            [[ -x $dir/$program ]] || continue 2
        done
        version=$("$dir/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
        ((version >= 14)) && echo "$version $dir"
    done | sort -n | tail -1 | cut -d' ' -f2-
}

found=$(newest || true)
if [[ -z $found ]] && "$(dirname "${BASH_SOURCE[0]}")/install.sh" postgresql; then
    found=$(newest || true)
fi
if [[ -z $found ]]; then
    echo "PostgreSQL 14 or later was not found: install it, and put its programs on PATH" >&2
    exit 1
fi
echo "$found"
