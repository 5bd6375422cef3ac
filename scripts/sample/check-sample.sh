#!/bin/bash
# Prove that a sample release is what it says: its images run, its disk image is a sound file system, its files are
# readable. Tools that are not on the machine (skopeo, helm) are skipped, and said to be.
#
#   check-sample.sh DIR          DIR: what make-sample.py --out made; run as root for the servers
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
PATH="$PATH:/usr/sbin:/sbin"
if [ $# -ne 1 ] || [ ! -f "$1/release.yaml" ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
dir=$(realpath "$1")
layout=$dir/images
work=$(mktemp -d)
servers=()
passed=0 skipped=0

clean_up() {
    for server in "${servers[@]}"; do kill -TERM "$server" 2> /dev/null || true; done
    wait
    rm -rf "$work"
}
trap clean_up EXIT

pass() { passed=$((passed + 1)); echo "ok       $*"; }
skip() { skipped=$((skipped + 1)); echo "skipped  $*"; }
fail() { echo "FAILED   $*" >&2; echo "$passed passed, 1 failed, $skipped skipped" >&2; exit 1; }
check() {
    local name=$1; shift
    "$@" > "$work/output" 2>&1 || { cat "$work/output" >&2; fail "$name"; }
    pass "$name"
}
run_image() { "$here/run-image.sh" "$@"; }
fails() { ! "$@" 2> /dev/null; }
prints() { local wanted=$1; shift; "$@" | grep -q -- "$wanted"; }

# Repeat a command until it succeeds, for at most a minute or until the server that it talks to has ended.
eventually() {
    local end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ] && kill -0 "${servers[-1]}" 2> /dev/null; do
        "$@" > /dev/null 2>&1 && return 0
        sleep 0.5
    done
    cat "$work/server-$((${#servers[@]} - 1)).log"
    "$@"
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
http_get() {
    python3 -c 'import sys, urllib.request as r
print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5).read().decode())' "$1"
}
start() { "$here/run-image.sh" "$@" > "$work/server-${#servers[@]}.log" 2>&1 & servers+=($!); }
image_named() { sed -n "s|^- {name: .*source: \"oci:images:\(.*$1.*\)\"}\$|\1|p" "$dir/release.yaml"; }

version=$(sed -n 's/^releaseVersion: //p' "$dir/release.yaml")
web=$(image_named app/web) redis=$(image_named redis) postgres=$(image_named postgres)
k3s=$(sed -n 's/.*distribution: k3s, version: \([^,]*\),.*/\1/p' "$dir/release.yaml")

if command -v skopeo > /dev/null; then
    for ref in "$web" "$redis" "$postgres"; do
        check "skopeo reads $ref" skopeo inspect --override-arch amd64 "oci:$layout:$ref"
    done
    check "skopeo finds the arm64 stand-in" skopeo inspect --override-arch arm64 "oci:$layout:$web"
else
    skip "skopeo inspect: no skopeo"
fi

check "redis-server --version" prints "v=" run_image "$layout" "$redis" redis-server --version
check "postgres --version" prints PostgreSQL run_image "$layout" "$postgres" postgres --version
check "dpkg knows the packages" prints "^ii  redis-server" run_image "$layout" "$redis" dpkg -l

if [ "$(id -u)" = 0 ]; then
    port=$(free_port)
    start --env "WEB_PORT=$port" "$layout" "$web"
    check "the web image answers" eventually prints "\"$version\"" http_get "http://127.0.0.1:$port/version.json"
    check "its page names $version" prints "Example appliance $version" http_get "http://127.0.0.1:$port/"
    check "the whiteout took effect" fails http_get "http://127.0.0.1:$port/placeholder.txt"
    port=$(free_port)
    start "$layout" "$redis" redis-server --bind 127.0.0.1 --port "$port" --save ""
    check "redis answers" eventually prints PONG run_image "$layout" "$redis" redis-cli -p "$port" ping
    port=$(free_port)
    start --env "POSTGRES_PASSWORD=only-for-this-check" "$layout" "$postgres" \
        postgres -p "$port" -c listen_addresses=127.0.0.1
    check "postgres answers" eventually prints "^42$" run_image --env PGPASSWORD=only-for-this-check "$layout" \
        "$postgres" psql --host=127.0.0.1 --port="$port" --username=postgres --tuples-only --no-align -c "SELECT 6 * 7"
else
    skip "servers: not root"
fi

check "disk image: e2fsck" e2fsck -f -n "$dir/os/appliance.img"
check "disk image names $version" prints "VERSION=$version" \
    debugfs -R "cat /etc/appliance-release" "$dir/os/appliance.img"
check "k3s stand-in says so" prints "$k3s (stand-in)" "$dir/k3s/k3s" --version
check "k3s images archive" prints manifest.json \
    bash -o pipefail -c "zstd -dc ${dir@Q}/k3s/k3s-airgap-images-amd64.tar.zst | tar -t"
if command -v skopeo > /dev/null; then
    zstd -q -d -o "$work/airgap.tar" "$dir/k3s/k3s-airgap-images-amd64.tar.zst"
    check "k3s images archive as docker-archive" skopeo inspect "docker-archive:$work/airgap.tar"
fi
if command -v helm > /dev/null; then
    for profile in single-node ha-3node; do
        check "helm lint, $profile" helm lint --strict "$dir/helm" --values "$dir/values/$profile.yaml"
    done
else
    skip "helm lint: no helm"
fi
echo "$passed passed, 0 failed, $skipped skipped"
