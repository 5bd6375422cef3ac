#!/bin/bash
# The whole way of a release, on one machine: builds the programs, makes a sample release, signs it,
# imports it into a site, serves it, pulls every image back with a foreign client; then the next
# release, and the way back. Under 10 minutes on two cores, most of it for the compiler.
#
#   scripts/demo.sh           bundles at zstd level 3 (bundle-make make --fast): seconds
#   scripts/demo.sh --small   bundles at level 19, as a vendor would ship them: some minutes more
#
# Needs Debian 12 or Ubuntu 24.04 and a package mirror; root or sudo when packages are missing.
# Works in build/demo/, which is emptied first, except for the packages in build/demo/cache/.
set -euo pipefail

cd "$(dirname "$0")/.."
level=(--fast)
case ${1-} in
    "") ;;
    --small) level=(--level 19) ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

demo=build/demo
programs=build/release
make=$programs/tools/bundle-make
import=$programs/tools/bundle-import
registry=$programs/registry/bundle-registry
store=$demo/site/store
first=1.0.0
second=1.1.0
# The registry is on the loopback, never behind a proxy.
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost

say() { printf '\n\n== %s\n' "$*"; }
explain() { printf '   %s\n' "$@"; }
run() { printf '$ %s\n' "$*"; "$@"; }
fail() { echo "demo.sh: $*" >&2; exit 1; }
# json FILE KEY: one value of a JSON object.
json() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }
megabytes() { echo "$(($1 / 1000000)) MB"; }

server=
stop_server() {
    if [ -n "$server" ] && kill "$server" 2> /dev/null; then wait "$server" || true; fi
    server=
}
samples=
stop_all() {
    stop_server
    if [ -n "$samples" ] && kill "$samples" 2> /dev/null; then wait "$samples" || true; fi
}
trap stop_all EXIT

build_programs() {
    local launcher=()
    if command -v ccache > /dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
    cmake --preset release -DBUNDLE_UNITY=ON -DBUNDLE_BUILD_TESTS=OFF -DBUNDLE_BUILD_BENCH=OFF -DBUNDLE_BUILD_FUZZ=OFF "${launcher[@]}" > "$demo/configure.log" ||
        { cat "$demo/configure.log"; fail "cmake failed"; }
    cmake --build --preset release -j "$(nproc)" --target bundle-make bundle-import bundle-registry
}

make_samples() {
    local version
    for version in $first $second; do
        scripts/sample/make-sample.py --version "$version" --out "$demo/input/$version" --cache "$demo/cache"
    done
}

# The image names and digests of a release, as the vendor's manifest has them: "NAME DIGEST" lines.
images_of() {
    python3 -c 'import json, sys
for artifact in json.load(open(sys.argv[1]))["artifacts"]:
    print(artifact["name"], artifact["digest"])' "$demo/vendor/$1.inspect.json"
}

make_release() {
    run "$make" make "$demo/input/$1/release.yaml" --out "$demo/vendor/$1" "${level[@]}" --jobs "$(nproc)" \
        --key "$demo/vendor/vendor.key" --password-file "$demo/vendor/password"
    "$make" inspect "$demo/vendor/$1" --json > "$demo/vendor/$1.inspect.json"
}

# copy_to_stick VERSION: only the volumes and the public key need to travel.
copy_to_stick() {
    rm -rf "$demo/stick"
    mkdir -p "$demo/stick"
    cp "$demo/vendor/$1/"*.bundle "$demo/stick/"
}

start_server() {
    rm -f "$demo/site/port"
    "$registry" serve --store "$store" --listen 127.0.0.1:0 --port-file "$demo/site/port" --access-log \
        2> "$demo/site/registry.log" &
    server=$!
    for _ in $(seq 100); do
        [ ! -s "$demo/site/port" ] || return 0
        kill -0 "$server" 2> /dev/null || break
        sleep 0.1
    done
    cat "$demo/site/registry.log" >&2
    fail "the registry did not start"
}

digest_of() { echo "sha256:$(sha256sum < "$1" | cut -d' ' -f1)"; }
lists_indexes() {
    python3 -c 'import json, sys
sys.exit(not any("index" in child["mediaType"] for child in json.load(open(sys.argv[1])).get("manifests", [])))' "$1"
}
# pull_all VERSION: every image, chart and file of the release, by digest, blobs and all. skopeo checks every
# blob against the manifest; the manifest's digest is compared with the vendor's here. An image for several
# platforms is an index, kept byte for byte; the platform that the site has is pulled through it. skopeo does not go
# through an index of indexes (the release's own): its parts are pulled one by one anyway.
pull_all() {
    local name digest source pulled
    pulled=$demo/pulled
    while read -r name digest; do
        source=docker://127.0.0.1:$(cat "$demo/site/port")/${name%:*}@$digest
        rm -rf "$pulled" "$pulled.raw"
        skopeo inspect --raw --tls-verify=false "$source" > "$pulled.raw" || fail "skopeo could not read $name"
        [ "$(digest_of "$pulled.raw")" = "$digest" ] ||
            fail "$name arrived as $(digest_of "$pulled.raw") instead of $digest"
        if ! lists_indexes "$pulled.raw"; then
            skopeo --insecure-policy --override-os linux --override-arch amd64 copy --quiet --src-tls-verify=false \
                "$source" "dir:$pulled" || fail "skopeo could not pull $name"
            cmp --silent "$pulled/manifest.json" "$pulled.raw" ||
                grep -q "$(digest_of "$pulled/manifest.json")" "$pulled.raw" ||
                fail "$name arrived with another manifest"
        fi
        printf 'same digest  %s\n             %s\n' "$name" "$digest"
        pulled_count=$((pulled_count + 1))
    done < <(images_of "$1")
    rm -rf "$pulled" "$pulled.raw"
}

