"""expand-ha.sh with an executor that plays three nodes: order, refusals, dry run, resuming, and a token that nobody sees.

The executor runs each script with bash in a folder of its node, with k3s, systemctl and the other programs played, so the
scripts themselves are run, not compared.
"""
import os
import pathlib
import subprocess

import image_support
from image_support import IMAGE, write

TOKEN = "K10" + "ab12" * 16 + "::server:" + "0f1e2d3c4b5a"
NODES = ("n1", "n2", "n3")
# Sends the places of a node into its folder, and the programs of a node to played ones.
EXECUTOR = """#!/bin/bash
set -u
node=$WORLD/$1
script=$(cat)
printf '%s\\n' "$1: $script" >> "$WORLD/scripts"
export NODE_NAME=$1 NODE=$node PATH=$WORLD/bin:$PATH
sed "s#/var/lib/#$node/var/lib/#g; s#/etc/#$node/etc/#g; s#/usr/local/bin/k3s#k3s#g; s#/dev/tcp/#$WORLD/tcp/#g" <<< "$script" | bash -s
"""
PLAYED = {
    "appliance-status": '[ ! -e "$NODE/not-ready" ]',
    "bundle-import": 'printf \'{"active": "%s"}\\n\' "$(cat "$NODE/release" 2> /dev/null || echo 1.0.0)"',
    "hostname": 'cat "$NODE/name" 2> /dev/null || echo "$NODE_NAME"',
    "date": 'exec /bin/date "$@"',
    "nft": "exit 0",
    "df": 'printf "Avail\\n%s\\n" "$(cat "$NODE/free" 2> /dev/null || echo 99999999)"',
    # Starting k3s makes what the configuration says of the node.
    "systemctl": r'''
echo "$NODE_NAME systemctl $*" >> "$WORLD/calls"
case "$*" in *start*)
    [ ! -e "$NODE/broken" ] || exit 1
    db=$NODE/var/lib/rancher/k3s/server/db
    if grep -qs "^cluster-init: true\|^server: " "$NODE/etc/rancher/k3s/config.yaml.d/70-ha.yaml"; then mkdir -p "$db/etcd"; else mkdir -p "$db"; : > "$db/state.db"; fi ;;
esac''',
    "k3s": r'''
case "$*" in
    --version) echo "k3s version $(cat "$NODE/k3s" 2> /dev/null || echo v1.31.6+k3s1) (played)" ;;
    "kubectl get nodes"*) for n in n1 n2 n3; do [ ! -d "$WORLD/$n/var/lib/rancher/k3s/server/db/etcd" ] || echo "$n Ready control-plane,etcd,master"; done ;;
    "kubectl get --raw /readyz/etcd") [ -d "$NODE/var/lib/rancher/k3s/server/db/etcd" ] && [ ! -e "$NODE/sick" ] ;;
    "etcd-snapshot save"*|"server --cluster-reset"*) echo "$NODE_NAME k3s $*" >> "$WORLD/calls" ;;
    *) exit 1 ;;
esac''',
}


