#!/usr/bin/env python3
"""Boots the test appliance in QEMU, without any network, from its image to "ready".

    boot_test.py BUILD_DIR [--appliance DIR] [unittest options]

Makes the packages and the image first (root; --appliance takes an earlier run's folder and leaves that out). Needs the
packages of the groups test and nightly. With TCG some ten minutes a scenario. BUNDLE_COUNT_CUTS: power cuts (3; full: 10).
BUNDLE_KEEP: a folder for serial logs and the screenshot. BUNDLE_QEMU_NICE: how nice QEMU is (5).
"""
import io
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[2]
sys.path[:0] = [str(HERE), str(SOURCE / "tests/interop")]
sys.dont_write_bytecode = True

import machine  # noqa: E402
import small_release  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
GIVEN = None
if sys.argv[1:2] == ["--appliance"]:
    GIVEN = sys.argv[2]
    del sys.argv[1:3]
MAKE = BUILD / "tools/bundle-make"
CUTS = int(os.environ.get("BUNDLE_COUNT_CUTS", 10 if os.environ.get("BUNDLE_FULL") else 3))
READY = r"appliance: ready: release (\S+) runs"
BOOT_SECONDS = int(os.environ.get("BUNDLE_BOOT_SECONDS", 1500))
PASSWORD = os.urandom(9).hex()


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def make_release(folder, version, filler):
    """A small release whose k3s is the stand-in; its archive names the images to pull."""
    small_release.make_release(folder, version, seed=7, image_bytes=3_000_000, disk_bytes=1 << 20)
    shutil.copy(HERE / "k3s-stand-in", folder / "k3s")
    names = f"registry.example.com/app/web:{version}\ndocker.io/library/redis:7\n".encode()
    with tarfile.open(folder / "airgap.tar", "w") as tar:
        info = tarfile.TarInfo("pull.txt")
        info.size = len(names)
        tar.addfile(info, io.BytesIO(names))
    (folder / "os/appliance.img").write_bytes(random.Random(filler).randbytes(24 << 20))
    text = (folder / "release.yaml").read_text()
    text = text.replace('path: k3s, mode: "0755"}', 'path: k3s, mode: "0755"}, {name: k3s-airgap-images-amd64.tar, path: airgap.tar}')
    (folder / "release.yaml").write_text(text + 'upgradeFrom: ["1.0.x"]\n')


class World:
    """Made once: the image, two releases, sticks."""

    def __init__(self, work):
        self.work = pathlib.Path(work)
        self.given = pathlib.Path(GIVEN) if GIVEN else None
        self.home = self.given or self.work
        self.accel = machine.accelerator(SOURCE / "image/probe-kvm.sh")
        for name in ("vendor", "stranger"):
            if not (self.home / f"{name}.key").exists():
                run(MAKE, "keygen", "--out", self.home / name, "--no-password")
        if not list(self.home.glob("out/*.qcow2")):
            self.build_image()
        self.image = next(self.home.glob("out/*.qcow2"))
        self.ova = next(self.home.glob("out/*.ova"))
        for version, filler in (("1.0.0", 1), ("1.1.0", 2)):
            make_release(self.work / version, version, filler)
            self.bundle(version, "vendor")
        self.bundle("1.0.0", "stranger")
        self.seed = machine.fat_disk(self.work / "seed.img", self.seed_files(), "CIDATA", 8)

    def build_image(self):
        started = time.monotonic()
        packages = self.home / "packages"
        run(SOURCE / "image/make-packages.sh", "--build", BUILD, "--out", packages)
        print(run(SOURCE / "image/build-image.sh", "--version", "1.0.0", "--base", "debian-test", "--packages", packages, "--trust",
                  self.home / "vendor.pub", "--out", self.home / "out", "--build-id", "test"))
        print(f"the image was built in {time.monotonic() - started:.0f} s")

    def bundle(self, version, signer):
        out = self.work / f"{signer}-{version}"
        run(MAKE, "make", self.work / version / "release.yaml", "--out", out, "--fast", "--key", self.home / f"{signer}.key")
        run(MAKE, "split", out, "--out", self.work / f"{signer}-{version}-cut", "--volume-size", "8M")

    def seed_files(self):
        password = run("openssl", "passwd", "-6", PASSWORD).strip()
        user = ("#cloud-config\nhostname: site-7\nchpasswd:\n  expire: false\n"
                f"  users: [{{name: appliance, type: hash, password: \"{password}\"}}]\n")
        return {"meta-data": b"instance-id: site-7\n", "user-data": user.encode()}

    def sticks(self, folder, name, count=1):
        """FAT disks with the volumes of a bundle, dealt out."""
        volumes = sorted((self.work / f"{name}-cut").glob("*.bundle"))
        assert len(volumes) > count, volumes
        return [machine.fat_disk(folder / f"{name}-{number}.img", {volume.name: volume for volume in volumes[number::count]},
                                 "BUNDLE", 64) for number in range(count)]


def setUpModule():
    global world, kept
    kept = tempfile.TemporaryDirectory(prefix="appliance-boot-")
    world = World(kept.name)
    print(f"accelerator: {world.accel}")


def tearDownModule():
    kept.cleanup()


