#!/usr/bin/env bash
# Installs Debian packages, if root or sudo without a password allows it.
#   install.sh PACKAGE...
set -euo pipefail
command -v apt-get >/dev/null || exit 1
root=()
if ((EUID != 0)); then
    sudo -n true 2>/dev/null || exit 1
    root=(sudo -n)
fi
echo "installing the Debian package $*" >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@" >&2
