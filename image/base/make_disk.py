#!/usr/bin/env python3
"""A bootable raw disk from a folder: GPT, GRUB for BIOS, one ext4 file system. The same folder gives the same bytes.

    make_disk.py --root DIR --disk RAW --size 2G
"""
import argparse
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import uuid

SECTOR = 512
MIB = 1 << 20
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
LINUX_ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
CORE_AT, ROOT_AT = 1 * MIB, 2 * MIB
MODULES = "biosdisk part_gpt ext2 normal linux search search_fs_uuid serial terminal configfile echo test ls reboot".split()
# Fixed ids: of a disk that is copied to every site they say nothing anyway, and two builds stay comparable.
NAMESPACE = uuid.UUID("6f2c1c1e-0d63-4c6b-9a57-1f4f0b8f3f10")


def run(*command, **options):
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
                   "E2FSPROGS_FAKE_TIME": os.environ.get("SOURCE_DATE_EPOCH", "0")}
    return subprocess.run([str(word) for word in command], check=True, env=environment, **options)


def bytes_of(text):
    match = re.fullmatch(r"(\d+)([MG])", text)
    if not match:
        sys.exit(f"make_disk.py: error: --size {text}: a number with M or G is needed, like 2G")
    return int(match[1]) << {"M": 20, "G": 30}[match[2]]


def newest(folder, pattern):
    found = sorted(folder.glob(pattern))
    if not found:
        sys.exit(f"make_disk.py: error: {folder} has no {pattern}: is a kernel installed?")
    return found[-1].name


def grub_config(root, root_id):
    kernel, initrd = newest(root / "boot", "vmlinuz-*"), newest(root / "boot", "initrd.img-*")
    (root / "boot/grub").mkdir(exist_ok=True)
    (root / "boot/grub/grub.cfg").write_text(f"""# Written when the image was made.
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=1
set default=0
menuentry "Appliance" {{
    search --no-floppy --fs-uuid --set=root {root_id}
    linux /boot/{kernel} root=UUID={root_id} ro console=tty0 console=ttyS0,115200 loglevel=4
    initrd /boot/{initrd}
}}
""")


def clamp_times(root, newest_time):
    """Files that the build wrote are of the build's time, not of the hour in which it ran."""
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if os.lstat(path).st_mtime > newest_time:
                os.utime(path, (newest_time, newest_time), follow_symlinks=False)
    os.utime(root, (newest_time, newest_time))


def settle_times(disk, root):
    """mkfs copies the times of the last access and change, which are of this hour: each becomes the file's own time."""
    requests = []
    for folder, folders, files in os.walk(root):
        for path in [folder, *(os.path.join(folder, name) for name in files),
                     *(os.path.join(folder, name) for name in folders if os.path.islink(os.path.join(folder, name)))]:
            name = "/" + os.path.relpath(path, root) if path != str(root) else "/"
            time = int(os.lstat(path).st_mtime)
            requests += [f'set_inode_field "{name}" {field} @{time}' for field in ("atime", "ctime", "crtime")]
    run("debugfs", "-w", "-f", "-", f"{disk}?offset={ROOT_AT}", text=True, input="\n".join(requests) + "\n",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write_grub(disk, work, root_id):
    """boot.img into the first sector, core.img into the BIOS boot partition; each knows where the next sectors are."""
    folder = pathlib.Path("/usr/lib/grub/i386-pc")
    embedded = work / "embedded.cfg"
    embedded.write_text(f"search.fs_uuid {root_id} root\nset prefix=($root)/boot/grub\n")
    core = work / "core.img"
    run("grub-mkimage", "-O", "i386-pc", "-d", folder, "-p", "/boot/grub", "-c", embedded, "-o", core, *MODULES)
    boot = bytearray((folder / "boot.img").read_bytes())
    data = bytearray(core.read_bytes())
    if len(data) > ROOT_AT - CORE_AT:
        sys.exit("make_disk.py: error: GRUB's core is larger than its partition")
    struct.pack_into("<Q", boot, 0x5C, CORE_AT // SECTOR)
    # As grub-bios-setup does for a hard disk: whatever drive the BIOS names is believed.
    boot[0x66:0x68] = b"\x90\x90"
    struct.pack_into("<Q", data, 0x1F4, CORE_AT // SECTOR + 1)
    with open(disk, "r+b") as file:
        old = file.read(SECTOR)
        # The partition table and the disk's signature stay.
        file.seek(0)
        file.write(boot[:0x1B8] + old[0x1B8:])
        file.seek(CORE_AT)
        file.write(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True, type=pathlib.Path)
    parser.add_argument("--disk", required=True, type=pathlib.Path)
    parser.add_argument("--size", default="2G")
    options = parser.parse_args()
    size = bytes_of(options.size)
    seed = f"{options.disk.name} {os.environ.get('SOURCE_DATE_EPOCH', '0')}"
    disk_id, root_id, part_ids = (uuid.uuid5(NAMESPACE, "disk " + seed), uuid.uuid5(NAMESPACE, "root " + seed),
                                  [uuid.uuid5(NAMESPACE, f"part {number} {seed}") for number in (1, 2)])
    grub_config(options.root, root_id)
    fstab = options.root / "etc/fstab"
    fstab.write_text(f"UUID={root_id} / ext4 defaults,errors=remount-ro 0 1\n")
    clamp_times(options.root, int(os.environ.get("SOURCE_DATE_EPOCH", 0)) or 1)

    with open(options.disk, "wb") as file:
        file.truncate(size)
    root_size = size - ROOT_AT - MIB
    run("sfdisk", "--quiet", options.disk, text=True, input=f"""label: gpt
label-id: {disk_id}
start={CORE_AT // SECTOR}, size={(ROOT_AT - CORE_AT) // SECTOR}, type={BIOS_BOOT}, uuid={part_ids[0]}, name=bios
start={ROOT_AT // SECTOR}, size={root_size // SECTOR}, type={LINUX_ROOT}, uuid={part_ids[1]}, name=root
""")
    run("mkfs.ext4", "-q", "-F", "-d", options.root, "-L", "appliance", "-U", root_id, "-E",
        f"offset={ROOT_AT},hash_seed={root_id},lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-O", "^metadata_csum_seed",
        options.disk, f"{root_size // 1024}k")
    settle_times(options.disk, options.root)
    with tempfile.TemporaryDirectory() as work:
        write_grub(options.disk, pathlib.Path(work), root_id)


if __name__ == "__main__":
    main()
