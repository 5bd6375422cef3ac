#!/usr/bin/env python3
"""mirror-sync against its bars and against peers, in one run.

    bench/mirror.py --bin BUILD_DIR --work DIR [--blobs N] [--customers N] [--size MIB] [--rounds N] [--only PARTS]

Parts: idle (nothing new: requests, files opened, processor time, memory with N blobs; skopeo sync of the same image beside it),
customers (nothing new for N stores), wire (bytes of a new release against its delta and against the groups it touches), line (a new
release over a shaped line of 100 Mbit/s and 80 ms, and the same with 1 % loss against aria2c with as many connections; root, TUN).
Prints a row a measure: value, bar, whether it holds. Needs nginx; strace, docker-registry with skopeo, aria2c for their rows.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
for part in ("origin", "interop", "registry"):
    sys.path.insert(0, str(ROOT / "tests" / part))
sys.path.insert(0, str(ROOT / "bench"))

MIB = 1 << 20
CONNECTIONS = 4
LAYERS = 1000  # of one image
RATE, DELAY = 100e6, 0.04  # bits a second; seconds one way

rows = []


def row(what, value, bar, holds):
    rows.append((what, value, bar, holds))
    print(f"| {what} | {value} | {bar} |{'' if holds is None else ' holds' if holds else ' MISSED'}", flush=True)


# A child counts the memory of who started it as its own: a small process in between starts the command.
STARTER = """
import os, sys, time
start = time.monotonic()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def measured(command, **more):
    """(wall seconds, processor seconds, peak RSS in MiB) of a command that ends well."""
    output = subprocess.run([sys.executable, "-S", "-c", STARTER, *map(str, command)], stdout=subprocess.PIPE, check=True, text=True, **more)
    status, wall, cpu, memory = output.stdout.split()
    if status != "0":
        sys.exit(f"failed ({status}): {' '.join(map(str, command))}")
    return float(wall), float(cpu), float(memory)


def many_blobs(release, count):
    """Puts images into a release's layout that have `count` small layers together."""
    layout = release.parent / "images"
    blobs = layout / "blobs" / "sha256"
    index = json.loads((layout / "index.json").read_text())
    names = []

    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}

    for first in range(0, count, LAYERS):
        layers = [put(b"layer %d\n" % i * 20, "application/vnd.oci.image.layer.v1.tar") for i in range(first, min(first + LAYERS, count))]
        config = put(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {
            "type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}).encode(), "application/vnd.oci.image.config.v1+json")
        manifest = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                                   "layers": layers}).encode(), "application/vnd.oci.image.manifest.v1+json")
        names.append(f"many:{first // LAYERS}")
        manifest["annotations"] = {"org.opencontainers.image.ref.name": names[-1]}
        index["manifests"].append(manifest)
    (layout / "index.json").write_text(json.dumps(index))
    lines = "".join(f'- {{name: "registry.example.com/{name}", source: "oci:images:{name}"}}\n' for name in names)
    release.write_text(release.read_text().replace("images:\n", "images:\n" + lines, 1))


