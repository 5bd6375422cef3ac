"""bundle-make export: what mirror-sync has brought to a site goes on a stick to sites without a network."""

import json
import os
import pathlib
import shutil
import tempfile
import unittest

from origin_world import TESTS, tools  # noqa: F401: TESTS puts interop/ on the path
from trust_world import Vendor

MIRROR = tools.BIN / "tools" / "mirror-sync"


def status(name):
    """The exit status of an error code, by docs/errors.md."""
    rows = ([cell.strip() for cell in line.split("|")] for line in (tools.DOCS / "errors.md").read_text().splitlines())
    return next(int(row[1]) for row in rows if len(row) > 2 and row[2] == name)


def setUpModule():
    global SCRATCH, VENDOR, ORIGIN
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="bundle-export-", dir=os.environ.get("BUNDLE_SCRATCH")))
    VENDOR = Vendor(SCRATCH)
    ORIGIN = SCRATCH / "origin"
    for number, version in enumerate(("1.0.0", "1.1.0")):
        bundle = VENDOR.make(version, "rel", seed=number + 1)
        VENDOR.promote(bundle)
        VENDOR.run("publish", bundle, "--to", ORIGIN, "--trust-dir", VENDOR.trust, "--quiet")


def tearDownModule():
    shutil.rmtree(SCRATCH, ignore_errors=True)


