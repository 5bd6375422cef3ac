"""What differs between two builds of an image, file by file: the answer to "is it reproducible?"."""
import collections
import hashlib
import os
import pathlib
import stat
import subprocess
import tempfile

from . import disk

Difference = collections.namedtuple("Difference", "path what first second")


def _raw(path, work):
    """The disk as a raw file; QCOW2 is converted."""
    with open(path, "rb") as file:
        if file.read(4) != b"QFI\xfb":
            return pathlib.Path(path)
    target = pathlib.Path(work) / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw", str(path), str(target)], check=True)
    return target


def _entries(root):
    """{path: (kind, mode, owner, content or target of the link)}"""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = pathlib.Path(folder, name)
            status = path.lstat()
            content = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()[:16]
            found[str(path.relative_to(root))] = (stat.S_IFMT(status.st_mode), oct(status.st_mode & 0o7777),
                                                  f"{status.st_uid}:{status.st_gid}", content, int(status.st_mtime))
    return found


def trees(first, second, times=False):
    """Differences of two unpacked file systems, sorted by path."""
    one, two = _entries(first), _entries(second)
    for path in sorted(one.keys() | two.keys()):
        if path not in two:
            yield Difference(path, "only in the first", "", "")
        elif path not in one:
            yield Difference(path, "only in the second", "", "")
        else:
            for index, what in enumerate(("kind", "mode", "owner", "content") + (("time",) if times else ())):
                if one[path][index] != two[path][index]:
                    yield Difference(path, what, str(one[path][index]), str(two[path][index]))


def disks(first, second, times=False):
    """The partition tables, the space before the first partition, and the file systems of two disks."""
    with tempfile.TemporaryDirectory(prefix="imagectl-") as one, tempfile.TemporaryDirectory(prefix="imagectl-") as two:
        raws = [_raw(first, one), _raw(second, two)]
        tables = [disk.partitions(raw) for raw in raws]
        if tables[0] != tables[1]:
            yield Difference("(partition table)", "content", str(len(tables[0])), str(len(tables[1])))
        heads = []
        for raw, table in zip(raws, tables):
            with open(raw, "rb") as file:
                heads.append(hashlib.sha256(file.read(min(part.start for part in table))).hexdigest()[:16])
        if heads[0] != heads[1]:
            yield Difference("(before the first partition)", "content", *heads)
        roots = [pathlib.Path(one) / "root", pathlib.Path(two) / "root"]
        for raw, root in zip(raws, roots):
            disk.unpack_root(raw, root)
        yield from trees(*roots, times)
