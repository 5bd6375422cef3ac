"""What is plugged in: file systems on disks that are not the system's own, mounted to read only."""
import contextlib
import json
import os
import pathlib
import subprocess

KINDS = {"vfat", "exfat", "ext4", "ext3", "ext2", "iso9660", "udf", "ntfs", "xfs"}
# Not media: the appliance's own disks, and the seed that cloud-init reads.
OWN_LABELS = {"appliance", "appliance-data"}
CONFIG_LABEL = "APPCONFIG"
MOUNTS = "/run/appliance/media"


def _devices(tree):
    for device in tree:
        yield device
        yield from _devices(device.get("children", []))


def list_media(context):
    """[(device, label, identity)] of every file system that may be a medium, in the order of their names. `identity`
    changes when another medium is in the same drive."""
    done = context.run("lsblk", "--json", "--output", "PATH,FSTYPE,LABEL,UUID,MOUNTPOINTS,TYPE,SIZE")
    found = []
    for device in _devices(json.loads(done.stdout)["blockdevices"]):
        mounts = [mount for mount in device.get("mountpoints") or [] if mount]
        ours = [mount for mount in mounts if not mount.startswith(MOUNTS)]
        if device.get("fstype") in KINDS and not ours and (device.get("label") or "") not in OWN_LABELS:
            found.append((device["path"], device.get("label") or "",
                          f"{device['path']} {device.get('uuid')} {device.get('size')}"))
    return sorted(found)


def mount(context, device):
    """Folder at which the device is mounted, or None when it cannot be read."""
    folder = pathlib.Path(MOUNTS) / pathlib.Path(device).name
    folder.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(folder):
        return folder
    done = context.run("mount", "-o", "ro,nosuid,nodev,noexec", device, folder, check=False)
    return folder if done.returncode == 0 else None


def unmount_all():
    base = pathlib.Path(MOUNTS)
    for folder in sorted(base.iterdir()) if base.is_dir() else []:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
        try:
            folder.rmdir()
        except OSError:
            pass


class Plugged:
    """Whatever is plugged into this machine."""

    def __init__(self, context):
        self.context = context

    def identity(self):
        """Changes when a medium comes or goes; nothing is mounted for it."""
        return "\n".join(identity for _, _, identity in list_media(self.context))

    @contextlib.contextmanager
    def open(self):
        """Gives [(folder, label)]: every medium, mounted to read only while the context lasts."""
        try:
            mounted = ((mount(self.context, device), label) for device, label, _ in list_media(self.context))
            yield [(folder, label) for folder, label in mounted if folder]
        finally:
            unmount_all()


class Folders:
    """Folders that stand for media."""

    def __init__(self, paths):
        self.paths = [pathlib.Path(path) for path in paths]

    def identity(self):
        return "\n".join(sorted(f"{file} {file.stat().st_mtime_ns}" for path in self.paths for file in path.rglob("*")))

    @contextlib.contextmanager
    def open(self):
        yield [(path, "") for path in self.paths if path.is_dir()]


def bundle_folders(folders):
    """The folders with volumes: the medium itself, or folders right below it."""
    found = []
    for folder, _ in folders:
        try:
            places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        except OSError:
            continue
        found += [place for place in places if _has_volumes(place)]
    return found


def _has_volumes(folder):
    try:
        return any(name.endswith(".bundle") for name in os.listdir(folder))
    except OSError:
        return False