class Export(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.site = self.work / "site"
        tools.import_bundle([VENDOR.folder / "1.0.0"], self.site, VENDOR.root(1), check=0)
        config = self.work / "mirror.yaml"
        config.write_text(json.dumps({
            "apiVersion": "bundle/v1", "kind": "Mirror", "state": str(self.work / "state"),
            "origins": [{"name": "vendor", "address": str(ORIGIN)}],
            "stores": [{"name": "site", "path": str(self.site)}],
            "mirrors": [{"origin": "vendor", "stores": ["site"], "channels": ["stable"]}]}))
        tools.run(MIRROR, "run", "--config", config, "--quiet", check=0)
        tools.assert_clean_store(self, self.site, ["1.0.0", "1.1.0"])

    def export(self, *options, out="stick", key="ci", version="1.1.0", check=0):
        signing = ["--key", VENDOR.key(key)] if key else []
        return tools.run(tools.MAKE, "export", self.site, version, "--out", self.work / out, "--fast", "--quiet", *signing, *options,
                         check=check)

    def volumes(self, out="stick"):
        return list((self.work / out).glob("*.bundle"))

    def taken_in(self, source, name, *options, check=0):
        """What an air-gapped store has of a bundle: {file: digest} of blobs and of the release's documents."""
        store = self.work / name
        tools.import_bundle([source], store, VENDOR.root(1), *options, check=check)
        tools.assert_clean_store(self, store, ["1.1.0"])
        return tools.tree_digest(store / "blobs"), tools.tree_digest(store / "releases")

    def test_the_same_release_as_from_the_vendor(self):
        before = tools.tree_digest(self.site)
        report = json.loads(self.export("--json").stdout)
        self.assertTrue(report["carrier_signed"])
        self.assertEqual(tools.tree_digest(self.site), before)
        kept = {path.name for path in (self.site / "releases" / "1.1.0").glob("*.minisig")}
        self.assertEqual(set(report["signatures"]), kept | {f"carrier.{VENDOR.key_id('ci')}.minisig"})
        # The channel's pointer and the roots travel along, as the site follows them.
        exported = self.taken_in(self.work / "stick", "gapped", "--channel", "stable")
        self.assertEqual(exported, self.taken_in(VENDOR.folder / "1.1.0", "direct"))
        tools.run(tools.MAKE, "verify", self.work / "stick", "--trust", VENDOR.root(1), "--rebuild", "--quiet", check=0)
        # Made again it is the same bundle.
        self.export(out="again")
        self.assertEqual(tools.tree_digest(self.work / "again"), tools.tree_digest(self.work / "stick"))

    def test_a_second_node_follows_the_first(self):
        """What docs/mirror.md says: the first node exports, publishes with the vendor's pointers, and the second one syncs."""
        second, origin, config = self.work / "second", self.work / "origin", self.work / "second.yaml"
        config.write_text(json.dumps({
            "apiVersion": "bundle/v1", "kind": "Mirror", "state": str(self.work / "second-state"),
            "origins": [{"name": "first", "address": str(origin)}],
            "stores": [{"name": "second", "path": str(second), "trust": str(VENDOR.root(1))}],
            "mirrors": [{"origin": "first", "stores": ["second"], "channels": ["stable"]}]}))
        for _ in range(2):  # a hook runs for each release; the same one again changes nothing
            shutil.rmtree(self.work / "stick", ignore_errors=True)
            self.export()
            tools.run(tools.MAKE, "publish", self.work / "stick", "--to", origin, "--trust-dir", self.work / "stick", "--quiet", check=0)
            tools.run(MIRROR, "run", "--config", config, "--quiet", check=0)
            tools.assert_clean_store(self, second, ["1.1.0"])
        for name in ("manifest.json", "statement.json", "blobs.list"):
            self.assertEqual((second / "releases/1.1.0" / name).read_bytes(), (self.site / "releases/1.1.0" / name).read_bytes())

    def test_as_long_as_the_vendors_own(self):
        self.export()
        own = sum(path.stat().st_size for path in (VENDOR.folder / "1.1.0").glob("*.bundle"))
        exported = sum(path.stat().st_size for path in self.volumes())
        self.assertLess(exported, 1.05 * own)

    def test_a_key_that_is_not_for_carriers(self):
        result = self.export(key="clock", check=status("wrong_key"))
        self.assertIn("may not sign carriers", result.stderr)
        self.assertFalse((self.work / "stick").exists())

    def test_unsigned_until_somebody_signs(self):
        report = json.loads(self.export("--json", key=None).stdout)
        self.assertFalse(report["carrier_signed"])
        tools.import_bundle([self.work / "stick"], self.work / "gapped", VENDOR.root(1), check=status("unsigned_release"))
        tools.run(tools.MAKE, "sign", self.work / "stick", "--key", VENDOR.key("ci"), "--quiet", check=0)
        self.taken_in(self.work / "stick", "gapped")

    def test_by_a_command_that_signs(self):
        if not shutil.which("minisign"):
            self.skipTest("minisign is not installed")
        command = f"cd {self.work} && minisign -S -l -W -s {{}} -m /dev/stdin -x signature > log 2>&1 < /dev/stdin && cat signature"
        self.export("--sign-command", command.format(VENDOR.key("ci")), key=None)
        self.taken_in(self.work / "stick", "gapped")
        result = self.export("--sign-command", command.format(VENDOR.key("clock")), key=None, out="other", check=status("wrong_key"))
        self.assertIn("the command's key", result.stderr)
        self.assertEqual(self.volumes("other"), [])

    def test_a_dry_run_writes_nothing(self):
        report = json.loads(self.export("--json", "--dry-run").stdout)
        self.assertEqual((report["version"], report["volumes"], report["dry_run"]), ("1.1.0", [], True))
        self.assertFalse((self.work / "stick").exists())

    def test_what_is_not_whole_does_not_leave(self):
        self.export(version="1.2.0", check=status("release_unknown"))
        blobs = sorted((self.site / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
        victim, content = blobs[-1], blobs[-1].read_bytes()
        victim.chmod(0o644)
        victim.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
        self.assertIn(victim.name, self.export(check=status("blob_mismatch")).stderr)
        self.assertEqual(self.volumes(), [])
        victim.unlink()
        self.assertIn(victim.name, self.export(check=status("release_incomplete")).stderr)
        self.assertEqual(self.volumes(), [])

    def test_what_is_revoked_does_not_leave(self):
        trust = self.work / "trust"
        shutil.copytree(VENDOR.trust, trust)
        tools.run(tools.MAKE, "trust", "revoke", trust, "--release", VENDOR.folder / "1.1.0", "--key", VENDOR.key("rel"), "--reason",
                  "loses data", check=0)
        tools.run(tools.IMPORT, "trust", "update", trust, "--store", self.site, check=0)
        self.assertIn("loses data", self.export(check=status("revoked")).stderr)
        self.assertFalse((self.work / "stick").exists())


if __name__ == "__main__":
    unittest.main()