class ExpandHa(image_support.TestCase):
    def setUp(self):
        super().setUp()
        write(self.work / "executor", EXECUTOR).chmod(0o755)
        for name, text in PLAYED.items():
            write(self.work / "bin" / name, f"#!/bin/bash\n{text}\n").chmod(0o755)
        for node in NODES:
            server = self.work / node / "var/lib/rancher/k3s/server"
            write(server / "db/state.db", "the datastore")
            write(self.work / node / "etc/rancher/k3s/config.yaml.d/60-appliance.yaml", "write-kubeconfig-mode: \"0600\"\n")
            write(self.work / node / "etc/nftables.d/x", "")
            write(self.work / "tcp" / node / "6443", "")
        write(self.work / "n1/var/lib/rancher/k3s/server/token", TOKEN + "\n")

    def run_it(self, command, *options, status=0):
        environment = {**os.environ, "WORLD": str(self.work), "EXPAND_HA_TRIES": "2", "EXPAND_HA_PAUSE": "0"}
        done = subprocess.run([IMAGE / "expand-ha.sh", command, "--nodes", ",".join(NODES), "--executor", self.work / "executor",
                               *options], capture_output=True, text=True, env=environment)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def calls(self):
        path = self.work / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def configuration(self, node):
        return (self.work / node / "etc/rancher/k3s/config.yaml.d/70-ha.yaml").read_text()

    def test_one_becomes_three(self):
        self.assertIn("quorum: 3 of 3", self.run_it("expand"))
        self.assertIn("cluster-init: true", self.configuration("n1"))
        for node in ("n2", "n3"):
            self.assertIn("server: https://n1:6443", self.configuration(node))
            token = self.work / node / "etc/rancher/k3s/join-token"
            self.assertEqual((TOKEN + "\n", 0o600), (token.read_text(), token.stat().st_mode & 0o777))
        for node in NODES:
            self.assertIn('etcd-snapshot-schedule-cron: "0 */6 * * *"', self.configuration(node))
            self.assertIn("{ n1, n2, n3 }", (self.work / node / "etc/nftables.d/nodes.nft").read_text())
        # The copy of the datastore comes before the conversion, and what a joining node had is kept.
        self.assertEqual("the datastore", (self.work / "n1/var/lib/appliance/before-ha/db/state.db").read_text())
        self.assertTrue((self.work / "n2/var/lib/appliance/before-join/db/state.db").exists())
        self.assertIn("n1 k3s etcd-snapshot save --name expanded", self.calls())

    def test_again_changes_nothing_of_members(self):
        self.run_it("expand")
        before = self.calls()
        self.assertIn("n2 is a member already", self.run_it("expand"))
        self.assertEqual([], [call for call in self.calls()[len(before):] if "systemctl" in call])

    def test_goes_on_where_it_failed(self):
        write(self.work / "n3/broken", "")
        self.assertIn("n3: joins the cluster", self.run_it("expand", status=1))
        (self.work / "n3/broken").unlink()
        before = len(self.calls())
        self.run_it("expand")
        self.assertEqual({"n3"}, {call.split()[0] for call in self.calls()[before:] if "systemctl" in call})

    def test_dry_run_changes_nothing(self):
        before = {path: path.read_bytes() for node in NODES for path in (self.work / node).rglob("*") if path.is_file()}
        out = self.run_it("expand", "--dry-run")
        for words in ("would, on n1: SQLite becomes embedded etcd", "would, on n3: joins the cluster", "it is not shown"):
            self.assertIn(words, out)
        self.assertEqual(before, {path: path.read_bytes() for node in NODES for path in (self.work / node).rglob("*") if path.is_file()})
        self.assertEqual([], self.calls())

    def test_refusals(self):
        external = "datastore-endpoint: postgres://x\n"
        cases = {
            "uses an external datastore": ("n1/etc/rancher/k3s/config.yaml", external),
            "n2 is not ready": ("n2/not-ready", ""), "n3 has k3s v1.30.0+k3s1": ("n3/k3s", "v1.30.0+k3s1\n"),
            "n2 runs release 0.9.0": ("n2/release", "0.9.0\n"), "n3 has the host name of another": ("n3/name", "n1\n"),
            "n2 has less than 4 GiB": ("n2/free", "1000\n"),
        }
        for words, (path, content) in cases.items():
            with self.subTest(words):
                file = write(self.work / path, content)
                self.assertIn(words, self.run_it("check", status=1))
                self.run_it("expand", status=1)
                self.assertEqual([], self.calls())
                file.unlink()
        (self.work / "tcp/n1/6443").unlink()
        self.assertIn("does not reach the API server of n1", self.run_it("check", status=1))

    def test_all_problems_come_at_once(self):
        write(self.work / "n2/not-ready", "")
        write(self.work / "n3/release", "0.9.0\n")
        self.assertEqual(2, self.run_it("check", status=1).count("refused:"))

    def test_the_environment_of_k3s_counts_too(self):
        write(self.work / "n1/etc/default/k3s", "K3S_DATASTORE_ENDPOINT=mysql://user:password-of-it@db\n")
        out = self.run_it("check", status=1)
        self.assertIn("uses an external datastore", out)
        self.assertNotIn("password-of-it", out)

    def test_quorum(self):
        self.run_it("expand")
        self.run_it("quorum")
        write(self.work / "n2/sick", "")
        self.assertIn("etcd on n2 is not healthy", self.run_it("quorum", status=1))

    def test_restore(self):
        self.run_it("expand")
        self.assertIn("no /srv/none", self.run_it("restore", "--snapshot", "/srv/none", status=1))
        snapshot = self.work / "n1/var/lib/rancher/k3s/server/db/snapshots/expanded"
        write(snapshot, "a snapshot")
        before = len(self.calls())
        self.run_it("restore", "--snapshot", "/var/lib/rancher/k3s/server/db/snapshots/expanded")
        calls = self.calls()[before:]
        self.assertEqual(["n3 systemctl stop k3s.service", "n2 systemctl stop k3s.service", "n1 systemctl stop k3s.service"], calls[:3])
        self.assertIn("n1 k3s server --cluster-reset", calls[3])

    def test_command_line(self):
        for arguments in (["--nodes", "a,b"], ["--nodes", "a,b,b"], ["--nodes", "a,b,c;x"]):
            done = subprocess.run([IMAGE / "expand-ha.sh", "check", *arguments], capture_output=True, text=True)
            self.assertEqual(1, done.returncode)
            self.assertIn("error:", done.stderr)
        self.assertIn("--dry-run", subprocess.run([IMAGE / "expand-ha.sh", "--help"], capture_output=True, text=True).stdout)


if __name__ == "__main__":
    image_support.main()
