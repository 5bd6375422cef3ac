#!/bin/bash
# First installation of a site: takes the release in, sets the site's registry up, gives k3s its configuration and what
# Flux needs, installs and starts k3s, waits until the cluster has followed. Asks nothing. Every step looks first whether
# it is done: run it again after whatever happened.
#
#   bootstrap-site.sh --source /media/stick --trust vendor.pub --endpoint https://registry.example.com:5000
#   bootstrap-site.sh --source https://origin.example.com/app --channel stable --trust vendor.pub --endpoint ...
#
#   --source SRC         folder, volume or address with the release; may be repeated
#   --channel NAME       of an origin: the channel to follow
#   --trust FILE         the vendor's key or root; needed until the first release is in
#   --endpoint URL       the site's registry, as nodes reach it
#   --store DIR          the site store (/var/lib/bundle)
#   --site FILE          site.yaml of this site; put into the store when there is none
#   --tls DIR            certificates of the registry (/etc/bundle/tls); made when they are not there
#   --cosign-key FILE    the vendor's public key for the cluster, by which Flux checks signatures
#   --user NAME --password-file FILE   if the registry wants a login
#   --registry-unit U    unit that is started (bundle-registry.service); "" when something else runs it
#   --k3s-config DIR     where k3s reads its configuration (/etc/rancher/k3s)
#   --manifests DIR      what k3s applies by itself (/var/lib/rancher/k3s/server/manifests)
#   --attempts N         for a source that cannot be reached (30), --delay S between them (10)
#
# Exit status: that of the step that failed (errors.md). A source that cannot be reached is tried again; a release that is
# damaged, not signed by the vendor or refused by a rule is not, and changes nothing.
set -euo pipefail

store=/var/lib/bundle
tls=/etc/bundle/tls
k3s_config=/etc/rancher/k3s
manifests=/var/lib/rancher/k3s/server/manifests
registry_unit=bundle-registry.service
attempts=30
delay=10
site='' endpoint='' user='' password_file='' cosign_key=''
import_options=()
sources=()

say() { echo "bootstrap: $*"; }
fail() { echo "bootstrap-site.sh: $1" >&2; exit "${2:-2}"; }

while [ $# -gt 0 ]; do
    case $1 in -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;; esac
    [ $# -ge 2 ] || fail "$1 needs a value; --help shows all"
    case $1 in
        --source) sources+=("$2") ;;
        --channel | --trust | --trust-fingerprint | --origin-ca | --origin-credentials) import_options+=("$1" "$2") ;;
        --endpoint) endpoint=$2 ;;
        --store) store=$2 ;;
        --site) site=$2 ;;
        --tls) tls=$2 ;;
        --cosign-key) cosign_key=$2 ;;
        --user) user=$2 ;;
        --password-file) password_file=$2 ;;
        --registry-unit) registry_unit=$2 ;;
        --k3s-config) k3s_config=$2 ;;
        --manifests) manifests=$2 ;;
        --attempts) attempts=$2 ;;
        --delay) delay=$2 ;;
        *) fail "unknown option $1; --help shows all" ;;
    esac
    shift 2
done
[ ${#sources[@]} -gt 0 ] || fail "--source is missing; --help shows all"
[[ $endpoint =~ ^https?://[^/]+$ ]] || fail "--endpoint is no https://HOST:PORT"
command -v bundle-import > /dev/null || fail "bundle-import is not installed" 3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The statuses that another attempt may cure: the medium is not there (3, 7, 50), busy (8), the network (80, 81, 84).
worth_trying_again() { case $1 in 3 | 7 | 8 | 50 | 80 | 81 | 84) true ;; *) false ;; esac; }

take_release_in() {
    local attempt=1 status
    while true; do
        status=0
        bundle-import import "${sources[@]}" --store "$store" "${import_options[@]}" --json > "$work/import.json" || status=$?
        [ "$status" != 0 ] || break
        sed -n 's/^ *"\(message\|hint\)": "\(.*\)",\{0,1\}$/bootstrap-site.sh: \2/p' "$work/import.json" >&2
        worth_trying_again "$status" || exit "$status"
        [ "$attempt" -lt "$attempts" ] || fail "gave up after $attempts attempts; nothing was changed" "$status"
        say "attempt $attempt failed with status $status; again in $delay s"
        attempt=$((attempt + 1))
        sleep "$delay"
    done
    version=$(sed -n 's/^ *"version": "\(.*\)",\{0,1\}$/\1/p' "$work/import.json")
}

# install_changed FROM TO: keeps the mode, writes beside and renames, and only when it differs.
install_changed() {
    if cmp -s "$1" "$2"; then return 0; fi
    mkdir -p "$(dirname "$2")"
    cp -p "$1" "$2.bootstrap-part"
    mv -f "$2.bootstrap-part" "$2"
    say "wrote $2"
}

set_registry_up() {
    local host=${endpoint#*://}
    if [ "${endpoint%%:*}" = https ] && [ ! -e "$tls/server.pem" ]; then
        bundle-import gen-cert --out "$tls" --name "${host%:*}" > /dev/null
        say "made certificates in $tls"
    fi
    if [ -n "$registry_unit" ]; then
        systemctl enable --now "$registry_unit"
        say "$registry_unit runs"
    fi
}

configure_k3s() {
    local options=(--endpoint "$endpoint" --out "$work/k3s" --store "$store")
    if [ "${endpoint%%:*}" = https ]; then
        options+=(--ca "$tls/ca.pem" --node-ca-path "$k3s_config/bundle-registry-ca.crt")
    fi
    if [ -n "$user" ]; then options+=(--user "$user" --password-file "$password_file"); fi
    bundle-import k3s-config "${options[@]}" > /dev/null
    local name
    for name in registries.yaml config.yaml.d/50-bundle-registry.yaml bundle-registry-ca.crt; do
        if [ -e "$work/k3s/$name" ]; then install_changed "$work/k3s/$name" "$k3s_config/$name"; fi
    done
    if [ -e "$work/k3s/flux-secrets.yaml" ]; then
        install_changed "$work/k3s/flux-secrets.yaml" "$manifests/bundle-flux-secrets.yaml"
    fi
}

# What Flux begins with, if the release has desired state for it (docs/flux.md). Once: upgrades need no other.
plant_seed() {
    grep -q '"flux":{' "$store/releases/$version/manifest.json" || return 0
    local options=(--store "$store" --out "$work/seed") file
    if [ "${endpoint%%:*}" = https ]; then options+=(--ca "$tls/ca.pem"); fi
    if [ -n "$cosign_key" ]; then options+=(--cosign-key "$cosign_key"); fi
    bundle-import seed "$version" "${options[@]}" > /dev/null
    for file in "$work"/seed/manifests/*.yaml; do install_changed "$file" "$manifests/${file##*/}"; done
}

say "taking the release in"
take_release_in
say "release $version is in the store"
if [ -n "$site" ] && [ ! -e "$store/site.yaml" ]; then install_changed "$site" "$store/site.yaml"; fi
live=$(cat "$store/active" 2> /dev/null || true)
if [ -n "$live" ] && [ "$live" != "$version" ]; then
    fail "this site runs $live already: use upgrade-site.sh $version" 74
fi
set_registry_up
configure_k3s
plant_seed
# Makes the release the live one, puts k3s in its place and starts it when site.yaml says how, and waits for the cluster.
bundle-import upgrade "$version" --store "$store"
say "this site runs $version"
