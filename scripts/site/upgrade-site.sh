#!/bin/bash
# Moves a site to a release: takes it in when a source is named, shows the plan, and lets bundle-import do the rest
# (gate, hooks, backup, k3s, live release, waiting for Flux, going back). Asks nothing; may be run again at any time.
#
#   upgrade-site.sh 1.4.0                                  imported before
#   upgrade-site.sh --source /media/stick 1.4.0            from a stick
#   upgrade-site.sh 1.4.0 --app-only                       k3s stays as it is
#   upgrade-site.sh rollback [VERSION]                     back; also after an upgrade that was cut short
#   upgrade-site.sh status
#
# Options: --store DIR (default: $BUNDLE_STORE or /var/lib/bundle); every other one is for `bundle-import upgrade`.
# Exit status: bundle-import's (errors.md). 0: the site is at that release and its cluster has followed.
set -euo pipefail

store=${BUNDLE_STORE:-/var/lib/bundle}
sources=()
rest=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
        --store | --source)
            [ $# -ge 2 ] || { echo "upgrade-site.sh: $1 needs a value" >&2; exit 2; }
            if [ "$1" = --store ]; then store=$2; else sources+=("$2"); fi
            shift ;;
        *) rest+=("$1") ;;
    esac
    shift
done
[ ${#rest[@]} -gt 0 ] || { echo "upgrade-site.sh: which release? --help shows examples" >&2; exit 2; }

case ${rest[0]} in
    status | rollback) exec bundle-import "${rest[@]}" --store "$store" ;;
esac
if [ ${#sources[@]} -gt 0 ]; then
    bundle-import import "${sources[@]}" --store "$store" > /dev/null
fi
case " ${rest[*]} " in
    *" --json "* | *" --dry-run "*) ;;
    *) bundle-import upgrade "${rest[@]}" --store "$store" --dry-run ;;
esac
exec bundle-import upgrade "${rest[@]}" --store "$store"
