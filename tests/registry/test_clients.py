"""Foreign clients pull from the registry: with and without credentials. What is not installed is skipped, and said to be."""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import small_release  # noqa: E402
import tools  # noqa: E402

# The password "U*U": a published bcrypt vector.
USERS = "ops:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"
TOKEN = "0123456789abcdef0123456789abcdef"
RULES = """apiVersion: bundle/v1
kind: RegistryAccess
users: users
tokens: tokens
rules:
- {prefix: "docker.io/", pull: [anonymous]}
- {prefix: "", pull: [authenticated]}
"""
WEB, REDIS = "registry.example.com/app/web:1.0.0", "docker.io/library/redis:7"
CHART = "test-appliance/charts/test-app"


def needs(*programs):
    missing = [name for name in programs if not shutil.which(name)]
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)}")


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.scratch, True)
        key, pub = tools.make_key(cls.scratch)
        release = small_release.make_release(cls.scratch / "release")
        bundle = tools.make_bundle(release, cls.scratch / "bundle", key, "--fast")
        cls.store = cls.scratch / "store"
        tools.import_bundle([bundle], cls.store, pub, check=0)
        manifest = json.loads((cls.store / "releases/1.0.0/manifest.json").read_text())
        cls.digests = {image["name"]: image["digest"] for image in manifest["images"]}

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))
        self.env = {"DOCKER_CONFIG": str(self.folder), "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder),
                    "XDG_CONFIG_HOME": str(self.folder / "config"), "REGISTRY_AUTH_FILE": str(self.folder / "config.json")}

        (self.folder / "config.json").write_text("{}")

    def serve(self, guarded=False):
        options = []
        if guarded:
            (self.folder / "users").write_text(USERS)
            (self.folder / "tokens").write_text(f"node:{digest_of(TOKEN.encode())}\n")
            (self.folder / "access.yaml").write_text(RULES)
            options = ["--access", self.folder / "access.yaml"]
        registry = tools.Registry(self.store, *options)
        address = registry.__enter__()
        self.addCleanup(registry.__exit__)
        return address

    def log_in(self, address, user, password):
        login = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
        (self.folder / "config.json").write_text(json.dumps({"auths": {address: login}}))

    def run_tool(self, *command, check=0):
        return tools.run(*command, check=check, env=self.env, cwd=self.folder)

    @needs("crane")
    def test_crane(self):
        address = self.serve()
        for name, digest in self.digests.items():
            self.assertEqual(self.run_tool("crane", "digest", "--insecure", f"{address}/{name}").stdout.strip(), digest)
        # The index is sparse: the release carries one platform. crane checks every digest.
        self.run_tool("crane", "pull", "--insecure", "--platform=linux/amd64", "--format=oci", f"{address}/{WEB}", "web")
        self.run_tool("crane", "pull", "--insecure", "--format=oci", f"{address}/{REDIS}", "redis")
        self.assertIn(self.digests[REDIS], (self.folder / "redis/index.json").read_text())
        self.run_tool("crane", "validate", "--insecure", "--remote", f"{address}/{REDIS}")
        self.assertEqual(self.run_tool("crane", "ls", "--insecure", f"{address}/library/redis").stdout.split(), ["7"])

    @needs("crane")
    def test_crane_with_credentials(self):
        address = self.serve(guarded=True)
        self.run_tool("crane", "digest", "--insecure", f"{address}/{REDIS}")
        refused = self.run_tool("crane", "digest", "--insecure", f"{address}/{WEB}", check=None)
        self.assertNotEqual(refused.returncode, 0)
        for user, password in (("ops", "U*U"), ("node", TOKEN)):
            self.log_in(address, user, password)
            self.run_tool("crane", "digest", "--insecure", f"{address}/{WEB}")
        self.log_in(address, "ops", "wrong")
        self.assertNotEqual(self.run_tool("crane", "digest", "--insecure", f"{address}/{REDIS}", check=None).returncode, 0)

    @needs("skopeo")
    def test_skopeo_with_credentials(self):
        address = self.serve(guarded=True)
        inspect = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"]
        self.run_tool(*inspect, f"docker://{address}/{REDIS}")  # nameless, where anybody may pull
        self.assertNotEqual(self.run_tool(*inspect, f"docker://{address}/{WEB}", check=None).returncode, 0)
        for credentials in ("ops:U*U", f"node:{TOKEN}"):
            got = self.run_tool(*inspect, "--creds", credentials, f"docker://{address}/{WEB}")
            self.assertEqual(got.stdout.strip(), self.digests[WEB])

    @needs("skopeo")
    def test_skopeo_over_tls_of_gen_cert(self):
        tls = self.folder / "tls"
        tools.run(tools.IMPORT, "gen-cert", "--out", tls, "--name", "127.0.0.1", check=0)
        registry = tools.Registry(self.store, "--tls-cert", tls / "server.pem", "--tls-key", tls / "server.key")
        address = registry.__enter__()
        self.addCleanup(registry.__exit__)
        (self.folder / "trusted").mkdir()
        self.assertNotEqual(
            self.run_tool("skopeo", "inspect", "--raw", f"docker://{address}/{WEB}", check=None).returncode, 0)
        shutil.copy(tls / "ca.pem", self.folder / "trusted/ca.crt")
        raw = self.run_tool("skopeo", "inspect", "--raw", "--cert-dir", self.folder / "trusted", f"docker://{address}/{WEB}")
        self.assertEqual(digest_of(raw.stdout.encode()), self.digests[WEB])

    @needs("helm")
    def test_helm(self):
        address = self.serve()
        self.run_tool("helm", "pull", "--plain-http", f"oci://{address}/{CHART}", "--version", "1.0.0")
        self.assertTrue((self.folder / "test-app-1.0.0.tgz").exists())

    @needs("oras")
    def test_oras(self):
        address = self.serve()
        self.run_tool("oras", "copy", "--from-plain-http", f"{address}/{REDIS}", "--to-oci-layout", "out:7")
        tags = self.run_tool("oras", "repo", "tags", "--plain-http", f"{address}/library/redis").stdout.split()
        self.assertEqual(tags, ["7"])

    @needs("regctl")
    def test_regctl(self):
        address = self.serve()
        self.run_tool("regctl", "registry", "set", "--tls=disabled", address)
        self.assertEqual(self.run_tool("regctl", "image", "digest", f"{address}/{WEB}").stdout.strip(), self.digests[WEB])
        self.run_tool("regctl", "image", "copy", f"{address}/{REDIS}", "ocidir://out:7")

    @needs("buildah")
    def test_buildah(self):
        address = self.serve()
        storage = ["--root", self.folder / "root", "--runroot", self.folder / "runroot", "--storage-driver", "vfs"]
        pulled = self.run_tool("buildah", *storage, "pull", "--tls-verify=false", f"docker://{address}/{REDIS}", check=None)
        if pulled.returncode != 0 and "operation not permitted" in pulled.stderr:
            self.skipTest("buildah may not unpack here: " + pulled.stderr.strip()[-200:])
        self.assertEqual(pulled.returncode, 0, pulled.stderr)

    @needs("containerd", "ctr")
    def test_containerd_with_a_mirror_for_everything(self):
        """hosts.toml as k3s writes it: upstream names, ?ns= on the wire."""
        if os.geteuid() != 0:
            self.skipTest("containerd needs root")
        address = self.serve()
        hosts = self.folder / "hosts/_default"
        hosts.mkdir(parents=True)
        (hosts / "hosts.toml").write_text(f'[host."http://{address}"]\n  capabilities = ["pull", "resolve"]\n')
        (self.folder / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n[grpc]\n  address = "{self.folder}/c.sock"\n'
            f'[ttrpc]\n  address = "{self.folder}/t.sock"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n')
        with open(self.folder / "containerd.log", "wb") as log:
            daemon = subprocess.Popen(["containerd", "--config", str(self.folder / "containerd.toml")], stdout=log, stderr=log)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        for _ in range(100):
            if (self.folder / "c.sock").exists() or daemon.poll() is not None:
                break
            time.sleep(0.1)
        if daemon.poll() is not None:
            self.skipTest("containerd does not start here: " + (self.folder / "containerd.log").read_text()[-300:])
        for name in (REDIS, WEB):
            fetch = self.run_tool("ctr", "-a", self.folder / "c.sock", "content", "fetch", "--hosts-dir", self.folder / "hosts",
                                  name, check=None)
            self.assertEqual(fetch.returncode, 0, fetch.stderr)
            images = self.run_tool("ctr", "-a", self.folder / "c.sock", "content", "ls", "-q").stdout
            self.assertIn(self.digests[name], images)


if __name__ == "__main__":
    unittest.main()
