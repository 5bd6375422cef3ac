"""Walks a file system tree and reports every secret in it; secret_rules.py has the rules.

What a package of the distribution brought and nobody changed (dpkg's md5sums) holds no secret of ours and is left out;
files of the project's own packages are read. Compressed logs are read inflated. Files are read in pieces, so memory does
not grow with them.
"""
import bz2
import collections
import fnmatch
import gzip
import hashlib
import lzma
import os
import pathlib
import stat
import zlib

from . import secret_rules
from .failure import Failure

PIECE = 4 << 20
OVERLAP = 8 << 10  # longer than any pattern's match
INFLATED_LIMIT = 256 << 20
OWN_PACKAGES = ("bundle-tools", "bundle-appliance")
# Kernel file systems of a running machine; nothing of them is in an image.
VIRTUAL = ("proc", "sys", "dev", "run")
_openers = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}

Report = collections.namedtuple("Report", "findings allowed unused files skipped")


class Allowed:
    """Exceptions with a reason: lines RULE PATH-PATTERN REASON."""

    def __init__(self, path=None):
        self.entries = []
        self.used = set()
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines() if path else [], 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split(None, 2)
            if len(fields) < 3:
                raise Failure(f"{path}, line {number}: RULE PATH REASON is needed", "Say why it is no secret.")
            self.entries.append(tuple(fields))

    def covers(self, finding):
        for entry in self.entries:
            if entry[0] == finding.rule and fnmatch.fnmatchcase(finding.path, entry[1]):
                self.used.add(entry)
                return True
        return False


def packaged_digests(root):
    """MD5 by path of every file that a foreign package shipped."""
    digests = {}
    for listing in sorted((root / "var/lib/dpkg/info").glob("*.md5sums")):
        if listing.name.split(".md5sums")[0].split(":")[0] in OWN_PACKAGES:
            continue
        for line in listing.read_text(errors="replace").splitlines():
            digest, _, path = line.partition("  ")
            digests[path] = digest
            # /bin is a link to /usr/bin on merged systems; packages list either.
            digests.setdefault("usr/" + path, digest)
    return digests


def is_unchanged(path, wanted):
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest() == wanted


def pieces(path):
    """(bytes, number of the first line) with an overlap; inflated where the name says that it is compressed."""
    opener = _openers.get(path.suffix, open)
    kept, first_line, total = b"", 1, 0
    try:
        with opener(path, "rb") as file:
            while piece := file.read(PIECE):
                total += len(piece)
                yield kept + piece, first_line
                data = kept + piece
                kept = data[-OVERLAP:]
                first_line += data.count(b"\n", 0, len(data) - len(kept))
                if opener is not open and total > INFLATED_LIMIT:
                    return
    except (gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, OSError):
        if opener is open:
            raise
        # Not what its name says: as plain bytes.
        data = path.read_bytes()[:INFLATED_LIMIT]
        yield data, 1


def is_text(data):
    return b"\0" not in data[:4096]


def file_findings(path, name):
    yield from secret_rules.path_findings(name, path.stat().st_size)
    if name in secret_rules.SHADOW_FILES:
        yield from secret_rules.shadow_findings(name, path.read_bytes())
        return
    if name == "etc/machine-id":
        yield from secret_rules.identity_findings(name, path.read_bytes())
    for data, first_line in pieces(path):
        yield from secret_rules.content_findings(name, data, first_line)
        if is_text(data):
            yield from secret_rules.entropy_findings(name, data, first_line)


def walk(root):
    """Every regular file below root, in the order of their names; links are not followed."""
    for folder, names, files in os.walk(root):
        relative = os.path.relpath(folder, root)
        if relative == ".":
            names[:] = [name for name in names if name not in VIRTUAL]
        names.sort()
        for name in sorted(files):
            path = pathlib.Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path, os.path.normpath(os.path.join(relative, name))


def scan(root, allow=None):
    """Reads the tree; throws when it is not one of a finished system."""
    root = pathlib.Path(root)
    if not (root / "etc").is_dir():
        raise Failure(f"{root} has no etc/: it is not the file system of a machine",
                      "Name the folder in which the finished file system is mounted or unpacked.")
    allowed = Allowed(allow)
    packaged = packaged_digests(root)
    found, excused, count, skipped = {}, [], 0, 0
    for path, name in walk(root):
        count += 1
        if name in packaged and is_unchanged(path, packaged[name]):
            skipped += 1
            continue
        for finding in file_findings(path, name):
            if allowed.covers(finding):
                excused.append(finding)
            else:
                found.setdefault((finding.rule, finding.path, finding.line), finding)
    unused = [entry for entry in allowed.entries if entry not in allowed.used]
    return Report(list(found.values()), excused, unused, count, skipped)
