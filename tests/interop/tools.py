"""What the Python tests share: the tools under test, how to run them, and what a good store looks like.

BUNDLE_BIN names the build folder.
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ.get("BUNDLE_BIN", "build/dev")).resolve()
MAKE = BIN / "tools" / "bundle-make"
IMPORT = BIN / "tools" / "bundle-import"
REGISTRY = BIN / "registry" / "bundle-registry"
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
EPOCH = "1767225600"  # 2026-01-01T00:00:00Z, for bundles that must not depend on the day
TIMEOUT_S = 1800

EXIT_OK, EXIT_NO_SPACE, EXIT_UNREADABLE, EXIT_BUSY = 0, 5, 7, 8
EXIT_TRUNCATED, EXIT_MISSING = 52, 53


def run(*command, check=None, env=None, **options):
    """Runs a command; `check` is the exit code that it must have. Returns the CompletedProcess."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=TIMEOUT_S,
                            env={**os.environ, **(env or {})}, **options)
    if check is not None and result.returncode != check:
        text = " ".join(str(part) for part in command)
        raise AssertionError(f"{text}: exit code {result.returncode} instead of {check}\n{result.stdout}{result.stderr}")
    return result


def make_key(folder):
    """An unencrypted key pair; returns (secret, public)."""
    run(MAKE, "keygen", "--out", pathlib.Path(folder, "test"), "--no-password", check=0)
    return pathlib.Path(folder, "test.key"), pathlib.Path(folder, "test.pub")


def make_bundle(release, out, key, *options, env=None):
    run(MAKE, "make", release, "--out", out, "--key", key, "--quiet", *options, check=0, env=env)
    return pathlib.Path(out)


def import_command(sources, store, trust=None, *options):
    pin = ["--trust", str(trust)] if trust else []
    return [str(IMPORT), "import", *map(str, sources), "--store", str(store), *pin, "--quiet", *options]


def import_bundle(sources, store, trust=None, *options, check=None):
    return run(*import_command(sources, store, trust, *options), check=check)


def tree_digest(folder):
    """{relative path: SHA-256} of every file: to show that a medium was not touched."""
    return {str(path.relative_to(folder)): file_digest(path)
            for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def file_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def tree_bytes(folder):
    """Bytes that the folder's files take on the disk. Files may vanish meanwhile."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


STORE_FILES = {".lock", ".upgrade.lock", "active", "audit.log", "blobs", "channels", "index.json", "oci-layout", "origin.json", "releases",
               "staging", "trust"}


def assert_clean_store(test, store, versions):
    """The store is whole, has exactly these releases, and nothing is left over."""
    store = pathlib.Path(store)
    run(IMPORT, "verify", "--store", store, "--quiet", check=0)
    test.assertEqual(sorted(path.name for path in (store / "releases").iterdir()), sorted(versions))
    wanted = set()
    for version in versions:
        for line in (store / "releases" / version / "blobs.list").read_text().splitlines():
            digest, size = line.split(" ")
            wanted.add(digest[7:])
            path = store / "blobs" / "sha256" / digest[7:]
            test.assertEqual(path.stat().st_size, int(size), f"size of {digest}")
    test.assertEqual({path.name for path in (store / "blobs" / "sha256").iterdir()}, wanted, "left-over blobs")
    test.assertEqual(sorted(path.name for path in (store / "staging").iterdir()), [], "left over in staging")
    test.assertLessEqual({path.name for path in store.iterdir()}, STORE_FILES, "left over in the store")
    left = [str(path) for path in store.rglob("*") if path.name.endswith((".new", ".tmp")) or path.name.startswith(".tmp")]
    test.assertEqual(left, [])
    names = {entry["digest"] for entry in json.loads((store / "index.json").read_text())["manifests"]}
    for version in versions:
        manifest = json.loads((store / "releases" / version / "manifest.json").read_text())
        test.assertLessEqual({image["digest"] for image in manifest["images"]}, names, "index.json lacks images")


class Registry:
    """A running bundle-registry; a context manager that gives host:port."""

    def __init__(self, store, *options):
        self.store, self.options = store, list(map(str, options))

    def __enter__(self):
        self.folder = tempfile.mkdtemp()
        port_file = pathlib.Path(self.folder, "port")
        command = [str(REGISTRY), "serve", "--store", str(self.store), "--listen", "127.0.0.1:0", "--port-file", str(port_file),
                   *self.options]
        self.log = open(pathlib.Path(self.folder, "log"), "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while not (port_file.exists() and port_file.read_text().strip()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError("the registry does not start: " + pathlib.Path(self.folder, "log").read_text())
            time.sleep(0.05)
        return "127.0.0.1:" + port_file.read_text().strip()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)
