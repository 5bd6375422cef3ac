"""Trust end to end, with the real tools: rotation, several signers, revocation, channels, wrong clocks, lost and stolen
keys as docs/trust-model.md says to handle them.
"""

import json
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fault"))
import bundle_parts  # noqa: E402,F401
import tools  # noqa: E402
from trust_world import CHANNEL, DAY, Site, Vendor, stamp, without  # noqa: E402

GATE_REFUSED = 74


class TrustTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-trust-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def vendor(self, **options):
        folder = self.folder / "vendor"
        folder.mkdir()
        return Vendor(folder, **options)


class Rotation(TrustTest):
    def test_a_site_pinned_at_root_1_follows_to_root_4_from_one_stick(self):
        vendor = self.vendor()
        root_1 = self.folder / "1.root.json"
        shutil.copy(vendor.root(1), root_1)
        vendor.rotate("a", "b")
        vendor.rotate("a", "b", "d", add=[("root", "d")], remove=["c"])
        vendor.rotate("a", "d", remove=["rel"])
        stick = vendor.make("1.0.0", "rel2")
        site = Site(self.folder / "site", root_1)
        site.take(stick)
        self.assertEqual(site.trust()["root"]["version"], 4)
        self.assertEqual(site.trust()["root"]["fingerprint"],
                         json.loads(vendor.run("trust", "show", vendor.trust, "--json").stdout)["fingerprint"])
        # The key that root 4 took away releases nothing any more.
        site.refuse("wrong_key", "import", vendor.make("1.0.1", "rel"))
        self.assertEqual(list(site.releases()), ["1.0.0"])

    def test_a_broken_chain_is_refused_and_the_link_is_named(self):
        vendor = self.vendor()
        root_1 = self.folder / "1.root.json"
        shutil.copy(vendor.root(1), root_1)
        for _ in range(3):
            vendor.rotate("a", "b")
        stick = vendor.make("1.0.0", "rel")
        for gap, step in ((2, "1 to 2"), (3, "2 to 3")):
            broken = without(stick, self.folder / f"gap{gap}", f"{gap}.root.json")
            answer = Site(self.folder / f"site{gap}", root_1).refuse("root_chain_broken", "import", broken)
            self.assertIn(step, answer["message"])
        # Roots alone, without a release, lead a site on as well.
        site = Site(self.folder / "site", root_1)
        self.assertEqual(site.json("trust", "update", vendor.trust)["root_after"], 4)
        self.assertEqual(site.json("trust", "update", vendor.trust)["learned"], [])

    def test_make_refuses_to_carry_what_sites_would_refuse(self):
        vendor = self.vendor()
        vendor.run("trust", "rotate", vendor.trust)
        vendor.sign_root("a")  # one of the two that are needed
        self.assertEqual(vendor.json("trust", "show", vendor.trust)["missing_previous"], 1)
        vendor.run("trust", "rotate", vendor.trust, check=2)
        with self.assertRaises(AssertionError) as failure:
            vendor.make("1.0.0", "rel")
        self.assertIn("2.root.json", str(failure.exception))

    def test_a_root_that_is_signed_is_not_changed(self):
        vendor = self.vendor()
        vendor.run("trust", "add-key", vendor.trust, "--role", "root", "--pub", vendor.pub("d"), check=2)
        vendor.run("trust", "rotate", vendor.trust)
        vendor.run("trust", "add-key", vendor.trust, "--role", "guest", "--pub", vendor.pub("d"), check=2)
        vendor.run("trust", "sign", vendor.trust, "--key", vendor.key("rel"), check=2)  # no root key
        vendor.run("trust", "remove-key", vendor.trust, "--id", vendor.key_id("clock"), check=2)  # the only one

    def test_sites_pinned_to_a_bare_key_follow_when_it_signs_root_1(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.pub("a"))
        moved = self.folder / "moved"
        vendor.run("trust", "init", moved, "--from", vendor.pub("a"), *vendor.flags("--root-key", "b"),
                   *vendor.flags("--release-key", "rel"))
        vendor.run("trust", "sign", moved, "--key", vendor.key("a"))
        self.assertEqual(site.json("trust", "update", moved)["root_after"], 1)
        self.assertIn(vendor.key_id("b"), [key["minisign_id"] for key in site.trust()["root"]["keys"]])


