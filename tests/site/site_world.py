"""Releases, stores and sites for the tests of upgrades. BUNDLE_BIN names the build folder."""
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "interop"), str(TESTS / "site")]
import tools  # noqa: E402
from fake_cluster import FakeCluster  # noqa: E402,F401

PRODUCT = "site"
SPEC = """apiVersion: bundle/v1
kind: Release
releaseVersion: {version}
product: site
upgradeFrom: [{upgrade_from}]
os: {{base: ubuntu-24.04}}
k8s:
  distribution: k3s
  version: {k3s}
  artifacts:
    - {{name: k3s, path: k3s, mode: "0755"}}
    - {{name: k3s-airgap-images-amd64.tar.zst, path: images.tar.zst}}
app: {{chartPath: helm/, valuesProfile: single-node}}
images: []
{more}"""
# version: (upgradeFrom, k3s, more of the specification)
RELEASES = {
    "1.0.0": ("", "v1.31.6+k3s1", ""),
    "1.1.0": ('"1.0.x"', "v1.31.6+k3s1", ""),
    "1.2.0": ('"1.1.x"', "v1.31.6+k3s1", "gates: {backup: true, pointOfNoReturn: 1.2.0}\n"),
    "1.3.0": ('"1.2.x"', "v1.32.1+k3s1", ""),
}
# Prints its version as k3s does. It is never run as a cluster.
K3S = "#!/bin/sh\necho 'k3s version {version} (test)'\n"
SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
          "properties": {"replicas": {"type": "integer"}}}


class Vendor:
    """A key and bundles, made once in a run."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key, self.pub = tools.make_key(self.folder)

    @functools.lru_cache
    def bundle(self, version):
        upgrade_from, k3s, more = RELEASES[version]
        inputs = self.folder / f"in-{version}"
        (inputs / "helm/templates").mkdir(parents=True)
        (inputs / "helm/Chart.yaml").write_text(f"apiVersion: v2\nname: app\nversion: {version}\n")
        (inputs / "helm/values.yaml").write_text("replicas: 1\n")
        (inputs / "helm/values.schema.json").write_text(json.dumps(SCHEMA))
        (inputs / "k3s").write_text(K3S.format(version=k3s))
        (inputs / "images.tar.zst").write_bytes(b"images of " + k3s.encode())
        (inputs / "release.yaml").write_text(SPEC.format(version=version, upgrade_from=upgrade_from, k3s=k3s, more=more))
        return tools.make_bundle(inputs / "release.yaml", self.folder / version, self.key, "--fast")


@functools.lru_cache
def vendor():
    return Vendor(scratch())


@functools.lru_cache
def scratch():
    return tempfile.mkdtemp(prefix="bundle-site-", dir=os.environ.get("BUNDLE_SCRATCH"))


def remove_scratch():
    shutil.rmtree(scratch(), ignore_errors=True)


@functools.lru_cache
def stocked_store(*versions):
    """A store with these releases, the first one active; copy it."""
    store = pathlib.Path(tempfile.mkdtemp(dir=scratch())) / "store"
    for version in versions:
        tools.import_bundle([vendor().bundle(version)], store, vendor().pub, check=0)
    tools.run(tools.IMPORT, "activate", versions[0], "--store", store, check=0)
    return store


class Site:
    """A store of its own, and the tools on it."""

    def __init__(self, folder, *versions):
        self.folder = pathlib.Path(folder)
        self.store = self.folder / "store"
        shutil.copytree(stocked_store(*versions), self.store)

    def configure(self, cluster=None, settings=None, **more):
        """site.yaml with this cluster and other settings of it; JSON is YAML."""
        config = {"apiVersion": "bundle/v1", "kind": "Site", **more}
        if cluster:
            kubeconfig = cluster.write_kubeconfig(self.folder / "kubeconfig")
            config["cluster"] = {"kubeconfig": str(kubeconfig), "timeLimitSeconds": 4, "pollSeconds": 1,
                                 **(settings or {})}
        elif settings:
            config["cluster"] = settings
        (self.store / "site.yaml").write_text(json.dumps(config))

    def call(self, *arguments, status=None, env=None):
        """(exit status, JSON answer)."""
        result = tools.run(tools.IMPORT, *arguments, "--store", self.store, "--json", "--quiet", check=status, env=env)
        return result.returncode, json.loads(result.stdout) if result.stdout else None

    def start(self, *arguments, env=None):
        command = [str(tools.IMPORT), *arguments, "--store", str(self.store), "--json", "--quiet"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})

    def live(self):
        return (self.store / "active").read_text().strip()

    def journal(self):
        path = self.store / "upgrade.json"
        return json.loads(path.read_text()) if path.exists() else None

    def audit(self, event):
        lines = (self.store / "audit.log").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def hook(self, folder, name, script):
        path = self.store / folder / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
