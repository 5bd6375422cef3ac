#!/bin/bash
# The system disk of an appliance under QEMU or libvirt: replaced as a whole, with the way back (docs/image.md, "The host image").
# The site's state is on the data disk, which is never touched. Two slots, A and B: one runs, the other holds the one before.
#
#   host-image.sh add POOL IMAGE.qcow2        verify an image by the files beside it, and keep it in the pool
#   host-image.sh upgrade POOL NAME --window REASON [--preflight PROGRAM]
#                                             make the other slot from NAME, and let the next start of the machine use it
#   host-image.sh confirm POOL                the image that runs is good: from now on it is one to go back to
#   host-image.sh rollback POOL [--window REASON]   the next start uses the slot before, if it was confirmed
#   host-image.sh stable POOL [NAME]          show, or set, the latest image for new sites; it must be confirmed
#   host-image.sh status POOL
#
# POOL/system.qcow2 is what the machine's definition names; it is a link to the slot that counts. --window names the maintenance
# window or the reason why it cannot wait; it goes into POOL/history.log. The preflight (status 0: go on) runs before anything is
# changed; it should ask the appliance: ssh appliance@NODE 'appliance-status && findmnt /var/lib/bundle'. The machine must be off
# when a slot is changed: its lock on the disk is looked at.
set -euo pipefail

fail() { echo "host-image.sh: error: $1" >&2; [ -z "${2-}" ] || echo "  next: $2" >&2; exit 1; }
[ $# -ge 2 ] || { sed -n '2,20s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command=$1 pool=$2
shift 2
name='' window='' preflight=''
while [ $# -gt 0 ]; do
    case $1 in
        --window) window=${2:?}; shift 2 ;;
        --preflight) preflight=${2:?}; shift 2 ;;
        -*) fail "unknown option $1" ;;
        *) [ -z "$name" ] || fail "one name is enough: $1"; name=$1; shift ;;
    esac
done
mkdir -p "$pool"
cd "$pool"
exec 9> .lock
flock -n 9 || fail "another host-image.sh works on $pool" "Wait until it is done."

note() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >> history.log; }
slot() { { readlink system.qcow2 2> /dev/null || true; } | sed -n 's/^slot-\([ab]\)\.qcow2$/\1/p'; }
other() { case $1 in a) echo b ;; *) echo a ;; esac; }
image_of() { cat "slot-$1.image" 2> /dev/null || true; }
confirmed() { [ -n "$1" ] && grep -qxF "$1" confirmed 2> /dev/null; }
# A new content under its name in one step.
put() { cat > ".$1.new" && sync ".$1.new" && mv -f ".$1.new" "$1"; }
point_to() { ln -sfn "slot-$1.qcow2" .system.new && mv -fT .system.new system.qcow2 && sync .; }

is_off() {
    # QEMU holds a lock on the disks of a running machine; without --force-share this one wants it, too.
    [ ! -e system.qcow2 ] || qemu-img info "$(readlink -f system.qcow2)" > /dev/null 2>&1 ||
        fail "the machine is running" "Switch it off first (sudo systemctl poweroff in it), so that no write is lost."
}

add() {
    [ -f "$name" ] || fail "$name is not there"
    local file folder base
    folder=$(dirname "$name") file=$(basename "$name") base=$(basename "$name" .qcow2)
    for companion in sha256 image-metadata.json; do
        [ -s "$folder/$base.$companion" ] || fail "missing: $base.$companion beside the image" "Copy all files of the build."
    done
    (cd "$folder" && grep -F "  $file" "$base.sha256" | sha256sum --check --quiet --strict) > /dev/null 2>&1 ||
        fail "$file does not match its checksum" "Copy it again from the original."
    [ ! -e "$base.qcow2" ] || fail "$base is in the pool already"
    cp "$folder/$file" ".$file.new" && sync ".$file.new"
    qemu-img check -q ".$file.new" || fail "$file is no sound QCOW2"
    cp "$folder/$base.image-metadata.json" "$base.image-metadata.json"
    chmod 444 ".$file.new" && mv ".$file.new" "$file"
    note "added $base"
    echo "$base is in the pool"
}

upgrade() {
    [ -n "$window" ] || fail "--window is missing" "Name the maintenance window or why it cannot wait; it goes on record."
    if [[ ! $name =~ ^[A-Za-z0-9.+-]+$ ]] || [ ! -f "$name.qcow2" ]; then
        fail "no image $name in the pool" "host-image.sh add brings it there."
    fi
    local now next
    now=$(slot)
    [ "$(image_of "${now:-a}")" != "$name" ] || [ -z "$now" ] || fail "$name runs already"
    if [ -n "$now" ] && ! confirmed "$(image_of "$now")"; then
        fail "$(image_of "$now") was not confirmed, and the slot before would be lost" \
            "host-image.sh confirm if it is good, host-image.sh rollback if not."
    fi
    [ -z "$preflight" ] || "$preflight" || fail "the preflight has failed: nothing was changed" "Mend what it says, then run this again."
    is_off
    next=a
    [ -z "$now" ] || next=$(other "$now")
    qemu-img create -q -f qcow2 -b "$name.qcow2" -F qcow2 ".slot-$next.new"
    mv -f ".slot-$next.new" "slot-$next.qcow2"
    put "slot-$next.image" <<< "$name"
    point_to "$next"
    note "upgrade: $(image_of "${now:-none}") -> $name (slot $next), window: $window"
    echo "the next start uses $name (slot $next); $([ -z "$now" ] || echo "$(image_of "$now") stays in slot $now. ")then: host-image.sh confirm, or rollback"
}

rollback() {
    local now before
    now=$(slot)
    [ -n "$now" ] || fail "no system disk is in use"
    before=$(other "$now")
    [ -f "slot-$before.qcow2" ] || fail "there is no slot before this one"
    confirmed "$(image_of "$before")" || fail "$(image_of "$before") was never confirmed" "Upgrade to a confirmed image instead."
    is_off
    point_to "$before"
    note "rollback: $(image_of "$now") -> $(image_of "$before") (slot $before)${window:+, window: $window}"
    echo "the next start uses $(image_of "$before") (slot $before)"
}

confirm() {
    local now image
    now=$(slot)
    [ -n "$now" ] || fail "no system disk is in use"
    image=$(image_of "$now")
    confirmed "$image" || { { cat confirmed 2> /dev/null || true; echo "$image"; } | put confirmed; note "confirmed $image"; }
    echo "$image is confirmed"
}

stable() {
    if [ -n "$name" ]; then
        [ -f "$name.qcow2" ] || fail "no image $name in the pool"
        confirmed "$name" || fail "$name was not confirmed" "Run it somewhere first, and confirm it there."
        put stable <<< "$name"
        note "stable -> $name"
    fi
    [ -s stable ] || fail "no image is stable yet"
    cat stable
}

status() {
    local now image
    now=$(slot)
    for image in *.qcow2; do
        case $image in slot-* | system.qcow2 | '*.qcow2') continue ;; esac
        image=${image%.qcow2}
        echo "$image$(confirmed "$image" && echo ", confirmed")$([ "$(cat stable 2> /dev/null)" != "$image" ] || echo ", stable")"
    done
    for image in a b; do
        [ ! -e "slot-$image.qcow2" ] || echo "slot $image: $(image_of $image)$([ "$now" != $image ] || echo " (in use)")"
    done
}

case $command in
    add | upgrade | rollback | confirm | stable | status) "$command" ;;
    *) fail "unknown command $command" ;;
esac
