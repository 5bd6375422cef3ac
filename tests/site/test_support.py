#!/usr/bin/env python3
"""What support asks of a site and of a vendor, with the real programs: the archive without secrets, files out of a release,
what changes between two releases, rollback over a point of no return with its backup."""
import json
import pathlib
import sys
import tarfile
import tempfile
import unittest

import site_world  # puts the folders of the other helpers on the path
import tools
from fake_cluster import TOKEN, FakeCluster
from site_world import Site, vendor

sys.path.insert(0, str(site_world.TESTS / "fault"))
import bundle_parts  # noqa: E402

NOT_FOUND, UNSUPPORTED, REFUSED, CORRUPT = 3, 10, 74, 71


def tearDownModule():
    site_world.remove_scratch()


class Case(unittest.TestCase):
    versions = ("1.0.0", "1.1.0", "1.2.0")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.site = Site(self.folder, *self.versions)


class SupportBundle(Case):
    def read(self, *options):
        out = self.folder / "support.tar.gz"
        report = self.site.call("support-bundle", "--out", str(out), *options, status=0)[1]
        self.assertEqual(out.stat().st_mode & 0o777, 0o600)
        with tarfile.open(out) as archive:
            return report, {member.name.removeprefix("support/"): archive.extractfile(member).read().decode()
                            for member in archive.getmembers()}

    def test_what_is_in_it(self):
        with FakeCluster(store=self.site.store) as cluster:
            self.site.configure(cluster)
            self.site.call("upgrade", "1.1.0", status=0)
            report, parts = self.read()
        for name in ("versions.txt", "status.json", "trust.json", "audit.log", "store-audit.json", "upgrade.json", "site.yaml",
                     "cluster.txt", "notes.txt", "releases/1.1.0/manifest.json"):
            self.assertIn(name, parts)
        self.assertEqual(json.loads(parts["status.json"])["active"], "1.1.0")
        self.assertEqual(json.loads(parts["store-audit.json"])["problems"], [])
        self.assertIn("node server-1 v1.31.6+k3s1 ready", parts["cluster.txt"])
        self.assertIn("HelmRelease app", parts["cluster.txt"])
        self.assertEqual(set(report["entries"]), set(parts))

    def test_planted_secrets_stay_here(self):
        secrets = {"audit": "s3cret-in-the-audit-log", "journal": "s3cret-in-the-journal", "yaml": "s3cret-in-site-yaml",
                   "k3s": "s3cret-of-k3s-0123456789", "hook": "s3cret-in-a-hook", "backup": "s3cret-in-a-backup",
                   "client": "s3cret-client-key"}
        with FakeCluster(store=self.site.store) as cluster:
            data = self.folder / "data"
            (data / "server").mkdir(parents=True)
            (data / "server/token").write_text(f"K10{'a' * 64}::server:{secrets['k3s']}\n")
            self.site.configure(cluster, k3s={"dataDirectory": str(data),
                                              "commands": {"copy": ["scp", f"--password={secrets['yaml']}"]}})
            self.site.hook("hooks", "50-backup", f"echo {secrets['backup']} > \"$BUNDLE_BACKUP/data\" # {secrets['hook']}\n")
            self.site.call("upgrade", "1.1.0", status=0)
            cluster.object("HelmRelease", "app")["status"]["conditions"] = [
                {"type": "Ready", "status": "False", "reason": "Failed", "message": f"login with token {TOKEN}, k3s {secrets['k3s']}"}]
            with open(self.site.store / "audit.log", "a") as log:
                log.write(json.dumps({"event": "import", "url": f"https://user:{secrets['audit']}@origin.example.com/"}) + "\n")
            journal = self.site.journal()
            journal["reason"] = f"Authorization: Bearer {secrets['journal']}"
            (self.site.store / "upgrade.json").write_text(json.dumps(journal))
            report, parts = self.read()
        text = "\n".join(parts.values())
        for where, secret in [*secrets.items(), ("kubeconfig", TOKEN)]:
            self.assertNotIn(secret, text, f"the secret of {where}")
        self.assertGreaterEqual(report["removed"], 5)
        self.assertIn("origin.example.com", text)  # the rest is there

    def test_parts_that_cannot_be_had_are_told(self):
        self.site.configure(None, settings={"kubeconfig": str(self.folder / "missing")})
        report, parts = self.read("--no-audit", "--unit", "no-such-unit.service")
        self.assertIn("cluster.txt", " ".join(report["notes"]))
        self.assertNotIn("store-audit.json", parts)
        self.assertIn("cluster.txt", parts["notes.txt"])