class Bench:
    def __init__(self, args):
        self.args, self.work = args, args.work
        self.vendor = origin_world.Vendor(self.work, image_bytes=300_000, disk_bytes=4 * MIB)
        self.mirror_sync = tools.MAKE.parent / "mirror-sync"

    def config(self, name, address, stores, mirrors=None, origins=None, **more):
        path = self.work / f"{name}.json"
        path.write_text(json.dumps({
            "apiVersion": "bundle/v1", "kind": "Mirror", "state": str(self.work / f"{name}-state"),
            "origins": origins or [{"name": "vendor", "address": address}],
            "stores": [{"name": store.name, "path": str(store), "trust": str(self.vendor.pub)} for store in stores],
            "mirrors": mirrors or [{"origin": "vendor", "stores": [store.name for store in stores], "channels": ["stable"]}], **more}))
        return [self.mirror_sync, "run", "--config", path, "--quiet"]

    def publish(self, origin, version, *bundles):
        self.vendor.promote(version)
        self.vendor.publish(origin, *(bundles or [self.vendor.bundle(version)]))

    def idle(self):
        origin, store = self.work / "idle-origin", self.work / "idle"
        many_blobs(self.vendor.release("1.0.0"), self.args.blobs)
        self.publish(origin, "1.0.0")
        with origin_world.Nginx(origin) as server:
            command = self.config("idle", server.url, [store])
            measured(command)
            blobs = len(list((store / "blobs/sha256").iterdir()))
            server.requests()
            runs = [measured(command) for _ in range(max(5, self.args.rounds))]
            asked = server.requests()
            row("requests a run for one channel", len(asked) / len(runs), 1, len(asked) == len(runs))
            cpu = statistics.median(run[1] for run in runs)
            memory = max(run[2] for run in runs)
            row(f"nothing new, {blobs:,} blobs: processor time", f"{cpu * 1000:.0f} ms", "50 ms", cpu < 0.05)
            row("the same: peak memory", f"{memory:.1f} MiB", "20 MiB", memory < 20)
            if shutil.which("strace"):
                trace = self.work / "trace"
                measured(["strace", "-f", "-e", "trace=open,openat,openat2", "-o", trace, *command])
                opened = sum("/blobs/" in line for line in trace.read_text().splitlines())
                row("the same: blob files opened", opened, 0, opened == 0)
        self.skopeo(cpu)

    def skopeo(self, ours):
        """One image of the mirror is enough for it: it asks for every manifest and config again."""
        if not (shutil.which("skopeo") and DockerRegistry.program):
            return
        layout = self.vendor.release("1.0.0").parent / "images"
        with DockerRegistry() as source, DockerRegistry() as target:
            measured(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:many:0", f"docker://{source}/many:0"])
            command = ["skopeo", "sync", "--src-tls-verify=false", "--dest-tls-verify=false", "--src", "docker", "--dest", "docker",
                       f"{source}/many", target]
            measured(command, stderr=subprocess.DEVNULL)
            _, cpu, memory = measured(command, stderr=subprocess.DEVNULL)
            row(f"skopeo sync, nothing new, one image of {min(LAYERS, self.args.blobs):,} layers: processor time / ours for all",
                f"{cpu / ours:.1f} ({cpu * 1000:.0f} ms)", "–", None)
            row("the same: peak memory", f"{memory:.0f} MiB", "–", None)

    def customers(self):
        origin, first = self.work / "customers-origin", self.work / "customer-0"
        self.vendor.inputs.pop("1.1.0", None)
        self.publish(origin, "1.1.0")
        with origin_world.Nginx(origin) as server:
            measured(self.config("first", server.url, [first]))
            stores = [first]
            for number in range(1, self.args.customers):
                stores.append(self.work / f"customer-{number}")
                subprocess.run(["cp", "-al", first, stores[-1]], check=True)
                (stores[-1] / ".lock").unlink()
            for name, config in (("one channel", {}), ("250 channels", self.many_channels(server.url, stores))):
                command = self.config("customers", server.url, stores, **config)
                measured(command)
                server.requests()
                wall, cpu, memory = measured(command)
                row(f"nothing new for {len(stores)} customers, {name}: wall time ({len(server.requests())} requests, {cpu:.2f} s of "
                    "processor)", f"{wall:.2f} s", "30 s", wall < 30)

    def many_channels(self, url, stores):
        """The same origin under many names: each is asked for its channel."""
        groups = [stores[i::250] for i in range(250) if stores[i::250]]
        return {"origins": [{"name": f"vendor-{i}", "address": url} for i in range(len(groups))],
                "mirrors": [{"origin": f"vendor-{i}", "stores": [store.name for store in group], "channels": ["stable"]}
                            for i, group in enumerate(groups)]}

    def wire(self):
        full, delta = self.vendor.bundle("1.3.0"), self.vendor.bundle("1.3.0", "1.2.0")
        for name, bundles in (("delta", (full, delta)), ("groups", (full,))):
            origin, store = self.work / f"wire-{name}", self.work / f"wire-{name}-store"
            self.publish(origin, "1.2.0")
            with origin_world.Nginx(origin) as server:
                command = self.config(f"wire-{name}", server.url, [store])
                measured(command)
                self.publish(origin, "1.3.0", *bundles)
                planned = json.loads(tools.run(tools.IMPORT, "plan", server.url, "--channel", "stable", "--store", store, "--json",
                                               check=0).stdout)["bytes_to_read"]
                server.requests()
                measured(command)
                wire = sum(size for _, _, _, size, _ in server.requests())
            if name == "delta":
                whole = sum(path.stat().st_size for path in delta.glob("*.bundle"))
                row(f"a new release with a delta: bytes on the wire / the delta bundle ({whole:,} bytes)", f"{wire / whole:.3f}", 1.05,
                    wire <= 1.05 * whole)
            else:
                row(f"without a delta: bytes on the wire / the groups touched ({planned:,} bytes)", f"{wire / planned:.3f}", 1.2,
                    wire <= 1.2 * planned)

    def line(self):
        size = self.args.size * MIB
        release = self.vendor.release("1.0.0")
        disk = release.parent / "os" / "appliance.img"
        with open(disk, "wb") as out:
            for _ in range(self.args.size):
                out.write(os.urandom(MIB))
        shutil.rmtree(self.vendor.folder / "1.0.0", ignore_errors=True)
        origin = self.work / "line-origin"
        self.publish(origin, "1.0.0")
        (volume,) = origin.glob("releases/1.0.0/*/*.bundle")
        bytes_ = volume.stat().st_size
        for loss in (0.0, 0.01):
            with ShapedLink(RATE, DELAY, loss) as link, FarNginx(link, origin, self.work / "far") as url:
                ours, theirs = [], []
                for round_ in range(self.args.rounds):
                    store = self.work / "line-store"
                    for left in (store, self.work / "line-state"):
                        shutil.rmtree(left, ignore_errors=True)
                    command = self.config("line", url, [store], limits={"connections": CONNECTIONS})
                    ours.append(measured(link.near_command(command))[0])
                    if shutil.which("aria2c"):
                        (self.work / "fetched").unlink(missing_ok=True)
                        theirs.append(measured(link.near_command(
                            ["aria2c", "--no-conf", "-q", "-x", CONNECTIONS, "-s", CONNECTIONS, "-k", "1M", "--file-allocation=none", "-d", self.work,
                             "-o", "fetched", f"{url}/{volume.relative_to(origin)}"]))[0])
                name = f"100 Mbit/s, 80 ms, {loss:.0%} loss, {size // MIB} MiB"
                rate = bytes_ * 8 / statistics.median(ours)
                if not loss:
                    row(f"{name}: rate / line rate", f"{rate / RATE:.3f}", 0.9, rate >= 0.9 * RATE)
                else:
                    row(f"{name}: rate / line rate", f"{rate / RATE:.3f}", "–", None)
                if theirs:
                    ratio = statistics.median(theirs) / statistics.median(ours)
                    row(f"{name}: rate / aria2c with {CONNECTIONS} connections", f"{ratio:.3f}", 0.95 if loss else "–",
                        ratio >= 0.95 if loss else None)


class FarNginx:
    def __init__(self, link, root, work):
        self.link, self.root, self.work = link, root, work

    def __enter__(self):
        self.work.mkdir(exist_ok=True)
        config = self.work / "nginx.conf"
        config.write_text(origin_world.NGINX.format(work=self.work, port=8080, root=self.root, more="")
                          .replace("127.0.0.1:8080", f"{self.link.far}:8080"))
        self.process = subprocess.Popen(self.link.far_command(["nginx", "-c", config, "-g", "user root;"]), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while subprocess.run(self.link.near_command(["curl", "-sf", "-o", "/dev/null", f"http://{self.link.far}:8080/origin.json"]),
                             check=False).returncode:
            if time.monotonic() > deadline:
                sys.exit("nginx does not answer over the line")
            time.sleep(0.2)
        return f"http://{self.link.far}:8080"

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--blobs", type=int, default=10_000)
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--size", type=int, default=256, help="MiB over the line")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="idle,customers,wire,line")
    args = parser.parse_args()
    os.environ["BUNDLE_BIN"] = str(args.bin.resolve())
    os.environ.setdefault("no_proxy", "*")
    global origin_world, tools, DockerRegistry, ShapedLink
    import origin_world
    from origin_world import tools
    from push_world import DockerRegistry
    from shaped_link import ShapedLink
    for part in args.only.split(","):
        args.work = args.work.resolve()
        folder = args.work / part
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        bench = Bench(argparse.Namespace(**{**vars(args), "work": folder}))
        getattr(bench, part)()
        shutil.rmtree(folder)
    sys.exit(any(holds is False for _, _, _, holds in rows))


if __name__ == "__main__":
    main()
