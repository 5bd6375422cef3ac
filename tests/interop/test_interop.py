"""Foreign programs read what we write: the reader from the text, minisign, signify, openssl, skopeo, crane."""

import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import small_release  # noqa: E402
import tools  # noqa: E402

READER = pathlib.Path(__file__).resolve().parent / "read_bundle.py"
# A reader in Python needs Debian's zstd module, which Debian's own interpreter has.
PYTHON = "/usr/bin/python3" if pathlib.Path("/usr/bin/python3").exists() else sys.executable


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


def has_zstandard():
    return subprocess.run([PYTHON, "-c", "import zstandard"], capture_output=True).returncode == 0


class Fixture:
    """One release, its bundle in one and in many volumes, and a store with it. Made once, in setUpModule."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-interop-"))
        self.key, self.pub = tools.make_key(self.folder)
        self.release = small_release.make_release(self.folder / "release", image_bytes=6_000_000, disk_bytes=6 << 20)
        self.bundle = tools.make_bundle(self.release, self.folder / "bundle", self.key, "--fast")
        self.split = self.folder / "split"
        tools.run(tools.MAKE, "split", self.bundle, "--out", self.split, "--volume-size", "2400K", check=0)
        self.store = self.folder / "store"
        tools.import_bundle([self.split], self.store, self.pub, check=0)
        tools.run(tools.IMPORT, "activate", "1.0.0", "--store", self.store, check=0)
        self.manifest = json.loads((self.bundle / "manifest.json").read_text())
        self.key_id = re.search(r"([0-9A-F]{16})", self.pub.read_text())[1]


FIXTURE = None


def setUpModule():
    global FIXTURE
    FIXTURE = Fixture()


def tearDownModule():
    shutil.rmtree(FIXTURE.folder, ignore_errors=True)


class Bundles(unittest.TestCase):
    def setUp(self):
        self.__dict__.update(vars(FIXTURE))

    def artifacts(self):
        found = list(self.manifest["images"]) + [self.manifest["app"]["chart"]["artifact"]]
        for files in (self.manifest["os"]["artifacts"], self.manifest["k8s"]["artifacts"], self.manifest["files"]):
            found += [file["artifact"] for file in files]
        return found


@unittest.skipUnless(has_zstandard(), "python3-zstandard is not installed")
class ReaderFromText(Bundles):
    def read(self, *arguments, check=0):
        return tools.run(PYTHON, READER, *arguments, check=check)

    def listed(self, *arguments):
        return json.loads(self.read("--json", *arguments).stdout)

    def expected_blobs(self):
        lines = (self.bundle / "blobs.list").read_text().splitlines()
        return sorted((line.split()[0], int(line.split()[1])) for line in lines)

    def test_lists_the_blobs_and_rebuilds_every_one(self):
        for source in (self.bundle, self.split):
            summary = self.listed(source, "--check", "--verify-key", self.pub)
            self.assertEqual(sorted((blob["digest"], blob["size"]) for blob in summary["blobs"]), self.expected_blobs())
            self.assertEqual(summary["checked"], len(summary["blobs"]))
        self.assertGreaterEqual(summary["volumes"], 3)
        self.assertGreater(summary["segments"]["deflate"], 2)  # gzip layers were not kept raw

    def test_release_level_reads_the_same(self):
        bundle = tools.make_bundle(self.release, self.folder / "level19", self.key)
        summary = self.listed(bundle, "--check", "--verify-key", self.pub)
        self.assertEqual(summary["checked"], len(self.expected_blobs()))

    def test_store_has_the_bytes_that_the_reader_rebuilds(self):
        stored = {path.name for path in (self.store / "blobs" / "sha256").iterdir()}
        self.assertEqual({digest[7:] for digest, _ in self.expected_blobs()}, stored)

    def test_without_a_volume_it_says_what_is_missing(self):
        some = sorted(self.split.glob("*.bundle"))[:-1]
        result = json.loads(self.read("--json", "--check", *some, check=3).stdout)
        self.assertGreater(result["missing_leaves"], 0)
        self.assertGreater(len(result["not_checked"]), 0)

    def test_delta_is_rebuilt_from_the_store_of_its_base(self):
        release = small_release.make_release(self.folder / "release-1.1.0", "1.1.0", image_bytes=6_030_000, disk_bytes=6 << 20)
        delta = tools.make_bundle(release, self.folder / "delta", self.key, "--fast", "--base", self.bundle)
        summary = self.listed(delta, "--check", "--verify-key", self.pub, "--base", self.store)
        self.assertEqual(summary["checked"], len(summary["blobs"]))
        self.assertTrue((delta / "manifest.json").exists())
        carrier = json.loads((delta / "carrier.json").read_text())
        self.assertEqual([base["name"] for base in carrier["bases"]], ["1.0.0"])
        self.assertIn("base_list", carrier)
        self.assertGreater(len(json.loads(self.read("--json", "--check", delta, check=3).stdout)["not_checked"]), 0)

    def test_another_key_is_refused(self):
        other = self.folder / "other"
        other.mkdir()
        _, pub = tools.make_key(other)
        self.assertIn("no signature of this key", self.read(self.bundle, "--verify-key", pub, check=1).stderr)

    def test_both_readers_refuse_the_same_damage(self):
        copy = self.folder / "damaged"
        shutil.copytree(self.bundle, copy)
        volume = next(copy.glob("*.bundle"))
        good = volume.read_bytes()
        positions = random.Random(7).sample(range(len(good)), 8) + [0, 40, 100, 600, 5000, len(good) - 1]
        for position in positions:
            bad = bytearray(good)
            bad[position] ^= 0x10
            volume.write_bytes(bad)
            with self.subTest(position=position):
                self.read(copy, "--check", "--verify-key", self.pub, check=1)
                ours = tools.run(tools.MAKE, "verify", copy, "--trust", self.pub, "--quiet")
                self.assertNotIn(ours.returncode, (0, 1))


@needs("qemu-img")
@unittest.skipUnless(has_zstandard(), "python3-zstandard is not installed")
class DiskGrains(Bundles):
    """The grains of a VMDK are stored inflated, in an OVA as well, and given back; a delta copies those that are equal."""

    def disk_release(self, version, changed):
        folder = self.folder / f"disk-{version}"
        release = small_release.make_release(folder, version, image_bytes=9000, disk_bytes=4 << 20, file_size=3000)
        disk = folder / "os" / "appliance.img"
        data = bytearray(disk.read_bytes())
        data[1 << 20 : (1 << 20) + changed] = small_release.Content(4).bytes(changed)
        disk.write_bytes(data)
        small_release.write_ova(folder / "os" / "appliance.ova", disk)
        release.write_text(release.read_text().replace("appliance.img", "appliance.ova") + 'upgradeFrom: ["1.0.x"]\n')
        return release

    def rebuilt(self, *arguments):
        return json.loads(tools.run(PYTHON, READER, "--json", "--check", *arguments, check=0).stdout)

    def test_given_back(self):
        first = self.disk_release("1.0.0", 0)
        full = tools.make_bundle(first, self.folder / "disk-full", self.key, "--fast")
        ova = (first.parent / "os" / "appliance.ova").stat().st_size
        self.assertGreater(self.rebuilt(full)["segments"]["parts"], 20)
        self.assertLess(tools.tree_bytes(full), 0.9 * ova)
        store = self.folder / "disk-store"
        tools.import_bundle([full], store, self.pub, check=0)

        delta = tools.make_bundle(self.disk_release("1.1.0", 100_000), self.folder / "disk-delta", self.key, "--fast", "--base", full)
        summary = self.rebuilt(delta, "--base", store)
        self.assertLessEqual(summary["segments"]["parts"], 3)  # the grains that differ
        self.assertLess(next(delta.glob("*.bundle")).stat().st_size, 200_000)
        tools.import_bundle([delta], store, self.pub, check=0)
        tools.assert_clean_store(self, store, ["1.0.0", "1.1.0"])


class SignaturesByHand(Bundles):
    @needs("minisign")
    def test_minisign(self):
        for document in ("statement", "carrier"):
            signature = self.bundle / f"{document}.{self.key_id}.minisig"
            command = ["minisign", "-V", "-p", self.pub, "-x", signature, "-m"]
            tools.run(*command, self.bundle / f"{document}.json", check=0)
            self.assertNotEqual(tools.run(*command, self.bundle / "manifest.json").returncode, 0)

    def run_from_text(self, program):
        """The commands of docs/trust-model.md, in a folder with the files that they name."""
        text = (tools.DOCS / "trust-model.md").read_text()
        block = re.search(rf"<!-- run: {program} -->\n```sh\n(.*?)```", text, re.DOTALL)[1]
        key_id = re.search(r"statement\.([0-9A-F]{16})\.minisig", block)[1]
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copy(self.pub, folder / "vendor.pub")
        for name in ("statement.json", f"statement.{self.key_id}.minisig"):
            shutil.copy(self.bundle / name, folder)
        commands = "set -e\n" + block.replace(key_id, self.key_id)
        tools.run("sh", "-c", commands, cwd=folder, check=0)
        statement = folder / "statement.json"
        statement.write_bytes(statement.read_bytes().replace(b"test-appliance", b"best-appliance"))
        self.assertNotEqual(tools.run("sh", "-c", commands, cwd=folder).returncode, 0)

    @needs("openssl")
    def test_openssl_as_the_text_says(self):
        self.run_from_text("openssl")

    @needs("signify-openbsd")
    def test_signify_as_the_text_says(self):
        self.run_from_text("signify-openbsd")

    @needs("minisign")
    def test_minisign_as_the_text_says(self):
        self.run_from_text("minisign")


@needs("skopeo")
class Skopeo(Bundles):
    def copy_and_compare(self, source, digest, *options):
        """Copies an image to a folder; what arrives must be the digest, or a child of it (one platform)."""
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        tools.run("skopeo", "copy", "--insecure-policy", *options, source, f"dir:{out}", check=0)
        arrived = tools.file_digest(out / "manifest.json")
        index = self.store / "blobs" / "sha256" / digest[7:]
        children = [entry["digest"] for entry in json.loads(index.read_text()).get("manifests", [])]
        self.assertIn("sha256:" + arrived, children or [digest])
        manifest = json.loads((out / "manifest.json").read_text())
        for descriptor in [manifest["config"], *manifest["layers"]]:
            self.assertEqual(tools.file_digest(out / descriptor["digest"][7:]), descriptor["digest"][7:])

    def test_reads_the_store_without_a_server(self):
        for image in self.manifest["images"]:
            source = f"oci:{self.store}:{image['name']}"
            raw = tools.run("skopeo", "inspect", "--raw", source, check=0).stdout
            self.assertEqual("sha256:" + tools.hashlib.sha256(raw.encode()).hexdigest(), image["digest"])
            tools.run("skopeo", "inspect", source, check=0)
            self.copy_and_compare(source, image["digest"])

    @unittest.skipUnless(tools.REGISTRY.exists(), "bundle-registry is not built")
    def test_pulls_by_digest(self):
        with tools.Registry(self.store) as address:
            for image in self.manifest["images"]:
                source = f"docker://{address}/{image['repository']}@{image['digest']}"
                self.copy_and_compare(source, image["digest"], "--src-tls-verify=false")
                by_tag = f"docker://{address}/{image['repository']}:{image['tag']}"
                self.copy_and_compare(by_tag, image["digest"], "--src-tls-verify=false")
            for artifact in self.artifacts():
                source = f"docker://{address}/{artifact['repository']}@{artifact['digest']}"
                raw = tools.run("skopeo", "inspect", "--tls-verify=false", "--raw", source, check=0).stdout
                self.assertEqual("sha256:" + tools.hashlib.sha256(raw.encode()).hexdigest(), artifact["digest"])


@needs("crane")
@unittest.skipUnless(tools.REGISTRY.exists(), "bundle-registry is not built")
class Crane(Bundles):
    def test_pulls_by_digest(self):
        with tools.Registry(self.store) as address:
            for artifact in self.artifacts():
                source = f"{address}/{artifact['repository']}@{artifact['digest']}"
                raw = tools.run("crane", "manifest", "--insecure", source, check=0).stdout
                self.assertEqual("sha256:" + tools.hashlib.sha256(raw.encode()).hexdigest(), artifact["digest"])
            for image in self.manifest["images"]:
                out = pathlib.Path(tempfile.mkdtemp(dir=self.folder), "layout")
                source = f"{address}/{image['repository']}@{image['digest']}"
                tools.run("crane", "pull", "--insecure", "--format=oci", "--platform=linux/amd64", source, out, check=0)
                for path in (out / "blobs" / "sha256").iterdir():
                    self.assertEqual(tools.file_digest(path), path.name)


del Bundles  # a base, not a test

if __name__ == "__main__":
    unittest.main(verbosity=2)