class Extract(Case):
    def test_verified_file_with_its_mode(self):
        out = self.folder / "k3s"
        report = self.site.call("extract", "k3s", "--out", str(out), status=0)[1]
        self.assertEqual((report["release"], report["sha256"]), ("1.0.0", tools.file_digest(out)))
        self.assertEqual(out.stat().st_mode & 0o777, 0o755)
        self.assertEqual(tools.run(out, check=0).stdout, "k3s version v1.31.6+k3s1 (test)\n")
        self.assertEqual(self.site.call("extract", "nothing", "--out", str(out))[0], NOT_FOUND)

    def test_altered_blob_is_refused(self):
        manifest = json.loads((self.site.store / "releases/1.0.0/manifest.json").read_text())
        blob = self.site.store / "blobs/sha256" / manifest["k8s"]["artifacts"][0]["sha256"].removeprefix("sha256:")
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes().replace(b"v1.31", b"v9.99"))
        out = self.folder / "k3s"
        out.write_text("as before")
        self.assertEqual(self.site.call("extract", "k3s", "--out", str(out))[0], CORRUPT)
        self.assertEqual(out.read_text(), "as before")


class Changes(Case):
    def test_diff_of_two_bundles(self):
        old, new = vendor().bundle("1.2.0"), vendor().bundle("1.3.0")
        diff = json.loads(tools.run(tools.MAKE, "diff", old, new, "--json", check=0).stdout)
        self.assertEqual((diff["from"], diff["to"]), ("1.2.0", "1.3.0"))
        found = {(change["kind"], change["name"]): change["change"] for change in diff["changes"]}
        self.assertEqual(found["k3s", "k3s"], "changed")
        self.assertEqual(found["gate", "backup"], "removed")
        self.assertEqual(found["chart", "app"], "changed")
        text = tools.run(tools.MAKE, "diff", old, new, check=0).stdout
        self.assertIn("k3s k3s: v1.31.6+k3s1 becomes v1.32.1+k3s1", text)
        self.assertIn("nothing changes", tools.run(tools.MAKE, "diff", old, old, check=0).stdout)

    def test_plan_says_what_changes_from_the_live_release(self):
        store = self.folder / "other"
        tools.import_bundle([vendor().bundle("1.2.0")], store, vendor().pub, check=0)
        tools.run(tools.IMPORT, "activate", "1.2.0", "--store", store, check=0)
        plan = json.loads(tools.run(tools.IMPORT, "plan", vendor().bundle("1.3.0"), "--store", store, "--json", check=0).stdout)
        self.assertEqual(plan["compared_with"], "1.2.0")
        self.assertIn("k3s k3s: v1.31.6+k3s1 becomes v1.32.1+k3s1", [change["text"] for change in plan["changes"]])
        text = tools.run(tools.IMPORT, "plan", vendor().bundle("1.3.0"), "--store", store, check=0).stdout
        self.assertIn("what changes from 1.2.0", text)


class SiteValues(Case):
    """The site's own values against the schema of the next chart, in which `replicas` is a number."""

    def test_in_the_cluster(self):
        with FakeCluster(store=self.site.store) as cluster:
            self.site.configure(cluster)
            cluster.values = "replicas: three\nextra: {deep: 1}\n"
            code, answer = self.site.call("gate", "1.1.0")
            self.assertEqual((code, [refusal["rule"] for refusal in answer["refusals"]]), (REFUSED, ["site-values"]))
            self.assertIn("/replicas", answer["reason"])
            self.assertEqual(self.site.call("upgrade", "1.1.0")[0], REFUSED)
            self.assertEqual(self.site.live(), "1.0.0")
            cluster.values = "replicas: 3\nextra: {deep: 1}\n"
            notes = self.site.call("gate", "1.1.0", status=0)[1]["notes"]
            self.assertTrue(any("/extra" in note for note in notes), notes)
            self.site.call("upgrade", "1.1.0", status=0)

    def test_in_the_store(self):
        for text, allowed in (("replicas: 2\n", True), ("replicas: [1]\n", False), ("- 1\n", False), ("a: [", False)):
            (self.site.store / "values.yaml").write_text(text)
            self.assertEqual(self.site.call("gate", "1.1.0")[0], 0 if allowed else REFUSED, text)


