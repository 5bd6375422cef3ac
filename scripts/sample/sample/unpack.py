"""Unpack an image of an OCI layout into a runtime bundle: rootfs/, config.json for runc, and argv/env for chroot.

Run as `python3 -m sample.unpack`; run-image.sh does. Every blob is checked against its digest before it is used, and
no entry of a layer can reach outside rootfs/, whatever links the layers below have put there.
"""

import argparse
import gzip
import hashlib
import json
import os
import shutil
import sys
import tarfile

from .oci import INDEX, LAYER_GZIP, LAYER_TAR, REF_NAME
from .tools import SampleError, sha256_of

INDEX_TYPES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
TAR_TYPES = (LAYER_TAR,)
GZIP_TYPES = (LAYER_GZIP, "application/vnd.docker.image.rootfs.diff.tar.gzip")
MAX_LINKS = 40
CAPABILITIES = ["CAP_" + name for name in (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
    "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP")]


class ImageLayout:
    """Reading side of a layout."""

    def __init__(self, root):
        self._root = root
        try:
            with open(os.path.join(root, "index.json"), "rb") as stream:
                self._index = json.load(stream)
        except (OSError, ValueError) as error:
            raise SampleError(f"{root} is no OCI image layout: {error}") from error

    def manifest(self, ref, architecture):
        """The manifest that a tag stands for on one platform."""
        names = {entry.get("annotations", {}).get(REF_NAME): entry for entry in self._index["manifests"]}
        if ref not in names:
            raise SampleError(f"no image {ref}; there are: " + ", ".join(sorted(name for name in names if name)))
        document = self.document(names[ref])
        if names[ref]["mediaType"] not in INDEX_TYPES:
            return document
        for child in document["manifests"]:
            if child.get("platform") == {"architecture": architecture, "os": "linux"}:
                return self.document(child)
        raise SampleError(f"{ref} has no image for linux/{architecture}")

    def document(self, descriptor):
        """A JSON blob, checked."""
        with open(self.blob(descriptor), "rb") as stream:
            return json.load(stream)

    def blob(self, descriptor):
        """The path of a blob whose size and digest are right."""
        algorithm, _, digest = descriptor["digest"].partition(":")
        if algorithm != "sha256" or len(digest) != 64 or digest.strip("0123456789abcdef"):
            raise SampleError(f"not a sha256 digest: {descriptor['digest']}")
        path = os.path.join(self._root, "blobs", "sha256", digest)
        if os.path.getsize(path) != descriptor["size"] or sha256_of(path) != digest:
            raise SampleError(f"blob {descriptor['digest']} is damaged")
        return path


def inside(root, path):
    """Where `path` of the image lies on this machine: links on the way are followed as if root were /."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    here, links = [], 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            here = here[:-1]
            continue
        target = os.path.join(root, *here, part)
        if parts and os.path.islink(target):  # the last component is the entry itself, never followed
            links += 1
            if links > MAX_LINKS:
                raise SampleError(f"too many links in {path}")
            link = os.readlink(target)
            here = [] if link.startswith("/") else here
            parts = [step for step in link.split("/") if step not in ("", ".")] + parts
            continue
        here.append(part)
    return os.path.join(root, *here)


def remove(path):
    """Remove whatever is at a path, without following a link there."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


class LayerWriter:
    """Applies one layer to rootfs."""

    def __init__(self, root):
        self._root = root
        self._is_root = os.geteuid() == 0
        self._written = set()
        self._directory_modes = {}

    def apply(self, stream):
        """Apply a layer's tar; modes of directories come last, since they may forbid writing."""
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                self._apply_member(archive, member)
        for path, mode in self._directory_modes.items():
            os.chmod(path, mode)

    def _apply_member(self, archive, member):
        target = inside(self._root, member.name)
        folder, name = os.path.split(target)
        if target == self._root:
            return
        if name.startswith(".wh."):
            self._whiteout(folder, name.removeprefix(".wh."))
            return
        os.makedirs(folder, exist_ok=True)
        self._written.add(target)
        if member.isdir():
            if os.path.islink(target) or not os.path.isdir(target):
                remove(target)
                os.mkdir(target)
            self._directory_modes[target] = member.mode & 0o7777
        else:
            self._write(archive, member, target)
        self._set_owner(member, target)

    def _write(self, archive, member, target):
        remove(target)
        self._directory_modes.pop(target, None)
        if member.issym():
            os.symlink(member.linkname, target)
        elif member.islnk():
            os.link(inside(self._root, member.linkname), target, follow_symlinks=False)
        elif member.isreg():
            with open(target, "xb") as out:
                shutil.copyfileobj(archive.extractfile(member), out, 1 << 20)
            os.utime(target, (member.mtime, member.mtime))
        # devices and pipes are left out: the runtime provides /dev

    def _set_owner(self, member, target):
        if not os.path.lexists(target):
            return
        if self._is_root:
            os.chown(target, member.uid, member.gid, follow_symlinks=False)
        if member.isreg():
            os.chmod(target, member.mode & 0o7777)  # after chown, which clears set-user-id

    def _whiteout(self, folder, name):
        """Hide a file of the layers below, or all of a directory that came from below (.wh..wh..opq)."""
        if name == ".wh..opq":
            for entry in os.listdir(folder) if os.path.isdir(folder) else []:
                path = os.path.join(folder, entry)
                if not any(kept == path or kept.startswith(path + "/") for kept in self._written):
                    remove(path)
        elif name not in ("", ".", ".."):
            remove(os.path.join(folder, name))


