"""QCOW2, OVA and metadata of a small disk, the same bytes again, and what differs between two builds."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import unittest
import xml.etree.ElementTree as xml

import image_support
from image_support import IMAGE, imagectl, imagectl_json, write

TIME = "1764000000"
NAME = "appliance-1.4.0-b7"
MISSING = [program for program in ("qemu-img", "mkfs.ext4", "sfdisk", "grub-mkimage", "debugfs")
           if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
STATUS = """Package: base-files
Status: install ok installed
Architecture: amd64
Version: 12.4+deb12u5

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: linux-image-cloud-amd64
Status: install ok installed
Architecture: amd64
Version: 6.1.1-1

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14
"""


def small_system(root):
    write(root / "etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    write(root / "etc/machine-id", "")
    write(root / "etc/shadow", "root:*:1::::::\n")
    write(root / "boot/vmlinuz-6.1", os.urandom(200000))
    write(root / "boot/initrd.img-6.1", b"\0" * 100000)
    write(root / "var/lib/dpkg/status", STATUS)
    write(root / "usr/bin/tool", "#!/bin/sh\n").chmod(0o755)
    os.symlink("tool", root / "usr/bin/link")
    return root


def inputs(folder, version="1.4.0"):
    write(folder / "inputs.env", f"APPLIANCE_PRODUCT=appliance\nAPPLIANCE_VERSION={version}\nAPPLIANCE_BUILD_ID=b7\n"
          f"APPLIANCE_BASE=debian-test\nAPPLIANCE_K3S_VERSION=v1.31.6+k3s1\nAPPLIANCE_MIRROR=\nSOURCE_DATE_EPOCH={TIME}\n")
    write(folder / "trust/vendor.pub", "a key\n")
    return folder


def make_disk(root, disk):
    subprocess.run([IMAGE / "base/make_disk.py", "--root", root, "--disk", disk, "--size", "48M"], check=True)
    return disk


def entries_of(ova):
    with tarfile.open(ova) as archive:
        return [(member, archive.extractfile(member).read()) for member in archive.getmembers()]


def write_ova(path, entries, archive_format=tarfile.USTAR_FORMAT):
    import io
    with tarfile.open(path, "w", format=archive_format) as archive:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class Conversion(image_support.TestCase):
    @classmethod
    def setUpClass(cls):
        import tempfile
        os.environ["SOURCE_DATE_EPOCH"] = TIME
        cls.folder = tempfile.TemporaryDirectory(prefix="image-test-")
        cls.base = pathlib.Path(cls.folder.name)
        cls.root = small_system(cls.base / "root")
        imagectl("metadata", "--root", cls.root, "--inputs", inputs(cls.base / "inputs"))
        cls.disk = make_disk(cls.root, cls.base / "disk.raw")
        cls.report = imagectl_json("convert", "--disk", cls.disk, "--name", NAME, "--out", cls.base / "out")
        cls.out = cls.base / "out"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_files_and_checksums(self):
        self.assertEqual({f"{NAME}.{ending}" for ending in
                          ("qcow2", "ova", "image-metadata.json", "spdx.json", "packages.txt", "sha256")},
                         {path.name for path in self.out.iterdir()})
        subprocess.run(["sha256sum", "--check", "--quiet", f"{NAME}.sha256"], cwd=self.out, check=True)

    def test_qcow2_is_sound_and_equal_to_the_disk(self):
        subprocess.run(["qemu-img", "check", "-q", self.out / f"{NAME}.qcow2"], check=True)
        subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", self.disk, self.out / f"{NAME}.qcow2"], check=True)

    def test_disk_in_the_ova_is_equal_to_the_disk(self):
        members = entries_of(self.out / f"{NAME}.ova")
        vmdk = write(self.work / "disk.vmdk", members[2][1])
        information = json.loads(subprocess.run(["qemu-img", "info", "--output=json", vmdk], capture_output=True, check=True).stdout)
        self.assertEqual("streamOptimized", information["format-specific"]["data"]["create-type"])
        subprocess.run(["qemu-img", "compare", "-q", "-f", "raw", "-F", "vmdk", self.disk, vmdk], check=True)

    def test_ova_order_manifest_and_envelope(self):
        imagectl("check-ova", self.out / f"{NAME}.ova")
        members = entries_of(self.out / f"{NAME}.ova")
        self.assertEqual([f"{NAME}.ovf", f"{NAME}.mf", f"{NAME}-disk1.vmdk"], [member.name for member, _ in members])
        for member, _ in members:
            self.assertEqual((0, 0, int(TIME), 0o644), (member.uid, member.gid, member.mtime, member.mode))
        for (member, data), line in zip((members[0], members[2]), members[1][1].decode().splitlines()):
            self.assertEqual(f"SHA256({member.name})= {hashlib.sha256(data).hexdigest()}", line)
        envelope = xml.fromstring(members[0][1])
        ovf = "{http://schemas.dmtf.org/ovf/envelope/1}"
        disk = envelope.find(f"{ovf}DiskSection/{ovf}Disk")
        self.assertEqual(str(self.disk.stat().st_size), disk.get(f"{ovf}capacity"))
        self.assertEqual("1.4.0", envelope.findtext(f"{ovf}VirtualSystem/{ovf}ProductSection/{ovf}Version"))

    def test_a_wrong_ova_is_refused(self):
        (ovf, mf, disk) = [(member.name, data) for member, data in entries_of(self.out / f"{NAME}.ova")]
        changed = (disk[0], disk[1][:-1] + b"x")
        spaced = (mf[0], mf[1].replace(b"SHA256(", b"SHA256 ("))
        cases = {
            "order": [mf, ovf, disk], "a file too many": [ovf, mf, disk, ("readme", b"x")], "no disk": [ovf, mf],
            "digest": [ovf, mf, changed], "spaces in the manifest": [ovf, spaced, disk],
            "no XML": [(ovf[0], ovf[1][:-20]), mf, disk],
            "size": [(ovf[0], ovf[1].replace(f'ovf:size="{len(disk[1])}"'.encode(), b'ovf:size="7"')), mf, disk],
            "no network": [(ovf[0], ovf[1].replace(b"<Network ovf:name", b"<Other ovf:name").replace(b"</Network>", b"</Other>")), mf, disk],
            "order of elements": [(ovf[0], ovf[1].replace(b"<rasd:Address>0</rasd:Address>", b"").replace(
                b"<rasd:ResourceType>6</rasd:ResourceType>",
                b"<rasd:ResourceType>6</rasd:ResourceType><rasd:Address>0</rasd:Address>")), mf, disk],
        }
        for name, entries in cases.items():
            with self.subTest(name):
                # The right digest of a changed envelope, so that the envelope's own check is what refuses.
                if entries[0][0] == ovf[0] and entries[0] != ovf:
                    digest = hashlib.sha256(entries[0][1]).hexdigest().encode()
                    entries[1] = (mf[0], mf[1].replace(hashlib.sha256(ovf[1]).hexdigest().encode(), digest))
                self.assertTrue(imagectl_json("check-ova", write_ova(self.work / "x.ova", entries), status=1)["problems"])
        self.assertIn("USTAR", imagectl("check-ova", write_ova(self.work / "g.ova", [ovf, mf, disk], tarfile.GNU_FORMAT),
                                        status=1).stderr)

    def test_metadata_inside_and_outside(self):
        outside = json.loads((self.out / f"{NAME}.image-metadata.json").read_text())
        inside = json.loads((self.root / "usr/share/appliance/image-metadata.json").read_text())
        self.assertEqual({**inside, "outputs": outside["outputs"]}, outside)
        self.assertEqual(("1.4.0", "b7", "2025-11-24T16:00:00Z"), (inside["version"], inside["buildId"], inside["buildTime"]))
        self.assertEqual({"kernel": "6.1.1-1", "k3s": "v1.31.6+k3s1"}, inside["components"])
        for output in outside["outputs"]:
            data = (self.out / output["file"]).read_bytes()
            self.assertEqual((output["sha256"], output["bytes"]), (hashlib.sha256(data).hexdigest(), len(data)))
        self.assertIn(NAME, inside["name"])

    def test_spdx(self):
        document = json.loads((self.out / f"{NAME}.spdx.json").read_text())
        self.assertEqual("SPDX-2.3", document["spdxVersion"])
        purls = [reference["referenceLocator"] for package in document["packages"] for reference in package.get("externalRefs", [])]
        self.assertEqual(["pkg:deb/debian/base-files@12.4%2Bdeb12u5?arch=amd64", "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64",
                          "pkg:deb/debian/linux-image-cloud-amd64@6.1.1-1?arch=amd64"], purls)
        known = {package["SPDXID"] for package in document["packages"]} | {"SPDXRef-DOCUMENT"}
        for relation in document["relationships"]:
            self.assertLessEqual({relation["spdxElementId"], relation["relatedSpdxElement"]}, known)

    def test_the_same_disk_gives_the_same_bytes(self):
        imagectl("convert", "--disk", self.disk, "--name", NAME, "--out", self.work / "again")
        for path in self.out.iterdir():
            self.assertEqual(path.read_bytes(), (self.work / "again" / path.name).read_bytes(), path.name)

    def test_the_content_id_is_the_only_difference_between_two_vmdk(self):
        from imaging import vmdk

        def room(cid, stale=b""):
            return (b"# Disk DescriptorFile\nCID=" + cid + b"\nparentCID=ffffffff\n\0" + stale).ljust(128, b"\0")

        wanted = room(b"0123abcd")
        for drawn in (room(b"9f8e7d6c"), room(b"f8e7d6c"), room(b"c"), room(b"f8e7d6c", b"\n"), room(b"8e7d6c", b"f\n")):
            self.assertEqual(wanted, vmdk.with_content_id(drawn, "0123abcdef"))
        self.assertIsNone(vmdk.with_content_id(b"# Disk DescriptorFile\n\0CID=9f8e7d6c\n", "0123abcdef"))

    def test_the_same_folder_gives_the_same_disk(self):
        again = make_disk(self.root, self.work / "disk.raw")
        subprocess.run(["cmp", self.disk, again], check=True)
        self.assertEqual([], imagectl_json("compare", self.out / f"{NAME}.qcow2", again)["differences"])

    def test_differences_of_two_builds_are_listed(self):
        other = self.work / "root"
        shutil.copytree(self.root, other, symlinks=True)
        write(other / "etc/new", "x")
        (other / "usr/bin/tool").write_text("#!/bin/sh\nexit 1\n")
        (other / "etc/shadow").chmod(0o600)
        (other / "var/lib/dpkg/status").unlink()
        found = imagectl_json("compare", self.disk, make_disk(other, self.work / "other.raw"), status=1)["differences"]
        for place in ("only in the second: etc/new", "content: usr/bin/tool", "mode: etc/shadow", "only in the first: var/lib/dpkg/status"):
            self.assertTrue(any(line.startswith(place) for line in found), (place, found))

    def test_scan_of_a_disk(self):
        self.assertEqual([], imagectl_json("scan", "--disk", self.disk)["findings"])
        planted = self.work / "root"
        shutil.copytree(self.root, planted, symlinks=True)
        write(planted / "root/.bash_history", "x\n")
        found = imagectl_json("scan", "--disk", make_disk(planted, self.work / "planted.raw"), status=1)["findings"]
        self.assertEqual([("history", "root/.bash_history")], [(finding["rule"], finding["path"]) for finding in found])

    def test_another_builds_name_is_refused(self):
        self.assertIn("calls itself", imagectl("convert", "--disk", self.disk, "--name", "appliance-9.9.9-b7",
                                               "--out", self.work / "other", status=1).stderr)
        self.assertFalse((self.work / "other").exists())


if __name__ == "__main__":
    image_support.main()
