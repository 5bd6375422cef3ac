#!/usr/bin/env python3
"""Upgrades that change k3s, with the real programs: order of commands, datastore saved first, the way back, power cuts.
The nodes are folders, and their commands a script (fake_node.sh) in the place of systemctl, ssh and k3s."""
import json
import os
import pathlib
import shutil
import tempfile
import unittest

import site_world
import tools
from fake_cluster import FakeCluster
from site_world import Site

OLD, NEW = "v1.31.6+k3s1", "v1.32.1+k3s1"
LATE, COMMAND, CORRUPT, REFUSED, NO_SPACE, KILLED = 84, 4, 71, 74, 5, -9
PRELOAD = os.environ.get("BUNDLE_KILL_AT_RENAME", "")
SCRIPT = pathlib.Path(__file__).resolve().parent / "fake_node.sh"


def tearDownModule():
    site_world.remove_scratch()


class Nodes:
    """Disks of nodes, and a cluster that shows what runs on them."""

    def __init__(self, root, site, servers=1, agents=0, etcd=False):
        self.root, self.site = pathlib.Path(root), site
        self.names = [f"server-{i + 1}" for i in range(servers)] + [f"agent-{i + 1}" for i in range(agents)]
        for name in self.names:
            disk = self.root / name
            (disk / "bin").mkdir(parents=True)
            (disk / "data/agent/images").mkdir(parents=True)
            self.write_binary(disk / "bin/k3s", OLD)
            (disk / "running").write_text(OLD + "\n")
            if name.startswith("server"):
                database = disk / "data/server/db"
                database.mkdir(parents=True)
                (disk / "data/server/token").write_text("not for anybody\n")
                if etcd:
                    (database / "etcd").mkdir()
                (database / ("etcd/data" if etcd else "state.db")).write_text(OLD + "\n")
        self.etcd = etcd

    @staticmethod
    def write_binary(path, version):
        path.write_text(site_world.K3S.format(version=version))
        path.chmod(0o755)

    def cluster(self):
        cluster = FakeCluster(store=self.site.store, nodes=self.names, version=OLD)
        for name in self.names:
            if name.startswith("agent"):
                del cluster.object("Node", name)["metadata"]["labels"]["node-role.kubernetes.io/control-plane"]
        cluster.on_request = lambda *_: self.show(cluster)
        return cluster

    def show(self, cluster):
        for name in self.names:
            running = self.root / name / "running"
            cluster.set_node(name, running.exists(), running.read_text().strip() if running.exists() else None)

    def settings(self):
        def call(verb, node, *words):
            return [str(SCRIPT), str(self.root), verb, node, *words]

        return {"node": "server-1", "binary": str(self.root / "server-1/bin/k3s"),
                "dataDirectory": str(self.root / "server-1/data"), "timeLimitSeconds": 3,
                "commands": {"start": call("start", "{node}"), "stop": call("stop", "{node}"),
                             "kill": call("kill", "{node}"), "drain": call("drain", "{node}"),
                             "uncordon": call("uncordon", "{node}"),
                             "snapshot": call("snapshot", "{node}", "{name}", "{directory}"),
                             "restore": call("restore", "{node}", "{snapshot}"),
                             "remote": call("remote", "{node}"), "copy": call("copy", "{node}", "{from}", "{to}")}}

    def log(self):
        path = self.root / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.split()[0] not in ("remote", "copy")]

    def versions(self):
        """What runs on each node; its binary must be the same."""
        found = {}
        for name in self.names:
            binary = tools.run(self.root / name / "bin/k3s", "--version", check=0).stdout.split()[2]
            running = self.root / name / "running"
            found[name] = running.read_text().strip() if running.exists() else "stopped"
            assert found[name] in (binary, "stopped"), (name, found[name], binary)
        return set(found.values())

    def database(self, node="server-1"):
        path = self.root / node / "data/server/db" / ("etcd/data" if self.etcd else "state.db")
        return path.read_text().splitlines()

    def images(self, node="server-1"):
        return {path.name for path in (self.root / node / "data/agent/images").iterdir()}


