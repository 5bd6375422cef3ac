#!/usr/bin/env python3
"""Runs the `sh` blocks of docs/runbook.md, in order, with the real programs and a small cluster.

    runbook_test.py SOURCE_DIR        BUNDLE_BIN names the build folder

/media, /var/lib and /etc are folders of a temporary directory. bootstrap-site.sh is called with the options that this place
needs; the node is a folder with a script in the place of systemctl.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(SOURCE / "tests/site"))
import site_world  # noqa: E402
import tools  # noqa: E402
from test_k3s import Nodes  # noqa: E402

BLOCK = re.compile(r"(?:<!-- status (\d+) -->\n)?```sh\n(.*?)```", re.S)
YAML = re.compile(r"```yaml\n(apiVersion: bundle/v1\nkind: Site.*?)```", re.S)
BOOTSTRAP = """#!/bin/sh
exec {script} "$@" --tls {work}/etc/bundle/tls --registry-unit '' --k3s-config {work}/etc/rancher/k3s \\
    --manifests {work}/manifests --store {work}/var/lib/bundle
"""


class Store:
    def __init__(self, path):
        self.store = path


def prepare(work):
    for folder in ("media/stick", "media/next", "var/lib", "etc/rancher/k3s", "programs"):
        (work / folder).mkdir(parents=True)
    vendor = site_world.vendor()
    shutil.copytree(vendor.bundle("1.0.0"), work / "media/stick", dirs_exist_ok=True)
    shutil.copytree(vendor.bundle("1.1.0"), work / "media/next", dirs_exist_ok=True)
    shutil.copy(vendor.pub, work / "vendor.pub")
    for program in (tools.IMPORT, tools.MAKE, SOURCE / "scripts/site/upgrade-site.sh"):
        (work / "programs" / program.name).symlink_to(program)
    script = work / "programs/bootstrap-site.sh"
    script.write_text(BOOTSTRAP.format(script=SOURCE.resolve() / "scripts/site/bootstrap-site.sh", work=work))
    script.chmod(0o755)


def main():
    text = (SOURCE / "docs/runbook.md").read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) > 9, "the runbook's blocks were not found"
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        prepare(work)
        nodes = Nodes(work / "nodes", Store(work / "var/lib/bundle"))
        (work / "nodes/server-1/bin/k3s").unlink()
        with nodes.cluster() as cluster:
            cluster.write_kubeconfig(work / "etc/rancher/k3s/k3s.yaml")
            write_site(work, YAML.search(text)[1], nodes)
            for number, (status, script) in enumerate(blocks, 1):
                for name in ("media", "var/lib", "etc"):
                    script = script.replace(f"/{name}/", f"{work}/{name}/")
                result = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=work, text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT,
                                        env={**os.environ, "PATH": f"{work}/programs:{os.environ['PATH']}"})
                if result.returncode != int(status or 0):
                    print(f"block {number} ended with {result.returncode}:\n{script}\n{result.stdout}")
                    return 1
    site_world.remove_scratch()
    print(f"{len(blocks)} blocks of the runbook do what they say")
    return 0


def write_site(work, shown, nodes):
    """The site.yaml of the runbook, with this place's paths and commands."""
    lines = [line for line in shown.splitlines() if not line.startswith(("k3s:", "cluster:"))]
    assert len(lines) == len(shown.splitlines()) - 2, "site.yaml of the runbook has no cluster, or no k3s"
    lines.append("k3s: " + json.dumps(nodes.settings()))
    lines.append("cluster: " + json.dumps({"kubeconfig": str(work / "etc/rancher/k3s/k3s.yaml"), "pollSeconds": 1}))
    (work / "site.yaml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
