#!/usr/bin/env python3
"""Runs the `sh` blocks of docs/operator-guide.md, in order, with the real programs.

    guide_test.py SOURCE_DIR BUNDLE_MAKE BUNDLE_IMPORT

`<!-- status N -->` before a block says that its last command ends so. /media and /var/lib are folders of a temporary
directory; the sticks hold two small releases, the damaged one a flipped bit.
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"(?:<!-- status (\d+) -->\n)?```sh\n(.*?)```", re.S)

SPEC = """apiVersion: bundle/v1
kind: Release
releaseVersion: {version}
product: guide
upgradeFrom: [{upgrade_from}]
os: {{base: ubuntu-24.04, artifacts: [{{name: disk.img, path: disk.img}}]}}
k8s: {{distribution: k3s, version: v1.31.6+k3s1, artifacts: []}}
app: {{chartPath: helm/, valuesProfile: single-node}}
images: []
{more}"""


def write_release(folder, spec, version, upgrade_from, data, more=""):
    (folder / "helm").mkdir(parents=True, exist_ok=True)
    (folder / "helm/Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 1.0.0\n")
    (folder / "helm/values.yaml").write_text("{}\n")
    (folder / "disk.img").write_bytes(data)
    (folder / spec).write_text(SPEC.format(version=version, upgrade_from=upgrade_from, more=more))


def flip_bit(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


class Site:
    """The folders of the guide in a temporary directory, and a shell in them."""

    def __init__(self, work, programs):
        self.work = work
        self.environment = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}")
        for stick in ("stick", "stick1", "stick2", "stick3", "next", "damaged"):
            (work / "media" / stick).mkdir(parents=True)
        (work / "var/lib").mkdir(parents=True)

    def local(self, text):
        return text.replace("/media/", f"{self.work}/media/").replace("/var/lib/", f"{self.work}/var/lib/")

    def run(self, script):
        return subprocess.run(["bash", "-euo", "pipefail", "-c", self.local(script)], cwd=self.work,
                              env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def must(self, script):
        result = self.run(script)
        if result.returncode != 0:
            sys.exit(f"preparing failed:\n{script}\n{result.stdout}")
        return result.stdout


def main():
    source, make, import_ = map(pathlib.Path, sys.argv[1:])
    blocks = BLOCK.findall((source / "docs/operator-guide.md").read_text())
    assert len(blocks) > 15, "the guide's blocks were not found"
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        programs = work / "programs"
        programs.mkdir()
        for program in (make, import_):
            (programs / program.name).symlink_to(program.resolve())
        site = Site(work, programs)
        generator = random.Random(1)
        first = generator.randbytes(6_000_000)
        write_release(work, "release.yaml", "1.0.0", "", first, "signatures: signatures\n")
        (work / "pw.txt").write_text("only for this test\n")
        for number, (status, script) in enumerate(blocks, 1):
            if "make release.yaml" in script:
                script = script.replace("--out out", "--out out --fast")  # the level is not what is tested
            result = site.run(script)
            if result.returncode != int(status or 0):
                print(f"block {number} ended with {result.returncode}:\n{script}\n{result.stdout}")
                return 1
            if "verify out" in script:
                prepare_sticks(site, first, generator)
    print(f"{len(blocks)} blocks of the guide do what they say")
    return 0


def prepare_sticks(site, first, generator):
    """What the guide takes for granted once release 1.0.0 is made: the next release, a damaged stick, a fingerprint."""
    write_release(site.work / "next", "release.yaml", "1.1.0", '"1.0.x"', first + generator.randbytes(500_000))
    site.must("bundle-make make next/release.yaml --out next-out --fast --key vendor.key --password-file pw.txt\n"
              "cp next-out/*.bundle /media/next/; cp out/*.bundle /media/damaged/")
    flip_bit(next((site.work / "media/damaged").glob("*.bundle")), 3_000_000)
    report = json.loads(site.must("bundle-make verify out --trust vendor.pub --json"))
    site.environment["FINGERPRINT"] = report["signers"][0]


if __name__ == "__main__":
    sys.exit(main())