# tag_digest NAME: what the registry answers for a tag.
tag_digest() {
    skopeo inspect --raw --tls-verify=false "docker://127.0.0.1:$(cat "$demo/site/port")/$1" | sha256sum | cut -c1-12
}
# The registry looks at the store several times a second.
wait_for_registry() { sleep 1; }

[ -e CMakePresets.json ] || fail "this is not a clone of the project"
mkdir -p "$demo"
find "$demo" -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +
mkdir -p "$demo/input" "$demo/vendor" "$demo/site"
pulled_count=0

say "1. Packages and programs"
scripts/install-packages.sh build demo
# Beside the compiler: half of it is waiting for packages.
make_samples > "$demo/samples.log" 2>&1 &
samples=$!
build_programs

say "2. Two releases of a sample appliance, from Debian packages"
wait "$samples" || { cat "$demo/samples.log" >&2; fail "the sample could not be made"; }
samples=
cat "$demo/samples.log"
built=$SECONDS

say "3. The vendor: a key, and release $first as a signed bundle"
head -c 24 /dev/urandom | base64 > "$demo/vendor/password"
run "$make" keygen --out "$demo/vendor/vendor" --password-file "$demo/vendor/password"
make_release $first
run "$make" verify "$demo/vendor/$first" --trust "$demo/vendor/vendor.pub" --rebuild
echo "The same signature, checked by a foreign program:"
signature=$(cd "$demo/vendor/$first" && ls statement.*.minisig)
run minisign -V -p "$demo/vendor/vendor.pub" -m "$demo/vendor/$first/statement.json" -x "$demo/vendor/$first/$signature"

say "4. The site: the stick is here"
copy_to_stick $first
run "$import" plan "$demo/stick" --store "$store" --trust "$demo/vendor/vendor.pub"
run "$import" import "$demo/stick" --store "$store" --trust "$demo/vendor/vendor.pub"
run "$import" activate $first --store "$store"
run "$import" verify --store "$store"

say "5. The site's registry, and everything pulled back by digest with skopeo"
start_server
pull_all $first

say "6. Release $second comes as a second stick"
make_release $second
copy_to_stick $second
"$import" plan "$demo/stick" --store "$store" --json > "$demo/site/plan.json"
run "$import" plan "$demo/stick" --store "$store"
run "$import" import "$demo/stick" --store "$store"
before=$(tag_digest docker.io/library/redis:7)
run "$import" gate $second --store "$store"
run "$import" activate $second --store "$store"
wait_for_registry
after=$(tag_digest docker.io/library/redis:7)
pull_all $second

say "7. Back to $first"
run "$import" rollback --store "$store"
wait_for_registry
back=$(tag_digest docker.io/library/redis:7)
[ "$before" != "$after" ] || fail "redis:7 did not change with the release"
[ "$before" = "$back" ] || fail "redis:7 did not come back with the rollback"
run "$import" status --store "$store"
stop_server
run "$import" verify --store "$store" > "$demo/site/audit.txt"
tail -n 1 "$demo/site/audit.txt"
! grep '^leftover' "$demo/site/audit.txt" || fail "the store has files that belong to nothing"

say "What happened"
size_first=$(cat "$demo/vendor/$first/"*.bundle | wc -c)
size_second=$(cat "$demo/vendor/$second/"*.bundle | wc -c)
explain \
    "The vendor made two releases ($(json "$demo/vendor/$first.inspect.json" blobs) blobs," \
    "$(megabytes "$(json "$demo/vendor/$first.inspect.json" blob_bytes)") in the first) and signed them: bundles of $(megabytes "$size_first") and $(megabytes "$size_second")." \
    "minisign, which knows nothing of bundles, accepted the signature." \
    "The site took $first from a stick, pinned the vendor's key, checked every byte before using it" \
    "and made the release live. Of $second it had $(json "$demo/site/plan.json" blobs_present) of $(json "$demo/site/plan.json" blobs_total) blobs already and wrote $(megabytes "$(json "$demo/site/plan.json" bytes_new)")." \
    "skopeo pulled $pulled_count images, charts and files back by digest: each is byte for byte the vendor's." \
    "The tag redis:7 meant $before, then $after with $second, and $back again after the rollback." \
    "The store's audit found nothing damaged and nothing left over." \
    "" \
    "Time: $built s for packages, compiler and sample, $((SECONDS - built)) s for all the rest." \
    "Look around: $store is an OCI image layout (skopeo inspect oci:$store:NAME)," \
    "$demo/vendor holds the bundles, $demo/site/registry.log what skopeo asked for."
