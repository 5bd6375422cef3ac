#!/bin/bash
# From one node to three with embedded etcd, and back to work after a loss (docs/image.md, "Three nodes").
#
#   expand-ha.sh check   --nodes N1,N2,N3            what keeps the site from it; changes nothing
#   expand-ha.sh expand  --nodes N1,N2,N3            snapshot, conversion, joins, quorum; may be run again at any point
#   expand-ha.sh quorum  --nodes N1,N2,N3            0 when all three are ready members of etcd
#   expand-ha.sh restore --nodes N1,N2,N3 --snapshot FILE   the cluster from a snapshot that lies on the first node
#
#   --nodes LIST        names or addresses, the running node first; nodes 2 and 3 are appliances that say "ready"
#   --addresses LIST    by which the nodes reach each other, if they are not the same
#   --executor PROGRAM  how a node is reached: PROGRAM NODE, with a script for bash on standard input, run as root
#                       (default: ssh appliance@NODE sudo bash -s)
#   --dry-run           print what would be changed; the checks are really made
#   --schedule CRON     of etcd's snapshots (default: 0 */6 * * *)
#   --retention N       how many are kept (default: 14)
#
# Status 0: done. 1: refused or failed, with the reason; the running node goes on as it was unless the message says otherwise.
# The join token goes from node to node through standard input: no command line, file in /tmp, or output has it.
set -euo pipefail

fail() { echo "expand-ha.sh: error: $1" >&2; [ -z "${2-}" ] || echo "  next: $2" >&2; exit 1; }
say() { echo "== $*"; }
usage() { sed -n '2,21s/^# \{0,1\}//p' "$0"; }

[ $# -gt 0 ] || { usage >&2; exit 2; }
command=$1
shift
nodes='' addresses='' executor='' dry_run='' schedule='0 */6 * * *' retention=14 snapshot=''
case $command in check | expand | quorum | restore) ;; --help | -h) usage; exit 0 ;; *) fail "unknown command $command" "expand-ha.sh --help" ;; esac
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry_run=yes; shift ;;
        --nodes | --addresses | --executor | --schedule | --retention | --snapshot)
            [ $# -ge 2 ] || fail "$1 needs a value"
            printf -v "${1#--}" %s "$2"; shift 2 ;;
        *) fail "unknown option $1" "expand-ha.sh --help shows the options." ;;
    esac
