"""The command line of make-sample.py, and the order in which the parts are made."""

import argparse
import os
import shutil
import sys
import tempfile
import time

from . import disk, files
from .debs import DebSource
from .images import ImageBuilder
from .oci import LayerCache, Layout
from .releases import RELEASES, release_of
from .tools import SampleError, require, run

TOOLS = ("apt-get", "apt-cache", "dpkg", "dpkg-deb", "mke2fs", "debugfs", "zstd")
EXECUTABLE = ("k3s/k3s", "k3s/install.sh")


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog="make-sample.py",
                                     description="Build the sample release from Debian packages.")
    parser.add_argument("--version", required=True, help=f"the release to build: {', '.join(RELEASES)}")
    parser.add_argument("--out", required=True, help="the directory to make; an earlier sample there is replaced")
    parser.add_argument("--cache", help="downloads and compressed layers, kept between runs (default: OUT/../cache)")
    parser.add_argument("--qcow2", action="store_true", help="also write os/appliance.qcow2 (needs qemu-img)")
    return parser.parse_args(argv)


def check_machine(arguments):
    """Everything that can stop a run is looked at before the first download."""
    require(*TOOLS, *(["qemu-img"] if arguments.qcow2 else []))
    architecture = run(["dpkg", "--print-architecture"]).decode().strip()
    if architecture != "amd64":
        raise SampleError(f"the sample's images are linux/amd64; this machine's packages are {architecture}")
    out = arguments.out
    if os.path.exists(out) and (not os.path.isdir(out) or
                                (os.listdir(out) and not os.path.exists(os.path.join(out, "release.yaml")))):
        raise SampleError(f"{out} exists and is no sample release: choose another --out")


def normalise(root, mtime):
    """Modes and times in the output must not tell of this machine's umask and clock."""
    executable = {os.path.join(root, name) for name in EXECUTABLE}
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            os.chmod(path, 0o755 if path in executable else 0o644)
            os.utime(path, (mtime, mtime))
        os.chmod(folder, 0o755)
        os.utime(folder, (mtime, mtime))


class Steps:
    """Says on standard error what is being done and how long it took."""

    def __init__(self):
        self._start = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self._start:5.1f} s] {text}", file=sys.stderr, flush=True)


def build(release, source, cache, out, work, steps, qcow2):
    """Make the whole release below `out`."""
    steps.say("packages: working out, fetching, unpacking")
    builder = ImageBuilder(release, source, LayerCache(cache), Layout(os.path.join(out, "images")), work)
    steps.say("images: writing layers")
    images = builder.build()
    steps.say("chart, values, k3s stand-ins")
    files.copy_filled(("helm", "values", "k3s", "flux"), out, {
        "VERSION": release.version, "K3S": release.k3s,
        "POSTGRES_MAJOR": builder.postgres_major, "REDIS_MAJOR": builder.redis_major,
    })
    files.copy_desired_state(out)
    files.write_airgap_images(release, builder.web_runtime, out, work)
    steps.say("disk image")
    image = os.path.join(out, "os", "appliance.img")
    disk.write_disk_image(release, disk.rootfs_tree(release, builder.base, builder.web_runtime), image, work)
    if qcow2:
        disk.write_qcow2(image)
    files.write_release_yaml(release, images, out)
    normalise(out, release.built)


def replace_directory(new, old):
    """Put the finished directory in place; what was there before goes only after the new one is complete."""
    if os.path.exists(old):
        shutil.rmtree(old)
    os.rename(new, old)


def make_sample(arguments):
    """Build next to the target, so that a failed run leaves an earlier sample as it was."""
    release = release_of(arguments.version)
    check_machine(arguments)
    out = os.path.abspath(arguments.out)
    parent = os.path.dirname(out)
    cache = os.path.abspath(arguments.cache or os.path.join(parent, "cache"))
    os.makedirs(parent, exist_ok=True)
    os.makedirs(cache, exist_ok=True)
    steps = Steps()
    with tempfile.TemporaryDirectory(dir=parent, prefix=".make-sample-") as work:
        new = os.path.join(work, "out")
        os.mkdir(new)
        build(release, DebSource(cache), cache, new, work, steps, arguments.qcow2)
        replace_directory(new, out)
    steps.say(f"done: {os.path.join(out, 'release.yaml')}")


def main(argv=None):
    """Entry point; returns the exit status."""
    try:
        make_sample(parse_arguments(argv))
    except (SampleError, OSError) as error:
        print(f"make-sample.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
