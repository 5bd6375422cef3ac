#!/bin/bash
# The disk of the test appliance: a Debian system from packages, provisioned by the same scripts as the Ubuntu one, with GRUB
# for BIOS. No loop device, no mount of the disk, no virtual machine.
#
#   debian-test.sh --inputs DIR --disk RAW [--size 2G] [--cache FILE.tar]
#
# Needs root (chroot). --cache keeps the system before provisioning, which takes most of the time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=$(dirname "$here")
inputs='' disk='' size=2G cache=${APPLIANCE_BASE_CACHE-}
while [ $# -gt 0 ]; do
    case $1 in
        --inputs) inputs=$(realpath "$2"); shift 2 ;;
        --disk) disk=$2; shift 2 ;;
        --size) size=$2; shift 2 ;;
        --cache) cache=$2; shift 2 ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
[ "$(id -u)" = 0 ] || { echo "debian-test.sh: error: a chroot needs root" >&2; exit 1; }
# shellcheck source=/dev/null # written by build-image.sh
. "$inputs/inputs.env"
export SOURCE_DATE_EPOCH
PATH=$PATH:/usr/sbin:/sbin
release=$(sed -n 's/^debian_release *= *"\(.*\)"$/\1/p' "$image/versions.pkrvars.hcl")
work=$(mktemp -d "$(dirname "$disk")/.base-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

list() { sed 's/#.*//; /^ *$/d' "$1" | paste -sd,; }
base=${cache:-$work/base.tar}
if [ ! -s "$base" ]; then
    mmdebstrap --quiet --mode=root --variant=apt --format=tar --aptopt='Acquire::Languages "none"' \
        --include="$(list "$here/debian-packages.txt"),$(list "$image/provision/packages.txt")" \
        "$release" "$base.partial"
    mv "$base.partial" "$base"
fi
mkdir "$root"
tar -C "$root" --numeric-owner --xattrs --xattrs-include='*' -xf "$base"

# Into the new system, with what package scripts expect; the name spaces end with the command, and the mounts with them.
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/tmp/appliance-build"
cp -r "$image" "$root/tmp/appliance-build/image"
cp -r "$inputs" "$root/tmp/appliance-build/inputs"
# shellcheck disable=SC2016 # the inner shell expands it
unshare --mount --pid --fork --kill-child sh -euc '
    mount -t proc proc "$1/proc"
    mount -t tmpfs tmpfs "$1/run"
    mount --rbind /dev "$1/dev" && mount --make-rslave "$1/dev"
    exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        /tmp/appliance-build/image/provision/provision.sh /tmp/appliance-build/inputs' sh "$root"
rm -rf "$root/tmp/appliance-build" "$root/etc/resolv.conf"
ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -f "$root/usr/local/sbin/appliance-seal"

"$here/make_disk.py" --root "$root" --disk "$disk" --size "$size"
