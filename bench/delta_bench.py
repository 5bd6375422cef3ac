#!/usr/bin/env python3
"""Sizes and CPU time of a full bundle and a delta against what peers make of the same two releases, in one run.

    bench/delta_bench.py --bin BUILD_DIR --work DIR --old DIR --new DIR [--fast | --level N] [--peers LIST] [--ours LIST]

OLD and NEW are folders with a release.yaml and an OCI layout images/ (bench/make_corpus.py and scripts/sample/make-sample.py
make such). Peers, as far as they are installed: zstd (tar | zstd -19 of NEW's layout: what Zarf and Hauler ship), patch (zstd -19
--long=31 --patch-from on the inflated layers), casync and zchunk (chunks on the inflated layers that OLD lacks), restic (what
NEW's inflated layers add to a repository with OLD's). Only the images are compared: what else a release has is the same for
all. Prints one row a measure and the ratios to the bars of docs/performance.md. Rows of earlier runs in the same work folder
count too, so that a long comparison can be made in parts; --fresh empties it.
"""
import argparse
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

MIB = 1 << 20


def run(command, cwd=None):
    """CPU seconds, wall seconds and peak RSS of a command that must end well."""
    before = os.times()
    start = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, cwd=cwd)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed ({process.returncode}): {' '.join(map(str, command))}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.monotonic() - start, usage.ru_maxrss * 1024


def size_of(path):
    if path.is_file():
        return path.stat().st_size
    return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())


def bundle_size(folder):
    return sum(path.stat().st_size for path in folder.glob("*.bundle"))


def write_spec(folder, sample, version, upgrade_from, layout):
    """A release of the sample's images alone."""
    images = [line for line in (sample / "release.yaml").read_text().splitlines() if line.startswith("- {") and "source:" in line]
    (folder / "helm").mkdir(parents=True)
    (folder / "helm/Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    (folder / "helm/values.yaml").write_text("{}\n")
    os.symlink(layout.resolve(), folder / "images")
    (folder / "release.yaml").write_text(
        f"apiVersion: bundle/v1\nkind: Release\nreleaseVersion: {version}\nproduct: bench\nupgradeFrom: [{upgrade_from}]\n"
        "os: {base: ubuntu-24.04, artifacts: []}\n"
        "k8s: {distribution: k3s, version: v1.31.6+k3s1, artifacts: []}\n"
        "app: {chartPath: helm/, valuesProfile: single-node}\nimages:\n" + "\n".join(images) + "\n")
    return folder / "release.yaml"


def children(document):
    """The descriptors of an image index or an image manifest; none of a config, which has other members."""
    if "layers" in document:
        return [document["config"], *document["layers"]]
    return document.get("manifests", [])


def retime(source, target, seconds):
    """A copy of a layout whose layers have new times in their tar headers and nothing else, made by the same kind of encoder (zlib)."""
    import hashlib
    import io
    import tarfile
    renamed = {}
    (target / "blobs/sha256").mkdir(parents=True)
    shutil.copy(source / "oci-layout", target / "oci-layout")

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        (target / "blobs/sha256" / digest).write_bytes(data)
        return "sha256:" + digest, len(data)

    def layer(data):
        plain = bytearray(gzip.decompress(data))
        at = 0
        while at + 512 <= len(plain) and any(plain[at:at + 512]):
            size = tarfile.nti(bytes(plain[at + 124:at + 136]))
            if plain[at + 156:at + 157] not in (b"x", b"g", b"L", b"K"):
                stamp = tarfile.nti(bytes(plain[at + 136:at + 148])) + seconds
                plain[at + 136:at + 148] = b"%011o\0" % stamp
                plain[at + 148:at + 156] = b" " * 8
                plain[at + 148:at + 156] = b"%06o\0 " % sum(plain[at:at + 512])
            at += 512 + (size + 511) // 512 * 512
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6, mtime=0) as packed:
            packed.write(plain)
        return out.getvalue(), "sha256:" + hashlib.sha256(plain).hexdigest()

    def rewrite(descriptor):
        key = descriptor["digest"]
        if key not in renamed:
            data = (source / "blobs/sha256" / key.split(":")[1]).read_bytes()
            if "gzip" in descriptor["mediaType"]:
                data, _ = layer(data)
            elif "manifest" in descriptor["mediaType"] or "index" in descriptor["mediaType"]:
                document = json.loads(data)
                for child in children(document):
                    rewrite(child)
                data = json.dumps(document).encode()
            renamed[key] = put(data)
        descriptor["digest"], descriptor["size"] = renamed[key]

    index = json.loads((source / "index.json").read_text())
    for manifest in index["manifests"]:
        rewrite(manifest)
    (target / "index.json").write_text(json.dumps(index))


