"""The Debian packages of a build tree: what is in them, and that they unpack and describe themselves; build-image.sh's inputs."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import image_support
from image_support import IMAGE, SOURCE, write

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
MISSING = [program for program in ("dpkg-deb", "dpkg-shlibdeps", "cmake") if not shutil.which(program)]


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class Packages(image_support.TestCase):
    @classmethod
    def setUpClass(cls):
        import tempfile
        cls.folder = tempfile.TemporaryDirectory(prefix="image-test-")
        cls.out = pathlib.Path(cls.folder.name)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1764000000"}
        subprocess.run([IMAGE / "make-packages.sh", "--build", BUILD, "--out", cls.out, "--version", "1.2.3"], check=True,
                       stdout=subprocess.DEVNULL, env=environment)
        for name in ("bundle-tools", "bundle-appliance"):
            package = next(cls.out.glob(f"{name}_*.deb"))
            subprocess.run(["dpkg-deb", "-R", package, cls.out / name], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def control(self, name):
        return dict(re.findall(r"^(\S+): (.*)$", (self.out / name / "DEBIAN/control").read_text(), re.M))

    def test_tools(self):
        root = self.out / "bundle-tools"
        for program in ("bundle-make", "bundle-import", "bundle-registry", "mirror-sync"):
            shown = subprocess.run([root / "usr/bin" / program, "--help"], capture_output=True, text=True, check=True)
            self.assertIn(program, shown.stdout)
            self.assertTrue((root / f"usr/share/man/man1/{program}.1.gz").stat().st_size > 0)
        for unit in ("bundle-registry.service", "mirror-sync.service"):
            start = re.search(r"^ExecStart=(\S+)", (root / "usr/lib/systemd/system" / unit).read_text(), re.M)[1]
            self.assertTrue((root / start.lstrip("/")).is_file(), start)
        self.assertTrue((root / "usr/share/doc/bundle/errors.md").is_file())
        self.assertEqual([], [path for path in root.rglob("*") if path.suffix in (".a", ".h", ".cmake", ".pc")])
        fields = self.control("bundle-tools")
        self.assertEqual("1.2.3", fields["Version"])
        for library in ("libc6", "libcurl4", "libsodium23", "libmicrohttpd"):
            self.assertIn(library, fields["Depends"])

    def test_appliance(self):
        root = self.out / "bundle-appliance"
        self.assertEqual("all", self.control("bundle-appliance")["Architecture"])
        self.assertIn("bundle-tools (>= 1.2.3)", self.control("bundle-appliance")["Depends"])
        steps = subprocess.run([sys.executable, "-B", root / "usr/sbin/appliance-first-boot", "--list"], capture_output=True,
                               text=True, check=True)
        self.assertEqual(["configure", "take-in", "activate", "registry", "k3s", "seed", "health"],
                         [line.split()[0] for line in steps.stdout.splitlines()])
        listed = set((root / "DEBIAN/conffiles").read_text().split())
        self.assertEqual({f"/{path.relative_to(root)}" for path in (root / "etc").rglob("*") if path.is_file()}, listed)
        self.assertEqual([], list(root.rglob("__pycache__")))

    def test_what_units_start_is_in_a_package(self):
        for unit in (self.out / "bundle-appliance/usr/lib/systemd/system").iterdir():
            for start in re.findall(r"^ExecStart=-?(\S+)", unit.read_text(), re.M):
                packaged = any((self.out / name / start.lstrip("/")).is_file() for name in ("bundle-tools", "bundle-appliance"))
                self.assertTrue(packaged or start in ("/usr/local/bin/k3s", "/sbin/ip"), f"{unit.name}: {start}")

    def test_digests(self):
        for name in ("bundle-tools", "bundle-appliance"):
            subprocess.run(["md5sum", "--check", "--quiet", "DEBIAN/md5sums"], cwd=self.out / name, check=True)

    def test_the_same_bytes_again(self):
        # Only the small one: packing the programs again takes a while.
        subprocess.run([IMAGE / "make-packages.sh", "--build", BUILD, "--out", self.work, "--version", "1.2.3", "--only-appliance"],
                       check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": "1764000000"})
        name = "bundle-appliance_1.2.3_all.deb"
        self.assertEqual((self.out / name).read_bytes(), (self.work / name).read_bytes())


class Inputs(image_support.TestCase):
    def check(self, *arguments):
        done = subprocess.run([IMAGE / "build-image.sh", *map(str, arguments)], capture_output=True, text=True)
        return done.returncode, re.findall(r"^build-image.sh: ((?:missing|wrong|unpinned|stale): .*)$", done.stderr, re.M)

    def test_every_missing_input_is_named(self):
        status, problems = self.check("--product", "Not_One")
        self.assertEqual(1, status)
        for name in ("--version", "--base", "--trust", "--out", "bundle-tools_*.deb", "bundle-appliance_*.deb", "--product"):
            self.assertTrue(any(name in problem for problem in problems), (name, problems))

    def test_an_unpinned_base_is_named_before_anything_is_done(self):
        status, problems = self.check("--base", "ubuntu-cloud", "--out", self.work / "out")
        self.assertEqual(1, status)
        self.assertTrue(any(problem.startswith("unpinned: ubuntu_cloud_image_sha256") for problem in problems), problems)
        self.assertTrue(any("--mirror" in problem for problem in problems))
        self.assertFalse((self.work / "out").exists())

    def test_a_secret_key_is_not_pinned(self):
        key = write(self.work / "vendor.key", "untrusted comment: minisign encrypted secret key\nRWQAAEIy\n")
        self.assertTrue(any("is a secret key" in problem for problem in self.check("--trust", key)[1]))


class Scripts(unittest.TestCase):
    def test_shellcheck(self):
        if not shutil.which("shellcheck"):
            self.skipTest("shellcheck is missing")
        scripts = [path for path in [*IMAGE.rglob("*"), *(SOURCE / "tests/image").iterdir()]
                   if path.is_file() and path.read_bytes()[:14] in (b"#!/bin/bash\n# ", b"#!/bin/sh\n# Us", b"#!/bin/sh\nset ")]
        self.assertGreater(len(scripts), 8)
        subprocess.run(["shellcheck", *scripts], check=True)


if __name__ == "__main__":
    image_support.main()
