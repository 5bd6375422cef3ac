"""Debian packages: which ones a set of names needs, fetching them, and reading what is inside.

apt's own solver works out the closure, against an empty list of installed packages, so that the answer depends on the
mirror and not on what this machine happens to have. Nothing is installed and no maintainer script runs.
"""

import dataclasses
import io
import os
import re
import tarfile
import tempfile
import urllib.parse

from .tools import SampleError, run, sha256_of

URI_LINE = re.compile(r"^'[^']*' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$")


@dataclasses.dataclass(frozen=True, order=True)
class Deb:
    """One package file of the mirror; the name carries the epoch as apt writes it (%3a)."""

    name: str
    version: str
    filename: str
    size: int
    sha256: str


def _parse_uri_line(line):
    """Read one line of `apt-get --print-uris`; the address itself is dropped, apt finds it again when fetching."""
    match = URI_LINE.match(line)
    if not match:
        raise SampleError(f"apt-get printed a line that was not understood: {line.split(' ', 1)[-1]}")
    name, version, _arch = match["file"].removesuffix(".deb").split("_")
    return Deb(name, urllib.parse.unquote(version), match["file"], int(match["size"]), match["sha256"])


class DebSource:
    """The package mirror that apt is configured for, with a directory of files fetched before."""

    def __init__(self, cache, suite=""):
        """`suite` prefers its own versions to later ones of other suites (security, updates)."""
        self._suite = ["-o", f"APT::Default-Release={suite}"] if suite else []
        self._dir = os.path.join(cache, "debs")
        os.makedirs(self._dir, exist_ok=True)

    def candidate_depends(self, package):
        """The Depends field of the candidate version: how a metapackage tells the default major version."""
        text = run(["apt-cache", "show", "--no-all-versions", package]).decode()
        match = re.search(r"^Depends: (.*)$", text, re.MULTILINE)
        return match[1] if match else ""

    def closure(self, names):
        """All packages needed to install `names` on an empty system, sorted by name."""
        with tempfile.TemporaryDirectory() as empty:
            os.mkdir(os.path.join(empty, "partial"))
            output = run([
                "apt-get", "--quiet=2", "--print-uris", "--no-install-recommends",
                "-o", "Dir::State::status=/dev/null",
                "-o", "Dir::State::extended_states=/dev/null",
                "-o", f"Dir::Cache::archives={empty}",
                "-o", "Dir::Cache::pkgcache=",  # the machine's own cache is about another status file
                "-o", "Debug::NoLocking=1",
                "-o", "Acquire::ForceHash=SHA256",
                *self._suite, "install", *names,
            ])
        lines = [line for line in output.decode().splitlines() if line.startswith("'")]
        if not lines:
            raise SampleError("apt knows no packages: run 'apt-get update' first")
        return sorted(_parse_uri_line(line) for line in lines)

    def fetch(self, debs):
        """Make sure that every package file is in the cache, with the hash that the signed package list gives."""
        missing = [deb for deb in debs if not self._is_cached(deb)]
        if not missing:
            return
        with tempfile.TemporaryDirectory(dir=self._dir, prefix=".incoming-") as incoming:
            # as root apt would drop to a user that may not write here, and warn about it for each file
            run(["apt-get", "--quiet=2", "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1", "download",
                 *[f"{deb.name}={deb.version}" for deb in missing]], cwd=incoming)
            for deb in missing:
                self._adopt(deb, incoming)

    def path(self, deb):
        """Where a fetched package lies."""
        return os.path.join(self._dir, deb.filename)

    def _is_cached(self, deb):
        path = self.path(deb)
        return os.path.exists(path) and os.path.getsize(path) == deb.size and sha256_of(path) == deb.sha256

    def _adopt(self, deb, incoming):
        fetched = os.path.join(incoming, deb.filename)
        if not os.path.exists(fetched) or sha256_of(fetched) != deb.sha256:
            raise SampleError(f"{deb.filename}: the mirror sent something else than its package list says; "
                              "run 'apt-get update' and try again")
        os.replace(fetched, self.path(deb))


@dataclasses.dataclass
class Control:
    """What dpkg's database would keep of an installed package."""

    status: str    # the paragraph of /var/lib/dpkg/status
    md5sums: bytes


def read_control(path):
    """Read a package's control archive and turn its control file into a status paragraph."""
    data = run(["dpkg-deb", "--ctrl-tarfile", path])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name.removeprefix("./"): archive.extractfile(member).read()
                   for member in archive if member.isfile()}
    lines = members["control"].decode().rstrip("\n").split("\n")
    at = next(index for index, line in enumerate(lines) if line.startswith("Package:"))
    lines.insert(at + 1, "Status: install ok installed")
    return Control("\n".join(lines) + "\n", members.get("md5sums", b""))


def unpack_data(path, target):
    """Write a package's file system archive, decompressed, to `target`: its members are read from there in place."""
    with open(target, "wb") as stream:
        run(["dpkg-deb", "--fsys-tarfile", path], stdout=stream)
