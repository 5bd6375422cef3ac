#!/bin/bash
# Publishes a release and moves a channel to it, or moves a channel to where another one stands.
# bundle-make does the work (promote, publish); this script puts the two together so that either
# both happen or none: the pointer is signed in a copy of the trust folder, everything is checked
# with it, and only then does it count.
#
#   publish-release.sh BUNDLE... --channel NAME --to ORIGIN --trust-dir DIR --key KEY
#   publish-release.sh --promote FROM --channel NAME --to ORIGIN --trust-dir DIR --key KEY
#
#   BUNDLE...             folders that bundle-make wrote, or that hold its volumes alone; the
#                         first one is the release that the channel moves to, the others (deltas,
#                         releases in between) go along
#   --promote FROM        move the channel to the release that channel FROM stands at; nothing is
#                         built and no bundle is needed. The same channel twice renews its pointer
#   --channel NAME        the channel that moves, like candidate or stable
#   --to ORIGIN           folder that the web server serves; made when it is not there
#   --trust-dir DIR       the vendor's trust folder
#   --key KEY             key of the role timestamp; or --sign-command CMD
#   --password-file F     opens the key
#   --trust PUB|ROOT      what sites are pinned to (default: the oldest root of the trust folder)
#   --expires-days N      until when sites take the pointer for news (default 14)
#   --keep N              newest releases that stay on the origin (default 3; 0: all)
#   --volume-size N       largest file on the origin
#   --stale-base REASON   why a base image older than its policy is offered; signed with the pointer
#   --strand REASON       why a site may be left without a way; goes into the origin's history
#   --registry REG        also push the first bundle's release there, before the channel moves:
#                         REGISTRY[/PREFIX], as 'bundle-import push --to' takes it
#   --push-store DIR      store that the release is pushed from; kept, a later push sends only what
#                         is new (default: a temporary one)
#   --authfile F, --registry-ca F, --insecure-registry HOST
#                         access to the registry, as for 'bundle-import push'
#   --dry-run             check everything, say what would change, change nothing
#   --json                one JSON object on standard output
#
# Never asks anything. Exit status: that of bundle-make (docs/errors.md); 8 when another run holds
# the trust folder. Stopped at any moment, the same command may be run again.
#
# Examples:
#   publish-release.sh out --channel candidate --to /srv/origin --trust-dir trust --key promote.key
#   publish-release.sh --promote candidate --channel stable --to /srv/origin --trust-dir trust \
#     --key promote.key
set -euo pipefail

make=${BUNDLE_MAKE:-bundle-make}
import=${BUNDLE_IMPORT:-bundle-import}
readonly usage_status=2 busy_status=8

usage() {
    sed -n '2,/^set -euo/p' "$0" | sed -n 's/^# \{0,1\}//p'
}
refuse() {
    echo "publish-release.sh: $1" >&2
    echo "  publish-release.sh --help" >&2
    exit "$usage_status"
}

bundles=() from='' channel='' origin='' trust_dir='' json=() dry_run='' registry='' push_store='' pinned=''
sign=() promote_more=() publish_more=() push_more=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --dry-run) dry_run=yes ;;
        --json) json=(--json) ;;
        --*)
            [ $# -ge 2 ] || refuse "$1 needs a value"
            case $1 in
                --promote) from=$2 ;;
                --channel) channel=$2 ;;
                --to) origin=$2 ;;
                --trust-dir) trust_dir=$2 ;;
                --key | --sign-command | --password-file) sign+=("$1" "$2") ;;
                --trust) pinned=$2; promote_more+=("$1" "$2"); publish_more+=("$1" "$2") ;;
                --registry) registry=$2 ;;
                --push-store) push_store=$2 ;;
                --authfile | --registry-ca | --insecure-registry) push_more+=("$1" "$2") ;;
                --expires-days | --stale-base) promote_more+=("$1" "$2") ;;
                --keep | --volume-size | --strand) publish_more+=("$1" "$2") ;;
                *) refuse "there is no option $1" ;;
            esac
            shift
            ;;
        *) bundles+=("$1") ;;
    esac
    shift
