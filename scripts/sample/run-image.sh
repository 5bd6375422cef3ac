#!/bin/bash
# Unpack an image of an OCI layout and run a command in it, in runc where that works and in chroot elsewhere.
# No network, registry or container service is needed; the container sees the host's network.
#
#   run-image.sh [--runtime auto|runc|chroot] [--arch ARCH] [--env NAME=VALUE]... [--keep DIR] LAYOUT REF [CMD...]
#
# CMD replaces the image's default command; the image's entry point stays in front of it, as in docker run.
# --keep DIR unpacks into DIR (new or empty) and leaves it there; otherwise everything is removed at the end.
# shellcheck disable=SC2317 # functions are called by the trap and as run_in_$runtime
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
PATH="$PATH:/usr/sbin:/sbin"

die() { echo "run-image.sh: $*" >&2; exit 1; }
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
need() { command -v "$1" > /dev/null || die "missing $1: apt-get install $2"; }

runtime=auto
keep=
unpack_options=()
while [ $# -gt 0 ]; do
    case "$1" in
        --runtime) runtime=${2:?}; shift 2 ;;
        --arch) unpack_options+=(--arch "${2:?}"); shift 2 ;;
        --env) unpack_options+=(--env "${2:?}"); shift 2 ;;
        --keep) keep=${2:?}; shift 2 ;;
        --help|-h) usage; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) break ;;
    esac
done
[ $# -ge 2 ] || { usage >&2; exit 2; }
layout=$(realpath "$1"); ref=$2; shift 2

need python3 python3
need unshare util-linux
need chroot coreutils

if [ -n "$keep" ]; then
    mkdir -p "$keep"
    [ -z "$(ls -A "$keep")" ] || die "$keep is not empty"
    bundle=$(realpath "$keep")
else
    bundle=$(mktemp -d "${TMPDIR:-/tmp}/run-image.XXXXXX")
fi
child=

# A server that is process 1 of its container may ignore TERM: it gets five seconds, then KILL.
stop_child() {
    kill -TERM "$child" 2> /dev/null || true
    for _ in $(seq 25); do kill -0 "$child" 2> /dev/null || break; sleep 0.2; done
    [ "$runtime" != runc ] || runc --root "$bundle/runc-state" delete --force "run-image-$$" 2> /dev/null || true
    kill -KILL "$child" 2> /dev/null || true
    wait "$child" 2> /dev/null || true
}
clean_up() {
    [ -z "$child" ] || stop_child
    [ -n "$keep" ] || { chmod -R u+rwX "$bundle" 2> /dev/null || true; rm -rf --one-file-system "$bundle"; }
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here" python3 -m sample.unpack "${unpack_options[@]}" \
    "$layout" "$ref" "$bundle" "$@"

mapfile -d '' -t argv < "$bundle/argv"
mapfile -d '' -t env < "$bundle/env"
mapfile -d '' -t process < "$bundle/process"
if [ "$(id -u)" = 0 ]; then as_root=(); else as_root=(--user --map-root-user); fi

# Whether runc can start anything on this machine is found out with a container that does nothing.
runc_works() {
    command -v runc > /dev/null || return 1
    local probe="$bundle/probe"
    mkdir -p "$probe"
    python3 - "$bundle/config.json" "$probe/config.json" "$bundle/rootfs" <<'PYTHON'
import json, sys
config = json.load(open(sys.argv[1]))
config["root"] = {"path": sys.argv[3], "readonly": True}
config["process"].update(args=["/bin/sh", "-c", "exit 0"], cwd="/", user={"uid": 0, "gid": 0})
json.dump(config, open(sys.argv[2], "w"))
PYTHON
    local status=0
    runc --root "$bundle/runc-state" run --bundle "$probe" "probe-$$" > /dev/null 2>&1 < /dev/null || status=$?
    rm -rf "$probe"
    return $status
}

run_in_runc() { exec runc --root "$bundle/runc-state" run --bundle "$bundle" "run-image-$$"; }

# New mount and process namespaces: the mounts end with the command, and so do processes that it leaves behind.
run_in_chroot() {
    local user=()
    [ "${process[0]}" = 0:0 ] || [ "${#as_root[@]}" -gt 0 ] || user=(--userspec="${process[0]}" --groups=)
    # shellcheck disable=SC2016
    exec unshare "${as_root[@]}" --mount --pid --fork --kill-child /bin/sh -euc '
        root=$1 cwd=$2; shift 2
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        for node in null zero full random urandom; do
            : > "$root/dev/$node"
            mount --bind "/dev/$node" "$root/dev/$node"
        done
        mkdir -m 1777 "$root/dev/shm"
        ln -s /proc/self/fd "$root/dev/fd"
        mount -t proc proc "$root/proc" 2> /dev/null || mount --rbind /proc "$root/proc"
        cd "$root$cwd" 2> /dev/null || cd "$root"
        exec "$@"' sh "$bundle/rootfs" "${process[1]}" \
        chroot "${user[@]}" "$bundle/rootfs" /usr/bin/env -i "${env[@]}" "HOME=/" \
        /bin/sh -c 'cd "$1"; shift; exec "$@"' sh "${process[1]}" "${argv[@]}"
}

case "$runtime" in
    auto) if runc_works; then runtime=runc; else runtime=chroot; fi ;;
    runc) need runc runc ;;
    chroot) ;;
    *) die "--runtime is auto, runc or chroot" ;;
esac

# In the background, so that a signal to this script reaches the trap at once; standard input is handed on.
"run_in_$runtime" <&0 &
child=$!
status=0
wait "$child" || status=$?
child=
exit "$status"
