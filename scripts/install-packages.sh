#!/bin/bash
# Installs the Debian or Ubuntu packages of the named groups of packages.txt that are missing.
# Does nothing, and needs no root, when none is missing.
#
#   scripts/install-packages.sh GROUP...      groups: build, demo, test, nightly
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }

wanted_packages() {
    local group
    for group in "$@"; do
        awk -v group="$group" '$1 !~ /^#/ && $2 == group { print $1 }' "$here/packages.txt"
        case $group in
            demo | test) sed 's/#.*//' "$here/sample/packages.txt" ;;
            build | nightly) ;;
            *) echo "install-packages.sh: there is no group '$group'" >&2; exit 2 ;;
        esac
    done
}

installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env "$@"
    elif command -v sudo > /dev/null; then
        sudo env "$@"
    else
        echo "install-packages.sh: run this as root, or install these first: ${missing[*]}" >&2
        exit 1
    fi
}

# RUNLEVEL=1: packages with a server (docker-registry) do not start it.
apt_get() {
    as_root DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get --quiet=2 \
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" < /dev/null
}

missing=()
list=$(wanted_packages "$@" | sort --unique)
for package in $list; do
    installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
    # The sample release is made from packages: apt must know where they are.
    if [[ " $* " == *" demo "* ]] && ! apt-cache show redis-server > /dev/null 2>&1; then apt_get update; fi
    exit 0
fi

echo "installing packages: ${missing[*]}"
apt_get update
apt_get install --yes --no-install-recommends "${missing[@]}" > /dev/null