class Case(unittest.TestCase):
    def setUp(self):
        self.make()

    def make(self, **shape):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.site = Site(self.folder, "1.2.0", "1.3.0")
        self.nodes = Nodes(self.folder / "nodes", self.site, **shape)
        self.cluster = self.nodes.cluster()
        self.cluster.__enter__()
        self.addCleanup(self.cluster.__exit__, None, None, None)
        self.site.configure(self.cluster, k3s=self.nodes.settings())

    def assert_at(self, release, k3s):
        self.assertEqual(self.site.live(), release)
        self.assertEqual(self.nodes.versions(), {k3s})


class SingleNode(Case):
    def test_forward(self):
        answer = self.site.call("upgrade", "1.3.0", status=0)[1]
        self.assertEqual([step["name"] for step in answer["steps"]],
                         ["k3s-stage", "k3s-snapshot", "k3s-node server-1", "pointer", "reconcile"])
        self.assert_at("1.3.0", NEW)
        # Stopped and started for the copy of the database, then for the new binary.
        self.assertEqual(self.nodes.log(), ["stop server-1", "start server-1"] * 2)
        images = f"bundle-{NEW}-k3s-airgap-images-amd64.tar.zst"
        self.assertEqual(self.nodes.images(), {images, ".cache.json"})
        saved = self.site.store / "k3s" / self.site.journal()["id"]
        self.assertEqual((saved / "before/state.db").read_text(), OLD + "\n")
        self.assertEqual((saved / "before.token").read_text(), "not for anybody\n")
        self.assertEqual(saved.stat().st_mode & 0o077, 0)

    def test_old_snapshots_go_and_what_is_not_ours_stays(self):
        for name in ("1700000000-1.0.0-1.1.0", "1800000000-1.1.0-1.2.0", "mine", "17.tar"):
            (self.site.store / "k3s" / name).mkdir(parents=True)
        self.site.call("upgrade", "1.3.0", status=0)
        left = {path.name for path in (self.site.store / "k3s").iterdir()}
        self.assertEqual(left, {"1800000000-1.1.0-1.2.0", "mine", "17.tar", self.site.journal()["id"]})

    def test_a_disk_without_room_is_seen_before_anything_happens(self):
        database = self.nodes.root / "server-1/data/server/db/state.db"
        os.truncate(database, 1 << 42)  # a hole
        for options in (["--dry-run"], []):
            code, answer = self.site.call("upgrade", "1.3.0", *options)
            self.assertEqual((code, answer["error"]), (NO_SPACE, "no_space"))
            self.assertIn("changing k3s to v1.32.1+k3s1 needs 4096.0 GiB", answer["message"])
        self.assertEqual(self.nodes.log(), [])
        self.assertIsNone(self.site.journal())
        self.site.call("upgrade", "1.3.0", "--app-only", status=0)
        self.assert_at("1.3.0", OLD)

    def test_dry_run_shows_each_command(self):
        before = tools.tree_digest(self.nodes.root)
        answer = self.site.call("upgrade", "1.3.0", "--dry-run", status=0)[1]
        node = next(step for step in answer["steps"] if step["name"] == "k3s-node server-1")
        self.assertEqual([command.split()[2] for command in node["commands"] if str(SCRIPT) in command], ["stop", "start"])
        self.assertEqual(tools.tree_digest(self.nodes.root), before)

    def test_node_that_does_not_come_back(self):
        (self.nodes.root / f"broken-{NEW}-server-1").touch()
        code, answer = self.site.call("upgrade", "1.3.0")
        self.assertEqual((code, answer["outcome"]), (LATE, "rolled_back"))
        self.assert_at("1.2.0", OLD)
        # Nothing that the new k3s wrote is left: the saved database, and the old k3s that started with it.
        self.assertEqual(self.nodes.database(), [OLD, OLD])
        (self.nodes.root / f"broken-{NEW}-server-1").unlink()
        self.site.call("upgrade", "1.3.0", status=0)
        self.assert_at("1.3.0", NEW)

    def test_application_fails_on_the_new_k3s(self):
        self.cluster.broken.add("1.3.0")
        code, answer = self.site.call("upgrade", "1.3.0")
        self.assertEqual((code, answer["active"]), (LATE, "1.2.0"))
        self.assert_at("1.2.0", OLD)

    def test_command_that_fails(self):
        for verb in ("stop", "start"):
            with self.subTest(verb):
                (self.nodes.root / f"fail-{verb}-server-1").touch()
                code, answer = self.site.call("upgrade", "1.3.0")
                self.assertEqual(code, COMMAND, answer)
                self.assertIn("told to fail", answer["message"])
                self.assert_at("1.2.0", OLD)

    def test_altered_binary_is_refused(self):
        manifest = json.loads((self.site.store / "releases/1.3.0/manifest.json").read_text())
        digest = manifest["k8s"]["artifacts"][0]["sha256"].removeprefix("sha256:")
        blob = self.site.store / "blobs/sha256" / digest
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes().replace(b"k3s version", b"bad version"))
        code, answer = self.site.call("upgrade", "1.3.0")
        self.assertEqual(code, CORRUPT)
        self.assertEqual(self.nodes.log(), [])
        self.assert_at("1.2.0", OLD)

    def test_app_only(self):
        self.site.call("upgrade", "1.3.0", "--app-only", status=0)
        self.assert_at("1.3.0", OLD)
        self.assertEqual(self.nodes.log(), [])

    def test_site_that_changes_k3s_itself(self):
        self.site.configure(self.cluster)
        answer = self.site.call("upgrade", "1.3.0", status=0)[1]
        self.assertIn("k3s stays", " ".join(answer["notes"]))
        self.assert_at("1.3.0", OLD)

    def test_rollback_with_k3s(self):
        self.site.call("upgrade", "1.3.0", status=0)
        answer = self.site.call("rollback", "--k3s", status=0)[1]
        self.assertEqual(answer["active"], "1.2.0")
        self.assert_at("1.2.0", OLD)
        self.assertEqual(self.site.call("rollback", "--k3s")[0], REFUSED)


