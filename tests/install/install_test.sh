#!/bin/bash
# Installs the build tree into a temporary prefix and links a foreign program against it, once with
# find_package and once with pkg-config; moves the prefix in between, since packages are moved too.
#
#   install_test.sh BUILD_DIR CMAKE CXX
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1 cmake=$2 cxx=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/first" > "$work/install.log"
mv "$work/first" "$work/moved"
prefix=$work/moved
for program in bundle-make bundle-import bundle-registry; do
    "$prefix/bin/$program" --help > /dev/null
    [ -s "$prefix/share/man/man1/$program.1" ] || { echo "no manual page of $program" >&2; exit 1; }
done
for text in errors operator-guide; do
    [ -s "$prefix/share/doc/bundle/$text.md" ] || { echo "$text.md is not installed" >&2; exit 1; }
done

# A small bundle to look at.
mkdir -p "$work/release/helm"
printf 'apiVersion: v2\nname: chart\nversion: 1.0.0\n' > "$work/release/helm/Chart.yaml"
printf '{}\n' > "$work/release/helm/values.yaml"
printf 'hello\n' > "$work/release/disk.img"
cat > "$work/release/release.yaml" << 'YAML'
apiVersion: bundle/v1
kind: Release
releaseVersion: 1.0.0
product: installed
upgradeFrom: []
os: {base: ubuntu-24.04, artifacts: [{name: disk.img, path: disk.img}]}
k8s: {distribution: k3s, version: v1.31.6+k3s1, artifacts: []}
app: {chartPath: helm/, valuesProfile: single-node}
images: []
YAML
"$prefix/bin/bundle-make" make "$work/release/release.yaml" --out "$work/bundle" --fast --quiet > /dev/null

check() {
    "$1" "$work/bundle" > "$work/printed"
    grep -q '^installed 1.0.0: ' "$work/printed"
    grep -q ' installed/files/disk.img:1.0.0$' "$work/printed"
    # An error of the library arrives with its status: 50, not_a_bundle.
    local status=0
    "$1" "$work/release" 2> /dev/null || status=$?
    [ $status = 50 ] || { echo "status $status instead of 50" >&2; exit 1; }
}

"$cmake" -G Ninja -S "$here/consumer" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$cxx" \
    > "$work/configure.log" || { cat "$work/configure.log" >&2; exit 1; }
"$cmake" --build "$work/cmake" > "$work/build.log" || { cat "$work/build.log" >&2; exit 1; }
check "$work/cmake/print-bundle"
echo "find_package: good"

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name bundle.pc)")
export PKG_CONFIG_PATH
read -ra flags <<< "$(pkg-config --cflags --libs bundle)"
"$cxx" -std=c++20 "$here/consumer/print_bundle.cc" -o "$work/print-bundle" "${flags[@]}"
check "$work/print-bundle"
echo "pkg-config: good"
