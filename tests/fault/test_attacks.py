"""Attacks on a medium, each made from a valid release, each refused with its own error; docs/threat-model.md,
"On a medium", is this table. The site keeps what it had, the medium is not touched.
"""

import json
import os
import pathlib
import re
import shutil
import struct
import sys
import tempfile
import time
import unittest

import bundle_parts
from bundle_parts import Bundle, tools

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
from trust_world import CHANNEL, DAY, Site, Vendor, without  # noqa: E402

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"
TABLE = []


def attack(name, error, *options):
    """Registers make(world, folder), which turns a copy of the good bundle in `folder` into the attack."""
    def register(make):
        TABLE.append((name, error, options, make))
        return make
    return register


class World:
    """A vendor with two releases and news; a site that runs the first and has heard of nothing else."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "vendor").mkdir()
        self.vendor = Vendor(self.folder / "vendor")
        self.root_1 = self.folder / "1.root.json"
        shutil.copy(self.vendor.root(1), self.root_1)
        self.oldest = self.vendor.make("0.9.0", "rel", seed=3)
        self.old = self.vendor.make("1.0.0", "rel", seed=2)
        self.vendor.revoke("--release", self.oldest, "--reason", "loses data")
        self.vendor.rotate("a", "b")
        self.vendor.rotate("a", "b")
        self.good = self.vendor.make("1.1.0", "rel")
        self.vendor.promote(self.good)
        self.site = Site(self.folder / "site", self.root_1)
        self.site.take(self.old)

    def copy_trust(self, folder):
        """The trust folder as a thief or an odd vendor changes it."""
        copy = pathlib.Path(str(folder) + "-trust")
        shutil.copytree(self.vendor.trust, copy)
        return copy

    def use(self, folder, trust):
        """Replaces the news on a medium."""
        bundle = Bundle(folder)
        for name in [name for name in bundle.tail if "channel" in name or "revocations" in name]:
            del bundle.tail[name]
            (folder / name).unlink(missing_ok=True)
        for path in trust.iterdir():
            bundle.tail[path.name] = path.read_bytes()
        bundle.write()

    def sign(self, bundle):
        """Statement and carrier signed anew: what a vendor's broken tool could do."""
        bundle.settle()
        for name in [name for name in bundle.tail if re.match(r"(statement|carrier)\..*minisig", name)]:
            del bundle.tail[name]
            (bundle.folder / name).unlink(missing_ok=True)
        bundle.write()
        for name in ("rel", "ci"):
            self.vendor.run("sign", bundle.folder, "--key", self.vendor.key(name), "--quiet")


def swap_volume(folder, other):
    shutil.copy(next(other.glob("*.bundle")), next(folder.glob("*.bundle")))


@attack("swapped chunks", "pack_corrupt")
def swapped_chunks(world, folder):
    bundle = Bundle(folder)
    data = bytearray(bundle.volume.read_bytes())
    at, size = bundle.data_offset, 4096
    data[at:at + size], data[at + size:at + 2 * size] = data[at + size:at + 2 * size], data[at:at + size]
    bundle.volume.write_bytes(data)


@attack("chunk of another release", "pack_corrupt")
def chunk_of_another_release(world, folder):
    bundle, other = Bundle(folder), Bundle(world.old)
    data, foreign = bytearray(bundle.volume.read_bytes()), other.volume.read_bytes()
    data[bundle.data_offset:bundle.data_offset + 4096] = foreign[other.data_offset:other.data_offset + 4096]
    bundle.volume.write_bytes(data)


def mix(name, error, document):
    def make(world, folder):
        bundle = Bundle(folder)
        bundle.head[document] = Bundle(world.old).head[document]
        bundle.write()
    attack(name, error)(make)


mix("mix and match: index of another release", "index_corrupt", "index")
mix("mix and match: manifest of another release", "manifest_mismatch", "manifest.json")
mix("mix and match: blob list of another release", "statement_mismatch", "blobs.list")


@attack("mix and match: statement of another release", "statement_mismatch")
def statement_of_another_release(world, folder):
    bundle, other = Bundle(folder), Bundle(world.old)
    bundle.head["statement.json"] = other.head["statement.json"]
    for name in [name for name in bundle.tail if name.startswith("statement.")]:
        bundle.tail[name] = other.tail[name]
    bundle.write()


@attack("mix and match: volumes of two releases", "volume_foreign")
def volumes_of_two_releases(world, folder):
    shutil.copy(next(world.old.glob("*.bundle")), folder)


