#!/usr/bin/env python3
"""The gates of a site with the real programs: what `gate` prints and how it ends, and that `activate` does the same.

    test_gate.py BUNDLE_MAKE BUNDLE_IMPORT
"""
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

MAKE, IMPORT = map(os.path.abspath, sys.argv[1:3])
REFUSED = 74

SPEC = """apiVersion: bundle/v1
kind: Release
releaseVersion: {version}
product: gates
upgradeFrom: [{upgrade_from}]
os: {{base: ubuntu-24.04}}
k8s: {{distribution: k3s, version: v1.31.6+k3s1}}
app: {{chartPath: helm/, valuesProfile: single-node}}
images: []
{more}"""
RELEASES = {
    "1.0.0": ("", ""),
    "1.1.0": ('"1.0.x"', "gates: {backup: true, maintenanceWindow: true, diskFree: 1MiB}\n"),
    "1.2.0": ('"1.1.x"', "gates: {supportWindow: 2, requiredReleases: [1.1.0]}\n"),
    "1.3.0": ('"1.2.x"', "gates: {diskFree: 8000TiB, platforms: [linux/sparc]}\n"),
}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def run(*command, status=0):
    result = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert result.returncode == status, f"{command} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
    return result


class Gate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.vendor = pathlib.Path(cls.folder.name)
        run(MAKE, "keygen", "--out", cls.vendor / "key", "--no-password")
        for version, (upgrade_from, more) in RELEASES.items():
            inputs = cls.vendor / f"in-{version}"
            (inputs / "helm").mkdir(parents=True)
            (inputs / "helm/Chart.yaml").write_text(f"apiVersion: v2\nname: chart\nversion: {version}\n")
            (inputs / "release.yaml").write_text(SPEC.format(version=version, upgrade_from=upgrade_from, more=more))
            run(MAKE, "make", inputs / "release.yaml", "--out", cls.vendor / version, "--fast",
                "--key", cls.vendor / "key.key")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.site = tempfile.TemporaryDirectory()
        self.addCleanup(self.site.cleanup)
        self.store = pathlib.Path(self.site.name) / "store"

    def take_in(self, *versions):
        for version in versions:
            run(IMPORT, "import", self.vendor / version, "--store", self.store, "--trust", self.vendor / "key.pub")

    def call(self, command, *arguments, status=0):
        return run(IMPORT, command, *arguments, "--store", self.store, status=status)

    def gate(self, *arguments, status=0):
        result = self.call("gate", *arguments, "--json", status=status)
        self.assertEqual(result.stderr, "")
        answer = json.loads(result.stdout)  # one document, also when it is a refusal
        self.assertEqual(answer["exit_status"], status)
        self.assertEqual(answer["allowed"], status == 0)
        return answer

    def rules(self, *arguments, status=REFUSED):
        return [refusal["rule"] for refusal in self.gate(*arguments, status=status)["refusals"]]

    def hook(self, name, script, mode=0o755):
        folder = self.store / "hooks"
        folder.mkdir(mode=0o755, exist_ok=True)
        folder.chmod(0o755)
        (folder / name).write_text("#!/bin/sh\n" + script)
        (folder / name).chmod(mode)

    def audit(self):
        return [json.loads(line) for line in (self.store / "audit.log").read_text().splitlines()]

    def active(self):
        return json.loads(self.call("status", "--json").stdout)["active"]

    def ready(self):
        """A site that runs 1.0.0, has 1.1.0, a window that is open and a backup hook."""
        self.take_in("1.0.0", "1.1.0")
        self.call("activate", "1.0.0")
        (self.store / "site.yaml").write_text(
            "apiVersion: bundle/v1\nkind: Site\nmaintenanceWindows: [{from: 00:00, to: 00:00}]\n")
        self.hook("50-backup", 'echo "from $BUNDLE_FROM to $BUNDLE_TO"\n')

    def test_the_whole_way(self):
        self.take_in("1.0.0", "1.1.0", "1.2.0")
        self.assertEqual(self.gate("1.0.0")["reason"], "1.0.0 is the first release of this site")
        self.call("activate", "1.0.0")
        refused = self.gate("1.2.0", status=REFUSED)
        self.assertEqual([r["rule"] for r in refused["refusals"]], ["sequential", "required-release", "upgrade-from"])
        self.assertEqual((refused["next_action"], refused["next_version"]), ("activate", "1.1.0"))
        self.assertEqual(refused["error"], "gate_refused")
        said = self.call("gate", "1.2.0", status=REFUSED).stdout
        self.assertIn("refused (sequential): 1.0.0 to 1.2.0 skips a minor version", said)
        self.assertIn("next: You run 1.0.0; activate 1.1.0 first: it is in this store.", said)
        result = self.call("activate", "1.2.0", status=REFUSED)
        self.assertIn("next: You run 1.0.0; activate 1.1.0 first: it is in this store.", result.stderr)
        self.assertEqual(self.active(), "1.0.0")

    def test_what_is_missing(self):
        self.take_in("1.0.0")
        self.call("activate", "1.0.0")
        self.take_in("1.2.0")
        self.assertEqual(self.gate("1.2.0", status=REFUSED)["next_step"],
                         "You run 1.0.0; import 1.1.0 first: missing from this store.")
        self.take_in("1.1.0")
        self.assertEqual(self.gate("1.2.0", status=REFUSED)["next_action"], "activate")

    def test_window_and_backup(self):
        self.take_in("1.0.0", "1.1.0")
        self.call("activate", "1.0.0")
        self.assertEqual(self.rules("1.1.0"), ["maintenance-window", "backup"])
        self.assertEqual(self.rules("1.1.0", "--outside-window", "security fix"), ["backup"])
        self.hook("50-backup", "echo copied > $BUNDLE_STORE/../backup\n")
        answer = self.gate("1.1.0", "--outside-window", "security fix")
        self.assertEqual(answer["hooks"][0]["state"], "not_run")
        self.assertTrue(answer["outside_window"])
        self.assertFalse((self.store.parent / "backup").exists(), "a question must not run hooks")
        self.call("activate", "1.1.0", status=REFUSED)
        self.assertFalse((self.store.parent / "backup").exists(), "a refused step must not run hooks")
        self.call("activate", "1.1.0", "--outside-window", "security fix 4711")
        self.assertEqual((self.store.parent / "backup").read_text(), "copied\n")
        preflight, activate = self.audit()[-2:]
        self.assertEqual(preflight["hooks"], [{"name": "50-backup", "state": "passed"}])
        self.assertEqual((activate["event"], activate["outside_window"]), ("activate", "security fix 4711"))
        for bad in ("", "   ", "two\nlines", "x" * 600):
            self.call("gate", "1.1.0", "--outside-window", bad, status=2)

    def test_a_window_that_is_open_needs_no_reason(self):
        self.ready()
        answer = json.loads(self.call("activate", "1.1.0", "--outside-window", "just in case", "--json").stdout)
        self.assertEqual((answer["from"], answer["to"], answer["outside_window"]), ("1.0.0", "1.1.0", False))
        self.assertEqual(answer["hooks"][0]["output"], "from 1.0.0 to 1.1.0\n")
        self.assertNotIn("outside_window", self.audit()[-1])

    def test_a_closed_window_says_when(self):
        self.ready()
        site = self.store.parent / "other-site.yaml"
        in_three_days = DAYS[(datetime.datetime.now(datetime.timezone.utc).weekday() + 3) % 7]
        site.write_text("apiVersion: bundle/v1\nkind: Site\n"
                        f"maintenanceWindows: [{{days: [{in_three_days}], from: 00:00, to: 00:01}}]\n")
        answer = self.gate("1.1.0", "--site", site, status=REFUSED)
        self.assertEqual([r["rule"] for r in answer["refusals"]], ["maintenance-window"])
        self.assertEqual(answer["next_action"], "wait")
        self.assertRegex(answer["next_step"], r"^Wait until 20\d\d-\d\d-\d\dT00:00:00Z\. To do it now all the same")
        site.write_text("apiVersion: bundle/v1\nkind: Site\nmaintenance: []\n")
        result = self.call("gate", "1.1.0", "--site", site, status=21)
        self.assertIn("other-site.yaml:3:1", result.stderr)

    def test_a_failing_hook_refuses(self):
        self.ready()
        self.hook("10-health", "echo 'etcd has no quorum' >&2; exit 3\n")
        result = self.call("activate", "1.1.0", status=REFUSED)
        self.assertIn("the preflight hook 10-health ended with status 3; it said: etcd has no quorum", result.stderr)
        self.assertEqual(self.active(), "1.0.0")
        # The backup after it was not taken.
        self.assertEqual(self.audit()[-1]["hooks"], [{"name": "10-health", "state": "failed"},
                                                     {"name": "50-backup", "state": "not_run"}])
        answer = self.gate("1.1.0", "--run-hooks", status=REFUSED)
        self.assertEqual(answer["hooks"][0]["output"], "etcd has no quorum\n")
        self.assertEqual(answer["next_action"], "fix-site")
        said = self.call("gate", "1.1.0", "--run-hooks", status=REFUSED).stdout
        self.assertIn("preflight hook 10-health: failed", said)
        self.assertIn("\n    etcd has no quorum\n", said)
        # Back is allowed while it fails.
        self.hook("10-health", "")
        self.call("activate", "1.1.0")
        self.hook("10-health", "exit 3\n")
        self.call("rollback")
        self.assertEqual(self.active(), "1.0.0")

    def test_a_hook_without_an_end(self):
        self.ready()
        with open(self.store / "site.yaml", "a") as site:
            site.write("hooks: {timeLimitSeconds: 1}\n")
        self.hook("10-health", "sleep 600\n")
        self.assertEqual(self.rules("1.1.0", "--run-hooks"), ["preflight-hook"])
        self.assertIn("did not end within 1 s", self.call("activate", "1.1.0", status=REFUSED).stderr)

    def test_hooks_that_others_could_change(self):
        self.ready()
        self.hook("50-backup", "", mode=0o777)
        result = self.call("activate", "1.1.0", status=21)
        self.assertIn("50-backup can be changed by other users", result.stderr)
        self.assertIn("chmod go-w", result.stderr)
        other = self.store.parent / "hooks"
        other.mkdir(mode=0o755)
        other.chmod(0o755)
        self.assertEqual(self.rules("1.1.0", "--hooks", other), ["backup"])
        self.call("gate", "1.1.0", "--hooks", other / "absent", status=3)

    def test_disk_and_platform(self):
        self.take_in("1.2.0", "1.3.0")
        self.call("activate", "1.2.0")
        self.assertEqual(self.rules("1.3.0"), ["platform", "disk"])
        self.call("activate", "1.3.0", status=REFUSED)

    def test_kubernetes_of_the_site(self):
        self.ready()
        self.assertEqual(self.rules("1.1.0", "--k8s-version", "v1.32.0+k3s1"), ["k8s-downgrade"])
        self.gate("1.1.0", "--k8s-version", "v1.32.0+k3s1", "--app-only")
        self.assertEqual(self.rules("1.1.0", "--k8s-version", "v1.29.9+k3s1"), ["k8s-skew"])
        self.call("gate", "1.1.0", "--k8s-version", "1.32", status=2)

    def test_incomplete_and_unknown(self):
        self.take_in("1.0.0")
        blob = max((self.store / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        blob.unlink()
        answer = self.gate("1.0.0", status=73)
        self.assertEqual((answer["error"], answer["next_action"]), ("release_incomplete", "import"))
        self.call("activate", "1.0.0", status=73)
        self.call("gate", "9.9.9", status=72)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
