#!/bin/bash
# Debian packages of the project from a build tree: bundle-tools (the programs, their units and manual pages) and
# bundle-appliance (what makes a machine the appliance; image/rootfs). Both are useful without the image.
#
#   make-packages.sh --build DIR --out DIR [--version V] [--only-appliance]
#
#   --build DIR     a build tree, made on the system for which the packages are (its libraries become the dependencies)
#   --version V     of the packages (default: the project's)
#   --only-appliance  bundle-appliance alone
#
# Same build, same bytes: times are SOURCE_DATE_EPOCH's (default: the commit's).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(dirname "$here")
fail() { echo "make-packages.sh: error: $1" >&2; exit 1; }
build='' out='' version='' only=''
while [ $# -gt 0 ]; do
    case $1 in
        --build) build=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --version) version=$2; shift 2 ;;
        --only-appliance) only=yes; shift ;;
        --help | -h) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "unknown option $1" ;;
    esac
done
[ -f "${build:-/nonexistent}/CMakeCache.txt" ] || fail "missing: --build (a build tree)"
[ -n "$out" ] || fail "missing: --out"
for program in dpkg-deb dpkg-shlibdeps cmake strip; do
    command -v $program > /dev/null || fail "missing: the program $program (dpkg-dev, binutils, cmake)"
done
build=$(realpath "$build")
mkdir -p "$out"
out=$(realpath "$out")
version=${version:-$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$build/CMakeCache.txt")}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2> /dev/null || date +%s)}
export SOURCE_DATE_EPOCH
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# finish PACKAGE ARCHITECTURE DEPENDS SUMMARY: sizes, digests and the archive of $work/PACKAGE.
finish() {
    local root=$work/$1
    find "$root" -type d -exec chmod 755 {} +
    mkdir -p "$root/DEBIAN"
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: The bundle project <bundle@example.com>\n' "$1" "$version" "$2"
        printf 'Installed-Size: %s\nDepends: %s\nSection: admin\nPriority: optional\nDescription: %s\n' \
            "$(du -sk --apparent-size "$root" | cut -f1)" "$3" "$4"
    } > "$root/DEBIAN/control"
    (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
    (cd "$root" && find etc -type f -printf '/%p\n' 2> /dev/null | sort) > "$root/DEBIAN/conffiles" || true
    [ -s "$root/DEBIAN/conffiles" ] || rm -f "$root/DEBIAN/conffiles"
    find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$out/$1_${version}_$2.deb" > /dev/null
    echo "$out/$1_${version}_$2.deb"
}

compress_texts() { find "$1" -type f -exec gzip -9n {} +; }

make_tools() {
    local root=$work/bundle-tools prefix file
    DESTDIR='' cmake --install "$build" --prefix "$root/usr" > "$work/install.log" || { cat "$work/install.log" >&2; exit 1; }
    # For those who run the programs, not for those who build others.
    rm -rf "$root/usr/include" "$root"/usr/lib/cmake "$root"/usr/lib/pkgconfig "$root"/usr/lib/*/cmake "$root"/usr/lib/*/pkgconfig
    find "$root/usr/lib" -name '*.a' -delete
    find "$root/usr/lib" -type d -empty -delete
    prefix=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$build/CMakeCache.txt")
    for file in "$root"/usr/lib/systemd/system/*.service; do sed -i "s#$prefix/bin/#/usr/bin/#" "$file"; done
    mkdir -p "$root/usr/share/doc"
    mv "$root/usr/share/doc/bundle" "$root/usr/share/doc/bundle-tools"
    ln -s bundle-tools "$root/usr/share/doc/bundle"
    for program in "$root"/usr/bin/*; do
        case $program in *.sh) ;; *) strip --strip-unneeded "$program" ;; esac
    done
    compress_texts "$root/usr/share/man"
    mkdir -p "$root/DEBIAN" "$work/shlibs/debian"
    echo 'Source: bundle' > "$work/shlibs/debian/control"
    depends=$(cd "$work/shlibs" && dpkg-shlibdeps -O "$root"/usr/bin/* 2> /dev/null | sed -n 's/^shlibs:Depends=//p')
    cp "$here/packaging/bundle-tools.postinst" "$root/DEBIAN/postinst"
    cp "$here/packaging/bundle-tools.prerm" "$root/DEBIAN/prerm"
    chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
    finish bundle-tools "$architecture" "$depends" "offline release bundles: make, import, serve and mirror them"
}

make_appliance() {
    local root=$work/bundle-appliance
    mkdir -p "$root/usr/share/doc/bundle-appliance"
    cp -r "$here/rootfs/." "$root/"
    find "$root" -name __pycache__ -prune -exec rm -rf {} +
    find "$root" -type f -exec chmod 644 {} +
    chmod 755 "$root"/usr/bin/* "$root"/usr/sbin/*
    cp "$source/docs/image.md" "$root/usr/share/doc/bundle-appliance/"
    mkdir -p "$root/DEBIAN"
    cp "$here/packaging/bundle-appliance.postinst" "$root/DEBIAN/postinst"
    chmod 755 "$root/DEBIAN/postinst"
    finish bundle-appliance all \
        "bundle-tools (>= $version), python3 (>= 3.11), python3-yaml, util-linux, e2fsprogs, iproute2, nftables, cloud-init, systemd" \
        "first boot, firewall, kernel settings and upkeep of the release appliance"
}

[ -n "$only" ] || make_tools
make_appliance