class SeveralSigners(TrustTest):
    def test_statement_and_root_are_signed_on_other_machines_and_merged(self):
        vendor = self.vendor(release_threshold=2)
        bundle = vendor.make("1.0.0", "rel")
        site = Site(self.folder / "site", vendor.root(1))
        site.refuse("threshold_unmet", "import", bundle)
        other = self.folder / "other-machine"
        other.mkdir()
        shutil.copy(bundle / "statement.json", other)
        vendor.run("trust", "sign", other / "statement.json", "--key", vendor.key("rel2"))
        merged = vendor.json("trust", "merge", bundle, other)["files"]
        self.assertEqual(merged, [f"statement.{vendor.key_id('rel2')}.minisig"])
        vendor.run("sign", bundle)  # into the volumes
        site.take(bundle)

        vendor.run("trust", "rotate", vendor.trust)
        copies = []
        for name in ("a", "c"):
            copies.append(self.folder / f"machine-{name}")
            copies[-1].mkdir()
            shutil.copy(vendor.root(2), copies[-1])
            vendor.run("trust", "sign", copies[-1] / "2.root.json", "--key", vendor.key(name))
        site.refuse("root_chain_broken", "trust", "update", vendor.trust)
        self.assertEqual(vendor.json("trust", "merge", vendor.trust, *copies)["files"], ["2.root.json"] * 2)
        self.assertEqual(site.json("trust", "update", vendor.trust)["root_after"], 2)

    def test_copies_that_differ_are_not_merged(self):
        vendor = self.vendor()
        bundle = vendor.make("1.0.0", "rel")
        other = self.folder / "other-machine"
        other.mkdir()
        statement = (bundle / "statement.json").read_text()
        (other / "statement.json").write_text(statement.replace("test-appliance", "toast-appliance"))
        vendor.run("trust", "sign", other / "statement.json", "--key", vendor.key("rel2"))
        vendor.run("trust", "merge", bundle, other, check=43)
        vendor.run("trust", "merge", vendor.trust, other, check=3)