@attack("signature of another release", "signature_invalid")
def signature_of_another_release(world, folder):
    bundle, other = Bundle(folder), Bundle(world.old)
    for name in [name for name in bundle.tail if name.startswith("statement.")]:
        bundle.tail[name] = other.tail[name]
    bundle.write()


@attack("rollback: older bundle", "rollback")
def older_bundle(world, folder):
    shutil.rmtree(folder)
    shutil.copytree(without(world.oldest, str(folder) + "-plain", "*.revocations*"), folder)


@attack("freeze: channel pointer past its date", "expired", "--channel", CHANNEL)
def pointer_past_its_date(world, folder):
    trust = world.copy_trust(folder)
    past = time.time() - 30 * DAY
    tools.run(tools.MAKE, "promote", world.old, "--channel", CHANNEL, "--trust-dir", trust, "--key",
              world.vendor.key("clock"), "--expires-days", "1", check=0, env={"SOURCE_DATE_EPOCH": str(int(past))})
    world.use(folder, trust)


@attack("channel pointer of another release", "statement_mismatch", "--channel", CHANNEL)
def pointer_of_another_release(world, folder):
    trust, copy = world.copy_trust(folder), without(world.old, str(folder) + "-old", "none")
    world.vendor.run("promote", copy, "--channel", CHANNEL, "--trust-dir", trust, "--key", world.vendor.key("clock"))
    world.use(folder, trust)


@attack("channel pointer taken away", "not_found", "--channel", CHANNEL)
def pointer_taken_away(world, folder):
    shutil.rmtree(folder)
    without(world.good, folder, "*.channel.json", "*.channel.*.minisig")


@attack("revocation list taken away", "statement_mismatch")
def list_taken_away(world, folder):
    shutil.rmtree(folder)
    without(world.good, folder, "*.revocations.json", "*.revocations.*.minisig")


@attack("signature of the revocation list taken away", "unsigned_release")
def list_unsigned(world, folder):
    shutil.rmtree(folder)
    without(world.good, folder, "*.revocations.*.minisig")


@attack("older news under a higher number", "statement_invalid")
def renamed_news(world, folder):
    bundle = Bundle(folder)
    for name in [name for name in bundle.tail if name.startswith("1.revocations.")]:
        bundle.tail[name.replace("1.", "9.", 1)] = bundle.tail[name]
    bundle.write()


@attack("revoked release beside its revocation", "revoked")
def revoked_release(world, folder):
    trust = world.copy_trust(folder)
    world.vendor.run("trust", "revoke", trust, "--release", world.good, "--key", world.vendor.key("rel"))
    world.vendor.run("promote", without(world.good, str(folder) + "-good", "none"), "--channel", CHANNEL, "--trust-dir",
                     trust, "--key", world.vendor.key("clock"))
    world.use(folder, trust)


@attack("packed by a revoked carrier key", "revoked")
def revoked_carrier(world, folder):
    trust = world.copy_trust(folder)
    for path in trust.glob("*.channel*"):
        path.unlink()
    world.vendor.run("trust", "revoke", trust, "--id", world.vendor.pub("ci"), "--key", world.vendor.key("rel"))
    world.use(folder, trust)


@attack("rotation chain with a link taken away", "root_chain_broken")
def link_taken_away(world, folder):
    shutil.rmtree(folder)
    without(world.good, folder, "2.root.json")


@attack("rotation chain with a stranger's link", "root_chain_broken")
def strangers_link(world, folder):
    (world.folder / "stranger").mkdir()
    stranger = Vendor(world.folder / "stranger")
    stranger.rotate("a", "b")
    bundle = Bundle(folder)
    bundle.tail["2.root.json"] = stranger.root(2).read_bytes()
    bundle.write()


@attack("endless data: a head of petabytes", "volume_corrupt")
def endless_head(world, folder):
    volume = Bundle(folder).volume
    data = bytearray(volume.read_bytes())
    struct.pack_into("<Q", data, 40, 1 << 52)
    data[480:512] = bundle_parts.hashlib.sha256(data[:480]).digest()
    volume.write_bytes(data)


@attack("endless data: a tail without end", "volume_corrupt")
def endless_tail(world, folder):
    volume = Bundle(folder).volume
    os.truncate(volume, volume.stat().st_size + (64 << 20))


