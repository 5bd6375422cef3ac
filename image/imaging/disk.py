"""Reads the partitions of a raw disk image, without mounting it: no loop device and no rights are needed."""
import collections
import os
import pathlib
import struct
import subprocess
import uuid

from .failure import Failure

SECTOR = 512
Partition = collections.namedtuple("Partition", "number type start size name")
ROOT_TYPES = {"4f68bce3-e8cd-4db1-96e7-fbcaf984b709",  # root, x86-64
              "0fc63daf-8483-4772-8e79-3d69d8477de4"}  # Linux file system
MOST_ENTRIES = 128
EXT4_MAGIC_AT = 1024 + 56


def partitions(path):
    """Those of the GPT, in the order of their numbers."""
    with open(path, "rb") as file:
        file.seek(SECTOR)
        header = file.read(92)
        if len(header) < 92 or header[:8] != b"EFI PART":
            raise Failure(f"{path} has no GPT", "A raw disk image with a partition table is needed.")
        first, count, size = struct.unpack_from("<QII", header, 72)
        if count > MOST_ENTRIES or size != 128:
            raise Failure(f"{path}: its partition table has an unusual size", "Only 128 entries of 128 bytes are read.")
        file.seek(first * SECTOR)
        table = file.read(count * size)
    found = []
    for number in range(count):
        entry = table[number * 128:(number + 1) * 128]
        if len(entry) < 128 or entry[:16] == bytes(16):
            continue
        start, last = struct.unpack_from("<QQ", entry, 32)
        name = entry[56:].decode("utf-16-le", "replace").split("\0")[0]
        found.append(Partition(number + 1, str(uuid.UUID(bytes_le=entry[:16])), start * SECTOR,
                               (last - start + 1) * SECTOR, name))
    return found


def root_partition(path):
    """The largest one that holds an ext4 file system."""
    candidates = []
    with open(path, "rb") as file:
        for partition in partitions(path):
            file.seek(partition.start + EXT4_MAGIC_AT)
            if partition.type in ROOT_TYPES and file.read(2) == b"\x53\xef":
                candidates.append(partition)
    if not candidates:
        raise Failure(f"{path} has no ext4 partition", "imagectl reads images whose root file system is ext4.")
    return max(candidates, key=lambda partition: partition.size)


def debugfs(path, partition, *requests):
    """Runs requests of debugfs on the partition; standard error is returned, too, since its status is always 0."""
    command = ["debugfs", "-f", "-", f"{path}?offset={partition.start}"]
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    return subprocess.run(command, input="\n".join(requests) + "\n", capture_output=True, text=True, check=True,
                          env=environment)


def unpack_root(path, target):
    """Copies the root file system into the new folder `target`."""
    target = pathlib.Path(target)
    target.mkdir(parents=True)
    debugfs(path, root_partition(path), f'rdump "/" "{target.resolve()}"')
    if not (target / "etc").is_dir():
        raise Failure(f"{path}: the root file system could not be read", "Is the image whole? e2fsck -n looks at it.")


def read_file(path, name, target):
    """Copies one file of the root file system to `target`."""
    debugfs(path, root_partition(path), f'dump "{name}" "{pathlib.Path(target).resolve()}"')
    if not pathlib.Path(target).exists():
        raise Failure(f"{path} has no {name}", "It was not made by build-image.sh.")
