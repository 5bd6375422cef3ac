#!/usr/bin/env python3
"""scripts/site/bootstrap-site.sh and upgrade-site.sh as an operator calls them: first installation, a source that comes late,
a damaged release, the same command twice, the next release."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

import site_world
import tools
from fake_cluster import FakeCluster
from site_world import vendor
from test_k3s import Nodes

SCRIPTS = site_world.TESTS.parent / "scripts/site"
PACK_CORRUPT, REFUSED = 58, 74


def tearDownModule():
    site_world.remove_scratch()


class NewSite:
    def __init__(self, folder):
        self.store = folder / "store"


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.store = self.folder / "store"
        self.nodes = Nodes(self.folder / "nodes", NewSite(self.folder))
        # A machine without k3s.
        disk = self.nodes.root / "server-1"
        (disk / "bin/k3s").unlink()
        (disk / "running").unlink()
        shutil.rmtree(disk / "data")
        self.cluster = self.nodes.cluster()
        self.cluster.__enter__()
        self.addCleanup(self.cluster.__exit__, None, None, None)
        self.cluster.write_kubeconfig(self.folder / "kubeconfig")
        (self.folder / "site.yaml").write_text(json.dumps({
            "apiVersion": "bundle/v1", "kind": "Site", "k3s": self.nodes.settings(),
            "cluster": {"kubeconfig": str(self.folder / "kubeconfig"), "timeLimitSeconds": 5, "pollSeconds": 1}}))
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        (self.programs / "bundle-import").symlink_to(tools.IMPORT)

    def script(self, name, *arguments):
        path = f"{self.programs}:{os.environ['PATH']}"
        return subprocess.run([SCRIPTS / name, *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "PATH": path}, timeout=300)

    def bootstrap(self, source, *more, status=0):
        result = self.script("bootstrap-site.sh", "--source", source, "--trust", vendor().pub, "--store", self.store,
                             "--site", self.folder / "site.yaml", "--endpoint", "https://registry.example.com:5000",
                             "--tls", self.folder / "tls", "--registry-unit", "", "--k3s-config", self.folder / "etc/k3s",
                             "--manifests", self.folder / "manifests", "--delay", "1", *more)
        self.assertEqual(result.returncode, status, result.stdout)
        return result.stdout


class Bootstrap(Case):
    def test_from_nothing_and_again(self):
        self.bootstrap(vendor().bundle("1.0.0"))
        self.assertEqual((self.store / "active").read_text(), "1.0.0\n")
        self.assertEqual(self.nodes.versions(), {"v1.31.6+k3s1"})
        self.assertEqual(self.nodes.log(), ["start server-1"])
        self.assertIn("registry.example.com:5000", (self.folder / "etc/k3s/registries.yaml").read_text())
        self.assertTrue((self.folder / "etc/k3s/bundle-registry-ca.crt").exists())
        before = tools.tree_digest(self.folder / "etc")
        text = self.bootstrap(vendor().bundle("1.0.0"))
        self.assertEqual(tools.tree_digest(self.folder / "etc"), before)
        self.assertNotIn("wrote", text)
        self.assertEqual(self.nodes.log(), ["start server-1"])

    def test_flux_gets_its_seed(self):
        site_world.RELEASES["1.0.1"] = ("", "v1.31.6+k3s1", "flux: {path: flux/}\n")
        flux = vendor().folder / "in-1.0.1/flux/profiles/single-node"
        flux.mkdir(parents=True)
        (flux / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [namespace.yaml]\n")
        (flux / "namespace.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: app}\n")
        site = json.loads((self.folder / "site.yaml").read_text())
        site["source"] = {"url": "https://registry.example.com:5000", "ca": True, "verify": False}
        (self.folder / "site.yaml").write_text(json.dumps(site))
        self.bootstrap(vendor().bundle("1.0.1"))
        planted = "".join(path.read_text() for path in sorted((self.folder / "manifests").glob("*.yaml")))
        self.assertIn("kind: OCIRepository", planted)
        self.assertIn("oci://registry.example.com:5000/site/flux", planted)
        self.assertNotIn("wrote", self.bootstrap(vendor().bundle("1.0.1")))

    def test_source_that_comes_late(self):
        medium = self.folder / "medium"
        threading.Timer(2.5, lambda: shutil.copytree(vendor().bundle("1.0.0"), medium)).start()
        text = self.bootstrap(medium, "--attempts", "60")
        self.assertIn("attempt 1 failed", text)
        self.assertEqual((self.store / "active").read_text(), "1.0.0\n")

    def test_source_that_never_comes(self):
        text = self.bootstrap("http://127.0.0.1:9/app", "--channel", "stable", "--attempts", "2", status=80)
        self.assertIn("gave up after 2 attempts", text)
        self.assertFalse(self.store.exists())
        self.assertEqual(self.nodes.log(), [])

    def test_damaged_release_is_refused_at_once(self):
        medium = self.folder / "medium"
        shutil.copytree(vendor().bundle("1.0.0"), medium)
        volume = next(medium.glob("*.bundle"))
        content = bytearray(volume.read_bytes())
        for at in range(len(content) // 2, len(content) // 2 + 64):
            content[at] ^= 1
        volume.write_bytes(content)
        text = self.bootstrap(medium, status=self.damage_status(medium))
        self.assertNotIn("attempt 1", text)
        self.assertFalse((self.store / "active").exists())
        self.assertFalse((self.folder / "etc").exists())
        self.assertEqual(self.nodes.log(), [])

    def damage_status(self, medium):
        """The status that the importer itself ends with: where the bits lie depends on the bundle."""
        status = tools.import_bundle([medium], self.folder / "trial", vendor().pub).returncode
        self.assertGreaterEqual(status, 36)
        return status

    def test_release_of_somebody_else_is_refused(self):
        tools.run(tools.MAKE, "keygen", "--out", self.folder / "other", "--no-password", check=0)
        result = self.script("bootstrap-site.sh", "--source", vendor().bundle("1.0.0"), "--trust", self.folder / "other.pub",
                             "--store", self.store, "--endpoint", "https://registry.example.com:5000", "--registry-unit", "")
        self.assertEqual(result.returncode, 38, result.stdout)

    def test_other_release_is_left_to_upgrade(self):
        self.bootstrap(vendor().bundle("1.0.0"))
        self.assertIn("upgrade-site.sh 1.1.0", self.bootstrap(vendor().bundle("1.1.0"), status=REFUSED))


class Upgrade(Case):
    def test_from_a_stick(self):
        self.bootstrap(vendor().bundle("1.0.0"))
        result = self.script("upgrade-site.sh", "--store", self.store, "--source", vendor().bundle("1.1.0"), "1.1.0")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("planned", result.stdout)
        self.assertIn("active: 1.1.0 (was 1.0.0)", result.stdout)
        result = self.script("upgrade-site.sh", "--store", self.store, "status")
        self.assertIn("active: 1.1.0", result.stdout)
        result = self.script("upgrade-site.sh", "--store", self.store, "rollback")
        self.assertIn("active: 1.0.0 (was 1.1.0)", result.stdout)

    def test_refused(self):
        self.bootstrap(vendor().bundle("1.0.0"))
        result = self.script("upgrade-site.sh", "--store", self.store, "9.9.9")
        self.assertEqual(result.returncode, 72, result.stdout)
        self.assertEqual(self.script("upgrade-site.sh").returncode, 2)


if __name__ == "__main__":
    unittest.main()
