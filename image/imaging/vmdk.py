"""streamOptimized VMDK of a raw disk; the same disk gives the same bytes."""
import hashlib
import re
import struct
import subprocess

from .failure import Failure

SECTOR = 512
MAGIC = b"KDMV"


def describe(path):
    """(capacity in bytes, offset and size of the text descriptor); throws when it is no sparse VMDK."""
    with open(path, "rb") as file:
        header = file.read(SECTOR)
    if len(header) < SECTOR or header[:4] != MAGIC:
        raise Failure(f"{path} is no sparse VMDK", "qemu-img writes one with subformat=streamOptimized.")
    _version, _flags, capacity, _grain, offset, size = struct.unpack_from("<IIQQQQ", header, 4)
    if offset == 0 or size > 64:
        raise Failure(f"{path}: the descriptor of the VMDK is not where it should be", "")
    return capacity * SECTOR, offset * SECTOR, size * SECTOR


def descriptor(path):
    _, offset, size = describe(path)
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size).rstrip(b"\0").decode("ascii", "replace")


def convert(raw, target, content_id):
    """qemu-img draws the content id by chance: eight hexadecimal digits of `content_id` take its place."""
    subprocess.run(["qemu-img", "convert", "-q", "-m", "1", "-f", "raw", "-O", "vmdk",
                    "-o", "subformat=streamOptimized,adapter_type=lsilogic", str(raw), str(target)], check=True)
    _, offset, size = describe(target)
    with open(target, "r+b") as file:
        file.seek(offset)
        patched = with_content_id(file.read(size), content_id)
        if patched is None:
            raise Failure(f"{target}: no content id in the VMDK", "Another version of qemu-img writes something else.")
        file.seek(offset)
        file.write(patched)


def with_content_id(room, content_id):
    """The descriptor in its zero-padded `room` with another content id; None if it has none, or does not fit.

    qemu-img writes the id twice, without leading zeros: seven digits now and then, fewer more rarely. When the second is the
    shorter, the end of the first text is still there behind the zero that ends the second."""
    text = room.split(b"\0", 1)[0]
    patched, count = re.subn(rb"(?m)^CID=[0-9a-f]{1,8}$", b"CID=" + content_id[:8].encode(), text)
    return patched.ljust(len(room), b"\0") if count == 1 and len(patched) <= len(room) else None


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