def unpack(layout, manifest, config, root):
    """Unpack all layers, each checked against the config's diff id as well."""
    os.makedirs(root, exist_ok=True)
    for descriptor, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        if descriptor["mediaType"] not in GZIP_TYPES + TAR_TYPES:
            raise SampleError(f"layers of type {descriptor['mediaType']} are not read here")
        opener = gzip.open if descriptor["mediaType"] in GZIP_TYPES else open
        with opener(layout.blob(descriptor), "rb") as stream:
            tee = HashingReader(stream)
            LayerWriter(root).apply(tee)
            if tee.finish() != diff_id:
                raise SampleError(f"layer {descriptor['digest']} does not have the diff id of the config")


class HashingReader:
    """Hashes a stream while it is read."""

    def __init__(self, stream):
        self._stream, self._digest = stream, hashlib.sha256()

    def read(self, size=-1):
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def finish(self):
        while self.read(1 << 20):
            pass
        return "sha256:" + self._digest.hexdigest()


def user_ids(root, user):
    """Numbers of a config's User field, looked up in the image's own account files where it is a name."""
    name, _, group = (user or "0").partition(":")
    uid, own_group = _account(root, "etc/passwd", name)
    return (uid, _account(root, "etc/group", group)[0]) if group else (uid, own_group)


def _account(root, file, name):
    """(number, third number) of a line; a bare number need not be listed."""
    path = inside(root, file)
    lines = []
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = [line.rstrip("\n").split(":") for line in stream]
    for fields in lines:
        if len(fields) > 2 and name in (fields[0], fields[2]):
            return int(fields[2]), int(fields[3]) if len(fields) > 3 and fields[3].isdigit() else 0
    if name.isdigit():
        return int(name), 0
    raise SampleError(f"the image has no account {name}")


def command_line(config, words):
    """What docker would run: the entry point, then the given words or the default command."""
    argv = (config.get("Entrypoint") or []) + (words or config.get("Cmd") or [])
    if not argv:
        raise SampleError("the image names no command: give one")
    return argv


def runc_config(argv, env, cwd, ids, rootless):
    """A runtime configuration with the host's network, so that a server can be reached without further set-up."""
    namespaces = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]
    linux = {"namespaces": namespaces, "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
             "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]}
    if rootless:
        namespaces.append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    options = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": ids[0], "gid": ids[1]}, "args": argv, "env": env, "cwd": cwd,
                    "noNewPrivileges": True,
                    "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "sample",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": options},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*options, "mode=1777"]},
        ],
        "linux": linux,
    }


def write_words(path, words):
    """A NUL-separated list, which a shell reads safely."""
    with open(path, "wb") as out:
        out.write(b"".join(word.encode() + b"\0" for word in words))


def main():
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="unpack", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="amd64")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("layout")
    parser.add_argument("ref")
    parser.add_argument("bundle")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    try:
        prepare(arguments)
    except (SampleError, OSError, KeyError, ValueError, tarfile.TarError) as error:
        print(f"unpack: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(arguments):
    """Write the runtime bundle."""
    layout = ImageLayout(arguments.layout)
    manifest = layout.manifest(arguments.ref, arguments.arch)
    image = layout.document(manifest["config"])
    root = os.path.realpath(os.path.join(arguments.bundle, "rootfs"))
    unpack(layout, manifest, image, root)
    config = image.get("config") or {}
    argv, env = command_line(config, arguments.command), [*config.get("Env", []), *arguments.env]
    ids, cwd = user_ids(root, config.get("User")), config.get("WorkingDir") or "/"
    for folder in ("proc", "dev"):
        path = inside(root, folder)
        if os.path.islink(path) or not os.path.isdir(path):
            remove(path)
            os.mkdir(path)
    with open(os.path.join(arguments.bundle, "config.json"), "w", encoding="utf-8") as out:
        json.dump(runc_config(argv, env, cwd, ids, os.geteuid() != 0), out, indent=1)
    write_words(os.path.join(arguments.bundle, "argv"), argv)
    write_words(os.path.join(arguments.bundle, "env"), env)
    write_words(os.path.join(arguments.bundle, "process"), [f"{ids[0]}:{ids[1]}", cwd])


if __name__ == "__main__":
    sys.exit(main())