@attack("endless data: signature files without end", "limit")
def endless_signatures(world, folder):
    for number in range(1500):
        (folder / f"statement.{number:016X}.minisig").write_text("x")


@attack("traversal name in a file list", "volume_corrupt")
def traversal_name(world, folder):
    bundle = Bundle(folder)
    bundle.head["../../evil.json"] = b"{}"
    data = bundle_parts.file_list(bundle.head)
    del bundle.head["../../evil.json"]
    bundle.write(head=data)


@attack("homoglyph name in a file list", "volume_corrupt")
def homoglyph_name(world, folder):
    bundle = Bundle(folder)
    good = b"statement.json"
    bundle.write(head=bundle_parts.file_list(bundle.head).replace(good, b"st\xd0\xb0tement.jso"))


@attack("homoglyph product, signed", "statement_invalid")
def homoglyph_product(world, folder):
    bundle = Bundle(folder)
    statement = bundle.document("statement.json")
    statement["product"] = "test-\u0430ppliance"
    bundle.head["statement.json"] = json.dumps(statement, sort_keys=True, separators=(",", ":"),
                                               ensure_ascii=False).encode()
    carrier = bundle.document("carrier.json")
    carrier["statement"] = {"digest": bundle_parts.digest(bundle.head["statement.json"])}
    bundle.set_document("carrier.json", carrier)
    for name in [name for name in bundle.tail if re.match(r"(statement|carrier)\..*minisig", name)]:
        del bundle.tail[name]
        (folder / name).unlink(missing_ok=True)
    bundle.write()
    # The vendor's tool does not sign such a name; minisign does.
    key_file = world.vendor.key("rel")
    tools.run("minisign", "-S", "-l", "-W", "-s", key_file, "-m", folder / "statement.json", "-x",
              folder / f"statement.{world.vendor.key_id('rel')}.minisig", check=0)


@attack("link to a file of the site", "unsafe_path")
def link_to_the_site(world, folder):
    (folder / "9.stable.channel.json").symlink_to("/etc/passwd")


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-attacks-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.world = World(cls.folder)

    def check_refused(self, name, error, options, make):
        world = self.world
        folder = self.folder / re.sub(r"\W+", "-", name)
        shutil.copytree(world.good, folder)
        make(world, folder)
        medium = tools.tree_digest(folder)
        site = Site(self.folder / "victim")
        shutil.copytree(world.site.store, site.store)
        self.addCleanup(shutil.rmtree, site.store, ignore_errors=True)
        site.refuse(error, "plan", folder, *options) if error != "pack_corrupt" else None
        answer = site.refuse(error, "import", folder, *options)
        self.assertEqual(tools.tree_digest(folder), medium, "the medium was changed")
        self.assertEqual(list(site.releases()), ["1.0.0"], answer)
        self.assertTrue(site.releases()["1.0.0"]["active"])
        site.run("verify", "--quiet")
        shutil.rmtree(site.store)

    def test_each_is_refused_with_its_error(self):
        for name, error, options, make in TABLE:
            with self.subTest(name):
                if make is homoglyph_product and not shutil.which("minisign"):
                    self.skipTest("minisign is not installed")
                self.check_refused(name, error, options, make)

    def test_the_honest_medium_passes(self):
        site = Site(self.folder / "honest")
        shutil.copytree(self.world.site.store, site.store)
        site.take(self.world.good, "--channel", CHANNEL)
        self.assertIn("loses data", json.dumps(site.trust()["revocations"]))

    def test_an_older_pointer_is_refused_where_the_channel_is_followed(self):
        site, world = Site(self.folder / "following"), self.world
        shutil.copytree(world.site.store, site.store)
        trust = world.copy_trust(self.folder / "newer")
        world.vendor.run("promote", without(world.good, self.folder / "good-again", "none"), "--channel", CHANNEL,
                         "--trust-dir", trust, "--key", world.vendor.key("clock"))
        site.run("trust", "update", trust)
        site.refuse("rollback", "import", world.good, "--channel", CHANNEL)
        site.refuse("rollback", "trust", "update", world.vendor.trust)
        site.take(world.good)

    def test_the_table_in_the_document_is_this_table(self):
        section = DOCUMENT.read_text().split("<!-- attacks: medium -->")[1].split("\n#")[0]
        rows = re.findall(r"^\| ([^|]+) \| `(\w+)` \|", section, re.M)
        self.assertEqual(rows, [(name, error) for name, error, _, _ in TABLE])


if __name__ == "__main__":
    unittest.main()
