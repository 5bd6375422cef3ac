"""The disk image: a real ext4 file system, the same bytes on every run and for every user.

mke2fs -d takes owners from the directory that it copies, which only root could set, and change times from the clock.
Both are therefore written afterwards, from the file tree, with debugfs.
"""

import hashlib
import os
import random
import tarfile

from .releases import PRODUCT, iso_time
from .tools import run
from .tree import FileTree

SIZE = 128 << 20
LOST_FOUND = 11                     # the first inode after the reserved ones
UUID = "5a4d504c-0000-4000-8000-617070726e63"
HASH_SEED = "5a4d504c-0000-4000-8000-68617368736e"
FIRMWARE_BLOCKS, FIRMWARE_BLOCK = 512, 16384


def rootfs_tree(release, base, web_runtime):
    """The base system, busybox, and what an appliance would add to it."""
    tree = FileTree()
    tree.update(base)
    tree.entries["usr/bin/busybox"] = web_runtime.entries["usr/bin/busybox"]
    for path, mode in (("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("run", 0o755), ("tmp", 0o1777)):
        tree.add_dir(path, mode)
    tree.add_file("etc/appliance-release",
                  f"PRODUCT={PRODUCT}\nVERSION={release.version}\nK3S={release.k3s}\nBUILT={iso_time(release.built)}\n"
                  "NOTE=sample disk image: a real file system, stand-in for the appliance, not bootable\n")
    tree.add_file("etc/hostname", "")
    tree.add_file("etc/machine-id", "")
    tree.add_file("opt/appliance/preflight.sh", _preflight(release), 0o755)
    tree.add_file("opt/appliance/firmware.bin", _firmware(release))
    if release.upgrade_from:
        tree.add_file("opt/appliance/CHANGES.txt", f"{release.version}: new k3s, new web modules, pg_cron added.\n")
    return tree


def _preflight(release):
    return ("#!/bin/sh\n# Sample of a script that changes from release to release.\nset -eu\n"
            f'[ "$(cat /proc/sys/kernel/ostype)" = Linux ] || exit 1\necho "preflight {release.version}: ok"\n')


def _firmware(release):
    """8 MiB that do not compress, of which an upgrade changes one block in 32."""
    blocks = []
    for number in range(FIRMWARE_BLOCKS):
        revision = release.version if number % 32 == 7 else "common"
        seed = hashlib.sha256(f"{number}/{revision}".encode()).digest()
        blocks.append(random.Random(seed).randbytes(FIRMWARE_BLOCK))
    return b"".join(blocks)


def write_disk_image(release, tree, target, work):
    """Write the tree as an ext4 file system."""
    staging = os.path.join(work, "rootfs")
    os.mkdir(staging, 0o755)
    tree.write_dir(staging, release.built)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as image:
        image.truncate(SIZE)
    # mke2fs.conf of the machine must not decide about features, so the ones that matter are named
    env = {"E2FSPROGS_FAKE_TIME": str(release.built), "MKE2FS_CONFIG": "/dev/null"}
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-N", "8192", "-m", "0", "-L", "appliance",
         "-O", "none,has_journal,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,"
               "dir_nlink,extra_isize,metadata_csum,64bit",
         "-U", UUID, "-E", f"hash_seed={HASH_SEED},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
         "-d", staging, target], env=env)
    script = "\n".join(_fixups(release, tree)) + "\n"
    script_path = os.path.join(work, "debugfs-script")
    with open(script_path, "w", encoding="utf-8") as out:
        out.write(script)
    run(["debugfs", "-w", "-f", script_path, target], env=env)


def _fixups(release, tree):
    """debugfs commands that set what mke2fs took from the staging directory."""
    stamp = f"@{release.built}"
    paths = [("/", 0, 0), (f"<{LOST_FOUND}>", 0, 0)]
    paths += [("/" + path, entry.uid, entry.gid) for path, entry in tree.sorted_items()
              if entry.kind != tarfile.LNKTYPE]
    for path, uid, gid in paths:
        for field in ("atime", "ctime", "mtime", "crtime"):
            yield f'sif "{path}" {field} {stamp}'
        yield f'sif "{path}" uid {uid}'
        yield f'sif "{path}" gid {gid}'


def write_qcow2(image):
    """A qcow2 beside the raw image, on request: release.yaml names the raw one, which every machine can make."""
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", image, os.path.splitext(image)[0] + ".qcow2"])
