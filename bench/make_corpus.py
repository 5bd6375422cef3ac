#!/usr/bin/env python3
"""Two consecutive releases of container images, for bench/delta_bench.py: a corpus of what real images are made of.

    bench/make_corpus.py --out DIR [--cache DIR] [--images base,server,web,tools]

DIR/1.0.0 and DIR/1.1.0 get a release.yaml and an OCI layout images/ each. 1.0.0 has the Debian or Ubuntu packages of the main
suite, 1.1.0 those of its security and update suites, as a rebuild some weeks later has them; every layer that is built again has
new file times. Packages of npm and Go programs have two consecutive versions. Layers are
compressed by Go's compress/gzip, pgzip and zlib. Everything is downloaded when this runs (cached in --cache); nothing of it is
part of this repository. Needs what scripts/sample needs; without npm or go those images are left out, and layers are zlib's.
"""
import argparse
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scripts/sample"))

from sample.debs import DebSource  # noqa: E402
from sample.images import BASE_PACKAGES, Packages, base_tree  # noqa: E402
from sample.oci import LAYER_GZIP, GzipWriter, Layer, Layout  # noqa: E402
from sample.releases import iso_time  # noqa: E402
from sample.tools import SampleError, run, sha256_of  # noqa: E402
from sample.tree import Content, Entry, FileTree  # noqa: E402

DAY = 86_400


@dataclasses.dataclass(frozen=True)
class Release:
    """What differs between the two."""
    version: str
    upgrade_from: str
    built: int
    main_suite_only: bool
    npm: tuple
    go: tuple


RELEASES = (
    Release("1.0.0", "", 1_735_689_600, True,
            ("typescript@5.4.5", "webpack@5.91.0", "eslint@8.56.0", "express@4.19.2", "react-dom@18.2.0",
             "@aws-sdk/client-s3@3.600.0", "rxjs@7.8.1"),
            ("github.com/google/go-containerregistry/cmd/crane@v0.20.6", "sigs.k8s.io/kustomize/kustomize/v5@v5.7.0",
             "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.0")),
    Release("1.1.0", '"1.0.x"', 1_735_689_600 + 42 * DAY, False,
            ("typescript@5.5.4", "webpack@5.92.1", "eslint@8.57.1", "express@4.21.0", "react-dom@18.3.1",
             "@aws-sdk/client-s3@3.609.0", "rxjs@7.8.1"),
            ("github.com/google/go-containerregistry/cmd/crane@v0.20.7", "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
             "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2")),
)
SERVER_PACKAGES = ("nginx", "python3", "redis-server", "mariadb-server-core", "mariadb-client-core")
WEB_PACKAGES = ("nodejs", "ca-certificates")
TOOLS_PACKAGES = ("curl", "git", "haproxy", "openssl")


class Encoders:
    """Layers by the real encoders; zlib's alone where there is no Go."""

    def __init__(self, cache):
        self.program = None
        if shutil.which("go"):
            self.program = cache / "encoders"
            run(["go", "build", "-o", str(self.program), "."], cwd=HERE / "encoders")
        else:
            print("skipped: no go here, all layers are zlib's", file=sys.stderr)

    def pack(self, tar, out, encoder, level):
        with open(tar, "rb") as plain, open(out, "wb") as packed:
            if encoder == "zlib" or self.program is None:
                writer = GzipWriter(packed, level)
                while block := plain.read(1 << 20):
                    writer.write(block)
                writer.close()
            else:
                subprocess.run([self.program, encoder, str(level)], stdin=plain, stdout=packed, check=True)


def code_name():
    lines = pathlib.Path("/etc/os-release").read_text().splitlines()
    return next(line.split("=")[1].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))


def add_folder(tree, folder, below):
    """A folder of this machine as the files of a layer: owner root, modes and links as they are."""
    for root, folders, names in os.walk(folder):
        for name in sorted(names) + sorted(folders):
            path = os.path.join(root, name)
            inside = os.path.join(below, os.path.relpath(path, folder))
            if os.path.islink(path):
                tree.add_symlink(inside, os.readlink(path))
            elif os.path.isfile(path):
                tree._parents(inside)
                content = Content(path=path, offset=0, length=os.path.getsize(path))
                tree.entries[inside] = Entry(tarfile.REGTYPE, os.stat(path).st_mode & 0o755, content=content)