done
[ -n "$channel" ] || refuse "which channel? Give --channel NAME"
[ -n "$origin" ] || refuse "where to? Give --to ORIGIN"
[ -n "$trust_dir" ] || refuse "which trust folder? Give --trust-dir DIR"
[ ${#sign[@]} -gt 0 ] || refuse "who signs the pointer? Give --key KEY or --sign-command CMD"
if [ -n "$from" ]; then
    [ ${#bundles[@]} = 0 ] || refuse "either bundles or --promote"
    [ -z "$registry" ] || refuse "--registry goes with a bundle: a promoted release was pushed before"
elif [ ${#bundles[@]} = 0 ]; then
    refuse "which release? Name a bundle, or --promote FROM"
fi
[ -d "$trust_dir" ] || refuse "there is no folder $trust_dir"
command -v "$make" > /dev/null || refuse "$make is not in PATH"
if [ -n "$registry" ]; then command -v "$import" > /dev/null || refuse "$import is not in PATH"; fi

exec {lock}< "$trust_dir"
if ! flock -n "$lock"; then
    echo "publish-release.sh: another run holds $trust_dir" >&2
    echo "  Wait until it has ended, then run this one again." >&2
    exit "$busy_status"
fi

rm -f "$trust_dir"/.*.new # of a run that was killed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$trust_dir" "$work/trust"

if [ -n "$from" ]; then
    target=(--from "$from")
else
    # The statement alone, loose or as a volume holds it: the bundle stays as it is until nothing can
    # be refused any more.
    target=("${bundles[0]}/statement.json")
    if [ ! -e "${target[0]}" ]; then
        for volume in "${bundles[0]}"/*.bundle; do target=("$volume"); break; done
    fi
    # --trust says what another channel's pointer is checked with, and there is none.
    for ((i = 0; i < ${#promote_more[@]}; i += 2)); do
        if [ "${promote_more[i]}" = --trust ]; then unset "promote_more[i]" "promote_more[i+1]"; fi
    done
fi
"$make" promote "${target[@]}" --channel "$channel" --trust-dir "$work/trust" "${sign[@]}" \
    "${promote_more[@]}" > "$work/promote.log"

publish=("$make" publish "${bundles[@]}" --to "$origin" "${publish_more[@]}")
if [ -n "$dry_run" ]; then
    "${publish[@]}" --trust-dir "$work/trust" --dry-run "${json[@]}"
    exit 0
fi
"${publish[@]}" --trust-dir "$work/trust" --dry-run --quiet > "$work/plan.log"

if [ -n "$registry" ]; then
    store=${push_store:-$work/store}
    version=$("$make" inspect "${bundles[0]}" --json | sed -n 's/^ *"version": "\([^"]*\)",\{0,1\}$/\1/p' | head -n 1)
    "$import" import "${bundles[0]}" --store "$store" --trust "${pinned:-$trust_dir/1.root.json}" --quiet \
        > "$work/import.log"
    "$import" push "$version" --store "$store" --to "$registry" "${push_more[@]}" --quiet > "$work/push.log" || {
        status=$?
        cat "$work/push.log" >&2
        exit "$status"
    }
fi

# Signatures before the document, so that a document that is there is signed.
for signatures in yes ''; do
    for file in "$work/trust"/*; do
        name=${file##*/}
        [ -e "$trust_dir/$name" ] && continue
        case $name in *.minisig) [ -n "$signatures" ] || continue ;; *) [ -z "$signatures" ] || continue ;; esac
        cp "$file" "$trust_dir/.$name.new"
        sync "$trust_dir/.$name.new"
        mv "$trust_dir/.$name.new" "$trust_dir/$name"
    done
done
"${publish[@]}" --trust-dir "$trust_dir" "${json[@]}"
# Sticks made from these bundles bring the pointer along.
for bundle in "${bundles[@]}"; do
    "$make" trust carry "$bundle" --trust-dir "$trust_dir" > "$work/carry.log"
done