class NewerTools(Case):
    """A release in a form that these tools do not know brings the tools that do."""

    PACKAGE = "bundle-tools_9.0_amd64.deb"

    def make(self, files, key=None):
        inputs, out = self.folder / "in", self.folder / "new"
        (inputs / "helm").mkdir(parents=True)
        (inputs / "helm/Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 1.1.1\n")
        for name in files:
            (inputs / name).write_bytes(b"a package, " * 1000)
        spec = site_world.SPEC.format(version="1.1.1", upgrade_from='"1.0.x"', k3s="v1.31.6+k3s1", more="")
        spec = spec[:spec.index("  artifacts:")] + spec[spec.index("app:"):]
        listed = ", ".join(f"{{name: {name}, path: {name}}}" for name in files)
        (inputs / "release.yaml").write_text(spec + f"files: [{listed}]\n")
        tools.make_bundle(inputs / "release.yaml", out, vendor().key, "--fast")
        bundle = bundle_parts.Bundle(out)
        manifest = bundle.document("manifest.json")
        manifest.update(minimumReader=99, somethingNew={"of": "the future"})
        bundle.set_document("manifest.json", manifest)
        bundle.head["manifest.json"] += b"\n"
        bundle.settle()
        bundle.sign(key or vendor().key)
        return bundle

    def test_are_verified_and_staged(self):
        bundle = self.make([self.PACKAGE, "other.deb"])
        plan = tools.run(tools.IMPORT, "plan", bundle.folder, "--store", self.site.store, "--json", check=UNSUPPORTED)
        self.assertIn("an import puts the newer tools", json.loads(plan.stdout)["hint"])
        self.assertFalse((self.site.store / "tools").exists())
        result = tools.run(tools.IMPORT, "import", bundle.folder, "--store", self.site.store, "--json", "--quiet", check=UNSUPPORTED)
        answer = json.loads(result.stdout)
        self.assertIn("needs a reader of version 99", answer["message"])
        self.assertIn("dpkg -i", answer["hint"])
        staged = self.site.store / "tools/1.1.1"
        self.assertEqual([path.name for path in staged.iterdir()], [self.PACKAGE])
        self.assertEqual(tools.file_digest(staged / self.PACKAGE), tools.file_digest(self.folder / "in" / self.PACKAGE))
        self.assertEqual(self.site.live(), "1.0.0")

    def test_of_somebody_else_are_not(self):
        tools.run(tools.MAKE, "keygen", "--out", self.folder / "other", "--no-password", check=0)
        bundle = self.make([self.PACKAGE], self.folder / "other.key")
        tools.run(tools.IMPORT, "import", bundle.folder, "--store", self.site.store, check=38)
        self.assertFalse((self.site.store / "tools").exists())

    def test_release_without_them_says_so(self):
        bundle = self.make(["other.deb"])
        result = tools.run(tools.IMPORT, "import", bundle.folder, "--store", self.site.store, "--json", check=UNSUPPORTED)
        self.assertIn("brings no newer tools", json.loads(result.stdout)["hint"])


class NoReturn(Case):
    """1.2.0 demands a backup, and releases before it cannot read its data."""

    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"
        self.data.write_text("of 1.1.0")
        self.site.hook("hooks", "50-backup.sh", f"cp {self.data} \"$BUNDLE_BACKUP/data\"\n")
        self.site.call("upgrade", "1.1.0", status=0)
        self.site.call("upgrade", "1.2.0", status=0)
        self.data.write_text("of 1.2.0")

    def test_refused_without_the_backup(self):
        code, answer = self.site.call("rollback", "1.1.0")
        self.assertEqual(code, REFUSED)
        self.assertIn("1.2.0 has changed the data", answer["message"])
        self.assertIn("--restore", answer["hint"])
        self.assertEqual(self.site.live(), "1.2.0")

    def test_goes_with_the_backup(self):
        self.assertEqual(self.site.call("rollback", "1.1.0", "--restore", "latest")[0], NOT_FOUND)  # no restore hook yet
        self.assertEqual(self.site.live(), "1.2.0")
        self.site.hook("restore-hooks", "50-data", f"cp \"$BUNDLE_BACKUP/data\" {self.data}\n")
        answer = self.site.call("rollback", "1.1.0", "--restore", "latest", status=0)[1]
        self.assertEqual([step["name"] for step in answer["steps"]], ["restore", "pointer"])
        self.assertEqual((self.site.live(), self.data.read_text()), ("1.1.0", "of 1.1.0"))
        self.assertEqual(len(self.site.audit("restore")), 1)

    def test_backup_of_another_release_does_not_fit(self):
        backups = self.site.call("status", status=0)[1]["backups"]
        self.assertEqual([name.split("-", 1)[1] for name in backups], ["1.0.0", "1.1.0"])
        code, answer = self.site.call("rollback", "1.1.0", "--restore", backups[0])
        self.assertEqual(code, REFUSED)
        self.assertIn("taken of release 1.0.0", answer["message"])

    def test_hook_that_fails_leaves_everything(self):
        self.site.hook("restore-hooks", "50-data", "echo cannot; exit 1\n")
        code, answer = self.site.call("rollback", "1.1.0", "--restore", "latest")
        self.assertEqual((code, answer["active"]), (REFUSED, "1.2.0"))
        self.assertIn("cannot", answer["message"])

    def test_upgrade_past_it_does_not_go_back_by_itself(self):
        (self.folder / "second").mkdir()
        site = Site(self.folder / "second", "1.1.0", "1.2.0")
        site.hook("hooks", "50-backup.sh", f"cp {self.data} \"$BUNDLE_BACKUP/data\"\n")
        with FakeCluster(store=site.store) as cluster:
            site.configure(cluster)
            cluster.broken.add("1.2.0")
            code, answer = site.call("upgrade", "1.2.0")
        self.assertEqual((code, answer["outcome"], answer["active"]), (84, "failed", "1.2.0"))
        self.assertIn("The live release is 1.2.0", answer["message"])


if __name__ == "__main__":
    unittest.main()
