#!/bin/bash
# Builds the appliance image: QCOW2 and OVA from one disk, image-metadata.json, SPDX list of packages, checksums.
#
#   build-image.sh --version V --base BASE --packages DIR --trust FILE --out DIR [option...]
#
#   --version V       version of the appliance, as in release.yaml (1.4.0)
#   --base BASE       ubuntu-iso, ubuntu-cloud: with Packer; debian-test: from Debian packages, for tests
#   --packages DIR    folder with bundle-tools_*.deb and bundle-appliance_*.deb (image/make-packages.sh makes them)
#   --trust FILE      the vendor's public key or trust root, which the image pins
#   --out DIR         gets the files; made when it is not there
#   --build-id ID     letters, digits, dashes (default: the commit, its first 12 digits)
#   --mirror URL      the Ubuntu mirror; needed for the Ubuntu bases
#   --product NAME    name of the product (default: appliance)
#   --disk-size SIZE  of the system disk (default: 20G; debian-test: 2G)
#   --accel kvm|tcg   (default: KVM when it is there and a probe of ten seconds succeeds)
#   --allow-stale     take a base that is older than versions.pkrvars.hcl allows
#   --check           look at all inputs, and validate the template if Packer is there; build nothing
#
# Stops before the first step when an input is missing or not pinned, and names each one. SOURCE_DATE_EPOCH (default: the
# commit's time) is the time of the build in all files. A build that stops leaves nothing in DIR that looks finished.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() { echo "build-image.sh: error: $1" >&2; [ -z "${2-}" ] || echo "  next: $2" >&2; exit 1; }
say() { printf '== %s (minute %d)\n' "$*" $((SECONDS / 60)); }

version='' base='' packages='' trust='' out='' build_id='' mirror='' product=appliance disk_size='' accelerator=''
check_only='' stale=()
while [ $# -gt 0 ]; do
    case $1 in
        --version | --base | --packages | --trust | --out | --build-id | --mirror | --product | --disk-size | --accel)
            [ $# -ge 2 ] || fail "$1 needs a value" "build-image.sh --help shows the options."
            case $1 in
                --accel) accelerator=$2 ;;
                *) name=${1#--}; printf -v "${name//-/_}" %s "$2" ;;
            esac
            shift 2 ;;
        --allow-stale) stale=(--allow-stale); shift ;;
        --check) check_only=yes; shift ;;
        --help | -h) sed -n '2,24s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "unknown option $1" "build-image.sh --help shows the options." ;;
    esac
done

commit() { git -C "$here" log -1 --format="$1" 2> /dev/null || true; }
if [ -z "$build_id" ]; then build_id=$(commit %H); build_id=${build_id:0:12}; fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(commit %ct)}

# Every problem of the inputs, one a line, before anything is done.
input_problems() {
    local program needed deb
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?$ ]] || echo "missing: --version (a version like 1.4.0)"
    [[ $build_id =~ ^[0-9A-Za-z-]{1,40}$ ]] || echo "missing: --build-id (letters, digits and dashes, at most 40)"
    [[ $product =~ ^[a-z0-9]+(-[a-z0-9]+)*$ ]] || echo "wrong: --product $product (lower-case letters, digits, dashes)"
    [[ $SOURCE_DATE_EPOCH =~ ^[0-9]+$ ]] || echo "missing: SOURCE_DATE_EPOCH (seconds; this is no git clone)"
    [ -n "$out" ] || echo "missing: --out"
    for deb in bundle-tools bundle-appliance; do
        [ "$(find "${packages:-/nonexistent}" -maxdepth 1 -name "${deb}_*.deb" 2> /dev/null | wc -l)" = 1 ] ||
            echo "missing: exactly one ${deb}_*.deb in --packages (make-packages.sh makes it)"
    done
    if [ -z "$trust" ] || [ ! -s "$trust" ]; then
        echo "missing: --trust (the vendor's public key or trust root)"
    elif grep -q -i 'secret key\|PRIVATE KEY' "$trust"; then
        echo "wrong: --trust $trust is a secret key"
    fi
    needed="qemu-img python3 debugfs"
    case $base in
        ubuntu-iso | ubuntu-cloud)
            [[ $mirror =~ ^https?://[^[:space:]]+$ ]] || echo "missing: --mirror (address of an Ubuntu mirror)"
            needed+=" packer qemu-system-x86_64 xorriso ssh-keygen" ;;
        debian-test) needed+=" mmdebstrap mkfs.ext4 grub-mkimage sfdisk" ;;
        *) echo "missing: --base (ubuntu-iso, ubuntu-cloud or debian-test)" ;;
    esac
    for program in $needed; do
        command -v "$program" > /dev/null || [ -x "/usr/sbin/$program" ] || echo "missing: the program $program"
    done
    case $base in
        ubuntu-iso | ubuntu-cloud | debian-test) { "$here/imagectl" pins --base "$base" "${stale[@]}" > /dev/null || true; } 2>&1 ;;
    esac
}