class HighAvailability(Case):
    def setUp(self):
        self.make(servers=3, agents=1, etcd=True)

    def test_one_node_after_the_other(self):
        self.site.call("upgrade", "1.3.0", status=0)
        self.assert_at("1.3.0", NEW)
        expected = ["snapshot server-1"]
        for node in ("server-1", "server-2", "server-3", "agent-1"):
            expected += [f"{verb} {node}" for verb in ("drain", "stop", "start", "uncordon")]
        self.assertEqual(self.nodes.log(), expected)
        for node in self.nodes.names:
            self.assertIn(f"bundle-{NEW}-k3s-airgap-images-amd64.tar.zst", self.nodes.images(node))

    def test_second_server_fails(self):
        (self.nodes.root / f"broken-{NEW}-server-2").touch()
        code, answer = self.site.call("upgrade", "1.3.0")
        self.assertEqual((code, answer["active"]), (LATE, "1.2.0"))
        self.assert_at("1.2.0", OLD)
        self.assertEqual(self.nodes.database(), [OLD, OLD])
        # The others take the datastore from the first.
        self.assertEqual(self.nodes.database("server-3"), [OLD])
        self.assertNotIn("kill agent-1", self.nodes.log())

    def test_unknown_own_name(self):
        self.site.configure(self.cluster, k3s={**self.nodes.settings(), "node": "somebody"})
        code, answer = self.site.call("upgrade", "1.3.0")
        self.assertEqual(code, 3)
        self.assertIn("no node 'somebody'", answer["message"])
        self.assert_at("1.2.0", OLD)


@unittest.skipUnless(PRELOAD, "BUNDLE_KILL_AT_RENAME is not set")
class Killed(Case):
    def test_at_each_change(self):
        """Power lost before and after each rename; the same command goes on, and release and k3s belong together."""
        full = os.environ.get("BUNDLE_FULL") == "1"
        for broken in (False, True):
            for number in range(1, 60):
                moment = f"{number}+" if number % 2 else str(number)
                if not full and number > 4 and number % 3 != broken:
                    continue
                with self.subTest(moment=moment, broken=broken):
                    self.make()
                    if broken:
                        (self.nodes.root / f"broken-{NEW}-server-1").touch()
                    process = self.site.start("upgrade", "1.3.0", env={"LD_PRELOAD": PRELOAD, "BUNDLE_TEST_RENAME": moment})
                    process.communicate()
                    if process.returncode != KILLED:
                        self.assertGreater(number, 15, "too few changes of state were seen")
                        break
                    self.assertIn(self.site.live(), ("1.2.0", "1.3.0"))
                    code, answer = self.site.call("upgrade", "1.3.0")
                    self.assertEqual(code != 0, broken, answer)
                    self.assert_at(*(("1.2.0", OLD) if broken else ("1.3.0", NEW)))
                    self.doCleanups()


if __name__ == "__main__":
    unittest.main()
