"""What the fault tests share: processes that are watched by what they write, private mounts, one release."""

import ctypes
import functools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "interop"))
import small_release  # noqa: E402
import tools  # noqa: E402

FULL = os.environ.get("BUNDLE_FULL") == "1"
SEED = int(os.environ.get("BUNDLE_SEED", "20260101"))
MIB = 1 << 20
BATCH_BYTES = 32 * MIB  # finished blobs become visible in batches of this size
GROUP_BYTES = 64 * MIB  # the largest group
CLONE_NEWNS = 0x00020000


def random_for(name):
    """Repeatable, and not the same in every test. BUNDLE_SEED gives other moments."""
    return random.Random(f"{SEED} {name}")


def count(name, full, normal):
    """How often; BUNDLE_COUNT_<name> overrides, for a run by hand."""
    return int(os.environ.get(f"BUNDLE_COUNT_{name}", full if FULL else normal))


# ---- one release, made once per run ------------------------------------------------------------


class Fixture:
    """`bundle`: release 1.0.0 in one volume. `old`: a store that has release 0.9.0, active."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.key, self.pub = tools.make_key(self.scratch)
        self.bundle = tools.make_bundle(self.release(), self.scratch / "bundle", self.key, "--fast")
        self.version = self.read_version()
        old_release = small_release.make_release(self.scratch / "old-release", version="0.9.0", seed=1)
        self.rename_product(old_release)
        old_bundle = tools.make_bundle(old_release, self.scratch / "old-bundle", self.key, "--fast")
        self.old = self.scratch / "old-store"
        tools.import_bundle([old_bundle], self.old, self.pub, check=0)
        tools.run(tools.IMPORT, "activate", "0.9.0", "--store", self.old, check=0)
        self.old_versions = ["0.9.0"]
        self.measure()

    def release(self):
        sample = os.environ.get("BUNDLE_SAMPLE")
        if sample:
            return pathlib.Path(sample, "release.yaml")
        return small_release.make_release(self.scratch / "release", image_bytes=36 * MIB, disk_bytes=24 * MIB,
                                          file_size=20000)

    def read_version(self):
        statement = tools.json.loads((self.bundle / "statement.json").read_text())
        self.product = statement["product"]
        return statement["release_version"]

    def rename_product(self, release):
        release.write_text(release.read_text().replace("product: test-appliance", f"product: {self.product}"))

    def measure(self):
        """A whole import, undisturbed: how much it writes, and how long it takes."""
        store = self.scratch / "whole-store"
        start = time.monotonic()
        whole = Watched([self.bundle], store, self.pub)
        assert whole.wait() == 0, whole.text()
        self.seconds = time.monotonic() - start
        self.written = whole.written
        self.blob_sizes = sorted(path.stat().st_size for path in (store / "blobs" / "sha256").iterdir())
        shutil.rmtree(store)

    def new_store(self, parent, filled):
        """A store to begin with: the one with release 0.9.0, or none yet. Returns (path, its releases)."""
        store = pathlib.Path(parent, "store")
        if not filled:
            return store, []
        shutil.copytree(self.old, store)
        return store, list(self.old_versions)


@functools.lru_cache
def fixture():
    return Fixture(scratch_folder())


@functools.lru_cache
def scratch_folder():
    return tempfile.mkdtemp(prefix="bundle-fault-", dir=os.environ.get("BUNDLE_SCRATCH"))


def remove_scratch():
    shutil.rmtree(scratch_folder(), ignore_errors=True)


# ---- an import that is watched -----------------------------------------------------------------


class Watched:
    """`bundle-import import` in the background. Moments are told by the bytes that it has written: unlike a
    time they mean the same on a slow and on a fast machine."""

    def __init__(self, sources, store, trust=None, *options):
        self.log = tempfile.TemporaryFile(mode="w+")
        command = tools.import_command(sources, store, trust, *options)
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.written = 0
        self.code = None
        self.messages = "(still running)"

    def poll_written(self):
        """Bytes given to write() so far; readable as long as the process is not reaped."""
        try:
            with open(f"/proc/{self.process.pid}/io") as file:
                self.written = int(next(line for line in file if line.startswith("wchar")).split()[1])
        except OSError:
            pass
        return self.written

    def ended(self):
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait_until(self, written):
        """False when the import has ended before."""
        while not self.ended():
            if self.poll_written() >= written:
                return True
            time.sleep(0.002)
        return False

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)  # Popen's own call would reap it, and its counters with it
        return self.wait()

    def wait(self):
        deadline = time.monotonic() + tools.TIMEOUT_S
        while not self.ended():
            if time.monotonic() > deadline:
                self.process.kill()
            time.sleep(0.002)
        self.poll_written()
        self.code = self.process.wait()
        self.log.seek(0)
        self.messages = self.log.read()
        self.log.close()
        return self.code

    def text(self):
        """What it said, once it has ended."""
        return self.messages


def random_moment(rng, whole):
    """Bytes written at the moment of a fault: mostly anywhere, often around the end, where files get their names."""
    return rng.uniform(0.95, 1.0) * whole if rng.random() < 0.25 else rng.uniform(0, 1.0) * whole


# ---- private mounts ----------------------------------------------------------------------------


@functools.lru_cache
def can_mount():
    """Moves this process into a mount namespace of its own, where what it mounts is seen by no one else."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        return False
    if tools.run("mount", "--make-rprivate", "/").returncode != 0:
        return False
    folder = tempfile.mkdtemp()
    try:
        if tools.run("mount", "-t", "tmpfs", "tmpfs", folder).returncode != 0:
            return False
        return tools.run("umount", folder).returncode == 0
    finally:
        os.rmdir(folder)


class SmallDisk:
    """A tmpfs of a given size; a context manager that gives its path."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(dir=scratch_folder()))
        tools.run("mount", "-t", "tmpfs", "-o", f"size={self.rounded(self.size)}", "tmpfs", self.path, check=0)
        return self

    def __exit__(self, *_):
        tools.run("umount", "-l", self.path)
        os.rmdir(self.path)

    @staticmethod
    def rounded(size):
        return -(-int(size) // 4096) * 4096

    def resize(self, size):
        tools.run("mount", "-o", f"remount,size={self.rounded(size)}", self.path, check=0)

    def free(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def used(self):
        status = os.statvfs(self.path)
        return (status.f_blocks - status.f_bfree) * status.f_frsize

    def fill(self):
        """Takes every free byte away; delete the file that is returned to give them back."""
        filler = self.path / "filler"
        with open(filler, "ab", buffering=0) as file:
            piece = MIB
            while piece >= 4096:
                try:
                    file.write(bytes(piece))
                except OSError:
                    piece //= 2
        return filler
