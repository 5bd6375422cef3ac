"""scripts/publish-release.sh: a release and its channel, both or none."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.request

from origin_world import TESTS, Vendor, tools

SCRIPT = TESTS.parent / "scripts" / "publish-release.sh"


def setUpModule():
    global SCRATCH, VENDOR
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="bundle-publish-", dir=os.environ.get("BUNDLE_SCRATCH")))
    VENDOR = Vendor(SCRATCH, image_bytes=100_000, disk_bytes=1 << 21)


def tearDownModule():
    shutil.rmtree(SCRATCH, ignore_errors=True)


class PublishRelease(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.origin, self.trust = self.work / "origin", self.work / "trust"
        # A vendor with roots, as docs/trust-model.md shows it.
        roles = [part for role in ("root", "release", "timestamp", "carrier") for part in (f"--{role}-key", VENDOR.pub)]
        tools.run(tools.MAKE, "trust", "init", self.trust, *roles, check=0)
        tools.run(tools.MAKE, "trust", "sign", self.trust, "--key", VENDOR.key, check=0)

    def run_script(self, *options, check=0, channel="stable"):
        return tools.run(SCRIPT, *options, "--channel", channel, "--to", self.origin, "--trust-dir", self.trust, "--key",
                         VENDOR.key, check=check, env={"BUNDLE_MAKE": str(tools.MAKE), "BUNDLE_IMPORT": str(tools.IMPORT), "no_proxy": "127.0.0.1"})

    def copy(self, version, **more):
        """A bundle of its own: the script puts pointers into it."""
        folder = self.work / f"bundle-{version}"
        shutil.copytree(VENDOR.bundle(version, **more), folder)
        return folder

    def state(self):
        return {name: tools.tree_digest(path) for name in ("origin", "trust") if (path := self.work / name).exists()}

    def fetched(self, channel="stable"):
        store = pathlib.Path(tempfile.mkdtemp(dir=self.work), "store")
        root = self.trust / "1.root.json"
        return json.loads(tools.run(tools.IMPORT, "import", self.origin, "--channel", channel, "--store", store, "--trust", root,
                                    "--quiet", "--json", check=0).stdout)["version"]

    def test_candidate_then_stable(self):
        bundle = self.copy("1.0.0")
        report = json.loads(self.run_script(bundle, "--json", channel="candidate").stdout)
        self.assertEqual([entry["version"] for entry in report["bundles"]], ["1.0.0"])
        releases = tools.tree_digest(self.origin / "releases")
        self.assertTrue((bundle / "1.candidate.channel.json").is_file())  # a stick brings it along
        self.run_script("--promote", "candidate")
        self.assertEqual(tools.tree_digest(self.origin / "releases"), releases)
        self.assertEqual((self.fetched(), self.fetched("candidate")), ("1.0.0", "1.0.0"))
        # Renewal: a new pointer to the same release.
        self.run_script("--promote", "stable", "--expires-days", "30")
        self.assertTrue((self.trust / "2.stable.channel.json").is_file())
        left = [path.name for path in self.trust.iterdir() if path.name.startswith(".")]
        self.assertEqual(left, [])

    def test_a_refusal_leaves_everything_as_it_was(self):
        self.run_script(self.copy("1.0.0"))
        before = self.state()
        skipping = self.copy("1.5.0", upgrade_from="1.4.x")
        bundle_before = tools.tree_digest(skipping)
        result = self.run_script(skipping, check=74)
        self.assertIn("no way to 1.5.0", result.stderr)
        self.assertEqual((self.state(), tools.tree_digest(skipping)), (before, bundle_before))
        self.run_script("--promote", "candidate", check=3)
        self.assertEqual(self.state(), before)
        self.run_script(skipping, "--strand", "nobody runs 1.0.0")
        self.assertIn("nobody runs 1.0.0", (self.origin / "history.log").read_text())

    def test_a_dry_run_changes_nothing(self):
        bundle = self.copy("1.0.0")
        before = (self.state(), tools.tree_digest(bundle))
        result = self.run_script(bundle, "--dry-run")
        self.assertIn("would be published 1.0.0", result.stdout)
        self.assertEqual((self.state(), tools.tree_digest(bundle)), before)

    def test_a_stale_base_needs_a_reason_that_is_signed(self):
        day = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - 40 * 86400))
        release = VENDOR.release("1.1.0")
        stale = release.parent / "stale.yaml"
        stale.write_text(release.read_text().replace(
            "{base: ubuntu-24.04,", f"{{base: ubuntu-24.04, basePolicy: {{built: {day}, maxAgeDays: 30}},"))
        bundle = self.work / "stale"
        tools.make_bundle(stale, bundle, VENDOR.key, "--fast", env={"SOURCE_DATE_EPOCH": str(int(time.time()) - 20 * 86400)})
        self.assertIn("--stale-base", self.run_script(bundle, check=74).stderr)
        self.run_script(bundle, "--stale-base", "the new base does not boot yet")
        pointer = json.loads((self.origin / "trust" / "1.stable.channel.json").read_text())
        self.assertEqual(pointer["stale_base_reason"], "the new base does not boot yet")
        self.assertEqual(self.fetched(), "1.1.0")

    def test_a_registry_gets_the_release_before_the_channel_moves(self):
        bundle = self.copy("1.0.0")
        (self.work / "registry").mkdir()
        tools.import_bundle([VENDOR.bundle("1.1.0")], self.work / "registry" / "store", VENDOR.pub, check=0)
        with tools.Registry(self.work / "registry" / "store", "--writable") as address:
            options = ["--registry", f"{address}/mirror", "--insecure-registry", address, "--push-store", self.work / "push"]
            before = self.state()
            self.run_script(bundle, "--registry", "127.0.0.1:9/mirror", "--insecure-registry", "127.0.0.1:9", check=80)
            self.assertEqual(self.state(), before)
            self.run_script(bundle, *options)
            digest = json.loads((bundle / "manifest.json").read_text())["images"][0]["digest"]
            name = "mirror/registry.example.com/app/web"
            with urllib.request.urlopen(f"http://{address}/v2/{name}/manifests/1.0.0") as answer:
                self.assertEqual("sha256:" + hashlib.sha256(answer.read()).hexdigest(), digest)
        self.assertEqual(self.fetched(), "1.0.0")

    def test_volumes_alone_are_enough(self):
        one, many = self.copy("1.0.0"), self.work / "many"
        tools.run(tools.MAKE, "split", self.copy("1.1.0"), "--out", many, "--volume-size", "2200KiB", check=0)
        for folder, version in ((one, "1.0.0"), (many, "1.1.0")):
            for loose in folder.iterdir():
                if not loose.name.endswith(".bundle"):
                    loose.unlink()
            self.run_script(folder)
            self.assertEqual(self.fetched(), version)

    def test_wrong_command_lines(self):
        for options in ([], ["--promote"], [VENDOR.bundle("1.0.0"), "--promote", "candidate"], ["--promote", "a", "--what", "b"]):
            self.assertIn("--help", self.run_script(*options, check=2).stderr)
        help_text = tools.run(SCRIPT, "--help", check=0).stdout
        self.assertIn("Examples:", help_text)
        self.assertNotIn("set -euo", help_text)

    def test_one_at_a_time(self):
        holder = subprocess.Popen(["flock", self.trust, "sleep", "60"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        deadline = time.monotonic() + 20
        while subprocess.run(["flock", "-n", self.trust, "true"]).returncode == 0:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertIn("another run", self.run_script("--promote", "candidate", check=8).stderr)


if __name__ == "__main__":
    unittest.main()