problems=$(input_problems)
if [ -n "$problems" ]; then
    printf 'build-image.sh: %s\n' "${problems//$'\n'/$'\nbuild-image.sh: '}" >&2
    fail "$(wc -l <<< "$problems") inputs are missing or not pinned; nothing was done" \
        "Give the options that are named; pins stand in image/versions.pkrvars.hcl."
fi

PATH=$PATH:/usr/sbin:/sbin
name=$product-$version-$build_id
mkdir -p "$out"
work=$(mktemp -d "$out/.build-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

# What the machine is handed; provision/provision.sh reads it.
mkdir -p "$work/inputs/trust"
cp "$packages"/bundle-tools_*.deb "$packages"/bundle-appliance_*.deb "$work/inputs/"
cp "$trust" "$work/inputs/trust/"
k3s=$(sed -n 's/^k3s_version *= *"\(.*\)"$/\1/p' "$here/versions.pkrvars.hcl")
cat > "$work/inputs/inputs.env" << END
APPLIANCE_PRODUCT=$product
APPLIANCE_VERSION=$version
APPLIANCE_BUILD_ID=$build_id
APPLIANCE_BASE=$base
APPLIANCE_K3S_VERSION=$k3s
APPLIANCE_MIRROR=$mirror
SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH
END

with_packer() {
    local command=$1
    shift
    (cd "$here" && PACKER_LOG=0 CHECKPOINT_DISABLE=1 packer "$command" "$@" -var-file=versions.pkrvars.hcl \
        -var "base=$base" -var "mirror=$mirror" -var "inputs=$work/inputs" -var "build_key=$work/key" \
        -var "build_key_public=$(cat "$work/key.pub")" -var "disk_name=disk.raw" \
        -var "output_directory=$work/packer" -var "disk_size=${disk_size:-20G}" \
        -var "accelerator=$accelerator" appliance.pkr.hcl)
}

build_with_packer() {
    ssh-keygen -q -t ed25519 -N '' -C "build $build_id" -f "$work/key"
    [ -n "$accelerator" ] || accelerator=$("$here/probe-kvm.sh")
    say "packer validate"
    with_packer validate
    [ -z "$check_only" ] || return 0
    say "packer build, with $accelerator"
    with_packer build
    mv "$work/packer/disk.raw" "$work/disk.raw"
}

case $base in
    ubuntu-*) build_with_packer ;;
    debian-test)
        [ -z "$check_only" ] || { echo "all inputs are there"; exit 0; }
        say "test appliance from Debian packages"
        "$here/base/debian-test.sh" --inputs "$work/inputs" --disk "$work/disk.raw" --size "${disk_size:-2G}" ;;
esac
[ -z "$check_only" ] || { echo "all inputs are there"; exit 0; }

say "secret scan of the finished file system"
"$here/imagectl" scan --disk "$work/disk.raw" --allow "$here/secret-scan-allow.txt" ||
    fail "the image holds secrets: it is not made" \
        "Take them out where they came in; what is no secret goes with its reason into image/secret-scan-allow.txt."

say "QCOW2, OVA, metadata"
"$here/imagectl" convert --disk "$work/disk.raw" --name "$name" --out "$work/files"
mv -f "$work/files"/* "$out/"
say "done: $out/$name.qcow2, $out/$name.ova"
