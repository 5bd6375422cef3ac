"""A file tree held as a table: what goes in a layer or in the disk image, before it is written anywhere.

Owners and modes live in the table and contents stay in the archives that they came from, so no root is needed and
the written tar depends on nothing but the table.
"""

import contextlib
import dataclasses
import io
import os
import posixpath
import shutil
import tarfile

MERGED_USR = {name: "usr/" + name for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")}
# what Debian's -slim images leave out, except for the copyright files
LEFT_OUT = ("usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/")


@dataclasses.dataclass(frozen=True)
class Content:
    """The bytes of a file: given here, or a range of an archive on disk."""

    data: bytes = b""
    path: str = ""
    offset: int = 0
    length: int = 0

    @property
    def size(self):
        return self.length if self.path else len(self.data)

    @contextlib.contextmanager
    def open(self):
        """A stream that starts at the content; a reader takes `size` bytes from it."""
        if not self.path:
            yield io.BytesIO(self.data)
            return
        with open(self.path, "rb") as stream:
            stream.seek(self.offset)
            yield stream


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file, directory, symbolic link or hard link."""

    kind: bytes            # tarfile's type codes
    mode: int
    uid: int = 0
    gid: int = 0
    link: str = ""
    content: Content = Content()


def merged_path(name):
    """The path of an archive member in a merged-/usr system, whichever way its package spells it."""
    path = posixpath.normpath(name.lstrip("/"))
    if path == ".":
        return ""
    first, slash, rest = path.partition("/")
    return MERGED_USR.get(first, first) + slash + rest


def is_left_out(path):
    """Whether a packaged file is documentation that a slim image does without."""
    return (path + "/").startswith(LEFT_OUT) and not path.endswith("/copyright")


class FileTree:
    """Paths (without a leading slash) and what is there."""

    def __init__(self):
        self.entries = {}

    def add_dir(self, path, mode=0o755, uid=0, gid=0):
        self._parents(path)
        self.entries[path] = Entry(tarfile.DIRTYPE, mode, uid, gid)

    def add_file(self, path, data, mode=0o644, uid=0, gid=0):
        self._parents(path)
        data = data.encode() if isinstance(data, str) else data
        self.entries[path] = Entry(tarfile.REGTYPE, mode, uid, gid, content=Content(data))

    def add_symlink(self, path, target):
        self._parents(path)
        self.entries[path] = Entry(tarfile.SYMTYPE, 0o777, link=target)

    def add_whiteout(self, path):
        """An OCI whiteout: this layer removes `path` of the layers below."""
        head, tail = posixpath.split(path)
        self.add_file(posixpath.join(head, ".wh." + tail), b"")

    def add_merged_usr(self):
        """The links that a merged-/usr system has in its root."""
        for name in ("bin", "sbin", "lib", "lib64"):
            self.add_symlink(name, MERGED_USR[name])
            self.add_dir(MERGED_USR[name])

    def add_archive(self, path):
        """Add a package's files and return the paths that dpkg would list as its own."""
        listed = []
        with tarfile.open(path) as archive:
            for member in archive:
                name = merged_path(member.name)
                listed.append("/" + name if name else "/.")
                if name and name not in MERGED_USR and not is_left_out(name):
                    self._add_member(path, name, member)
        return listed

    def update(self, other):
        """Lay another tree over this one, as the next layer of an image does (whiteouts are not looked at)."""
        self.entries.update(other.entries)

    def read(self, path):
        """The content of a file as bytes."""
        content = self.entries[path].content
        with content.open() as stream:
            return stream.read(content.size)

    def sorted_items(self):
        """Entries by path, parents first; hard links last, since they need their target."""
        return sorted(self.entries.items(), key=lambda item: (item[1].kind == tarfile.LNKTYPE, item[0].split("/")))

    def write_tar(self, stream, mtime):
        """Write the tree as a tar whose bytes depend on nothing but the tree and `mtime`."""
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:
            for path, entry in self.sorted_items():
                member = tarfile.TarInfo(path)
                member.type, member.mode, member.linkname = entry.kind, entry.mode, entry.link
                member.uid, member.gid, member.mtime = entry.uid, entry.gid, mtime
                member.size = entry.content.size
                with entry.content.open() as content:
                    archive.addfile(member, content)

    def write_dir(self, root, mtime):
        """Write the tree below an existing directory, without owners (only root could set those)."""
        items = self.sorted_items()
        for path, entry in items:
            _write_entry(root, os.path.join(root, path), entry)
        for path, entry in reversed(items):  # children before their directory, whose mode may forbid writing
            target = os.path.join(root, path)
            if entry.kind != tarfile.SYMTYPE:
                os.chmod(target, entry.mode)
            os.utime(target, (mtime, mtime), follow_symlinks=False)

    def _parents(self, path):
        parent = posixpath.dirname(path)
        if parent and parent not in self.entries:
            self.add_dir(parent)

    def _add_member(self, archive_path, name, member):
        self._parents(name)
        link = merged_path(member.linkname) if member.islnk() else member.linkname
        content = Content()
        if member.isreg():
            content = Content(path=archive_path, offset=member.offset_data, length=member.size)
        self.entries[name] = Entry(member.type, member.mode & 0o7777, member.uid, member.gid, link, content)


def _write_entry(root, target, entry):
    if entry.kind == tarfile.DIRTYPE:
        os.makedirs(target, exist_ok=True)
    elif entry.kind == tarfile.SYMTYPE:
        os.symlink(entry.link, target)
    elif entry.kind == tarfile.LNKTYPE:
        os.link(os.path.join(root, entry.link), target)
    else:
        with open(target, "wb") as out, entry.content.open() as content:
            copy_range(content, out, entry.content.size)


def copy_range(source, out, length):
    """Copy exactly `length` bytes."""
    while length > 0:
        block = source.read(min(length, 1 << 20))
        if not block:
            raise EOFError("an archive ends too early")
        out.write(block)
        length -= len(block)
    return out


def copy_fresh(source, target):
    """Copy a file's bytes only: mode, owner and times of the output are set in one place, at the end."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)
