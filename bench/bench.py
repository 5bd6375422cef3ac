#!/usr/bin/env python3
"""Compares the tools with a peer or a limit, in one run, and prints ratios.

    bench/bench.py --bin BUILD_DIR --work DIR [--size MIB] [--sample DIR] [--rounds N]

Absolute times depend on the machine; ratios of commands that ran in turn on the same bytes are what
docs/performance.md quotes. Needs: sha256sum, cp, tar, zstd. With root the page cache is dropped before
each cold measurement; without, the note "warm" is printed.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import time

MIB = 1 << 20


def run(command, **kwargs):
    """Runs a command to its end; returns (seconds, peak RSS in bytes, end of standard output)."""
    start = time.monotonic()
    # This process must stay small: the memory of the forked copy counts into the command's peak.
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, **kwargs)
    output = b""
    while piece := process.stdout.read(MIB):
        output = piece[-4096:]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed ({process.returncode}): {' '.join(map(str, command))}")
    return time.monotonic() - start, usage.ru_maxrss * 1024, output


def drop_caches():
    subprocess.run(["sync"], check=True)
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return True
    except OSError:
        return False


def pinned(command):
    """One core for both sides of a per-core comparison."""
    return ["taskset", "-c", "0", *map(str, command)]


def write_random(path, size, seed):
    generator = random.Random(seed)
    with open(path, "wb") as out:
        for _ in range(size // MIB):
            out.write(generator.randbytes(MIB))


def write_spec(folder, files, images=()):
    (folder / "helm").mkdir(parents=True, exist_ok=True)
    (folder / "helm/Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    (folder / "helm/values.yaml").write_text("{}\n")
    spec = {
        "apiVersion": "bundle/v1", "kind": "Release", "releaseVersion": "1.0.0", "product": "bench",
        "upgradeFrom": [], "os": {"base": "ubuntu-24.04", "artifacts": files},
        "k8s": {"distribution": "k3s", "version": "v1.31.6+k3s1", "artifacts": []},
        "app": {"chartPath": "helm/", "valuesProfile": "single-node"},
        "images": list(images), "files": [],
    }
    (folder / "release.yaml").write_text(json.dumps(spec))  # JSON is YAML
    return folder / "release.yaml"


class Bench:
    def __init__(self, options):
        self.bin = pathlib.Path(options.bin) / "tools"
        self.work = pathlib.Path(options.work)
        self.rounds = options.rounds
        self.size = options.size
        self.sample = options.sample
        self.rows = []
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        run([self.bin / "bundle-make", "keygen", "--out", self.work / "key", "--no-password"])

    def tool(self, name, *arguments):
        return [self.bin / name, *arguments]

    def make(self, spec, out, *extra):
        return run(self.tool("bundle-make", "make", spec, "--out", out, "--key", self.work / "key.key",
                             *extra))

    def row(self, name, ratio, bar, detail):
        good = ratio <= bar[1] if bar[0] == "<=" else ratio >= bar[1]
        self.rows.append((name, ratio, bar, good))
        print(f"{'ok  ' if good else 'MISS'} {name}: {ratio:.3f} (bar {bar[0]} {bar[1]})  {detail}", flush=True)

    def paired(self, ours, peer, before=lambda: None):
        """Median of peer time / our time over rounds, the two in turn."""
        ratios, our_times, peer_times = [], [], []
        for _ in range(self.rounds):
            before()
            our_times.append(ours())
            before()
            peer_times.append(peer())
            ratios.append(peer_times[-1] / our_times[-1])
        detail = f"ours {statistics.median(our_times):.2f} s, peer {statistics.median(peer_times):.2f} s"
        return statistics.median(ratios), detail

    def raw_file(self):
        folder = self.work / "raw"
        folder.mkdir()
        write_random(folder / "disk.img", self.size * MIB, 1)
        spec = write_spec(folder, [{"name": "disk.img", "path": "disk.img"}])
        _, peak, _ = self.make(spec, folder / "bundle", "--fast")
        self.row("peak memory of make --fast / 256 MiB", peak / (256 * MIB), ("<=", 1.0), "")
        self.verify(folder)
        self.import_raw(folder)

    def verify(self, folder):
        volume = next((folder / "bundle").glob("*.bundle"))
        verify = pinned(self.tool("bundle-make", "verify", folder / "bundle", "--trust", self.work / "key.pub",
                                  "--jobs", "1", "--quiet"))
        ratio, detail = self.paired(lambda: run(verify)[0], lambda: run(pinned(["sha256sum", volume]))[0],
                                    lambda: run(["cat", volume]))
        self.row("verify rate / sha256sum rate, one core", ratio, (">=", 0.9), detail)
        ratio, detail = self.paired(lambda: run(verify)[0],
                                    lambda: run(pinned(["openssl", "dgst", "-sha256", volume]))[0])
        self.row("verify rate / openssl dgst -sha256 rate, one core", ratio, (">=", 0.8), detail)

    def import_raw(self, folder):
        store = self.work / "store"
        copy = self.work / "copy.img"
        volume = next((folder / "bundle").glob("*.bundle"))
        peaks = []

        def ours():
            seconds, peak, _ = run(self.tool("bundle-import", "import", folder / "bundle", "--store", store,
                                             "--trust", self.work / "key.pub", "--quiet"))
            peaks.append(peak)
            return seconds

        def peer():
            return run(["sh", "-c", f"cp '{volume}' '{copy}' && sync && sha256sum '{copy}'"])[0]

        def before():
            shutil.rmtree(store, ignore_errors=True)
            copy.unlink(missing_ok=True)
            if not drop_caches():
                print("warm: the page cache cannot be dropped")

        ratio, detail = self.paired(ours, peer, before)
        self.row("import of raw blobs / (cp + sync + sha256sum), cold", ratio, (">=", 0.8), detail)
        self.row("peak memory of import / 256 MiB", max(peaks) / (256 * MIB), ("<=", 1.0), "")
        before()
        ours()
        ratio, detail = self.paired(ours, peer, lambda: (copy.unlink(missing_ok=True), drop_caches()) and None)
        self.row("import of known blobs / (cp + sync + sha256sum), cold", ratio, (">=", 0.8), detail)

    def sizes(self):
        if not self.sample:
            print("skipped: sizes (no --sample)")
            return
        sample = pathlib.Path(self.sample)
        folder = self.work / "images"
        folder.mkdir()
        shutil.copytree(sample / "images", folder / "images", copy_function=os.link)
        spec = (sample / "release.yaml").read_text()
        images = [{"name": line.split('"')[1], "source": line.split('"')[3], "platforms": ["linux/amd64"]}
                  for line in spec.splitlines() if line.startswith("- {") and "source:" in line]
        path = write_spec(folder, [], images)
        seconds, peak, _ = self.make(path, folder / "bundle")
        ours = sum(p.stat().st_size for p in (folder / "bundle").glob("*.bundle"))
        _, _, out = run(["sh", "-c", f"tar -C '{folder}' -cf - images | zstd -19 -T2 -q | wc -c"])
        self.row("full bundle / tar | zstd -19 of the OCI layout", ours / int(out), ("<=", 0.72),
                 f"ours {ours}, peer {int(out)} bytes, made in {seconds:.0f} s")
        self.row("peak memory of make, level 19, two jobs / 1.5 GiB", peak / (1536 * MIB), ("<=", 1.0), "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="build folder")
    parser.add_argument("--work", required=True, help="scratch folder, emptied first")
    parser.add_argument("--size", type=int, default=1024, help="MiB of raw data")
    parser.add_argument("--sample", help="folder that scripts/sample/make-sample.py made")
    parser.add_argument("--rounds", type=int, default=3)
    bench = Bench(parser.parse_args())
    bench.raw_file()
    bench.sizes()
    missed = [row for row in bench.rows if not row[3]]
    print(f"{len(bench.rows) - len(missed)} of {len(bench.rows)} bars held")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
