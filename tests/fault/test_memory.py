"""Peak memory (RSS) of every tool on a large release: it must not grow with the release.

BUNDLE_FULL=1 takes 5 GiB and the release level too, else 300 MiB.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from fault_support import FULL, MIB, small_release, tools  # noqa: E402

SMALL_LIMIT_KIB = 256 * 1024
LEVEL19_LIMIT_KIB = 1536 * 1024
IMAGE_BYTES = (2600 if FULL else 150) * MIB  # plain bytes of layers
DISK_BYTES = (2300 if FULL else 135) * MIB
PULLS = 8  # downloads at a time


# In a process of its own: the largest RSS of a child begins with that of the process that forks it, and this one has held
# a whole release.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
with open(sys.argv[1], "w") as out:
    out.write(str(usage.ru_maxrss))
sys.exit(process.returncode)
"""


def peak_kib(*command):
    """Runs a command to a good end; its largest RSS in KiB."""
    with tempfile.NamedTemporaryFile() as peak:
        done = subprocess.run([sys.executable, "-S", "-c", MEASURE, peak.name, *map(str, command)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}")
        return int(peak.read())


class PeakMemory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-memory-", dir=os.environ.get("BUNDLE_SCRATCH")))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.key, cls.pub = tools.make_key(cls.folder)
        cls.release = small_release.make_release(
            cls.folder / "release", image_bytes=IMAGE_BYTES, disk_bytes=DISK_BYTES, levels=(6, 1, 9, 6, 0, 4),
            file_size=9000)

    def below(self, what, peak, limit):
        print(f"\n{what}: {peak / 1024:.0f} MiB of {limit // 1024} MiB")
        self.assertLess(peak, limit, what)

    def make(self, *options):
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder), "bundle")
        command = [tools.MAKE, "make", self.release, "--out", out, "--key", self.key, "--jobs", "2", "--quiet", *options]
        return out, peak_kib(*command)

    def read_side(self, bundle, name):
        store = bundle.parent / "store"
        self.below(f"verify {name}", peak_kib(tools.MAKE, "verify", bundle, "--trust", self.pub, "--quiet"),
                   SMALL_LIMIT_KIB)
        self.below(f"verify --rebuild {name}",
                   peak_kib(tools.MAKE, "verify", bundle, "--trust", self.pub, "--rebuild", "--quiet"), SMALL_LIMIT_KIB)
        self.below(f"plan {name}", peak_kib(tools.IMPORT, "plan", bundle, "--store", store, "--trust", self.pub),
                   SMALL_LIMIT_KIB)
        self.below(f"import {name}", peak_kib(*tools.import_command([bundle], store, self.pub)), SMALL_LIMIT_KIB)
        self.below(f"store verify {name}", peak_kib(tools.IMPORT, "verify", "--store", store, "--quiet"), SMALL_LIMIT_KIB)
        if tools.REGISTRY.exists():
            tools.run(tools.IMPORT, "activate", "1.0.0", "--store", store, check=0)
            self.below(f"serve {name}", self.serve(store), SMALL_LIMIT_KIB)

    def serve(self, store):
        """All layers pulled, several at a time; the server's high-water mark."""
        manifest = json.loads((store / "releases" / "1.0.0" / "manifest.json").read_text())
        repository = manifest["images"][0]["repository"]
        blobs = [path.name for path in (store / "blobs" / "sha256").iterdir() if path.stat().st_size > 1 << 16]
        registry = tools.Registry(store)
        with registry as address, concurrent.futures.ThreadPoolExecutor(PULLS) as pool:
            sizes = list(pool.map(lambda name: pull(f"http://{address}/v2/{repository}/blobs/sha256:{name}"), blobs))
            status = pathlib.Path(f"/proc/{registry.process.pid}/status").read_text()
        self.assertGreater(sum(sizes), IMAGE_BYTES // 4)
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    def test_fast(self):
        bundle, peak = self.make("--fast")
        self.below("make --fast", peak, SMALL_LIMIT_KIB)
        self.read_side(bundle, "(--fast)")

    @unittest.skipUnless(FULL, "takes long: BUNDLE_FULL=1")
    def test_release_level(self):
        bundle, peak = self.make("--level", "19")
        self.below("make --level 19", peak, LEVEL19_LIMIT_KIB)
        self.read_side(bundle, "(level 19)")


def pull(url):
    """Size of what arrives; 0 when the repository has no such blob."""
    size = 0
    try:
        with urllib.request.urlopen(url) as response:
            while piece := response.read(1 << 20):
                size += len(piece)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
    return size


if __name__ == "__main__":
    unittest.main(verbosity=2)