def npm_folder(release, cache):
    folder = cache / f"npm-{release.version}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run(["npm", "install", f"--prefix={folder}", "--ignore-scripts", "--no-audit", "--no-fund",
             *release.npm], cwd=folder)
        (folder / "done").touch()
    return folder / "node_modules"


def go_programs(release, cache, count):
    folder = cache / f"go-{release.version}"
    for package in release.go[:count]:
        mark = folder / (package.split("/")[-1] + ".done")
        if not mark.exists():
            run(["go", "install", "-trimpath", "-ldflags=-s -w", package], env={"GOBIN": str(folder), "CGO_ENABLED": "0"})
            mark.touch()
    return [path for path in sorted(folder.iterdir()) if path.suffix != ".done"]


class Builder:
    def __init__(self, release, options, encoders, work):
        self.release, self.options, self.encoders, self.work = release, options, encoders, work
        self.cache = options.cache
        self.out = options.out / release.version
        shutil.rmtree(self.out, ignore_errors=True)
        self.layout = Layout(str(self.out / "images"))
        self.images = []

    def build(self):
        source = DebSource(str(self.cache), code_name() if self.release.main_suite_only else "")
        packages = Packages(source, str(self.work))
        sets = [(), SERVER_PACKAGES, WEB_PACKAGES, TOOLS_PACKAGES]
        closures = packages.prepare([BASE_PACKAGES + more for more in sets])
        base_debs = closures[0]
        trees = [packages.tree([deb for deb in debs if deb not in base_debs], below=debs) for debs in closures[1:]]
        base = self.layer(base_tree(packages, base_debs), "go", 6)
        wanted = self.options.images.split(",")
        if "server" in wanted:
            self.image("server", [base, self.layer(trees[0], "zlib", 6)])
        if "web" in wanted and shutil.which("npm"):
            modules = FileTree()
            add_folder(modules, npm_folder(self.release, self.cache), "srv/app/node_modules")
            self.image("web", [base, self.layer(trees[1], "pgzip", 6), self.layer(modules, "pgzip", 5)])
        if "tools" in wanted and shutil.which("go"):
            programs = FileTree()
            for path in go_programs(self.release, self.cache, self.options.programs):
                content = Content(path=str(path), offset=0, length=path.stat().st_size)
                programs.add_dir("usr/local/bin")
                programs.entries[f"usr/local/bin/{path.name}"] = Entry(tarfile.REGTYPE, 0o755, content=content)
            self.image("tools", [base, self.layer(trees[2], "zlib", 9), self.layer(programs, "go", 6)])
        self.layout.finish()
        lines = [f'- {{name: registry.example.com/{name}:{self.release.version}, source: "oci:images:{name}"}}' for name in self.images]
        (self.out / "release.yaml").write_text(
            f"releaseVersion: {self.release.version}\nupgradeFrom: [{self.release.upgrade_from}]\nimages:\n" + "\n".join(lines) + "\n")

    def layer(self, tree, encoder, level):
        tar, packed = self.work / "layer.tar", self.work / "layer.tar.gz"
        with open(tar, "wb") as out:
            tree.write_tar(out, self.release.built)
        self.encoders.pack(tar, packed, encoder, level)
        print(f"{self.release.version}: layer of {tar.stat().st_size >> 20} MiB, {packed.stat().st_size >> 20} MiB by {encoder} {level}", flush=True)
        return Layer(self.layout.add_file(str(packed), LAYER_GZIP), "sha256:" + sha256_of(tar), f"{encoder} {level}",
                     iso_time(self.release.built))

    def image(self, name, layers):
        image = self.layout.add_image(layers, created=iso_time(self.release.built), config={"Labels": {"version": self.release.version}})
        self.layout.tag(image, name)
        self.images.append(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--cache", type=pathlib.Path, help="downloads, kept between runs (default: OUT/cache)")
    parser.add_argument("--images", default="server,web,tools", help="which images (default: all of server,web,tools)")
    parser.add_argument("--programs", type=int, default=3, help="how many Go programs to build (default: 3; each takes a minute or two)")
    options = parser.parse_args()
    options.out = options.out.resolve()
    options.cache = (options.cache or options.out / "cache").resolve()
    for folder in (options.out, options.cache):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        encoders = Encoders(options.cache)
        for release in RELEASES:
            with tempfile.TemporaryDirectory(dir=options.out) as work:
                Builder(release, options, encoders, pathlib.Path(work)).build()
    except (SampleError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"make_corpus.py: {error}")


if __name__ == "__main__":
    main()