class Boot(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=world.work))
        self.data = self.work / "data.img"
        with open(self.data, "wb") as file:
            file.truncate(2 << 30)
        self.system = machine.overlay(world.image, self.work / "system.qcow2")

    def tearDown(self):
        keep = os.environ.get("BUNDLE_KEEP")
        if keep:
            pathlib.Path(keep).mkdir(parents=True, exist_ok=True)
            for number, log in enumerate(sorted(self.work.glob("serial-*.log"))):
                shutil.copy(log, pathlib.Path(keep) / f"{self.id().rpartition('.')[2]}-{number}.log")
            for picture in self.work.glob("*.ppm"):
                shutil.copy(picture, keep)
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, *sticks, system=None, spare=None):
        return machine.Machine(self.work, [system or self.system, self.data, world.seed, *sticks], spare, world.accel)

    def ready(self, vm, version="1.0.0", since=0):
        match = vm.wait_for(READY, BOOT_SECONDS, since)
        self.assertEqual(version, match[1])
        print(f"{self.id().rpartition('.')[2]}: ready after {time.monotonic() - vm.started:.0f} s")

    def log_in(self, vm):
        since = len(vm.text())
        vm.type("\n")
        vm.wait_for("login:", 300, since)
        vm.type("appliance\n")
        vm.wait_for("[Pp]assword:", 120, since)
        vm.type(PASSWORD + "\n")
        vm.wait_for(r"\$ $", 120, since)
        vm.shell("stty -echo cols 200; PS1=; set +o history")

    def works(self, vm, command, seconds=300):
        status, output = vm.shell(command, seconds)
        self.assertEqual(0, status, f"{command}\n{output}")
        return output

    def test_1_first_boot_upgrade_rollback_and_restart(self):
        sticks = world.sticks(self.work, "vendor-1.0.0", 2)
        spare = {"next": world.sticks(self.work, "vendor-1.1.0")[0]}
        with self.start(*sticks, spare=spare) as vm:
            self.ready(vm)
            vm.screenshot(self.work / "ready.ppm")
            self.log_in(vm)
            self.works(vm, "appliance-status | grep 'ready: release 1.0.0 runs'")
            self.works(vm, "sudo journalctl -u k3s --no-pager | grep 'all digests right'")
            # Nothing but the loopback and the route to nowhere.
            links = self.works(vm, "ls -m /sys/class/net")
            self.assertNotRegex(links, r"\be(th|n)")
            self.works(vm, "findmnt /var/lib/bundle | grep /dev/vdb")
            self.works(vm, "sudo nft list table inet appliance | grep 'policy drop'")
            self.works(vm, "! sudo journalctl --no-pager | grep -F -f /dev/stdin <<< \"$(sudo cat /etc/bundle/secrets/node.token)\"")
            vm.plug("next")
            self.works(vm, "for i in $(seq 60); do d=$(sudo blkid -t LABEL=BUNDLE -o device | grep vdf) && break; sleep 1; done; "
                           "sudo mkdir -p /run/stick && sudo mount -o ro $d /run/stick")
            self.works(vm, "sudo bundle-import import /run/stick --store /var/lib/bundle --quiet", 900)
            self.works(vm, "sudo bundle-import activate 1.1.0 --store /var/lib/bundle --quiet")
            since = len(vm.text())
            self.works(vm, "sudo systemctl restart appliance-first-boot")
            self.ready(vm, "1.1.0", since)
            self.works(vm, "sudo bundle-import rollback --store /var/lib/bundle --quiet")
            self.works(vm, "sudo bundle-import status --store /var/lib/bundle | grep 'active: 1.0.0'")
            self.works(vm, "sync")
        # The power goes, the sticks are gone, and another system disk is there: the site is on the data disk.
        with self.start(system=machine.overlay(world.image, self.work / "other-system.qcow2")) as vm:
            self.ready(vm)

    @unittest.skipUnless(shutil.which("virt-v2v"), "not installed: virt-v2v")
    def test_2_foreign_reader_of_the_ova(self):
        shown = run("virt-v2v", "-i", "ova", world.ova, "--print-source", "-o", "null", env={**os.environ, "LIBGUESTFS_BACKEND": "direct"})
        for words in ("nr vCPUs: 4", "e1000", "scsi"):
            self.assertIn(words, shown)

    def test_2_disk_of_the_ova(self):
        with tarfile.open(world.ova) as archive:
            archive.extractall(self.work, filter="data")
        system = machine.overlay(next(self.work.glob("*.vmdk")), self.work / "from-ova.qcow2")
        with self.start(*world.sticks(self.work, "vendor-1.0.0"), system=system) as vm:
            self.ready(vm)

    def test_3_a_bad_stick_and_then_the_right_one(self):
        bad = world.sticks(self.work, "stranger-1.0.0")
        with self.start(*bad, spare={"right": world.sticks(self.work, "vendor-1.0.0")[0]}) as vm:
            vm.wait_for(r"appliance: refused \[2/\d\]: The stick is refused: ", BOOT_SECONDS)
            vm.wait_for(r"next: .*put in another stick", 60)
            vm.plug("right")
            self.ready(vm)

    def test_4_power_cuts(self):
        seed = int(os.environ.get("BUNDLE_SEED", time.time()))
        print(f"BUNDLE_SEED={seed}")
        chance = random.Random(seed)
        sticks = world.sticks(self.work, "vendor-1.0.0", 2)
        with self.start(*sticks) as vm:  # how long it takes without a cut
            begin = vm.wait_for("appliance: ", BOOT_SECONDS)
            begun = time.monotonic() - vm.started
            self.assertTrue(begin)
            self.ready(vm)
            whole = time.monotonic() - vm.started
        for number in range(CUTS):
            self.setUp()
            moment = chance.uniform(begun * 0.9, whole)
            with self.start(*sticks) as vm:
                try:
                    vm.process.wait(moment)
                except subprocess.TimeoutExpired:
                    pass
                last = vm.tail().splitlines()[-1:]
            print(f"cut {number + 1} after {moment:.0f} s: {last}")
            with self.start(*sticks) as vm:
                self.ready(vm)


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
        sys.exit(0)
    unittest.main(verbosity=2)
