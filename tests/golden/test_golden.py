"""Bundles that were made once must verify and import for ever, byte for byte. See make_golden.py."""

import itertools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))
import tools  # noqa: E402

PUB = HERE / "test-only.pub"
KEY = HERE / "test-only.key"
SETS = sorted(path.parent for path in HERE.glob("*/expected.json"))
NEWEST = SETS[-1]  # names sort by age; what the tools of today make is compared with this one only
READER = HERE.parent / "interop" / "read_bundle.py"


class Golden(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-golden-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def python_with_zstandard(self):
        python = "/usr/bin/python3" if pathlib.Path("/usr/bin/python3").exists() else sys.executable
        if subprocess.run([python, "-c", "import zstandard"], capture_output=True).returncode != 0:
            self.skipTest("python3-zstandard is not installed")
        return python

    def each_set(self):
        return [(folder, json.loads((folder / "expected.json").read_text())) for folder in SETS]

    def test_files_are_as_they_were(self):
        for folder, expected in self.each_set():
            parts = ("one", "many", "delta") if "delta_blobs" in expected else ("one", "many")
            files = {f"{part}/{name}": digest for part in parts
                     for name, digest in tools.tree_digest(folder / part).items()}
            self.assertEqual(files, expected["files"])

    def test_verify(self):
        for folder, _ in self.each_set():
            for part in ("one", "many"):
                tools.run(tools.MAKE, "verify", folder / part, "--trust", PUB, "--rebuild", check=0)

    def assert_store_has(self, store, blobs, versions=("1.0.0",)):
        found = {f"sha256:{path.name}": (path.stat().st_size, tools.file_digest(path))
                 for path in (store / "blobs" / "sha256").iterdir()}
        self.assertEqual(found, {digest: (size, digest[7:]) for digest, size in blobs.items()})
        tools.assert_clean_store(self, store, list(versions))

    def test_import(self):
        for folder, expected in self.each_set():
            store = self.folder / folder.name
            tools.import_bundle([folder / "one"], store, PUB, check=0)
            self.assert_store_has(store, expected["blobs"])

    def test_import_of_a_delta(self):
        sets = [(folder, expected) for folder, expected in self.each_set() if "delta_blobs" in expected]
        self.assertTrue(sets)
        for folder, expected in sets:
            store = self.folder / folder.name
            tools.import_bundle([folder / "one"], store, PUB, check=0)
            tools.import_bundle([folder / "delta"], store, PUB, check=0)
            self.assert_store_has(store, {**expected["blobs"], **expected["delta_blobs"]}, ("1.0.0", "1.1.0"))

    def test_import_volume_by_volume(self):
        for folder, expected in self.each_set():
            for order in itertools.permutations(sorted((folder / "many").glob("*.bundle"))):
                store = pathlib.Path(tempfile.mkdtemp(dir=self.folder), "store")
                codes = [tools.import_bundle([volume], store, PUB).returncode for volume in order]
                # Complete with the last volume, or before it: the first one has recipes only.
                self.assertEqual(codes[-1], 0, [path.name for path in order])
                self.assertEqual(codes[0], tools.EXIT_MISSING)
                self.assertLessEqual(set(codes), {0, tools.EXIT_MISSING})
                self.assert_store_has(store, expected["blobs"])

    def test_foreign_reader(self):
        python = self.python_with_zstandard()
        for folder, expected in self.each_set():
            for part in ("one", "many"):
                out = tools.run(python, "-B", READER, folder / part, "--check", "--json", check=0).stdout
                blobs = {blob["digest"]: blob["size"] for blob in json.loads(out)["blobs"]}
                self.assertEqual(blobs, expected["blobs"])

    def test_the_sets_have_all_that_a_reader_must_know(self):
        """What Python can replay: the encoders of the other features are proven by tests/data/deflate."""
        python = self.python_with_zstandard()
        found = set()
        for bundle in HERE.glob("*/*/*.bundle"):
            found.update(json.loads(tools.run(python, "-B", READER, bundle.parent, "--json", check=0).stdout)["features"])
        self.assertLessEqual({"deflate-zlib", "base", "group-reference", "deflate-parts", "x86-filter", "difference"}, found)

    def test_a_delta_by_the_foreign_reader(self):
        python = self.python_with_zstandard()
        store = self.folder / "store"
        tools.import_bundle([NEWEST / "one"], store, PUB, check=0)
        out = tools.run(python, "-B", READER, NEWEST / "delta", "--base", store, "--check", "--json", check=0).stdout
        self.assertEqual(json.loads(out)["not_checked"], [])

    def test_same_inputs_make_the_same_release(self):
        """Two makes give equal bytes, and the release is the golden one: equal statement, manifest and blob list.

        The carrier is not compared with the golden one: how blobs are packed may get better, and another zstd
        writes other frames. What the new bundle holds is proven by --rebuild.
        """
        made = []
        for name in ("first", "second"):
            inputs = self.folder / name / "inputs"  # another place, other times: both must not matter
            shutil.copytree(NEWEST / "inputs", inputs, copy_function=shutil.copyfile)
            out = self.folder / name / "out"
            tools.make_bundle(inputs / "release.yaml", out, KEY, env={"SOURCE_DATE_EPOCH": tools.EPOCH})
            made.append(tools.tree_digest(out))
        self.assertEqual(made[0], made[1])
        for name in ("statement.json", "manifest.json", "blobs.list"):
            self.assertEqual((out / name).read_bytes(), (NEWEST / "one" / name).read_bytes())
        tools.run(tools.MAKE, "verify", out, "--trust", PUB, "--rebuild", check=0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
