"""An origin from publication to the site: what is laid out, what sites fetch, what happens when it goes wrong."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import origin_world
from origin_world import Liar, Nginx, Vendor, tools

FULL = os.environ.get("BUNDLE_FULL") == "1"
SEED = int(os.environ.get("BUNDLE_SEED", "20260101"))
NETWORK, HTTP_STATUS, LIMIT = 80, 81, 11


def setUpModule():
    global SCRATCH, VENDOR
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="bundle-origin-", dir=os.environ.get("BUNDLE_SCRATCH")))
    VENDOR = Vendor(SCRATCH)
    VENDOR.promote("1.0.0")


def tearDownModule():
    shutil.rmtree(SCRATCH, ignore_errors=True)


def state_of(folder):
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino, tools.file_digest(path))
            for path in folder.rglob("*") if path.is_file() and path.name != ".publish.lock"}


def blobs_of(store):
    return tools.tree_digest(pathlib.Path(store) / "blobs")


class Case(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.origin, self.store = self.work / "origin", self.work / "store"
        VENDOR.start_anew(self.work / "vendor")

    def at(self, *versions):
        """An origin whose channel stands at the last of `versions`; deltas between neighbours are there."""
        for version in versions:
            VENDOR.promote(version)
            VENDOR.publish(self.origin, VENDOR.bundle(version))
        return self.origin

    def fetch(self, place, *options, check=0, store=None, trust=True):
        result = tools.run(tools.IMPORT, "import", place, "--store", store or self.store, "--quiet", "--json",
                           *(["--trust", VENDOR.pub] if trust else []), *(options or ["--channel", "stable"]), check=check)
        return json.loads(result.stdout)

    def from_stick(self, *versions):
        store = self.work / "from-stick"
        for version in versions:
            tools.import_bundle([VENDOR.bundle(version)], store, VENDOR.pub, check=0)
        return store


class Publishing(Case):
    def test_layout(self):
        self.at("1.0.0")
        listing = json.loads((self.origin / "origin.json").read_text())
        self.assertEqual(listing["channels"], ["stable"])
        (release,) = listing["releases"]
        self.assertEqual(release["statement"]["digest"], "sha256:" + tools.file_digest(VENDOR.bundle("1.0.0") / "statement.json"))
        (bundle,) = release["bundles"]
        folder = self.origin / "releases" / "1.0.0" / bundle["id"]
        for volume in bundle["volumes"]:
            self.assertEqual((folder / volume["name"]).stat().st_size, volume["size"])
        news = (self.origin / "channels" / "stable.news").read_bytes()
        self.assertEqual(news[:8], b"BNDLSIG1")
        self.assertIn(b"1.stable.channel.json", news)
        self.assertTrue((self.origin / "trust" / "1.stable.channel.json").is_file())
        # A bundle's folder there is one like any other.
        tools.import_bundle([folder], self.store, VENDOR.pub, check=0)
        tools.assert_clean_store(self, self.store, ["1.0.0"])

    def test_a_second_run_changes_no_file(self):
        self.at("1.0.0")
        before = state_of(self.origin)
        report = json.loads(VENDOR.publish(self.origin, VENDOR.bundle("1.0.0"), options=["--json"]).stdout)
        self.assertEqual(state_of(self.origin), before)
        self.assertFalse(report["bundles"][0]["is_new"] or report["channels"][0]["moved"])

    def test_volumes_of_another_size(self):
        VENDOR.promote("1.0.0")
        VENDOR.publish(self.origin, VENDOR.bundle("1.0.0"), options=["--volume-size", "2200K"])
        listing = json.loads((self.origin / "origin.json").read_text())
        self.assertGreater(len(listing["releases"][0]["bundles"][0]["volumes"]), 1)
        with Liar(self.origin) as server:
            self.fetch(server.url)
        tools.assert_clean_store(self, self.store, ["1.0.0"])

    def test_old_releases_go_and_pointed_ones_stay(self):
        VENDOR.promote("1.0.0", "candidate")
        self.at(*origin_world.VERSIONS)
        self.assertEqual(sorted(path.name for path in (self.origin / "releases").iterdir()), list(origin_world.VERSIONS))
        VENDOR.promote("1.3.0", "candidate")
        report = json.loads(VENDOR.publish(self.origin, options=["--json"]).stdout)
        self.assertEqual(report["removed"], ["1.0.0"])
        self.assertFalse((self.origin / "releases" / "1.0.0").exists())
        history = [json.loads(line) for line in (self.origin / "history.log").read_text().splitlines()]
        self.assertEqual(history[-1]["removed"], ["1.0.0"])

    def refused(self, status, *bundles, options=()):
        before = state_of(self.origin)
        result = VENDOR.publish(self.origin, *bundles, options=options, check=status)
        self.assertEqual(state_of(self.origin), before)
        return result.stderr

    def test_refusals(self):
        self.at("1.0.0")
        VENDOR.promote("1.1.0")
        self.assertIn("1.1.0", self.refused(72))  # the pointer's release is not named
        VENDOR.publish(self.origin, VENDOR.bundle("1.1.0"))
        newer = VENDOR.trust
        VENDOR.trust = self.work / "older-trust"
        VENDOR.promote("1.1.0")
        self.refused(41)  # a trust folder of yesterday
        VENDOR.trust = newer
        other = Vendor(pathlib.Path(tempfile.mkdtemp(dir=self.work)), image_bytes=100_000, disk_bytes=1 << 20)
        self.refused(38, other.bundle("1.2.0"))  # signed by somebody else
        unsigned = self.work / "unsigned"
        tools.run(tools.MAKE, "make", VENDOR.release("1.2.0"), "--out", unsigned, "--fast", "--quiet", check=0)
        self.refused(35, unsigned)
        again = self.work / "again"
        tools.make_bundle(VENDOR.release("1.1.0"), again, VENDOR.key, "--fast", env={"SOURCE_DATE_EPOCH": "1767225600"})
        self.refused(43, again)  # the same version, other content

    def test_no_site_is_stranded(self):
        self.at("1.0.0")
        VENDOR.bundle("9.0.0", upgrade_from="1.1.x")
        VENDOR.promote("9.0.0")
        message = self.refused(74, VENDOR.bundle("9.0.0"))
        self.assertIn("a site at 1.0.0 would have no way to 9.0.0", message)
        VENDOR.publish(self.origin, VENDOR.bundle("9.0.0"), options=["--strand", "nobody has 1.0.0"])
        self.assertIn("nobody has 1.0.0", (self.origin / "history.log").read_text())

    def test_a_dry_run_changes_nothing(self):
        VENDOR.promote("1.0.0")
        report = json.loads(VENDOR.publish(self.origin, VENDOR.bundle("1.0.0"), options=["--dry-run", "--json"]).stdout)
        self.assertTrue(report["dry_run"] and report["bundles"][0]["is_new"] and report["channels"][0]["moved"])
        self.assertFalse(self.origin.exists())
        self.at(*origin_world.VERSIONS[:3])
        VENDOR.promote("1.3.0")
        before = state_of(self.origin)
        result = VENDOR.publish(self.origin, VENDOR.bundle("1.3.0"), options=["--dry-run"])
        self.assertIn("would be published 1.3.0", result.stdout)
        self.assertIn("would be removed 1.0.0", result.stdout)
        self.assertEqual(state_of(self.origin), before)
        self.assertFalse((self.origin / ".publish").exists())

    def test_three_minors_stay_and_each_has_its_way(self):
        """N, N-1 and N-2: what a site at the oldest of them takes, one after the other."""
        self.at(*origin_world.VERSIONS)
        self.assertEqual(sorted(path.name for path in (self.origin / "releases").iterdir()), ["1.1.0", "1.2.0", "1.3.0"])
        self.fetch(self.origin, "--release", "1.1.0")
        tools.run(tools.IMPORT, "activate", "1.1.0", "--store", self.store, check=0)
        for version in ("1.2.0", "1.3.0"):
            self.fetch(self.origin, "--release", version, trust=False)
            tools.run(tools.IMPORT, "activate", version, "--store", self.store, check=0)
        # A release that passes a minor by would strand all of them: nothing is published.
        skipping = VENDOR.bundle("1.5.0", upgrade_from="1.4.x")
        VENDOR.promote("1.5.0")
        self.assertIn("no way to 1.5.0", self.refused(74, skipping))

    def test_a_pointer_that_names_another_version_is_refused(self):
        """A thief of the promotion key makes the pointer say something else than the statement that it names."""
        self.at("1.0.0")
        pointer = VENDOR.trust / "2.stable.channel.json"
        document = json.loads((VENDOR.trust / "1.stable.channel.json").read_text())
        document.update(sequence=2, release_version="6.6.6")
        pointer.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))
        tools.run(tools.MAKE, "trust", "sign", pointer, "--key", VENDOR.key, check=0)
        self.assertIn("by the name 6.6.6", self.refused(43))


class Promotion(Case):
    """A channel goes where another one stands: a pointer moves, nothing is built and no bundle is needed."""

    def promote(self, *options, check=0):
        return tools.run(tools.MAKE, "promote", "--trust-dir", VENDOR.trust, "--trust", VENDOR.pub, "--key", VENDOR.key,
                         "--json", *options, check=check)

    def test_candidate_becomes_stable(self):
        self.at("1.0.0")
        VENDOR.promote("1.1.0", "candidate")
        VENDOR.publish(self.origin, VENDOR.bundle("1.1.0"))
        before = tools.tree_digest(self.origin / "releases")
        self.promote("--from", "candidate", "--channel", "stable")
        report = json.loads(VENDOR.publish(self.origin, options=["--json"]).stdout)
        moved = {channel["name"]: channel["moved"] for channel in report["channels"]}
        self.assertEqual(moved, {"candidate": False, "stable": True})
        self.assertEqual(tools.tree_digest(self.origin / "releases"), before)
        self.assertEqual(self.fetch(self.origin)["version"], "1.1.0")
        history = [json.loads(line) for line in (self.origin / "history.log").read_text().splitlines()]
        self.assertEqual(history[-1]["channels"], ["stable 1.1.0 (sequence 2)"])
        # Every pointer that ever was is there, as the signed history of the channel.
        self.assertTrue((self.origin / "trust" / "1.stable.channel.json").is_file())

    def test_a_pointer_is_renewed(self):
        self.at("1.0.0")
        self.promote("--from", "stable", "--channel", "stable", "--expires-days", "30")
        VENDOR.publish(self.origin)
        old, new = (json.loads((self.origin / "trust" / f"{number}.stable.channel.json").read_text()) for number in (1, 2))
        self.assertEqual(old["statement"], new["statement"])
        self.assertGreater(new["expires"], old["expires"])

    def test_refusals(self):
        self.at("1.0.0")
        self.promote("--channel", "stable", check=2)
        self.promote(VENDOR.bundle("1.0.0"), "--from", "stable", "--channel", "candidate", check=2)
        self.promote("--from", "candidate", "--channel", "stable", check=3)
        # A pointer of the folder that the sites' key did not sign leads nowhere.
        other = Vendor(pathlib.Path(tempfile.mkdtemp(dir=self.work)), image_bytes=100_000, disk_bytes=1 << 20)
        other.promote("1.0.0", "candidate")
        for path in other.trust.iterdir():
            shutil.copy(path, VENDOR.trust)
        self.promote("--from", "candidate", "--channel", "stable", check=38)


class StaleBase(Case):
    """R18: nothing is published on a base image older than the policy, unless somebody signs why."""

    def release(self, built_days_ago, version="1.0.0"):
        day = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - built_days_ago * 86400))
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work), "in")
        release = origin_world.small_release.make_release(folder, version=version, image_bytes=50_000, disk_bytes=1 << 18)
        release.write_text(release.read_text().replace(
            "{base: ubuntu-24.04,", f"{{base: ubuntu-24.04, basePolicy: {{built: {day}, maxAgeDays: 30}},"))
        return release

    def make(self, release, *options, check=0, days_ago=0):
        out = pathlib.Path(tempfile.mkdtemp(dir=self.work), "out")
        result = tools.run(tools.MAKE, "make", release, "--out", out, "--key", VENDOR.key, "--fast", "--quiet", *options,
                           check=check, env={"SOURCE_DATE_EPOCH": str(int(time.time()) - days_ago * 86400)})
        return result.stderr if check else out

    def promote(self, bundle, *options, channel="stable", check=0):
        return tools.run(tools.MAKE, "promote", bundle, "--channel", channel, "--trust-dir", VENDOR.trust, "--key",
                         VENDOR.key, *options, check=check).stderr

    def publish(self, *bundles, check=0):
        return VENDOR.publish(self.origin, *bundles, check=check).stderr

    def history(self):
        return [json.loads(line) for line in (self.origin / "history.log").read_text().splitlines()]

    def test_make_refuses_and_a_reason_is_signed(self):
        release = self.release(40)
        message = self.make(release, check=74)
        self.assertIn("40 days ago; the policy allows 30", message)
        self.assertIn("--stale-base", message)
        bundle = self.make(release, "--stale-base", "a fix that cannot wait")
        manifest = json.loads((bundle / "manifest.json").read_text())
        self.assertEqual(manifest["os"]["basePolicy"]["staleReason"], "a fix that cannot wait")
        statement = json.loads((bundle / "statement.json").read_text())
        self.assertEqual(statement["manifest"]["digest"], "sha256:" + tools.file_digest(bundle / "manifest.json"))
        self.promote(bundle)
        self.publish(bundle)
        self.assertEqual(self.history()[-1]["stale_base"], ["a fix that cannot wait"])
        self.assertEqual(self.fetch(self.origin)["version"], "1.0.0")

    def test_the_reason_is_not_recorded_where_none_was_needed(self):
        bundle = self.make(self.release(10), "--stale-base", "to be sure")
        self.assertNotIn("staleReason", (bundle / "manifest.json").read_text())
        report = json.loads(tools.run(tools.MAKE, "inspect", bundle, "--json", check=0).stdout)
        self.assertEqual((report["base_max_age_days"], report["stale_base"]), (30, ""))

    def test_what_was_made_in_time_is_refused_later(self):
        bundle = self.make(self.release(40), days_ago=20)
        message = self.promote(bundle, check=74)
        self.assertIn("40 days ago", message)
        self.assertFalse(any(VENDOR.trust.glob("*.channel.json")) if VENDOR.trust.exists() else False)
        # Pointers that were signed at that time do not help: publication looks at today.
        tools.run(tools.MAKE, "promote", bundle, "--channel", "stable", "--trust-dir", VENDOR.trust, "--key", VENDOR.key,
                  "--expires-days", "40", check=0, env={"SOURCE_DATE_EPOCH": str(int(time.time()) - 20 * 86400)})
        self.assertIn("40 days ago", self.publish(bundle, check=74))
        self.assertFalse((self.origin / "origin.json").exists())
        self.promote(bundle, "--stale-base", "no newer base boots yet")
        # Written and signed with the pointer: it stands there for everyone to read.
        self.publish(bundle)
        pointer = json.loads((self.origin / "trust" / "2.stable.channel.json").read_text())
        self.assertEqual(pointer["stale_base_reason"], "no newer base boots yet")
        self.assertEqual(self.history()[-1]["stale_base"], ["no newer base boots yet"])

    def test_a_channel_that_stands_there_may_be_renewed_and_another_may_not_follow(self):
        bundle = self.make(self.release(40), days_ago=20)
        self.promote(bundle, "--stale-base", "for the test field", channel="candidate")
        self.publish(bundle)
        self.promote(bundle, channel="candidate")
        self.publish()
        newest = json.loads((VENDOR.trust / "2.candidate.channel.json").read_text())
        self.assertEqual(newest["stale_base_reason"], "for the test field")
        tools.run(tools.MAKE, "promote", "--from", "candidate", "--channel", "stable", "--trust-dir", VENDOR.trust, "--trust",
                  VENDOR.pub, "--key", VENDOR.key, check=0)
        self.assertIn("channel stable moves there", self.publish(check=74))
        tools.run(tools.MAKE, "promote", "--from", "candidate", "--channel", "stable", "--trust-dir", VENDOR.trust, "--trust",
                  VENDOR.pub, "--key", VENDOR.key, "--stale-base", "the test field is content", check=0)
        self.publish()
        self.assertEqual(self.fetch(self.origin)["version"], "1.0.0")


class PublishingKilled(Case):
    def test_killed_at_any_moment(self):
        self.at("1.0.0")
        VENDOR.promote("1.1.0")
        bundle = VENDOR.bundle("1.1.0")
        rng = random.Random(f"{SEED} publish")
        start = time.monotonic()
        shutil.copytree(self.origin, self.work / "undisturbed")
        VENDOR.publish(self.work / "undisturbed", bundle)
        seconds = time.monotonic() - start
        seen = set()
        for _ in range(100 if FULL else 6):
            process = subprocess.Popen(VENDOR.publish_command(self.origin, bundle), stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, seconds))
            process.send_signal(signal.SIGKILL)
            process.wait()
            store = pathlib.Path(tempfile.mkdtemp(dir=self.work), "store")
            seen.add(self.fetch(self.origin, store=store)["version"])
        VENDOR.publish(self.origin, bundle)
        self.assertLessEqual(seen, {"1.0.0", "1.1.0"})
        self.assertEqual(self.fetch(self.origin)["version"], "1.1.0")
        self.assertFalse((self.origin / ".publish").exists())


@unittest.skipUnless(Nginx.is_there(), "nginx is not installed")
class FromNginx(Case):
    def test_first_release_and_upgrade(self):
        self.at("1.0.0", "1.1.0")
        with Nginx(self.origin) as server:
            self.fetch(server.url, "--release", "1.0.0")
            server.requests()
            report = self.fetch(server.url)
            asked = server.requests()
        self.assertEqual(report["bytes_read"], sum(size for *_, size, _ in asked))
        self.assertEqual(blobs_of(self.store), blobs_of(self.from_stick("1.0.0", "1.1.0")))
        tools.assert_clean_store(self, self.store, ["1.0.0", "1.1.0"])

    def test_only_groups_that_changed_are_fetched(self):
        global VENDOR
        small, VENDOR = VENDOR, Vendor(self.work, image_bytes=64 << 20, disk_bytes=2 << 20)
        try:
            VENDOR.start_anew(self.work / "vendor")
            self.at("1.0.0", "1.1.0")
            with Nginx(self.origin) as server:
                self.fetch(server.url, "--release", "1.0.0")
                report = self.fetch(server.url)
            full = sum(path.stat().st_size for path in VENDOR.bundle("1.1.0").glob("*.bundle"))
            self.assertLess(report["bytes_read"], full / 2)
            tools.assert_clean_store(self, self.store, ["1.0.0", "1.1.0"])
        finally:
            VENDOR = small

    def test_the_delta_is_taken_where_its_base_is(self):
        self.at("1.0.0")
        VENDOR.promote("1.1.0")
        delta = VENDOR.bundle("1.1.0", base="1.0.0")
        VENDOR.publish(self.origin, VENDOR.bundle("1.1.0"), delta)
        size = sum(path.stat().st_size for path in delta.glob("*.bundle"))
        with Nginx(self.origin) as server:
            self.fetch(server.url, "--release", "1.0.0")
            server.requests()
            report = self.fetch(server.url)
            self.assertLessEqual(report["bytes_read"], size * 1.05 + 4096)  # and the listing and the news
            fresh = self.work / "fresh"
            self.fetch(server.url, store=fresh)  # without the base: the full one
        self.assertEqual(blobs_of(self.store), blobs_of(self.from_stick("1.0.0", "1.1.0")))
        tools.assert_clean_store(self, fresh, ["1.1.0"])

    def test_only_deltas_and_no_base(self):
        self.at("1.0.0")
        VENDOR.promote("1.1.0")
        VENDOR.publish(self.origin, VENDOR.bundle("1.1.0", base="1.0.0"))
        with Nginx(self.origin) as server:
            answer = self.fetch(server.url, check=61)
        self.assertIn("1.0.0", answer["message"])
        self.assertFalse(self.store.exists())

    def test_plan_tells_the_bytes(self):
        self.at("1.0.0")
        with Nginx(self.origin) as server:
            plan = json.loads(tools.run(tools.IMPORT, "plan", server.url, "--store", self.store, "--trust", VENDOR.pub, "--channel",
                                        "stable", "--json", check=0).stdout)
            self.assertFalse(self.store.exists())
            server.requests()
            report = self.fetch(server.url)
            ranges = [size for _, path, _, size, part in server.requests() if path.endswith(".bundle") and part]
        self.assertLessEqual(plan["bytes_to_read"], sum(ranges))
        self.assertLess(sum(ranges) - plan["bytes_to_read"], 400_000)  # head, tail and recipes
        self.assertGreaterEqual(plan["disk_needed"], report["bytes_written"] + plan["bytes_to_read"])

    def test_credentials_come_from_a_file(self):
        self.at("1.0.0")
        users = self.work / "users"
        users.write_text("site:{PLAIN}secret\n")
        more = f'auth_basic "origin"; auth_basic_user_file {users};'
        login = self.work / "login"
        login.write_text("site:secret\n")
        with Nginx(self.origin, more) as server:
            self.fetch(server.url, check=82)
            self.fetch(server.url, "--channel", "stable", "--origin-credentials", login)

    def test_the_rate_is_limited(self):
        self.at("1.0.0")
        with Nginx(self.origin) as server:
            start = time.monotonic()
            report = self.fetch(server.url, "--channel", "stable", "--limit-rate", "1M")
        self.assertGreater(time.monotonic() - start, report["bytes_read"] / (1 << 20) - 1)

    def test_which_release(self):
        self.at("1.0.0")
        answer = self.fetch(self.origin, "--jobs", "1", check=2)
        self.assertIn("stable", answer["hint"])
        self.fetch(self.origin, "--release", "7.0.0", check=72)
        self.fetch(self.origin, "--channel", "nightly", check=3)


class Faults(Case):
    """Whatever the server does: the store holds what it held, and the next run from a good server completes it."""

    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        VENDOR.start_anew(cls.shared / "vendor")
        cls.good = cls.shared / "origin"
        VENDOR.promote("1.0.0")
        VENDOR.publish(cls.good, VENDOR.bundle("1.0.0"))
        cls.base = cls.shared / "base"
        tools.import_bundle([VENDOR.bundle("1.0.0")], cls.base, VENDOR.pub, check=0)
        cls.yesterday = (cls.good / "channels" / "stable.news").read_bytes()
        VENDOR.promote("1.1.0")
        VENDOR.publish(cls.good, VENDOR.bundle("1.1.0"))
        cls.whole = cls.shared / "whole"
        shutil.copytree(cls.base, cls.whole)
        with Liar(cls.good) as server:
            tools.import_bundle([server.url], cls.whole, None, "--channel", "stable", check=0)
            cls.cost = server.sent

    def begin(self):
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.base, self.store)

    def check_whole(self):
        tools.assert_clean_store(self, self.store, ["1.0.0", "1.1.0"])
        self.assertEqual(blobs_of(self.store), blobs_of(self.whole))

    def lie(self, spoil, status):
        self.begin()
        with Liar(self.good, spoil) as server:
            answer = self.fetch(server.url, check=status, trust=False)
        tools.run(tools.IMPORT, "verify", "--store", self.store, "--quiet", check=0)
        self.assertEqual([path.name for path in (self.store / "releases").iterdir()], ["1.0.0"])
        with Liar(self.good) as server:
            self.fetch(server.url, trust=False)
        self.check_whole()
        return answer

    def test_wrong_bytes(self):
        def spoil(path, status, headers, body):
            if not path.endswith(".bundle") or len(body) < 100_000:
                return None
            return status, headers, body[:50_000] + bytes([body[50_000] ^ 1]) + body[50_001:], None

        self.assertIn("do not match their signed digest", self.lie(spoil, 58)["message"])

    def test_wrong_bytes_once(self):
        spoilt = []

        def spoil(path, status, headers, body):
            if spoilt or not path.endswith(".bundle") or len(body) < 100_000:
                return None
            spoilt.append(path)
            return status, headers, body[:50_000] + bytes([body[50_000] ^ 1]) + body[50_001:], None

        self.begin()
        with Liar(self.good, spoil) as server:
            self.fetch(server.url, trust=False)
        self.assertEqual(len(spoilt), 1)
        self.check_whole()

    def test_pages_in_place_of_documents(self):
        page = b"<html><body>Please log in to the hotel's network</body></html>"
        for name, status in (("origin.json", 42), ("stable.news", 51)):
            self.lie(lambda path, code, headers, body, name=name:
                     (200, {"Content-Type": "text/html"}, page, None) if path.endswith(name) else None, status)
        self.lie(lambda path, code, headers, body:
                 (200, {"Content-Type": "text/html"}, page, None) if path.endswith(".bundle") else None, HTTP_STATUS)

    def test_endless_documents(self):
        for name in ("origin.json", "stable.news"):
            self.lie(lambda path, code, headers, body, name=name:
                     (200, {}, bytes(9 << 20), None) if path.endswith(name) else None, LIMIT)

    def test_no_ranges(self):
        def spoil(path, status, headers, body):
            whole = self.good / path.lstrip("/")
            return (200, {}, whole.read_bytes(), None) if status == 206 else None

        self.assertIn("whole file", self.lie(spoil, HTTP_STATUS)["message"])

    def test_other_ranges(self):
        def spoil(path, status, headers, body):
            if status != 206:
                return None
            first, rest = headers["Content-Range"][6:].split("-", 1)
            return status, {**headers, "Content-Range": f"bytes {int(first) + 1}-{rest}"}, body, None

        self.lie(spoil, HTTP_STATUS)

    def test_redirects_without_end(self):
        self.lie(lambda path, *_: (302, {"Location": path + "x"}, b"", None), HTTP_STATUS)

    def test_yesterdays_pointer(self):
        # The site has 1.1.0's pointer; the origin shows the one before it.
        shutil.copytree(self.whole, self.store)
        before = blobs_of(self.store)
        with Liar(self.good, lambda path, *_: (200, {}, self.yesterday, None) if path.endswith(".news") else None) as server:
            self.fetch(server.url, check=41, trust=False)
        self.assertEqual(blobs_of(self.store), before)

    def test_half_published(self):
        listing = json.loads((self.good / "origin.json").read_text())
        listing["releases"] = listing["releases"][:1]
        text = json.dumps(listing, separators=(",", ":"), sort_keys=True).encode()
        answer = self.lie(lambda path, *_: (200, {}, text, None) if path.endswith("origin.json") else None, 72)
        self.assertIn("stands at a release that is not there yet", answer["message"])

    def test_missing_volume(self):
        self.lie(lambda path, *_: (404, {}, b"", None) if path.endswith(".bundle") else None, 3)

    def test_names_that_lead_out(self):
        listing = json.loads((self.good / "origin.json").read_text())
        listing["releases"][-1]["bundles"][0]["volumes"][0]["name"] = "../../../etc/passwd.bundle"
        text = json.dumps(listing, separators=(",", ":"), sort_keys=True).encode()
        self.lie(lambda path, *_: (200, {}, text, None) if path.endswith("origin.json") else None, 42)

    def test_storm(self):
        rng = random.Random(f"{SEED} storm")
        self.begin()
        with Liar(self.good, lambda path, *_: (rng.choice((429, 503)), {"Retry-After": "0"}, b"later", None)
                  if rng.random() < 0.3 else None) as server:
            self.fetch(server.url, trust=False)
        self.check_whole()

    def test_cut_at_random_moments(self):
        rng = random.Random(f"{SEED} cuts")
        cuts = 0
        while cuts < (200 if FULL else 12):
            left = [3]

            def spoil(path, status, headers, body):
                if left[0] == 0 or len(body) < 2 or rng.random() < 0.5:
                    return None
                left[0] -= 1
                return status, {**headers, "Content-Length": str(len(body))}, body, rng.randrange(len(body))

            self.begin()
            with Liar(self.good, spoil) as server:
                self.fetch(server.url, trust=False)
                self.assertLess(server.sent, self.cost * 1.2 + 400_000)  # no more than what was cut off comes again
            cuts += 3 - left[0]
            self.check_whole()

    def test_killed_at_random_moments(self):
        rng = random.Random(f"{SEED} kills")
        self.begin()
        kills = 0
        with Liar(self.good) as server:
            while kills < (200 if FULL else 10):
                process = subprocess.Popen(tools.import_command([server.url], self.store, None, "--channel", "stable"),
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                sent = server.sent
                until = sent + rng.uniform(0, self.cost)
                while server.sent < until and process.poll() is None:
                    time.sleep(0.002)
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                if process.wait() == 0:
                    self.check_whole()
                    self.begin()
            self.fetch(server.url, trust=False)
        self.check_whole()

    def test_nothing_is_fetched_twice(self):
        """Killed when some leaves are there, the next run fetches the rest, and head and recipes again."""
        self.begin()
        gate = threading.Event()
        big = []

        def spoil(path, status, headers, body):
            if path.endswith(".bundle") and len(body) > 300_000:
                big.append(len(body))
                if len(big) == 1:
                    return status, {**headers, "Content-Length": str(len(body))}, body, len(body) * 2 // 3
                gate.wait(60)
            return None

        with Liar(self.good, spoil) as server:
            process = subprocess.Popen(tools.import_command([server.url], self.store, None, "--channel", "stable", "--connections",
                                                            "1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not list((self.store / "staging").glob("*/[0-9]*")):
                time.sleep(0.01)
            time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kept = sum(path.stat().st_size for path in (self.store / "staging").glob("*/[0-9]*"))
            gate.set()
        with Liar(self.good) as server:
            self.fetch(server.url, trust=False)
            # The start of the volume comes with the head; the first time its leaves were taken from it.
            self.assertLessEqual(server.sent, self.cost - kept + 65536 + 1000)
        self.assertGreater(kept, 0)
        self.check_whole()

    def test_two_at_once(self):
        self.begin()
        with Liar(self.good, lambda *_: time.sleep(0.02)) as server:
            both = [subprocess.Popen(tools.import_command([server.url], self.store, None, "--channel", "stable"),
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
            codes = sorted(process.wait() for process in both)
        self.assertIn(codes, [[0, 0], [0, tools.EXIT_BUSY]])
        self.check_whole()


if __name__ == "__main__":
    unittest.main()