class Revocation(TrustTest):
    def test_a_list_travels_with_newer_bundles_and_is_never_forgotten(self):
        vendor = self.vendor()
        bad, good = vendor.make("1.0.0", "rel"), None
        site = Site(self.folder / "site", vendor.root(1))
        site.take(bad)
        older_news = self.folder / "older"
        vendor.revoke("--id", vendor.key_id("rel2"), "--product", "test-appliance")
        shutil.copytree(vendor.trust, older_news)
        vendor.revoke("--release", bad, "--reason", "loses data")
        good = vendor.make("1.1.0", "rel")
        site.take(good)
        releases = site.releases()
        self.assertIn("loses data", releases["1.0.0"]["revoked"])
        self.assertEqual(releases["1.1.0"]["revoked"], "")
        self.assertIn("REVOKED", site.run("list").stdout)
        site.refuse("revoked", "activate", "1.0.0")
        site.refuse("revoked", "rollback", "1.0.0")
        site.refuse("revoked", "import", bad)
        # A list with a lower number changes nothing, from any medium.
        self.assertEqual(site.json("trust", "update", older_news)["learned"], [])
        self.assertEqual(site.trust()["revocations"][0]["sequence"], 2)
        site.refuse("revoked", "activate", "1.0.0")
        # Nor does another list under the same number.
        shutil.rmtree(vendor.trust)
        shutil.copytree(older_news, vendor.trust)
        vendor.revoke("--id", vendor.key_id("rel2"), "--product", "test-appliance")
        site.refuse("rollback", "trust", "update", vendor.trust)

    def test_what_a_refused_medium_reveals_is_remembered(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        site.take(vendor.make("1.0.0", "rel"))
        bad = vendor.make("1.1.0", "rel")
        clean = without(bad, self.folder / "clean", "none")
        vendor.revoke("--release", bad)
        vendor.run("trust", "carry", bad, "--trust-dir", vendor.trust)
        site.refuse("revoked", "plan", bad)
        site.refuse("revoked", "import", bad)
        site.refuse("revoked", "import", clean)
        self.assertEqual(list(site.releases()), ["1.0.0"])

    def test_a_revoked_key_no_longer_counts_for_anything(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        first = vendor.make("1.0.0", "rel")
        site.take(first)
        stolen = vendor.make("1.1.0", "rel2")
        vendor.revoke("--id", vendor.pub("rel2"), "--id", vendor.key_id("ci"), "--product", "test-appliance")
        site.json("trust", "update", vendor.trust)
        site.refuse("revoked", "import", stolen)
        site.refuse("revoked", "import", vendor.make("1.2.0", "rel"))  # carrier key
        # The thief cannot take it back with the same key.
        shutil.copytree(vendor.trust, self.folder / "thief")
        vendor.run("trust", "revoke", self.folder / "thief", "--release", stolen, "--key", vendor.key("rel2"))
        site.refuse("revoked", "trust", "update", self.folder / "thief")
        self.assertEqual(site.trust()["revocations"][0]["sequence"], 1)


class Channels(TrustTest):
    def test_a_pointer_travels_and_is_kept(self):
        vendor = self.vendor()
        bundle = vendor.make("1.0.0", "rel")
        vendor.promote(bundle)
        site = Site(self.folder / "site", vendor.root(1))
        site.take(bundle, "--channel", CHANNEL)
        channel, = site.trust()["channels"]
        self.assertEqual((channel["version"], channel["sequence"], channel["fresh"], channel["in_store"]),
                         ("1.0.0", 1, True, True))
        kept = sorted(path.name for path in (site.store / "channels" / "test-appliance").iterdir())
        self.assertEqual(kept, ["1.stable.channel." + vendor.key_id("clock") + ".minisig", "1.stable.channel.json"])
        # The next one replaces it.
        newer = vendor.make("1.1.0", "rel")
        vendor.promote(newer)
        site.take(newer, "--channel", CHANNEL)
        kept = sorted(path.name for path in (site.store / "channels" / "test-appliance").iterdir())
        self.assertEqual(kept[1], "2.stable.channel.json")
        self.assertEqual(len(kept), 2)
        # An older medium is refused by the channel, and for itself by its number.
        site.refuse("rollback", "import", bundle, "--channel", CHANNEL)
        site.refuse("not_found", "import", newer, "--channel", "candidate")

    def test_the_channel_must_stand_at_this_release_and_be_fresh(self):
        vendor = self.vendor()
        old, new = vendor.make("1.0.0", "rel"), vendor.make("1.1.0", "rel")
        vendor.promote(new)
        vendor.run("trust", "carry", old, "--trust-dir", vendor.trust)
        Site(self.folder / "other", vendor.root(1)).refuse("statement_mismatch", "import", old, "--channel", CHANNEL)
        site = Site(self.folder / "site", vendor.root(1))
        vendor.promote(old, "--expires-days", "1")
        vendor.now -= 3 * DAY
        vendor.promote(new, "--expires-days", "1")
        site.refuse("expired", "import", new, "--channel", CHANNEL)
        site.refuse("expired", "trust", "update", vendor.trust)
        # Without a channel the release stands on its own statement; old news do no harm and are not believed.
        site.take(old)
        self.assertEqual(site.trust()["channels"], [])

    def test_news_cannot_be_taken_away_one_by_one(self):
        vendor = self.vendor()
        bad = vendor.make("1.0.0", "rel")
        vendor.revoke("--release", bad)
        good = vendor.make("1.1.0", "rel")
        vendor.promote(good)
        stripped = without(good, self.folder / "stripped", "*.revocations.json", "*.revocations.*.minisig")
        Site(self.folder / "site1", vendor.root(1)).refuse("statement_mismatch", "import", stripped)
        unsigned = without(good, self.folder / "unsigned", "*.revocations.*.minisig")
        Site(self.folder / "site2", vendor.root(1)).refuse("unsigned_release", "import", unsigned)
        Site(self.folder / "site3", vendor.root(1)).take(good)

    def test_promotion_to_an_older_release_is_a_higher_sequence(self):
        vendor = self.vendor()
        old, new = vendor.make("1.0.0", "rel"), vendor.make("1.1.0", "rel")
        site = Site(self.folder / "site", vendor.root(1))
        site.take(old)
        vendor.promote(new)
        site.take(new, "--channel", CHANNEL)
        vendor.promote(old)
        self.assertEqual(site.json("trust", "update", old)["learned"], ["channel stable: 1.0.0 (sequence 2)"])
        # The deliberate step back, to what is here already; it lowers nothing.
        site.run("import", old, "--channel", CHANNEL)
        site.run("rollback", "1.0.0")
        self.assertEqual(site.trust()["highest"][0]["version"], "1.1.0")
        site.refuse("rollback", "import", vendor.make("1.0.5", "rel"))


class WrongClocks(TrustTest):
    """The vendor lives in 2017: seen from there, this machine's clock is years ahead."""

    def setUp(self):
        super().setUp()
        self.vendor_2017 = self.vendor(now=1_500_000_000)
        self.bundle = self.vendor_2017.make("1.0.0", "rel")
        self.site = Site(self.folder / "site", self.vendor_2017.root(1))

    def time_statement(self, *signers, site=None, clock=None, days=7):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        self.vendor_2017.run("trust", "time", "--site", site or self.site.trust()["site_id"], "--clock",
                             clock or stamp(int(time.time()) - 60), "--days", str(days), "--out", folder / "time.json")
        for name in signers:
            self.vendor_2017.run("trust", "sign", folder / "time.json", "--key", self.vendor_2017.key(name))
        return folder

    def test_a_clock_far_ahead_is_told_and_overridden_by_a_signed_statement(self):
        answer = self.site.refuse("expired", "import", self.bundle)
        self.assertIn(time.strftime("%Y-"), answer["message"] + answer["hint"])
        self.assertIn(self.site.trust()["site_id"], answer["hint"])
        self.site.json("trust", "update", self.time_statement("a", "b"))
        self.assertTrue(self.site.trust()["clock_corrected"])
        self.assertTrue(self.site.trust()["effective_time"].startswith("2017-07-1"))
        self.site.take(self.bundle)
        self.assertIn('"event":"trust"', (self.site.store / "audit.log").read_text())

    def test_the_statement_is_limited(self):
        site = self.site
        site.refuse("threshold_unmet", "trust", "update", self.time_statement("a"))
        site.refuse("wrong_key", "trust", "update", self.time_statement("rel", "clock"))
        site.refuse("statement_mismatch", "trust", "update", self.time_statement("a", "b", site="0" * 32))
        past = stamp(int(time.time()) - 30 * DAY)
        site.refuse("expired", "trust", "update", self.time_statement("a", "b", clock=past))
        with self.assertRaises(AssertionError):
            self.time_statement("a", "b", days=32)
        site.refuse("expired", "import", self.bundle)
        # A later statement cannot be followed by an earlier one.
        earlier = self.time_statement("a", "b")
        self.vendor_2017.now += DAY
        site.json("trust", "update", self.time_statement("a", "b"))
        site.refuse("rollback", "trust", "update", earlier)

    def test_maintenance_windows_go_by_the_corrected_time(self):
        def day(seconds):
            return time.strftime("%a", time.gmtime(seconds)).lower()

        # Three days of the week apart, whenever this runs.
        now = int(time.time())
        folder = self.folder / "another-vendor"
        folder.mkdir()
        vendor = self.vendor_2017 = Vendor(
            folder, now=next(t for t in range(1_500_000_000, 1_501_000_000, DAY) if day(t) == day(now + 3 * DAY)))
        site = self.site = Site(self.folder / "windows", vendor.root(1))
        site.json("trust", "update", self.time_statement("a", "b"))
        site.take(vendor.make("1.0.0", "rel"))
        site.take(vendor.make("1.1.0", "rel"), activate=False)

        def gate(window_day, status):
            (site.store / "site.yaml").write_text(
                "apiVersion: bundle/v1\nkind: Site\n"
                f"maintenanceWindows: [{{days: [{window_day}], from: 00:00, to: 00:00}}]\n")
            return json.loads(site.run("gate", "1.1.0", "--json", check=status).stdout)

        closed = gate(day(now), GATE_REFUSED)
        self.assertEqual([refusal["rule"] for refusal in closed["refusals"]], ["maintenance-window"])
        self.assertIn("it is 2017-07-", closed["reason"])
        self.assertIn("Wait until 2017-07-", closed["next_step"])
        self.assertIn("by the vendor's time statement it is 2017-07-", closed["notes"][-1])
        site.run("activate", "1.1.0", check=GATE_REFUSED)
        self.assertTrue(gate(day(vendor.now), 0)["allowed"])
        site.run("activate", "1.1.0")

    def test_the_correction_ends_when_a_new_root_takes_its_keys_away(self):
        vendor, site = self.vendor_2017, self.site
        site.json("trust", "update", self.time_statement("a", "b"))
        vendor.rotate("a", "c", "d", add=[("root", "d")], remove=["b"])
        site.json("trust", "update", vendor.trust)
        self.assertFalse(site.trust()["clock_corrected"])
        site.refuse("expired", "import", self.bundle)


class LostAndStolenKeys(TrustTest):
    """The table of docs/trust-model.md, "When a key is lost or stolen", row by row."""

    def test_a_lost_release_key(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        site.take(vendor.make("1.0.0", "rel"))
        still_offered = vendor.make("1.1.0", "rel")
        vendor.rotate("a", "b", add=[("release", "d")], remove=["rel"])
        vendor.run("trust", "carry", still_offered, "--trust-dir", vendor.trust)
        site.refuse("wrong_key", "import", still_offered)
        vendor.run("sign", still_offered, "--key", vendor.key("d"))  # signed again, nothing is built again
        site.take(still_offered)

    def test_a_stolen_release_key_with_fast_forward(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        site.take(vendor.make("1.0.0", "rel"))
        thief = vendor.make("8000.0.0", "rel", carry=False)
        site.take(thief, activate=False)
        site.take(vendor.make("1.1.0", "rel2"), activate=False)  # on the way there it may come in late
        self.assertEqual(site.trust()["highest"][0]["version"], "8000.0.0")
        vendor.rotate("a", "b", remove=["rel"])
        vendor.revoke("--id", vendor.key_id("rel"), "--release", thief, "--reason", "not ours", key="rel2")
        site.take(vendor.make("1.1.1", "rel2"))
        self.assertEqual(site.trust()["highest"][0]["version"], "1.1.1")
        self.assertIn("REVOKED", site.run("status").stdout)

    def test_a_stolen_timestamp_key_with_fast_forward(self):
        vendor = self.vendor()
        bundle = vendor.make("1.0.0", "rel")
        thief = self.folder / "thief"
        shutil.copytree(vendor.trust, thief)
        (thief / "9007199254740000.stable.channel.json").write_text("")  # the tool counts on from here
        vendor.run("promote", without(bundle, self.folder / "thief-bundle", "none"), "--channel", CHANNEL,
                   "--trust-dir", thief, "--key", vendor.key("clock"))
        site = Site(self.folder / "site", vendor.root(1))
        site.json("trust", "update", thief)
        self.assertEqual(site.trust()["channels"][0]["sequence"], 9007199254740001)
        vendor.promote(bundle)
        site.refuse("rollback", "trust", "update", vendor.trust)
        vendor.rotate("a", "b", add=[("timestamp", "d")], remove=["clock"])
        vendor.promote(bundle, key="d")
        site.json("trust", "update", vendor.trust)
        self.assertEqual(site.trust()["channels"][0]["sequence"], 2)
        kept = sorted(path.name for path in (site.store / "channels" / "test-appliance").iterdir())
        self.assertEqual([name for name in kept if name.endswith(".json")], ["2.stable.channel.json"])

    def test_a_lost_root_key(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        vendor.key("c").unlink()
        vendor.rotate("a", "b", add=[("root", "d")], remove=["c"])
        site.take(vendor.make("1.0.0", "rel"))
        self.assertEqual(site.trust()["root"]["version"], 2)

    def test_a_stolen_root_key_alone_does_nothing(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        thief = self.folder / "thief"
        shutil.copytree(vendor.trust, thief)
        vendor.run("trust", "rotate", thief)
        vendor.run("trust", "sign", thief, "--key", vendor.key("a"))
        site.refuse("root_chain_broken", "trust", "update", thief)
        vendor.rotate("b", "c", "d", add=[("root", "d")], remove=["a"])
        self.assertEqual(site.json("trust", "update", vendor.trust)["root_after"], 2)

    def test_root_keys_lost_down_to_the_threshold(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        site.take(vendor.make("1.0.0", "rel"))
        (self.folder / "again").mkdir()
        again = Vendor(self.folder / "again")
        site.refuse("wrong_key", "trust", "pin", again.root(1))  # by hand only: a new store, or trust/ taken away
        shutil.move(site.store / "trust", self.folder / "trust-before")
        fingerprint = again.json("trust", "show", again.trust)["fingerprint"]
        site.refuse("wrong_key", "trust", "pin", vendor.root(1), "--fingerprint", fingerprint)
        site.run("trust", "pin", again.root(1), "--fingerprint", fingerprint)
        site.take(again.make("1.1.0", "rel"))


class Show(TrustTest):
    def test_people_and_scripts_see_the_same(self):
        vendor = self.vendor()
        site = Site(self.folder / "site", vendor.root(1))
        text = site.run("trust", "show").stdout
        trust = site.trust()
        for part in (trust["root"]["fingerprint"], trust["site_id"], trust["root"]["expires"]):
            self.assertIn(part, text)
        self.assertEqual(len(trust["root"]["keys"]), 7)
        site.refuse("not_found", "trust", "update", self.folder / "nothing")
        Site(self.folder / "empty").refuse("store_invalid", "trust", "show")


if __name__ == "__main__":
    unittest.main()
