"""Every kind of bad input, in one table: a damaged bundle is refused with its own exit code, a message that names the
place and the next step, and nothing is changed: not the medium, not the store, not the running release.
"""

import os
import pathlib
import shutil
import struct
import tempfile
import unittest

import bundle_parts
from bundle_parts import Bundle, tools
from fault_support import count, random_for, small_release

PAST = "1500000000"  # 2017: what was made then has expired


def flip(path, offset, bit=0):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def set_bytes(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


class Site:
    """A vendor with a key and a bundle, a site with an older release that runs."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key, self.pub = tools.make_key(folder)
        (self.folder / "other").mkdir()
        self.other_key, self.other_pub = tools.make_key(self.folder / "other")
        self.new = self.bundle("1.0.0", "new", 1)
        self.split = self.folder / "split"
        tools.run(tools.MAKE, "split", self.new, "--out", self.split, "--volume-size", "2200K", check=0)
        self.store = self.folder / "store"
        tools.import_bundle([self.bundle("0.9.0", "old", 2)], self.store, self.pub, check=0)
        tools.run(tools.IMPORT, "activate", "0.9.0", "--store", self.store, check=0)
        self.older = self.bundle("0.8.0", "older", 3)

    def bundle(self, version, name, seed, *options, env=None, key=None):
        spec = small_release.make_release(self.folder / f"{name}-input", version=version, seed=seed, disk_bytes=9 << 20)
        return tools.make_bundle(spec, self.folder / name, key or self.key, "--fast", *options, env=env)


# ---- the table: name, exit codes that are right, what to do to a copy of the bundle ---------------

TABLE = []


def case(*codes, source="new", trust="pub", says=()):
    def register(function):
        TABLE.append((function.__name__, codes, source, trust, says, function))
        return function
    return register


def region(name, start, end, *codes, says=()):
    """Flipped bits at the first, a middle and the last byte of a region of the volume."""
    for where in ("first", "middle", "last"):
        def damage(site, folder, where=where):
            bundle = Bundle(folder)
            low, high = start(bundle), end(bundle) - 1
            flip(bundle.volume, {"first": low, "middle": (low + high) // 2, "last": high}[where], 3)
        damage.__name__ = f"flip_{name}_{where}"
        case(*codes, says=(".bundle", *says))(damage)


region("header", lambda b: 0, lambda b: 512, 50, 51)
region("head", lambda b: 512, lambda b: b.head_end, 51, says=("offset",))
region("padding", lambda b: b.head_end, lambda b: b.data_offset, 51, says=("offset",))
region("recipes", lambda b: b.data_offset, lambda b: b.data_offset + len(b.index.groups[0][3]), 58, says=("offset",))
region("packs", lambda b: b.data_offset + len(b.index.groups[0][3]), lambda b: b.data_offset + b.data_size, 58,
       says=("offset",))
region("tail", lambda b: b.data_offset + b.data_size, lambda b: b.size, 51, says=("offset",))


def loose(pattern):
    def damage(site, folder):
        path = next(folder.glob(pattern))
        flip(path, path.stat().st_size // 2, 2)
    damage.__name__ = "flip_loose_" + pattern.replace("*", "").replace(".", "_")
    case(62, says=(pattern.split("*")[0],))(damage)


for name in ("statement.json", "carrier.json", "manifest.json", "blobs.list", "statement.*.minisig", "carrier.*.minisig"):
    loose(name)


def cut(name, keep, *codes):
    def damage(site, folder):
        volume = Bundle(folder).volume
        os.truncate(volume, keep(volume.stat().st_size))
    damage.__name__ = f"truncated_{name}"
    case(*codes, says=(".bundle",))(damage)


cut("to_nothing", lambda size: 0, 50)
cut("in_header", lambda size: 100, 52)
cut("in_head", lambda size: 600, 52)
cut("in_data", lambda size: size // 2, 52)
cut("in_tail", lambda size: size - 1, 51, 52)


@case(51, says=(".bundle",))
def bytes_after_the_end(site, folder):
    volume = Bundle(folder).volume
    volume.write_bytes(volume.read_bytes() + b"x")


@case(58, source="split", says=(".bundle", "offset"))
def data_of_two_volumes_swapped(site, folder):
    first, second = sorted(folder.glob("*.bundle"))[:2]
    ends = [struct.unpack_from("<QQ", path.read_bytes(), 80) for path in (first, second)]
    piece = [path.read_bytes()[end[0] + end[1] - 4096:end[0] + end[1]] for path, end in zip((first, second), ends)]
    for path, end, data in zip((first, second), ends, reversed(piece)):
        set_bytes(path, end[0] + end[1] - 4096, data)


@case(54, source="split", says=("same number",))
def two_volumes_with_one_number(site, folder):
    path = sorted(folder.glob("*.bundle"))[1]
    header = bytearray(path.read_bytes()[:480])
    struct.pack_into("<I", header, 32, 1)
    set_bytes(path, 0, bytes(header) + bundle_parts.hashlib.sha256(header).digest())


@case(55, says=("different bundles",))
def volume_of_another_bundle(site, folder):
    volume = next(site.older.glob("*.bundle"))
    shutil.copy(volume, folder)


@case(50, says=("no bundle volume",))
def no_volume(site, folder):
    Bundle(folder).volume.unlink()


@case(12, says=("plain file",))
def pipe_in_place_of_a_volume(site, folder):
    os.mkfifo(folder / "pipe.bundle")


@case(12, says=("plain file",))
def link_in_place_of_a_signature(site, folder):
    (folder / "statement.0000000000000000.minisig").symlink_to("/etc/passwd")


@case(10, says=("version",))
def later_format_version(site, folder):
    Bundle(folder).write(version=2)


@case(10, says=("feature",))
def unknown_feature(site, folder):
    bundle = Bundle(folder)
    bundle.index.features = sorted({*bundle.index.features, 999})
    bundle.head["index"] = bundle.index.encode()
    bundle.settle()
    bundle.sign(site.key)


@case(38)
def wrong_key(site, folder):
    Bundle(folder).sign(site.other_key)


@case(35)
def unsigned(site, folder):
    bundle = Bundle(folder)
    for name in list(bundle.tail):
        del bundle.tail[name]
        (folder / name).unlink(missing_ok=True)
    bundle.write()


@case(36)
def signature_of_another_document(site, folder):
    bundle = Bundle(folder)
    name = next(name for name in bundle.tail if name.startswith("statement."))
    bundle.tail[name] = Bundle(site.older).tail[name]
    bundle.write()


@case(37, says=("minisig",))
def signature_that_is_none(site, folder):
    bundle = Bundle(folder)
    name = next(name for name in bundle.tail if name.startswith("statement."))
    bundle.tail[name] = b"untrusted comment: x\nnot base64\n"
    bundle.write()


@case(36)
def statement_changed_after_signing(site, folder):
    bundle = Bundle(folder)
    statement = bundle.document("statement.json")
    statement["release_number"] += 1
    bundle.set_document("statement.json", statement)
    bundle.write()


@case(42)
def statement_not_canonical(site, folder):
    bundle = Bundle(folder)
    bundle.settle()
    bundle.head["statement.json"] = bundle.head["statement.json"].replace(b'":', b'": ', 1)
    carrier = bundle.document("carrier.json")
    carrier["statement"] = {"digest": bundle_parts.digest(bundle.head["statement.json"])}
    bundle.set_document("carrier.json", carrier)
    sign_by_hand(site, bundle)


@case(43)
def carrier_of_another_release(site, folder):
    bundle = Bundle(folder)
    bundle.head["carrier.json"] = Bundle(site.older).head["carrier.json"]
    for name, content in Bundle(site.older).tail.items():
        if name.startswith("carrier."):
            bundle.tail[name] = content
    bundle.write()


@case(43)
def blob_list_of_another_release(site, folder):
    bundle = Bundle(folder)
    bundle.head["blobs.list"] = Bundle(site.older).head["blobs.list"]
    bundle.write()


@case(63)
def manifest_of_another_release(site, folder):
    bundle = Bundle(folder)
    bundle.head["manifest.json"] = Bundle(site.older).head["manifest.json"]
    bundle.write()


@case(56)
def index_of_another_bundle(site, folder):
    bundle = Bundle(folder)
    bundle.head["index"] = Bundle(site.older).head["index"]
    bundle.write()


@case(57, says=("index",))
def index_with_huge_counts(site, folder):
    bundle = Bundle(folder)
    index = bytearray(bundle.index.encode())
    struct.pack_into("<I", index, 20, 0xFFFFFFFF)
    bundle.head["index"] = bytes(index)
    bundle.settle()
    bundle.sign(site.key)


@case(51)
def file_list_with_huge_count(site, folder):
    bundle = Bundle(folder)
    bundle.write(head=struct.pack("<I", 0xFFFFFFFF) + bundle_parts.file_list(bundle.head)[4:])


@case(11)
def manifest_nested_too_deep(site, folder):
    bundle = Bundle(folder)
    bundle.head["manifest.json"] = b"[" * 100000 + b"]" * 100000
    bundle.settle()
    bundle.sign(site.key)


@case(64)
def group_that_inflates_beyond_its_size(site, folder):
    bundle = Bundle(folder)
    recipes = bundle.index.groups[0]
    recipes[2] -= 1
    bundle.index.blobs = [blob for blob in bundle.index.blobs if blob[1] + blob[2] <= recipes[2]]
    keep = {blob[0].hex() for blob in bundle.index.blobs}
    lines = [line for line in bundle.head["blobs.list"].decode().splitlines(True) if line[7:71] in keep]
    bundle.head["blobs.list"] = "".join(lines).encode()
    statement = bundle.document("statement.json")
    statement["blobs"].update(count=len(lines), bytes=sum(int(line.split()[1]) for line in lines))
    bundle.set_document("statement.json", statement)
    # The manifest must still name blobs that are listed.
    resign_index(site, bundle)


def with_recipe(site, folder, change):
    """Replaces the recipe of the largest blob by change(size); all else is as it should be."""
    import zstandard
    bundle = Bundle(folder)
    sizes = {line[7:71]: int(line.split()[1]) for line in bundle.head["blobs.list"].decode().splitlines()}
    blob = max(bundle.index.blobs, key=lambda entry: sizes[entry[0].hex()])
    recipe = change(sizes[blob[0].hex()])
    group = bundle.index.groups[0]
    plain = zstandard.ZstdDecompressor().decompress(group[3])
    blob[1:] = [len(plain), len(recipe)]
    group[2], group[3] = len(plain) + len(recipe), zstandard.ZstdCompressor().compress(plain + recipe)
    resign_index(site, bundle)


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def zeros(length):
    return b"\x01\x01" + varint(length << 4 | 12)


@case(64)
def recipe_that_yields_too_much(site, folder):
    with_recipe(site, folder, lambda size: zeros(1 << 43))


@case(59)
def recipe_that_yields_too_little(site, folder):
    with_recipe(site, folder, lambda size: zeros(size - 1))


@case(60)
def recipe_that_yields_other_bytes(site, folder):
    with_recipe(site, folder, zeros)


@case(59)
def recipe_of_unknown_kind(site, folder):
    with_recipe(site, folder, lambda size: b"\x07")


@case(59)
def recipe_past_its_stream(site, folder):
    with_recipe(site, folder, lambda size: b"\x01\x01" + varint(size << 4 | 1) + varint(1 << 40))


@case(10)
def recipe_for_an_unknown_encoder(site, folder):
    with_recipe(site, folder, lambda size: b"\x02" + varint(4711) + b"\x00\x01" + varint(16 << 4 | 1) + b"\x00")


def resign_index(site, bundle):
    bundle.head["index"] = bundle.index.encode()
    bundle.settle()
    bundle.sign(site.key)


def sign_by_hand(site, bundle):
    """bundle-make refuses to sign a malformed statement; minisign does not."""
    if not shutil.which("minisign"):
        raise unittest.SkipTest("minisign is not here")
    for name in ("statement.json", "carrier.json"):
        path = site.folder / name
        path.write_bytes(bundle.head[name])
        tools.run("minisign", "-S", "-l", "-W", "-s", site.key, "-m", path, "-x", site.folder / "by-hand", check=0)
        slot = next(other for other in bundle.tail if other.startswith(name.split(".")[0] + "."))
        bundle.tail[slot] = (site.folder / "by-hand").read_bytes()
    bundle.write()


# ---- the tests ---------------------------------------------------------------------------------


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.site = Site(cls.scratch.name)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def copy(self, source):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.scratch.name)) / "medium"
        shutil.copytree(source, folder)
        return folder

    def refuse(self, command, codes, medium, says=()):
        """`command` ends with one of `codes` and changes neither medium nor store."""
        before = tools.tree_digest(medium) if medium else None
        store = tools.tree_digest(self.site.store)
        result = tools.run(*command)
        self.assertIn(result.returncode, codes, result.stdout + result.stderr)
        self.assertIn("error: ", result.stderr)
        self.assertRegex(result.stderr, r"\n  next: \S")
        for text in says:
            self.assertIn(text, result.stderr)
        if medium:
            self.assertEqual(tools.tree_digest(medium), before, "the medium was changed")
        after = tools.tree_digest(self.site.store)
        changed = {name for name in {*store, *after} if store.get(name) != after.get(name)}
        # Blobs that were whole before the damage was met stay for the next try; nothing else changes.
        self.assertEqual({name for name in changed if not name.startswith(("blobs/", "staging/", ".lock", ".upgrade.lock"))}, set())
        self.assertEqual({name for name in changed if name in store and name.startswith("blobs/")}, set())
        tools.run(tools.IMPORT, "verify", "--store", self.site.store, "--quiet", check=0)
        return result

    def test_table(self):
        for name, codes, source, trust, says, damage in TABLE:
            with self.subTest(name):
                medium = self.copy(getattr(self.site, source))
                damage(self.site, medium)
                command = tools.import_command([medium], self.site.store)
                self.refuse(command, codes, medium, says)
                tools.run(tools.IMPORT, "gc", "--store", self.site.store, "--unfinished", check=0)
                shutil.rmtree(medium.parent)

    def test_flipped_bit_sweep(self):
        """Random positions over all regions and loose files; verify refuses each, and never crashes."""
        random = random_for("flips")
        medium = self.copy(self.site.new)
        bundle = Bundle(medium)
        ends = [0, 512, bundle.head_end, bundle.data_offset, bundle.data_offset + bundle.data_size, bundle.size]
        regions = [(bundle.volume, low, high) for low, high in zip(ends, ends[1:]) if low < high]
        regions += [(path, 0, path.stat().st_size) for path in sorted(medium.iterdir())
                    if path != bundle.volume and path.suffix != ".pub"]
        before = tools.tree_digest(medium)
        for i in range(count("FLIPS", full=2400, normal=130)):
            path, low, high = regions[i % len(regions)]
            offset, bit = random.randrange(low, high), random.randrange(8)
            flip(path, offset, bit)
            result = tools.run(tools.MAKE, "verify", medium, "--trust", self.site.pub, "--jobs", "1", "--quiet")
            flip(path, offset, bit)
            where = f"{path.name} offset {offset} bit {bit}: {result.returncode} {result.stderr}"
            self.assertGreater(result.returncode, 2, where)
            self.assertRegex(result.stderr, r"\n  next: \S", where)
        self.assertEqual(tools.tree_digest(medium), before)
        tools.run(tools.MAKE, "verify", medium, "--trust", self.site.pub, check=0)

    def test_no_trust(self):
        store = self.site.folder / "untrusting"
        self.refuse(tools.import_command([self.site.new], store), [32], self.site.new)
        self.assertFalse(store.exists())
        self.refuse(tools.import_command([self.site.new], store, self.site.other_pub), [38], self.site.new)
        self.assertFalse(store.exists())

    def test_expired(self):
        old = self.site.bundle("1.2.0", "expired", 5, env={"SOURCE_DATE_EPOCH": PAST})
        self.refuse(tools.import_command([old], self.site.store), [40], old)

    def test_older_than_what_runs(self):
        self.refuse(tools.import_command([self.site.older], self.site.store), [41], self.site.older)

    def test_missing_volume(self):
        medium = self.copy(self.site.split)
        sorted(medium.glob("*.bundle"))[1].unlink()
        self.refuse(tools.import_command([medium], self.site.store), [53], medium, ["volume 2"])
        self.refuse([tools.MAKE, "verify", medium, "--trust", self.site.pub], [53], medium)
        tools.run(tools.IMPORT, "gc", "--store", self.site.store, "--unfinished", check=0)

    def test_a_good_second_copy_stands_in(self):
        medium = self.copy(self.site.new)
        bundle = Bundle(medium)
        shutil.copy(bundle.volume, medium / "second.bundle")
        flip(bundle.volume, bundle.data_offset + bundle.data_size - 5)
        store = self.site.folder / "two-copies"
        tools.import_bundle([medium], store, self.site.pub, check=0)
        tools.assert_clean_store(self, store, ["1.0.0"])

    def test_store_commands(self):
        store = self.site.store
        for command, codes in [(["activate", "7.7.7"], [72]), (["gc", "--remove", "0.9.0"], [75]),
                               (["gc", "--remove", "7.7.7"], [72]), (["rollback"], [72]), (["frobnicate"], [2]),
                               (["activate"], [2])]:
            self.refuse([tools.IMPORT, *command, "--store", store], codes, None)
        self.refuse([tools.IMPORT, "list", "--store", self.site.folder / "nowhere"], [70], None)
        self.refuse(tools.import_command([self.site.folder / "nowhere"], store), [3], None)
        self.refuse(tools.import_command([self.site.new], self.site.folder / "other", self.site.pub), [70], None)

    def test_read_only_store(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        store = self.site.store
        script = f"mount --bind '{store}' '{store}' && mount -o remount,ro,bind '{store}' && exec \"$@\""
        command = ["unshare", "-m", "sh", "-c", script, "sh", *tools.import_command([self.site.new], store)]
        self.refuse(command, [6], self.site.new)

    def test_damaged_store_is_found_and_repaired(self):
        store = self.site.folder / "damaged"
        tools.import_bundle([self.site.new], store, self.site.pub, check=0)
        blobs = sorted((store / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
        flip(blobs[-1], 1000)
        result = tools.run(tools.IMPORT, "verify", "--store", store, check=71)
        self.assertIn(blobs[-1].name, result.stdout)
        blobs[0].unlink()
        tools.run(tools.IMPORT, "activate", "1.0.0", "--store", store, check=73)
        tools.import_bundle([self.site.new], store, check=0)
        tools.assert_clean_store(self, store, ["1.0.0"])

    def test_release_specifications(self):
        source = self.site.folder / "new-input"
        text = (source / "release.yaml").read_text()
        for change, code in [(("path: os/appliance.img", "path: ../appliance.img"), 12),
                             (("path: os/appliance.img", "path: /etc/passwd"), 12),
                             (("name: install.sh,", "name: k3s,"), 13),
                             (("product: test", "produkt: test"), 20),
                             (("path: k3s,", "path: gone,"), 3),
                             (('source: "oci:images:library/redis:7"', 'source: "oci:images:no/such:1"'), 3)]:
            with self.subTest(change[1]):
                spec = source / "bad.yaml"
                self.assertIn(change[0], text)
                spec.write_text(text.replace(*change))
                out = self.site.folder / "never"
                result = tools.run(tools.MAKE, "make", spec, "--out", out, "--key", self.site.key, "--fast")
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertRegex(result.stderr, r"\n  next: \S")
                self.assertEqual(list(out.glob("*.bundle*")) if out.exists() else [], [])


if __name__ == "__main__":
    unittest.main()
