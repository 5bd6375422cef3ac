"""Running outside tools, and saying which Debian package has one that is missing."""

import hashlib
import os
import shutil
import subprocess

PACKAGE_OF = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "debugfs": "e2fsprogs",
    "dpkg": "dpkg",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "zstd": "zstd",
}


class SampleError(Exception):
    """Something the user can act on; the message is all that is shown."""


def search_path():
    """PATH plus the system directories: mke2fs lives in /usr/sbin, which an ordinary user's PATH lacks on Debian."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def require(*names):
    """Stop before any work is done when a tool is missing, naming all of them and their packages at once."""
    missing = [name for name in names if shutil.which(name, path=search_path()) is None]
    if missing:
        lines = [f"  {name}: apt-get install {PACKAGE_OF.get(name, name)}" for name in missing]
        raise SampleError("missing tools:\n" + "\n".join(lines))


def run(command, *, env=None, cwd=None, stdin=None, stdout=subprocess.PIPE):
    """Run a tool in the C locale (its output is parsed) and return its standard output as bytes."""
    full_env = {**os.environ, "LC_ALL": "C", "PATH": search_path(), **(env or {})}
    require(command[0])
    done = subprocess.run(command, env=full_env, cwd=cwd, input=stdin, stdout=stdout, stderr=subprocess.PIPE)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()
        raise SampleError(f"{' '.join(command[:2])} ... failed with status {done.returncode}:\n{reason}")
    return done.stdout


def sha256_of(path):
    """Hash a file without reading it into memory at once."""
    with open(path, "rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
