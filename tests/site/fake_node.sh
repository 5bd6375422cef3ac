#!/bin/sh
# The commands of a site's nodes, for tests: fake_node.sh ROOT VERB NODE [ARGUMENTS]. ROOT/NODE is a node's disk; what runs on
# it stands in ROOT/NODE/running. A server that starts writes its version into the datastore. ROOT/fail-VERB-NODE fails once.
set -eu
root=$1 verb=$2 node=$3
shift 3
echo "$verb $node" >> "$root/log"
if [ -e "$root/fail-$verb-$node" ]; then
    rm "$root/fail-$verb-$node"
    echo "told to fail" >&2
    exit 3
fi
disk=$root/$node
db=$disk/data/server/db
case $verb in
    start)
        version=$("$disk/bin/k3s" --version | sed 's/.*version \([^ ]*\).*/\1/')
        if [ -e "$root/broken-$version-$node" ]; then exit 0; fi # it starts, and is never ready
        if [ -d "$disk/data/server" ]; then
            mkdir -p "$db"
            if [ -d "$db/etcd" ] || [ ! -e "$db/state.db" ]; then
                mkdir -p "$db/etcd"
                echo "$version" >> "$db/etcd/data"
            else
                echo "$version" >> "$db/state.db"
            fi
        fi
        echo "$version" > "$disk/running" ;;
    stop | kill) rm -f "$disk/running" ;;
    drain | uncordon) ;;
    snapshot) cp "$db/etcd/data" "$2/$1-$node-1" ;;
    restore)
        rm -rf "$db"
        mkdir -p "$db/etcd"
        cp "$1" "$db/etcd/data" ;;
    copy)
        target=$(echo "$2" | sed "s#$root/server-1/#$disk/#")
        mkdir -p "$(dirname "$target")"
        cp "$1" "$target" ;;
    remote)
        # The paths of the first server, on the other node's disk; its own commands stay.
        eval "$(echo "$1" | sed "s#$root/server-1/#$disk/#g")" ;;
esac