done
IFS=, read -ra node <<< "$nodes"
IFS=, read -ra address <<< "${addresses:-$nodes}"
[ ${#node[@]} = 3 ] || fail "--nodes must name exactly three nodes, the running one first" "etcd needs an odd number; three survive the loss of one."
[ ${#address[@]} = 3 ] || fail "--addresses must name three addresses"
for name in "${node[@]}" "${address[@]}"; do
    [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9.:_-]*$ ]] || fail "not the name or address of a node: $name"
done
[ "$(printf '%s\n' "${node[@]}" | sort -u | wc -l)" = 3 ] || fail "the three nodes must be different ones"
[[ $retention =~ ^[1-9][0-9]{0,3}$ ]] || fail "--retention must be a number from 1 to 9999"
[[ $schedule =~ ^[0-9*/,\ -]+$ ]] || fail "--schedule must be five fields of cron"

with_ssh() { ssh -o BatchMode=yes -o ConnectTimeout=10 "appliance@$1" sudo bash -s; }
execute() { if [ -n "$executor" ]; then "$executor" "$1"; else with_ssh "$1"; fi; }
# ask NODE SCRIPT: looks only; also in a dry run.
ask() { execute "$1" <<< "set -euo pipefail; $2"; }
# change NODE TITLE SCRIPT
change() {
    if [ -n "$dry_run" ]; then
        echo "-- would, on $1: $2"
        # shellcheck disable=SC2001 # each line of a text
        sed 's/^ */     /' <<< "$3"
        return 0
    fi
    say "$1: $2"
    execute "$1" <<< "set -euo pipefail; $3" || fail "$1: $2 has failed" "Mend what the lines above say, then run the same command again."
}

k3s_dir=/var/lib/rancher/k3s/server
config=/etc/rancher/k3s/config.yaml.d/70-ha.yaml

# --- looks -------------------------------------------------------------------------

# One line for each thing that is in the way. External datastores are refused: the product is tested with embedded etcd only.
problems_of() {
    local number=$1 name=${node[$1]} facts
    # shellcheck disable=SC2016 # the node expands it
    facts=$(ask "$name" '
        echo "state=$(appliance-status > /dev/null 2>&1 && echo ready || echo not-ready)"
        echo "k3s=$(/usr/local/bin/k3s --version 2> /dev/null | sed -n "s/^k3s version \([^ ]*\).*/\1/p")"
        echo "release=$(bundle-import status --store /var/lib/bundle --json | sed -n "s/.*\"active\": *\"\([^\"]*\)\".*/\1/p")"
        echo "external=$(grep -hs "^ *datastore-endpoint" /etc/rancher/k3s/config.yaml /etc/rancher/k3s/config.yaml.d/*.yaml | head -n 1 | cut -c1-20; grep -hs "K3S_DATASTORE_ENDPOINT" /etc/default/k3s /etc/systemd/system/k3s.service.env | head -n 1 | cut -c1-22)"
        echo "etcd=$([ -d /var/lib/rancher/k3s/server/db/etcd ] && echo yes || echo no)"
        echo "free=$(df --output=avail -k /var/lib/rancher | tail -n 1 | tr -d " ")"
        echo "clock=$(date +%s)"
        echo "name=$(hostname)"') || { echo "$name cannot be reached, or is no appliance"; return 0; }
    value() { sed -n "s/^$1=//p" <<< "$facts" | head -n 1; }
    [ -z "$(value external)" ] || echo "$name uses an external datastore; the site's datastore is embedded etcd (or SQLite before the expansion)"
    [ "$(value state)" = ready ] || echo "$name is not ready: appliance-status on it says why"
    [ "$(value free)" -ge 4194304 ] || echo "$name has less than 4 GiB free for etcd and its snapshots"
    local apart=$(($(value clock) - $(date +%s)))
    [ ${apart#-} -le 5 ] || echo "the clock of $name is ${apart#-} s off; give the nodes one time server"
    if [ "$number" = 0 ]; then
        first_k3s=$(value k3s) first_release=$(value release)
        names=$(value name)
        return 0
    fi
    [ "$(value k3s)" = "$first_k3s" ] || echo "$name has k3s $(value k3s), the first node $first_k3s: import and activate the same release"
    [ "$(value release)" = "$first_release" ] || echo "$name runs release $(value release), the first node $first_release"
    ! grep -qxF "$(value name)" <<< "$names" || echo "$name has the host name of another node: $(value name)"
    names+=$'\n'$(value name)
    ask "$name" "timeout 10 bash -c ': < /dev/tcp/${address[0]}/6443'" > /dev/null 2>&1 ||
        echo "$name does not reach the API server of ${address[0]} (port 6443)"
}

check() {
    local number list
    list=$(mktemp)
    first_k3s='' first_release='' names=''
    for number in 0 1 2; do problems_of "$number"; done > "$list"
    if [ -s "$list" ]; then
        sed 's/^/expand-ha.sh: refused: /' "$list" >&2
        rm -f "$list"
        fail "the site cannot be expanded yet; nothing was changed" "Mend what is named, then run check again."
    fi
    rm -f "$list"
    say "nothing is in the way: k3s $first_k3s, release $first_release on all three"
}

is_member() { [ "$(ask "$1" "[ -d $k3s_dir/db/etcd ] && echo yes || echo no")" = yes ]; }

# Ready members of etcd by the view of the first node.
members() {
    ask "${node[0]}" "/usr/local/bin/k3s kubectl get nodes -l node-role.kubernetes.io/etcd=true --no-headers | grep -cw Ready || true"
}

quorum() {
    local count number
    count=$(members)
    for number in 0 1 2; do
        ask "${node[number]}" "/usr/local/bin/k3s kubectl get --raw /readyz/etcd" > /dev/null ||
            fail "etcd on ${node[number]} is not healthy ($count of 3 members are ready)" \
                "journalctl -u k3s on ${node[number]}; with two of three the site goes on, with one it stands still."
    done
    [ "$count" = 3 ] || fail "$count of 3 members of etcd are ready" "kubectl get nodes on ${node[0]} shows which is missing."
    say "quorum: 3 of 3 members are ready; the loss of one is survived"
}

wait_members() {
    [ -z "$dry_run" ] || return 0
    local wanted=$1
    for _ in $(seq "${EXPAND_HA_TRIES:-120}"); do
        [ "$(members 2> /dev/null || echo 0)" -lt "$wanted" ] || return 0
        sleep "${EXPAND_HA_PAUSE:-5}"
    done
    fail "there are not $wanted ready members of etcd after ten minutes" "journalctl -u k3s on the node that joined last; then run the same command again."
}

# --- changes -----------------------------------------------------------------------

save_sqlite() {
    change "${node[0]}" "a copy of the datastore as it is, with its token" "
        target=/var/lib/appliance/before-ha
        [ ! -e \$target/done ] || exit 0
        rm -rf \$target && install -d -m 700 \$target
        systemctl stop k3s.service
        cp -a $k3s_dir/db $k3s_dir/token \$target/
        touch \$target/done
        systemctl start --no-block k3s.service"
}

open_firewall() {
    local number others
    for number in 0 1 2; do
        others=$(printf '%s, ' "${address[@]}")
        change "${node[number]}" "the nodes may talk to each other" "
            printf 'add element inet appliance nodes { %s }\n' '${others%, }' > /etc/nftables.d/nodes.nft
            nft -f /etc/nftables.conf"
    done
}

# The settings that must be the same on all servers, and the snapshots of etcd.
common_settings() {
    printf 'etcd-snapshot-schedule-cron: "%s"\netcd-snapshot-retention: %s\netcd-snapshot-compress: true\n' "$schedule" "$retention"
    printf 'tls-san+: [%s, %s, %s]\n' "${address[@]}"
}

convert_first() {
    change "${node[0]}" "SQLite becomes embedded etcd (cluster-init)" "
        cat > $config.new << 'END'
cluster-init: true
$(common_settings)
END
        chmod 600 $config.new && mv $config.new $config
        systemctl restart k3s.service"
    wait_members 1
}

join() {
    local number=$1 name=${node[$1]} token
    if is_member "$name"; then say "$name is a member already"; return 0; fi
    if [ -n "$dry_run" ]; then
        echo "-- would, on ${node[0]}: read the join token, and hand it to $name (it is not shown)"
    else
        token=$(ask "${node[0]}" "cat $k3s_dir/token")
        [[ $token =~ ^K10[0-9a-f]{64}::server: ]] || fail "${node[0]} gave no join token" "Is k3s running there?"
        # Through standard input, into a file that only root reads.
        execute "$name" <<< "set -euo pipefail; umask 077; cat > /etc/rancher/k3s/join-token << 'END'
$token
END" || fail "$name did not take the join token"
    fi
    change "$name" "joins the cluster at ${address[0]}" "
        systemctl stop k3s.service
        [ -d $k3s_dir/db/etcd ] || { rm -rf /var/lib/appliance/before-join && install -d -m 700 /var/lib/appliance && [ ! -d $k3s_dir ] || mv $k3s_dir /var/lib/appliance/before-join; }
        cat > $config.new << 'END'
server: https://${address[0]}:6443
token-file: /etc/rancher/k3s/join-token
$(common_settings)
END
        chmod 600 $config.new && mv $config.new $config
        systemctl start --no-block k3s.service"
    wait_members $((number + 1))
}

expand() {
    # Once the second has joined, the checks have been passed; what is left is to finish.
    is_member "${node[1]}" || check
    is_member "${node[0]}" || save_sqlite
    open_firewall
    is_member "${node[0]}" || convert_first
    join 1
    join 2
    change "${node[0]}" "a first snapshot of etcd" "/usr/local/bin/k3s etcd-snapshot save --name expanded"
    [ -n "$dry_run" ] || quorum
    cat << END
next: switch the application to the values of three nodes, ha-3node.yaml (docs/image.md), and copy the snapshots of
      $k3s_dir/db/snapshots and $k3s_dir/token to another machine: a cluster is restored from both.
END
}

restore() {
    [[ $snapshot =~ ^/[A-Za-z0-9._/+-]+$ ]] || fail "--snapshot must be the absolute path of a snapshot on ${node[0]}" \
        "k3s etcd-snapshot ls on ${node[0]} lists them."
    ask "${node[0]}" "[ -s '$snapshot' ] && [ -s $k3s_dir/token ]" || fail "${node[0]} has no $snapshot, or no token"
    local number
    for number in 2 1 0; do change "${node[number]}" "stop k3s" "systemctl stop k3s.service"; done
    change "${node[0]}" "the datastore from the snapshot, one member" "
        /usr/local/bin/k3s server --cluster-reset --cluster-reset-restore-path='$snapshot'
        systemctl start --no-block k3s.service"
    wait_members 1
    for number in 1 2; do
        change "${node[number]}" "joins again with an empty datastore" "
            rm -rf $k3s_dir/db
            systemctl start --no-block k3s.service"
        wait_members $((number + 1))
    done
    [ -n "$dry_run" ] || quorum
}

"$command"
