"""kill -9, vanishing sticks, full disks, volumes in any order, two importers: after each the next import succeeds.

BUNDLE_BIN       build folder
BUNDLE_FULL=1    the full counts (a nightly run); else a seeded subset
BUNDLE_SAMPLE    inputs of a release (a folder with release.yaml) to do it with; else one is made
BUNDLE_SEED      other random moments
"""

import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import fault_support as support  # noqa: E402
from fault_support import MIB, Watched, count, fixture, random_for, random_moment, tools  # noqa: E402


def setUpModule():
    support.can_mount()
    fixture()


def tearDownModule():
    support.remove_scratch()


class FaultTest(unittest.TestCase):
    def setUp(self):
        self.site = fixture()
        self.rng = random_for(self.id().rsplit(".", 1)[-1])
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=support.scratch_folder()))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def new_folder(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def run_to_the_end(self, sources, store):
        again = Watched(sources, store, self.site.pub)
        self.assertEqual(again.wait(), 0, again.text())
        return again

    def assert_old_release_untouched(self, store, versions):
        """What a site sees between a fault and the next import."""
        if not versions:
            return
        listed = tools.run(tools.IMPORT, "list", "--store", store, check=0).stdout
        self.assertIn("0.9.0", listed)
        self.assertEqual((store / "active").read_text(), "0.9.0\n")
        tools.run(tools.IMPORT, "verify", "--store", store, "--quiet", check=0)

    def assert_complete(self, store, versions):
        tools.assert_clean_store(self, store, [*versions, self.site.version])
        events = [tools.json.loads(line) for line in (store / "audit.log").read_text().splitlines()]
        imported = [event.get("version") for event in events if event["event"] == "import"]
        self.assertIn(self.site.version, imported, "no line in audit.log")


class Killed(FaultTest):
    def test_at_random_moments(self):
        """One or two kills, then the same command once more."""
        kills, again_bytes = 0, []
        for number in range(count("KILLS", 200, 12)):
            folder = self.new_folder()
            store, versions = self.site.new_store(folder, self.rng.random() < 0.5)
            written = 0
            for _ in range(1 if self.rng.random() < 0.7 else 2):
                victim = Watched([self.site.bundle], store, self.site.pub)
                victim.wait_until(random_moment(self.rng, self.site.written))
                kills += victim.kill() == -signal.SIGKILL
                written += victim.written
                if support.FULL or number % 4 == 0:
                    self.assert_old_release_untouched(store, versions)
            with self.subTest(number=number, seed=support.SEED):
                written += self.run_to_the_end([self.site.bundle], store).written
                self.assert_complete(store, versions)
            again_bytes.append(max(0, written - self.site.written))
            shutil.rmtree(folder)
        # A kill costs what is not visible yet: one batch, and the blobs that two workers are at.
        at_most = 2 * (support.BATCH_BYTES + sum(self.site.blob_sizes[-os.cpu_count():]) + MIB)
        self.assertLessEqual(max(again_bytes), at_most)
        print(f"\n{kills} kills in {len(again_bytes)} imports of {self.site.written / MIB:.0f} MiB: written again "
              f"{sum(again_bytes) / len(again_bytes) / MIB:.1f} MiB on average, {max(again_bytes) / MIB:.1f} MiB at most")

    def test_inside_a_long_gzip_layer(self):
        """What the first import has made of the layer is not made again: not even its groups are read."""
        release = support.small_release.make_release(self.folder / "release", version="1.0.0", seed=5, image_bytes=56 * MIB,
                                                     disk_bytes=1 << 16, levels=(6,), file_size=20000)
        bundle = tools.make_bundle(release, self.folder / "bundle", self.site.key, "--fast")
        self.site = Tiny(self.site, bundle)
        whole = self.read_from_medium(bundle, self.folder / "whole")
        store = self.folder / "store"
        victim = Watched([bundle], store, self.site.pub)
        partial = self.wait_for_partial(victim, store, 18 * MIB)
        self.assertEqual(victim.kill(), -signal.SIGKILL)
        done, size = partial.stat().st_size, self.layer_size(bundle)
        again = self.read_from_medium(bundle, store)
        # Parts have 4 MiB of plain bytes, and so have groups; one of each was under way.
        self.assertLess(again, whole * (1 - done / size) + 9 * MIB)
        self.assertLess(again, 0.8 * whole)
        self.assert_complete(store, [])
        print(f"\nkilled at {done / MIB:.1f} of {size / MIB:.1f} MiB of a layer: {again / MIB:.1f} of {whole / MIB:.1f} MiB read again")

    def read_from_medium(self, bundle, store):
        out = tools.run(*tools.import_command([bundle], store, self.site.pub, "--json"), check=0).stdout
        return tools.json.loads(out)["bytes_read"]

    def wait_for_partial(self, victim, store, size):
        while not victim.ended():
            for path in (store / "staging").glob("partial-*"):
                if path.stat().st_size >= size:
                    return path
            time.sleep(0.002)
        self.fail(victim.text())

    def layer_size(self, bundle):
        return max(int(line.split()[1]) for line in (bundle / "blobs.list").read_text().splitlines())

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_at_every_change_of_a_name(self):
        """Killed by strace as it enters its n-th rename, link, unlink, mkdir, sync: no moment is missed by chance."""
        calls = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,fsync,fdatasync,syncfs,ftruncate"
        release = support.small_release.make_release(self.folder / "release", version="1.0.0", seed=3)
        bundle = tools.make_bundle(release, self.folder / "bundle", self.site.key, "--fast")
        self.site = Tiny(self.site, bundle)
        points = self.points_of_a_whole_import(calls)
        if not support.FULL:
            points = self.rng.sample(points, min(len(points), count("SYSCALLS", 0, 10)))
        for name, number, filled in points:
            folder = self.new_folder()
            store, versions = self.site.new_store(folder, filled)
            command = tools.import_command([bundle], store, self.site.pub, "--jobs", "1")
            inject = f"inject={name}:signal=KILL:when={number}"
            tools.run("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", inject, *command)
            with self.subTest(call=name, number=number, filled=filled):
                self.run_to_the_end([bundle], store)
                self.assert_complete(store, versions)
            shutil.rmtree(folder)
        print(f"\nkilled at {len(points)} system calls that change names or sync")

    def points_of_a_whole_import(self, calls):
        points = []
        for filled in (False, True):
            folder = self.new_folder()
            store, _ = self.site.new_store(folder, filled)
            log = folder / "strace"
            command = tools.import_command([self.site.bundle], store, self.site.pub, "--jobs", "1")
            tools.run("strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}", *command, check=0)
            names = re.findall(r"^\d+ +([a-z0-9]+)\(", log.read_text(), re.MULTILINE)
            for name in sorted(set(names)):
                points += [(name, number, filled) for number in range(1, names.count(name) + 1)]
        self.assertGreater(len(points), 20)
        return points


class Tiny:
    """The fixture's store and keys with a bundle that imports in no time."""

    def __init__(self, site, bundle):
        self.bundle, self.pub, self.version, self.new_store = bundle, site.pub, "1.0.0", site.new_store


class VanishingStick(FaultTest):
    # A stick that is gone, cut short, or full of other bytes; 0 when the files were open and stayed readable.
    CODES = {3, 4, 7, 50, 51, 52, 58}

    def stick(self, parent):
        stick = pathlib.Path(parent, "stick")
        stick.mkdir()
        for path in self.site.bundle.iterdir():
            shutil.copy(path, stick)
        return stick

    def one(self, hurt, stick, store, versions, *, may_succeed):
        victim = Watched([stick], store, self.site.pub)
        # Reading is ahead of writing: the last bytes written are too late for a fault.
        victim.wait_until(self.rng.uniform(0, 0.5) * self.site.written)
        hurt(stick)
        code = victim.wait()
        self.assertIn(code, self.CODES | ({0} if may_succeed else set()), victim.text())
        if code != 0:
            self.assertIn("next:", victim.text(), "no advice in the message")
            self.assert_old_release_untouched(store, versions)
        self.run_to_the_end([self.site.bundle], store)
        self.assert_complete(store, versions)
        return code

    def test_volume_is_cut_short_or_overwritten(self):
        def cut(stick):
            os.truncate(next(stick.glob("*.bundle")), self.rng.randrange(4096))

        def overwrite(stick):
            volume = next(stick.glob("*.bundle"))
            with open(volume, "r+b") as file:
                while file.tell() < volume.stat().st_size - MIB:
                    file.write(bytes(MIB))

        codes = []
        for number in range(count("STICKS", 100, 6)):
            folder = self.new_folder()
            store, versions = self.site.new_store(folder, number % 2)
            with self.subTest(number=number):
                codes.append(self.one((cut, overwrite)[number // 2 % 2], self.stick(folder), store, versions,
                                      may_succeed=True))
            shutil.rmtree(folder)
        self.assertTrue(set(codes) - {0}, "no import noticed that its stick went away")
        print(f"\n{len(codes)} sticks cut short or overwritten: exit codes {sorted(codes)}")

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_stick_answers_with_read_errors(self):
        """From its n-th read on the volume gives EIO, as a stick does that is pulled out under open files."""
        volume = next(self.site.bundle.glob("*.bundle"))
        trace = ["strace", "-f", "-qq", "-P", volume, "-e", "trace=pread64,read"]

        def reads_of_a_thread(filled):
            """strace counts for each thread; one of them must come to this many reads."""
            log = self.folder / f"reads-{filled}"
            store, _ = self.site.new_store(self.new_folder(), filled)
            tools.run(*trace, "-o", log, *tools.import_command([self.site.bundle], store, self.site.pub), check=0)
            threads = [line.split()[0] for line in log.read_text().splitlines()]
            return len(threads) // len(set(threads))

        most = [reads_of_a_thread(filled) for filled in (0, 1)]
        self.assertGreater(min(most), 3)
        codes = []
        for number in range(count("READ_ERRORS", 60, 6)):
            folder = self.new_folder()
            store, versions = self.site.new_store(folder, number % 2)
            first = self.rng.randint(1, most[number % 2])
            inject = f"inject=pread64,read:error=EIO:when={first}+"
            with self.subTest(first=first):
                done = tools.run(*trace, "-o", "/dev/null", "-e", inject,
                                 *tools.import_command([self.site.bundle], store, self.site.pub))
                codes.append(done.returncode)
                self.assertIn(done.returncode, self.CODES, done.stderr)
                self.assertRegex(done.stderr, re.escape(volume.name) + r" at offset \d+: Input/output error")
                self.assertIn("next:", done.stderr, "no advice in the message")
                self.assert_old_release_untouched(store, versions)
                self.run_to_the_end([self.site.bundle], store)
                self.assert_complete(store, versions)
            shutil.rmtree(folder)
        print(f"\n{len(codes)} sticks with read errors: exit codes {sorted(codes)}")

    @unittest.skipUnless(support.can_mount(), "needs root and a mount namespace")
    def test_stick_is_unmounted(self):
        codes = []
        for number in range(count("UNMOUNTS", 100, 4)):
            folder = self.new_folder()
            store, versions = self.site.new_store(folder, number % 2)
            with support.SmallDisk(tools.tree_bytes(self.site.bundle) + 4 * MIB) as disk, self.subTest(number=number):
                stick = self.stick(disk.path)
                # Some before, some after the volumes are opened.
                hurt = lambda _: tools.run("umount", "-l", disk.path, check=0)  # noqa: E731
                codes.append(self.one(hurt, stick, store, versions, may_succeed=True))
            shutil.rmtree(folder)
        print(f"\n{len(codes)} sticks unmounted: exit codes {sorted(codes)}")


@unittest.skipUnless(support.can_mount(), "needs root and a mount namespace")
class FullDisk(FaultTest):
    def needed(self):
        plan = tools.run(tools.IMPORT, "plan", self.site.bundle, "--store", self.folder / "none", "--trust", self.site.pub,
                         "--json", check=0)
        return tools.json.loads(plan.stdout)["disk_needed"]

    def test_disk_that_is_too_small(self):
        """Refused before the first byte; goes on when the disk has grown."""
        needed = self.needed()
        sizes = count("DISK_SIZES", 20, 4)
        for number in range(sizes):
            size = needed * (number + 0.5) / sizes
            with support.SmallDisk(size + tools.tree_bytes(self.site.old)) as disk, self.subTest(size=size):
                store, versions = self.site.new_store(disk.path, True)
                before = tools.tree_digest(store)
                victim = Watched([self.site.bundle], store, self.site.pub)
                self.assertEqual(victim.wait(), tools.EXIT_NO_SPACE, victim.text())
                after = tools.tree_digest(store)
                after.pop(".lock", None), before.pop(".lock", None)
                self.assertEqual(after, before, "the store has changed")
                disk.resize(needed * 1.05 + disk.used() + 8 * MIB)
                self.run_to_the_end([self.site.bundle], store)
                self.assert_complete(store, versions)

    def test_disk_that_fills_up_meanwhile(self):
        """Another program takes the space in the middle of the import; gc works with no byte free."""
        needed, codes = self.needed(), []
        room = needed * 1.02 + tools.tree_bytes(self.site.old) + 4 * MIB  # nothing that is left behind fits twice
        for number in range(count("DISK_FILLS", 30, 4)):
            with support.SmallDisk(room) as disk, self.subTest(number=number):
                store, versions = self.site.new_store(disk.path, number % 2 == 0)
                victim = Watched([self.site.bundle], store, self.site.pub)
                victim.wait_until(self.rng.uniform(0, 0.9) * self.site.written)
                filler = disk.fill()
                codes.append(victim.wait())
                self.assertIn(codes[-1], {0, tools.EXIT_NO_SPACE}, victim.text())
                filler = disk.fill()
                self.assertLess(disk.free(), 4096)
                self.assert_old_release_untouched(store, versions)
                if codes[-1] != 0 and number % 4 < 2 and (store / "oci-layout").exists():
                    tools.run(tools.IMPORT, "gc", "--unfinished", "--store", store, check=0)
                    self.assert_old_release_untouched(store, versions)
                if number % 3 == 0:
                    disk.resize(needed * 2.5 + 32 * MIB)
                else:
                    filler.unlink()
                self.run_to_the_end([self.site.bundle], store)
                self.assert_complete(store, versions)
        self.assertIn(tools.EXIT_NO_SPACE, codes)
        print(f"\n{len(codes)} disks filled during the import: exit codes {sorted(codes)}")

    def test_gc_of_a_release_on_a_full_disk(self):
        with support.SmallDisk(self.needed() * 1.05 + 16 * MIB) as disk:
            store, versions = self.site.new_store(disk.path, True)
            self.run_to_the_end([self.site.bundle], store)
            disk.fill()
            self.assertLess(disk.free(), 4096)
            tools.run(tools.IMPORT, "gc", "--remove", self.site.version, "--store", store, check=0)
            self.assertGreater(disk.free(), sum(self.site.blob_sizes) // 2)
            tools.assert_clean_store(self, store, versions)

    def test_room_that_an_import_takes(self):
        """New blobs and one group, never more, when all volumes are there."""
        with support.SmallDisk(self.needed() * 2 + 256 * MIB) as disk:
            store, _ = self.site.new_store(disk.path, False)
            before, peak = disk.used(), 0
            victim = Watched([self.site.bundle], store, self.site.pub)
            while not victim.ended():
                peak = max(peak, disk.used() - before)
            self.assertEqual(victim.wait(), 0, victim.text())
            blobs = sum(-(-size // 4096) * 4096 for size in self.site.blob_sizes)
            self.assertLessEqual(peak, blobs + support.GROUP_BYTES)
            print(f"\npeak disk use {peak / MIB:.1f} MiB for {blobs / MIB:.1f} MiB of blobs")


class ManyVolumes(FaultTest):
    def split(self):
        """The bundle in twelve volumes, or one or two more."""
        size = sum(path.stat().st_size for path in self.site.bundle.glob("*.bundle"))
        out = self.folder / "split"
        for step in range(30):
            shutil.rmtree(out, ignore_errors=True)
            limit = size // 11 - step * 48 * 1024
            tools.run(tools.MAKE, "split", self.site.bundle, "--out", out, "--volume-size", limit, check=0)
            if len(list(out.glob("*.bundle"))) >= 12:
                return out
        self.fail("no volume size gave twelve volumes")

    def spread(self, split, folder):
        """The volumes, in a random order, over three folders."""
        volumes = sorted(split.glob("*.bundle"))
        self.rng.shuffle(volumes)
        placed = []
        for number, volume in enumerate(volumes):
            stick = folder / f"stick{number % 3}"
            stick.mkdir(exist_ok=True)
            placed.append(stick / volume.name)
            os.link(volume, placed[-1])
        return placed

    def test_one_by_one_in_any_order(self):
        split = self.split()
        before, kills = tools.tree_digest(split), 0
        for number in range(count("ORDERS", 20, 2)):
            folder = self.new_folder()
            store, versions = self.site.new_store(folder, number % 2)
            volumes = self.spread(split, folder)
            with self.subTest(number=number, seed=support.SEED):
                for position, volume in enumerate(volumes):
                    if self.rng.random() < 0.4:
                        victim = Watched([volume], store, self.site.pub)
                        victim.wait_until(self.rng.uniform(0, 1.5) * self.site.written / len(volumes))
                        kills += victim.kill() == -signal.SIGKILL
                    step = Watched([volume], store, self.site.pub)
                    last = position == len(volumes) - 1
                    self.assertEqual(step.wait(), 0 if last else tools.EXIT_MISSING, step.text())
                    if not last:
                        self.assert_names_missing(step.text(), volumes[position + 1:])
                self.assert_complete(store, versions)
            shutil.rmtree(folder)
        self.assertEqual(tools.tree_digest(split), before, "the medium has changed")
        print(f"\n{len(volumes)} volumes, {number + 1} orders, {kills} kills")

    def assert_names_missing(self, text, still_to_come):
        """The message asks for those volumes that the site has not seen, and for no other."""
        asked = re.search(r"wait for volume ([0-9, ]+) of", text)
        self.assertIsNotNone(asked, text)
        numbers = {int(number) for number in asked[1].split(",")}
        self.assertLessEqual(numbers, {volume_number(path) for path in still_to_come})

    def test_all_folders_at_once(self):
        split, folder = self.split(), self.new_folder()
        self.spread(split, folder)
        store, versions = self.site.new_store(folder, False)
        self.run_to_the_end(sorted(folder.glob("stick*")), store)
        self.assert_complete(store, versions)


def volume_number(path):
    with open(path, "rb") as file:
        return int.from_bytes(file.read(36)[32:], "little")


class TwoImporters(FaultTest):
    def test_second_one_is_told(self):
        folder = self.new_folder()
        store, versions = self.site.new_store(folder, True)
        first = Watched([self.site.bundle], store, self.site.pub)
        self.assertTrue(first.wait_until(self.site.written * 0.1), first.text())
        first.process.send_signal(signal.SIGSTOP)
        try:
            second = Watched([self.site.bundle], store, self.site.pub)
            self.assertEqual(second.wait(), tools.EXIT_BUSY, second.text())
            tools.run(tools.IMPORT, "gc", "--store", store, check=tools.EXIT_BUSY)
            tools.run(tools.IMPORT, "activate", "0.9.0", "--store", store, check=tools.EXIT_BUSY)
            for reader in ("list", "status"):
                tools.run(tools.IMPORT, reader, "--store", store, check=0)
        finally:
            first.process.send_signal(signal.SIGCONT)
        self.assertEqual(first.wait(), 0, first.text())
        self.assert_complete(store, versions)


del FaultTest

if __name__ == "__main__":
    unittest.main(verbosity=2)
