"""host-image.sh on real QCOW2 files: verified, two slots, the window on record, and always a way back."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import unittest

import image_support
from image_support import IMAGE, write


@unittest.skipUnless(shutil.which("qemu-img"), "not installed: qemu-img")
class HostImage(image_support.TestCase):
    def setUp(self):
        super().setUp()
        self.pool = self.work / "pool"
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            image = self.work / f"appliance-{version}-b1.qcow2"
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "8M"], check=True)
            write(image.with_suffix(".sha256"), f"{hashlib.sha256(image.read_bytes()).hexdigest()}  {image.name}\n")
            write(image.with_suffix(".image-metadata.json"), "{}\n")
            self.run_it("add", image)

    def run_it(self, command, *arguments, status=0):
        done = subprocess.run([IMAGE / "host-image.sh", command, self.pool, *arguments], capture_output=True, text=True)
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def base(self):
        """Name of the image behind what the next start uses."""
        shown = subprocess.run(["qemu-img", "info", self.pool / "system.qcow2"], capture_output=True, text=True, check=True)
        return next(line.split(": ")[1].split()[0] for line in shown.stdout.splitlines() if line.startswith("backing file:"))

    def test_upgrade_confirm_rollback(self):
        self.run_it("upgrade", "appliance-1.0.0-b1", "--window", "installation")
        self.assertIn("appliance-1.0.0-b1.qcow2", self.base())
        self.run_it("confirm")
        self.run_it("upgrade", "appliance-1.1.0-b1", "--window", "Saturday 22:00")
        self.assertIn("appliance-1.1.0-b1.qcow2", self.base())
        self.assertIn("slot a: appliance-1.0.0-b1\nslot b: appliance-1.1.0-b1 (in use)", self.run_it("status"))
        self.run_it("rollback")
        self.assertIn("appliance-1.0.0-b1.qcow2", self.base())
        history = (self.pool / "history.log").read_text()
        self.assertIn("window: Saturday 22:00", history)
        self.assertIn("rollback: appliance-1.1.0-b1 -> appliance-1.0.0-b1", history)

    def test_the_image_before_is_not_lost(self):
        self.run_it("upgrade", "appliance-1.0.0-b1", "--window", "x")
        self.run_it("confirm")
        self.run_it("upgrade", "appliance-1.1.0-b1", "--window", "x")
        self.assertIn("was not confirmed", self.run_it("upgrade", "appliance-1.2.0-b1", "--window", "x", status=1))
        self.run_it("confirm")
        self.run_it("upgrade", "appliance-1.2.0-b1", "--window", "x")
        self.assertIn("slot b: appliance-1.1.0-b1", self.run_it("status"))

    def test_refusals_change_nothing(self):
        self.run_it("upgrade", "appliance-1.0.0-b1", "--window", "x")
        self.run_it("confirm")
        before = sorted((path.name, os.readlink(path) if path.is_symlink() else path.stat().st_mtime_ns) for path in self.pool.iterdir()
                        if path.name != ".lock")
        self.assertIn("--window is missing", self.run_it("upgrade", "appliance-1.1.0-b1", status=1))
        self.assertIn("preflight has failed", self.run_it("upgrade", "appliance-1.1.0-b1", "--window", "x", "--preflight",
                                                          "/bin/false", status=1))
        self.assertIn("no image", self.run_it("upgrade", "appliance-9-b1", "--window", "x", status=1))
        self.assertIn("no slot before", self.run_it("rollback", status=1))
        self.assertIn("was not confirmed", self.run_it("stable", "appliance-1.1.0-b1", status=1))
        self.assertEqual(before, sorted((path.name, os.readlink(path) if path.is_symlink() else path.stat().st_mtime_ns)
                                        for path in self.pool.iterdir() if path.name != ".lock"))

    def test_an_unconfirmed_one_is_no_way_back(self):
        self.run_it("upgrade", "appliance-1.0.0-b1", "--window", "x")
        self.run_it("confirm")
        self.run_it("upgrade", "appliance-1.1.0-b1", "--window", "x")
        self.run_it("rollback")
        self.assertIn("never confirmed", self.run_it("rollback", status=1))

    def test_a_damaged_image_is_refused(self):
        image = self.work / "appliance-1.0.0-b2.qcow2"
        shutil.copy(self.work / "appliance-1.0.0-b1.qcow2", image)
        self.assertIn("missing: appliance-1.0.0-b2.sha256", self.run_it("add", image, status=1))
        write(image.with_suffix(".sha256"), f"{'0' * 64}  {image.name}\n")
        write(image.with_suffix(".image-metadata.json"), "{}\n")
        self.assertIn("does not match its checksum", self.run_it("add", image, status=1))
        self.assertFalse((self.pool / image.name).exists())

    def test_stable_pointer(self):
        self.assertIn("no image is stable", self.run_it("stable", status=1))
        self.run_it("upgrade", "appliance-1.0.0-b1", "--window", "x")
        self.run_it("confirm")
        self.assertEqual("appliance-1.0.0-b1\n", self.run_it("stable", "appliance-1.0.0-b1"))
        self.assertEqual("appliance-1.0.0-b1\n", self.run_it("stable"))

    @unittest.skipUnless(shutil.which("qemu-system-x86_64"), "not installed: qemu-system-x86_64")
    def test_a_running_machine_is_not_touched(self):
        self.run_it("upgrade", "appliance-1.0.0-b1", "--window", "x")
        self.run_it("confirm")
        started = self.work / "started"
        with subprocess.Popen(["qemu-system-x86_64", "-machine", "none", "-display", "none", "-nodefaults", "-pidfile", started,
                               "-blockdev", f"driver=qcow2,node-name=disk,file.driver=file,file.filename={(self.pool / 'system.qcow2').resolve()}"
                               ]) as machine:
            try:
                for _ in range(600):
                    if started.exists():
                        break
                    import time
                    time.sleep(0.1)
                self.assertIn("the machine is running", self.run_it("upgrade", "appliance-1.1.0-b1", "--window", "x", status=1))
            finally:
                machine.kill()
        self.run_it("upgrade", "appliance-1.1.0-b1", "--window", "x")


if __name__ == "__main__":
    image_support.main()
