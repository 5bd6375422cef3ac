"""A mirror as the source of further sites: as a folder (stick, network disk) and behind a web server. Its releases lie in plain
blobs, which need no carrier: each is checked by the digest that the vendor signed."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from origin_world import Liar, Nginx, Vendor, tools

FULL = os.environ.get("BUNDLE_FULL") == "1"
SEED = int(os.environ.get("BUNDLE_SEED", "20260101"))
MIRROR = tools.BIN / "tools" / "mirror-sync"
ROLLBACK, MISMATCH, TRUNCATED, NOT_FOUND, USAGE, WRONG_KEY = 41, 60, 52, 3, 2, 38


def setUpModule():
    global SCRATCH, VENDOR, MIRRORS
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="bundle-plain-", dir=os.environ.get("BUNDLE_SCRATCH")))
    VENDOR = Vendor(SCRATCH, image_bytes=300_000, disk_bytes=40 << 20)
    # The mirror of a site that follows a channel: at 1.0.0, then at 1.1.0.
    MIRRORS = SCRATCH / "mirrors"
    world = World(SCRATCH / "first")
    for version in ("1.0.0", "1.1.0"):
        VENDOR.promote(version)
        VENDOR.publish(SCRATCH / "origin", VENDOR.bundle(version))
        world.sync(SCRATCH / "origin", serve=True)
        shutil.copytree(world.store, MIRRORS / version)


def tearDownModule():
    shutil.rmtree(SCRATCH, ignore_errors=True)


class World:
    """A site that mirrors."""

    def __init__(self, work):
        self.work = pathlib.Path(work)
        self.work.mkdir(exist_ok=True)
        self.store = self.work / "store"

    def command(self, address, serve=False):
        config = self.work / "mirror.yaml"
        config.write_text(json.dumps({
            "apiVersion": "bundle/v1", "kind": "Mirror", "state": str(self.work / "state"),
            "origins": [{"name": "up", "address": str(address)}],
            "stores": [{"name": "site", "path": str(self.store), "trust": str(VENDOR.pub), "serve": serve}],
            "mirrors": [{"origin": "up", "stores": ["site"], "channels": ["stable"]}]}))
        return [MIRROR, "run", "--config", config, "--quiet", "--json"]

    def sync(self, address, check=0, **more):
        (release,) = json.loads(tools.run(*self.command(address, **more), check=check).stdout)["releases"]
        return release


class Case(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.site = World(self.work)
        self.store = self.site.store

    def mirror(self, version="1.1.0"):
        """A copy that a test may spoil."""
        shutil.copytree(MIRRORS / version, self.work / "mirror", dirs_exist_ok=True)
        return self.work / "mirror"

    def take(self, place, *options, check=0, command="import", trust=None):
        result = tools.run(tools.IMPORT, command, place, "--store", self.store, "--trust", trust or VENDOR.pub, "--quiet", "--json", *options,
                           check=check)
        return json.loads(result.stdout)

    def largest(self, mirror):
        return max((mirror / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)

    def assert_same(self, *versions):
        tools.assert_clean_store(self, self.store, versions)
        direct = self.work / "direct"
        for version in versions:
            tools.import_bundle([VENDOR.bundle(version)], direct, VENDOR.pub, check=0)
        for part in ("blobs", "releases", "index.json"):
            self.assertEqual(tools.tree_digest(self.store / part), tools.tree_digest(direct / part))


class FromAFolder(Case):
    def test_blobs_and_documents_are_the_vendors(self):
        before = tools.tree_digest(MIRRORS / "1.1.0")
        plan = self.take(MIRRORS / "1.1.0", "--channel", "stable", command="plan")
        self.assertFalse(self.store.exists())
        report = self.take(MIRRORS / "1.1.0", "--channel", "stable")
        self.assertEqual((report["version"], report["bytes_read"]), ("1.1.0", plan["bytes_to_read"]))
        self.assertEqual(tools.tree_digest(MIRRORS / "1.1.0"), before)
        self.assert_same("1.1.0")

    def test_only_what_is_missing_is_read(self):
        self.take(MIRRORS / "1.0.0")  # one release: no need to name it
        plan = self.take(MIRRORS / "1.1.0", "--channel", "stable", command="plan")
        self.assertEqual(plan["bytes_to_read"], plan["bytes_new"])
        self.assertLess(plan["blobs_new"], plan["blobs_total"])
        self.take(MIRRORS / "1.1.0", "--release", "1.1.0")
        self.assert_same("1.0.0", "1.1.0")
        self.assertTrue(self.take(MIRRORS / "1.1.0", "--channel", "stable")["already_imported"])

    def test_which_release(self):
        message = self.take(MIRRORS / "1.1.0", check=USAGE)
        self.assertIn("--channel", message["hint"])
        self.take(MIRRORS / "1.1.0", "--channel", "nightly", check=NOT_FOUND)
        message = self.take(MIRRORS / "1.1.0", "--release", "9.9.9", check=72)
        self.assertIn("has no release 9.9.9", message["message"])

    def test_trust_as_with_any_carrier(self):
        _, foreign = tools.make_key(self.work)
        self.take(MIRRORS / "1.1.0", "--channel", "stable", trust=foreign, check=WRONG_KEY)
        self.assertFalse(self.store.exists())
        self.take(MIRRORS / "1.1.0", "--channel", "stable")
        self.take(MIRRORS / "1.0.0", "--channel", "stable", check=ROLLBACK)

    def test_documents_that_were_changed(self):
        for name in ("statement.json", "manifest.json", "blobs.list"):
            with self.subTest(name):
                mirror = self.mirror()
                path = mirror / "releases" / "1.1.0" / name
                path.chmod(0o644)
                path.write_text(path.read_text().replace("1", "2", 1))
                result = tools.run(tools.IMPORT, "import", mirror, "--release", "1.1.0", "--store", self.store, "--trust", VENDOR.pub, "--quiet")
                self.assertNotEqual(result.returncode, 0)
                self.assertFalse(self.store.exists(), result.stderr)

    def test_a_damaged_blob_is_named_and_the_rest_is_kept(self):
        mirror = self.mirror()
        victim = self.largest(mirror)
        good = victim.read_bytes()
        victim.chmod(0o644)
        for bad, status in ((good[:-7] + b"damaged", MISMATCH), (good + b"more", TRUNCATED), (good[:-1], TRUNCATED), (None, NOT_FOUND)):
            if bad is None:
                victim.unlink()
            else:
                victim.write_bytes(bad)
            message = self.take(mirror, "--channel", "stable", check=status)["message"]
            self.assertIn(victim.name, message)
            self.assertEqual(list((self.store / "releases").iterdir()), [])
        victim.write_bytes(good)
        report = self.take(mirror, "--channel", "stable")
        self.assertLessEqual(report["bytes_read"], 2 * len(good))  # the other blobs were here
        self.assert_same("1.1.0")

    def test_several_sources(self):
        self.take(MIRRORS / "1.0.0", str(VENDOR.bundle("1.1.0")), check=USAGE)

    def test_mirrors_in_a_row(self):
        self.assertEqual(self.site.sync(MIRRORS / "1.0.0")["state"], "synced")
        self.assertEqual(self.site.sync(MIRRORS / "1.0.0")["state"], "current")
        second = self.site.sync(MIRRORS / "1.1.0", serve=True)
        self.assertEqual((second["state"], second["version"]), ("synced", "1.1.0"))
        self.assert_same("1.0.0", "1.1.0")
        self.assertEqual(self.site.sync(MIRRORS / "1.0.0", check=ROLLBACK)["state"], "failed")

    def test_killed_at_random_moments(self):
        chance = random.Random(SEED)
        kills = 0
        while kills < (200 if FULL else 8):
            process = subprocess.Popen([str(part) for part in self.site.command(MIRRORS / "1.1.0")], stdout=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() < 0
            if (self.store / "releases" / "1.1.0").exists():
                tools.run(tools.IMPORT, "verify", "--store", self.store, "--quiet", check=0)
                if process.returncode == 0:
                    shutil.rmtree(self.store)
                    shutil.rmtree(self.work / "state", ignore_errors=True)
        self.site.sync(MIRRORS / "1.1.0")
        self.assert_same("1.1.0")


class OverHttp(Case):
    @unittest.skipUnless(Nginx.is_there(), "nginx is not installed")
    def test_a_served_mirror_is_an_origin(self):
        with Nginx(MIRRORS / "1.0.0") as server:
            self.assertEqual(self.site.sync(server.url)["state"], "synced")
            server.requests()
            self.assertEqual(self.site.sync(server.url)["state"], "current")
            ((_, path, status, _, _),) = server.requests()
            self.assertEqual((path, status), ("/channels/stable.news", 304))
        before = {path.name for path in (self.store / "blobs" / "sha256").iterdir()}
        with Nginx(MIRRORS / "1.1.0") as server:
            self.assertEqual(self.site.sync(server.url)["state"], "synced")
            asked = [path.rsplit("/", 1)[1] for _, path, _, _, _ in server.requests() if path.startswith("/blobs/")]
        self.assertEqual(before & set(asked), set())  # only what the site lacked
        self.assertEqual(len(asked), len(set(asked)))
        self.assert_same("1.0.0", "1.1.0")

    def test_cut_at_random_moments_goes_on_at_its_byte(self):
        chance = random.Random(SEED)
        cuts = 0

        def spoil(path, status, headers, body):
            nonlocal cuts
            if not path.startswith("/blobs/") or len(body) < 1000 or chance.random() < 0.3:
                return None
            cuts += 1
            headers["Content-Length"] = str(len(body))
            return status, headers, body, chance.randrange(len(body))

        with Liar(MIRRORS / "1.1.0", spoil) as server:
            runs = 0
            while cuts < (200 if FULL else 20) or not (self.store / "releases" / "1.1.0").exists():
                if (self.store / "releases" / "1.1.0").exists():
                    shutil.rmtree(self.store)
                    shutil.rmtree(self.work / "state")
                tools.run(*self.site.command(server.url))
                runs += 1
                self.assertLess(runs, 300)
        self.assert_same("1.1.0")

    def test_a_lying_mirror(self):
        total = sum(path.stat().st_size for path in (MIRRORS / "1.1.0" / "blobs" / "sha256").iterdir())
        lies = {
            "other bytes": lambda body: body[:-1] + bytes([body[-1] ^ 1]) if body else body,
            "a page": lambda body: b"<html>not here</html>",
            "an endless body": lambda body: body + bytes(1 << 20),
        }
        for name, lie in lies.items():
            with self.subTest(name):
                def spoil(path, status, headers, body, lie=lie):
                    return (status, headers, lie(body), None) if path.startswith("/blobs/") else None

                with Liar(MIRRORS / "1.1.0", spoil) as server:
                    failed = tools.run(*self.site.command(server.url))
                    self.assertNotEqual(failed.returncode, 0)
                    self.assertLess(server.sent, 8 * total)
                self.assertFalse((self.store / "releases" / "1.1.0").exists())
        self.site.sync(MIRRORS / "1.1.0")
        self.assert_same("1.1.0")

    def test_a_listing_with_names_that_lead_out(self):
        mirror = self.mirror()
        listing = json.loads((mirror / "origin.json").read_text())
        listing["releases"][0]["documents"].append("../../../etc/passwd")
        (mirror / "origin.json").write_text(json.dumps(listing, separators=(",", ":"), sort_keys=True))
        with Liar(mirror) as server:
            failed = self.site.sync(server.url, check=42)
            self.assertIn("documents", failed["message"])
            self.assertFalse(any("passwd" in path for path in server.asked))


if __name__ == "__main__":
    unittest.main()