class Bench:
    def __init__(self, options):
        os.environ.setdefault("SOURCE_DATE_EPOCH", "1767225600")  # SBOM and provenance have the time of the build
        self.options = options
        self.work = pathlib.Path(options.work)
        if options.fresh:
            shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)
        self.tools = pathlib.Path(options.bin) / "tools"
        self.effort = ["--fast"] if options.fast else ["--level", str(options.level)]
        if not (self.work / "key.key").exists():
            run([self.tools / "bundle-make", "keygen", "--out", self.work / "key", "--no-password"])
        self.rows = self.work / "rows.json"
        self.sizes = json.loads(self.rows.read_text()) if self.rows.exists() else {}

    def row(self, name, size, usage, note=""):
        self.sizes[name] = size
        self.rows.write_text(json.dumps(self.sizes, indent=1))
        cpu, wall, peak = usage
        print(f"{name:<34} {size:>12} bytes  {cpu:8.1f} s CPU  {wall:8.1f} s  {peak / MIB:7.0f} MiB  {note}", flush=True)

    def ratio(self, name, part, whole, bar):
        if part not in self.sizes or whole not in self.sizes:
            print(f"skipped: {name}")
            return
        value = self.sizes[part] / self.sizes[whole]
        print(f"{'ok  ' if value <= bar else 'MISS'} {name}: {value:.4f} (bar {bar})", flush=True)

    def make(self, name, sample, version, upgrade_from, layout, *extra):
        out = self.work / name
        for folder in (out, self.work / f"{name}.in"):
            shutil.rmtree(folder, ignore_errors=True)
        spec = write_spec(self.work / f"{name}.in", sample, version, upgrade_from, layout)
        usage = run([self.tools / "bundle-make", "make", spec, "--out", out, "--key", self.work / "key.key", "--quiet",
                     *self.effort, *extra])
        self.row(name, bundle_size(out), usage)
        return out

    def imported(self, name, bundle, store, *before):
        shutil.rmtree(store, ignore_errors=True)
        if before:
            shutil.copytree(before[0], store)
        usage = run([self.tools / "bundle-import", "import", bundle, "--store", store, "--trust", self.work / "key.pub", "--quiet"])
        self.row(name, size_of(store / "blobs"), usage)

    def ours(self, old, new):
        wanted = self.options.ours.split(",")
        full_old, full_new, delta = (self.work / name for name in ("full-old", "full-new", "delta"))
        if "full" in wanted:
            self.make("full-new", new, "1.1.0", '"1.0.x"', new / "images")
        if "delta" in wanted:
            self.make("full-old", old, "1.0.0", "", old / "images")
            self.make("delta", new, "1.1.0", '"1.0.x"', new / "images", "--base", full_old)
        if "same" in wanted:
            out = self.make("delta-identical", old, "1.0.1", '"1.0.x"', old / "images", "--base", full_old)
            self.sizes["blobs"] = len((out / "blobs.list").read_text().splitlines())
            if not (self.work / "retimed").exists():
                retime(old / "images", self.work / "retimed", 86_400 * 35)
            self.make("delta-new-times", old, "1.0.2", '"1.0.x"', self.work / "retimed", "--base", full_old)
        if "import" in wanted:
            store, both, other = (self.work / name for name in ("store", "store-delta", "store-full"))
            self.imported("import-full-old", full_old, store)
            self.imported("import-delta", delta, both, store)
            self.imported("import-full-new", full_new, other, store)
            names = [{path.name for path in (folder / "blobs/sha256").iterdir()} for folder in (both, other)]
            print("ok   delta and full bundle give equal blobs" if names[0] == names[1] else "MISS stores differ")
            run([self.tools / "bundle-import", "verify", "--store", both, "--quiet"])

    def plain_layers(self, sample, out):
        """All layers inflated, each blob once, in the order of the index; other blobs as they are."""
        done = set()
        with open(out, "wb") as plain:
            def add(descriptor):
                if descriptor["digest"] in done:
                    return
                done.add(descriptor["digest"])
                path = sample / "images/blobs/sha256" / descriptor["digest"].split(":")[1]
                data = path.read_bytes()
                if data[:3] == b"\x1f\x8b\x08":
                    data = gzip.decompress(data)
                elif data[:1] == b"{":
                    document = json.loads(data)
                    for child in children(document):
                        add(child)
                plain.write(data)
            for manifest in json.loads((sample / "images/index.json").read_text())["manifests"]:
                add(manifest)

    def peers(self, old, new):
        wanted = self.options.peers.split(",")
        if "zstd" in wanted:
            packed = self.work / "layout.tar.zst"
            usage = run(["sh", "-c", f"tar -C '{new}' -cf - images | zstd -19 -T1 -q -o '{packed}'"])
            self.row("tar | zstd -19 of the layout", size_of(packed), usage)
        plains = [self.work / "old.plain", self.work / "new.plain"]
        for sample, plain in zip((old, new), plains):
            if not plain.exists() and wanted != ["zstd"]:
                self.plain_layers(sample, plain)
        if "patch" in wanted:
            packed = self.work / "patch.zst"
            usage = run(["zstd", "-19", "--long=31", "-q", f"--patch-from={plains[0]}", plains[1], "-o", packed])
            self.row("zstd -19 --patch-from, inflated", size_of(packed), usage)
        if "casync" in wanted and shutil.which("casync"):
            store, extra = self.work / "old.castr", self.work / "new.castr"
            for folder in (store, extra):
                shutil.rmtree(folder, ignore_errors=True)
            run(["casync", "make", f"--store={store}", self.work / "old.caibx", plains[0]])
            usage = run(["casync", "make", f"--store={extra}", self.work / "new.caibx", plains[1]])
            known = {path.name for path in store.rglob("*.cacnk")}
            size = sum(path.stat().st_size for path in extra.rglob("*.cacnk") if path.name not in known)
            self.row("casync, inflated, new chunks", size + size_of(self.work / "new.caibx"), usage)

        if "zchunk" in wanted and shutil.which("zck"):
            self.zchunk(plains)
        if "restic" in wanted and shutil.which("restic"):
            self.restic(plains)

    def zchunk(self, plains):
        packed = [plain.with_suffix(".zck") for plain in plains]
        run(["zck", "-o", packed[0], plains[0]])
        usage = run(["zck", "-o", packed[1], plains[1]])
        text = subprocess.run(["zck_delta_size", packed[0], packed[1]], capture_output=True, text=True, check=True).stdout
        print(text.strip())
        sizes = [int(word) for word in text.replace(",", "").split() if word.isdigit()]
        self.row("zchunk, inflated, to download", sizes[0], usage)

    def restic(self, plains):
        repository = self.work / "restic"
        shutil.rmtree(repository, ignore_errors=True)
        os.environ.update(RESTIC_REPOSITORY=str(repository), RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=str(self.work / "restic-cache"))
        run(["restic", "init", "--repository-version", "2"])
        run(["restic", "backup", "--compression", "max", plains[0]])
        before = size_of(repository)
        usage = run(["restic", "backup", "--compression", "max", plains[1]])
        self.row("restic, inflated, added", size_of(repository) - before, usage)

    def bars(self):
        self.ratio("full / tar | zstd -19", "full-new", "tar | zstd -19 of the layout", 0.62)
        self.ratio("delta / tar | zstd -19", "delta", "tar | zstd -19 of the layout", 0.20)
        self.ratio("delta / casync", "delta", "casync, inflated, new chunks", 0.35)
        self.ratio("delta / zstd --patch-from", "delta", "zstd -19 --patch-from, inflated", 1.0)
        if "blobs" in self.sizes:
            self.sizes["64 KiB + 40 bytes a blob"] = (64 << 10) + 40 * self.sizes["blobs"]
        self.ratio("identical to its base", "delta-identical", "64 KiB + 40 bytes a blob", 1.0)
        self.ratio("new times / full", "delta-new-times", "full-old", 0.003)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="build folder")
    parser.add_argument("--work", required=True, help="scratch folder")
    parser.add_argument("--old", required=True, type=pathlib.Path)
    parser.add_argument("--new", required=True, type=pathlib.Path)
    parser.add_argument("--fast", action="store_true", help="the fast profile in place of level 19")
    parser.add_argument("--level", type=int, default=19)
    parser.add_argument("--peers", default="zstd,patch,casync,zchunk,restic", help="which of these; \"\" for none")
    parser.add_argument("--ours", default="full,delta,same,import", help="which of these, in parts: each needs those before it")
    parser.add_argument("--fresh", action="store_true", help="empty the work folder first")
    options = parser.parse_args()
    bench = Bench(options)
    bench.ours(options.old, options.new)
    bench.peers(options.old, options.new)
    bench.bars()


if __name__ == "__main__":
    main()
