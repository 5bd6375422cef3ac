"""First boot in a folder: the steps of the appliance with the real bundle-import, and recorders for systemd and k3s.

The programs that change a machine (systemctl, ip, chown) are scripts that note their call; the registry is asked for real in
the virtual machine of .ci/nightly.
"""
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import image_support
from image_support import IMAGE, write

MAKE, IMPORT = (pathlib.Path(program).resolve() for program in sys.argv[1:3])
del sys.argv[1:3]
sys.path.insert(0, str(IMAGE / "rootfs/usr/lib/appliance"))
ENTRY = IMAGE / "rootfs/usr/sbin/appliance-first-boot"
K3S = """#!/bin/sh
# Stands for k3s: its API server is ready when the test says so.
case "$*" in
    "kubectl get --raw /readyz") [ -e "$STAND_IN/ready" ] && printf ok ;;
    "kubectl get nodes -o json") printf '{"items": [{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}]}' ;;
    *) exit 1 ;;
esac
"""
RELEASE = """apiVersion: bundle/v1
kind: Release
releaseVersion: {version}
product: example-appliance
upgradeFrom: ["1.0.x"]
os: {{base: ubuntu-24.04, artifacts: []}}
k8s: {{distribution: k3s, version: v1.31.6+k3s1, artifacts: [{{name: k3s, path: k3s, mode: "0755"}}, {{name: k3s-airgap-images-amd64.tar, path: airgap.tar}}]}}
app: {{chartPath: helm/, valuesProfile: single-node}}
images: []
files: [{{name: filler, path: filler}}]
"""


def program(path, text):
    write(path, text).chmod(0o755)


def tool(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command[:2]}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def setUpModule():
    """A vendor's bundle, the same cut into volumes, and the same by somebody else."""
    global shared, BASE
    shared = tempfile.TemporaryDirectory(prefix="image-test-")
    BASE = pathlib.Path(shared.name)
    write(BASE / "release/helm/Chart.yaml", "apiVersion: v2\nname: chart\nversion: 1.0.0\n")
    write(BASE / "release/helm/values.yaml", "{}\n")
    program(BASE / "release/k3s", K3S)
    write(BASE / "release/airgap.tar", bytes(10240))
    write(BASE / "release/filler", os.urandom(8 << 20))
    write(BASE / "release/release.yaml", RELEASE.format(version="1.0.0"))
    for name in ("vendor", "stranger"):
        tool(MAKE, "keygen", "--out", BASE / name, "--no-password")
        tool(MAKE, "make", BASE / "release/release.yaml", "--out", BASE / f"{name}-bundle", "--fast", "--key", BASE / f"{name}.key")
    # The same with desired state for Flux: the project's own, for this chart.
    shutil.copytree(BASE / "release", BASE / "release-flux")
    shutil.copytree(image_support.SOURCE / "flux-seed/release", BASE / "release-flux/flux")
    for path in (BASE / "release-flux/flux").rglob("*.yaml"):
        path.write_text(path.read_text().replace("charts/example-appliance", "charts/chart"))
    write(BASE / "release-flux/helm/values.yaml", "replicas: 1\n")
    for profile, replicas in (("single-node", 2), ("ha-3node", 3)):
        write(BASE / f"release-flux/values/{profile}.yaml", f"replicas: {replicas}\n")
    with open(BASE / "release-flux/release.yaml", "a") as out:
        out.write("flux: {path: flux/, values: values/}\n")
    tool(MAKE, "make", BASE / "release-flux/release.yaml", "--out", BASE / "flux-bundle", "--fast", "--key", BASE / "vendor.key")
    tool(MAKE, "split", BASE / "vendor-bundle", "--out", BASE / "cut", "--volume-size", "3M")


def tearDownModule():
    shared.cleanup()


class World(image_support.TestCase):
    def setUp(self):
        super().setUp()
        self.root = self.work / "root"
        write(self.root / "usr/share/appliance/trust/vendor", (BASE / "vendor.pub").read_bytes())
        self.stick, self.second = self.work / "stick", self.work / "second"
        self.stick.mkdir()
        self.second.mkdir()
        self.bin, self.calls = self.work / "bin", self.work / "calls"
        for name in ("systemctl", "ip", "chown"):
            program(self.bin / name, f'#!/bin/sh\necho "{name} $*" >> "$STAND_IN/calls"\n')
        os.symlink(IMPORT, self.bin / "bundle-import")
        write(self.work / "ready", "")

    def environment(self):
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "STAND_IN": str(self.work), "PYTHONUNBUFFERED": "1"}

    def command(self, *arguments):
        return [sys.executable, "-B", str(ENTRY), "--root", str(self.root), "--medium", str(self.stick), "--medium",
                str(self.second), *arguments]

    def boot(self, *arguments, status=0):
        done = subprocess.run(self.command("--once", *arguments), capture_output=True, text=True, env=self.environment())
        self.assertEqual(status, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def status(self):
        return json.loads((self.root / "run/appliance/status.json").read_text())

    def insert(self, folder, bundle):
        for volume in bundle if isinstance(bundle, list) else sorted(bundle.glob("*.bundle")):
            shutil.copy(volume, folder)

    def active(self):
        return json.loads(tool(IMPORT, "status", "--store", self.root / "var/lib/bundle", "--json").stdout)["active"]


class TakeIn(World):
    def test_nothing_plugged_in_waits_with_words(self):
        out = self.boot("--only", "activate", status=75)
        self.assertIn("appliance: waiting [2/3]: no release was found", out)
        self.assertIn("next: Put in the stick", out)
        self.assertEqual("waiting", self.status()["state"])
        self.assertIn("Put in the stick", (self.root / "run/issue.d/appliance.issue").read_text())

    def test_a_stick(self):
        self.insert(self.stick, BASE / "vendor-bundle")
        self.boot("--only", "activate")
        self.assertEqual("1.0.0", self.active())

    def test_a_folder_on_a_stick(self):
        (self.stick / "releases").mkdir()
        self.insert(self.stick / "releases", BASE / "vendor-bundle")
        self.boot("--only", "activate")
        self.assertEqual("1.0.0", self.active())

    def test_volumes_on_two_sticks_at_once(self):
        volumes = sorted((BASE / "cut").glob("*.bundle"))
        self.insert(self.stick, volumes[::2])
        self.insert(self.second, volumes[1::2])
        self.boot("--only", "activate")
        self.assertEqual("1.0.0", self.active())

    def test_volumes_one_stick_after_the_other(self):
        volumes = sorted((BASE / "cut").glob("*.bundle"))
        self.assertGreater(len(volumes), 2)
        for number, volume in enumerate(volumes):
            shutil.rmtree(self.stick)
            self.stick.mkdir()
            self.insert(self.stick, [volume])
            last = number == len(volumes) - 1
            out = self.boot("--only", "activate", status=0 if last else 75)
            if not last:
                self.assertRegex(out, r"waiting \[2/3\]: The stick: .*volume")
        self.assertEqual("1.0.0", self.active())

    def test_a_stranger_is_refused(self):
        self.insert(self.stick, BASE / "stranger-bundle")
        out = self.boot("--only", "activate", status=75)
        self.assertIn("appliance: refused [2/3]: The stick is refused:", out)
        self.assertIn("Or put in another stick.", out)
        self.assertFalse((self.root / "var/lib/bundle/releases").exists() and
                         list((self.root / "var/lib/bundle/releases").iterdir()))

    def test_a_damaged_stick_is_refused_and_the_right_one_taken(self):
        self.insert(self.stick, BASE / "vendor-bundle")
        volume = next(self.stick.glob("*.bundle"))
        data = bytearray(volume.read_bytes())
        data[len(data) // 2] ^= 1
        volume.write_bytes(data)
        self.assertIn("refused", self.boot("--only", "activate", status=75))
        self.insert(self.second, BASE / "vendor-bundle")
        self.boot("--only", "activate")
        self.assertEqual("1.0.0", self.active())

    def test_a_stranger_beside_the_right_stick(self):
        self.insert(self.stick, BASE / "stranger-bundle")
        self.insert(self.second, BASE / "vendor-bundle")
        self.boot("--only", "activate")
        self.assertEqual("1.0.0", self.active())

    def test_waits_until_the_stick_comes(self):
        with subprocess.Popen(self.command("--only", "activate"), stdout=subprocess.PIPE, text=True, env=self.environment()) as boot:
            try:
                for line in boot.stdout:
                    if "waiting" in line:
                        self.insert(self.work, BASE / "vendor-bundle")
                        for volume in self.work.glob("*.bundle"):
                            volume.rename(self.stick / volume.name)
                        break
                boot.communicate(timeout=120)
            finally:
                boot.kill()
        self.assertEqual(0, boot.returncode)
        self.assertEqual("1.0.0", self.active())

    def test_mirror_folder_after_the_sticks(self):
        origin = self.work / "origin"
        write(self.root / "etc/bundle/appliance.yaml",
              f"apiVersion: bundle/v1\nkind: Appliance\nsource: {{mirror: {{address: {origin}, release: 1.0.0}}}}\n")
        self.assertIn("the site's mirror", self.boot("--only", "activate", status=75))


class Cut(World):
    def test_killed_at_any_moment_it_ends_ready(self):
        self.insert(self.stick, BASE / "vendor-bundle")
        for milliseconds in (120, 250, 400, 600, 900, 1400):
            boot = subprocess.Popen(self.command("--once"), stdout=subprocess.DEVNULL, env=self.environment(),
                                    start_new_session=True)
            time.sleep(milliseconds / 1000)
            os.killpg(boot.pid, 9)
            boot.wait()
        self.boot("--only", "activate")
        self.assertEqual("1.0.0", self.active())
        tool(IMPORT, "verify", "--store", self.root / "var/lib/bundle")

    def test_a_second_boot_changes_nothing(self):
        self.insert(self.stick, BASE / "vendor-bundle")
        self.boot("--only", "activate")
        log = (self.root / "var/lib/bundle/audit.log").read_bytes()
        shutil.rmtree(self.stick)
        self.boot("--only", "activate")
        self.assertEqual(log, (self.root / "var/lib/bundle/audit.log").read_bytes())


class Machine(World):
    """A site at which the release is live, and nothing else yet."""

    def machine(self):
        from firstboot import context, media, report
        machine = context.Context(self.root, report.Report(self.root, []))
        machine.media = media.Folders([self.stick])
        os.environ.update(self.environment())
        return machine

    bundle = "vendor-bundle"

    def setUp(self):
        super().setUp()
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        self.insert(self.stick, BASE / self.bundle)
        self.boot("--only", "activate")


class Files(Machine):
    """What the registry and k3s get, without starting them."""

    def test_registry_files(self):
        from firstboot import services
        machine = self.machine()
        self.assertTrue(services.registry_files(machine))
        token = self.root / "etc/bundle/secrets/node.token"
        self.assertEqual(0o600, stat.S_IMODE(token.stat().st_mode))
        kept = token.read_text()
        self.assertFalse(services.registry_files(machine), "a second boot starts nothing anew")
        self.assertEqual(kept, token.read_text())
        self.assertNotIn(kept.strip(), (self.root / "etc/bundle/tokens").read_text())

    def test_k3s_files(self):
        from firstboot import services
        machine = self.machine()
        services.registry_files(machine)
        self.assertTrue(services.k3s_files(machine))
        self.assertEqual(K3S, (self.root / "usr/local/bin/k3s").read_text())
        images = [path.name for path in (self.root / "var/lib/rancher/k3s/agent/images").iterdir()]
        self.assertEqual([".cache.json", True], [sorted(images)[0], sorted(images)[1].endswith("-k3s-airgap-images-amd64.tar")])
        registries = (self.root / "etc/rancher/k3s/registries.yaml").read_text()
        self.assertIn("https://127.0.0.1:5000", registries)
        self.assertFalse(services.k3s_files(machine))
        write(self.root / "usr/local/bin/k3s", "something else")
        self.assertTrue(services.k3s_files(machine), "another binary is replaced")

    def test_a_damaged_binary_is_not_installed(self):
        from firstboot import outcome, releases, services
        machine = self.machine()
        services.registry_files(machine)
        file = next(file for file in releases.manifest(machine)["k8s"]["artifacts"] if file["name"] == "k3s")
        blob = self.root / "var/lib/bundle/blobs/sha256" / file["sha256"]
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes().replace(b"ready", b"READY"))
        with self.assertRaisesRegex(outcome.Refused, "does not match its signed digest"):
            services.k3s_files(machine)
        self.assertFalse((self.root / "usr/local/bin/k3s").exists())

    def test_no_secret_is_printed(self):
        from firstboot import services
        services.registry_files(self.machine())
        token = (self.root / "etc/bundle/secrets/node.token").read_text().strip()
        for path in (self.root / "run").rglob("*"):
            if path.is_file():
                self.assertNotIn(token, path.read_text())
        self.assertNotIn(token, (self.work / "calls").read_text() if (self.work / "calls").exists() else "")


class Application(Machine):
    """The steps after k3s, with a cluster that answers as the test says."""

    def cluster(self, *items):
        program(self.root / "usr/local/bin/k3s", f"#!/bin/sh\ncat << 'END'\n{json.dumps({'items': list(items)})}\nEND\n")

    @staticmethod
    def item(name, ready):
        return {"kind": "HelmRelease", "metadata": {"name": name},
                "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}

    def test_a_release_without_desired_state(self):
        from firstboot import flux
        machine = self.machine()
        self.assertIn("nothing is to be applied", flux.apply_seed(machine))
        self.assertIn("not asked", flux.wait_healthy(machine))
        self.assertFalse((self.root / "var/lib/rancher/k3s/server/manifests").exists())

    def test_health(self):
        from firstboot import flux
        machine = self.machine()
        self.cluster()
        self.assertEqual("Flux follows nothing yet", flux._unready(machine))
        self.cluster(self.item("app", True), self.item("database", False))
        self.assertEqual("not ready: HelmRelease database", flux._unready(machine))
        self.cluster(self.item("app", True), self.item("database", True))
        self.assertIs(True, flux._unready(machine))
        self.cluster({"kind": "HelmRelease", "metadata": {"name": "new"}})
        self.assertEqual("not ready: HelmRelease new", flux._unready(machine))

    def test_address_for_pods(self):
        from firstboot import services
        machine = self.machine()
        self.assertEqual("https://203.0.113.254:5000", services.cluster_endpoint(machine))
        program(self.bin / "ip", """#!/bin/sh\necho '[{"dst": "198.51.100.1", "prefsrc": "192.0.2.10"}]'\n""")
        self.assertEqual("https://192.0.2.10:5000", services.cluster_endpoint(machine))
        services.registry_files(machine)
        self.assertIn("192.0.2.10", (self.root / "etc/bundle/tls/names").read_text().split())


class Seed(Machine):
    """A release with desired state for Flux."""
    bundle = "flux-bundle"

    def test_the_seed_is_placed(self):
        from firstboot import flux, services
        machine = self.machine()
        services.registry_files(machine)
        services.k3s_files(machine)
        self.assertIn("manifests of the seed are in place", flux.apply_seed(machine))
        manifests = self.root / "var/lib/rancher/k3s/server/manifests"
        names = [path.name for path in manifests.iterdir()]
        for name in ("bundle-15-login.yaml", "bundle-20-site.yaml", "bundle-25-keys.yaml", "bundle-30-source.yaml",
                     "bundle-40-release.yaml"):
            self.assertIn(name, names)
        self.assertEqual({0o600}, {stat.S_IMODE(path.stat().st_mode) for path in manifests.iterdir()})
        source = (manifests / "bundle-30-source.yaml").read_text()
        self.assertIn("203.0.113.254:5000/example-appliance/flux", source)
        self.assertIn("bundle-registry-auth", source)
        before = {path.name: path.stat().st_mtime_ns for path in manifests.iterdir()}
        flux.apply_seed(machine)
        self.assertEqual(before, {path.name: path.stat().st_mtime_ns for path in manifests.iterdir()}, "a second boot applies nothing anew")

    def test_the_sites_own_file_counts(self):
        from firstboot import flux, services
        machine = self.machine()
        services.registry_files(machine)
        write(self.root / "var/lib/bundle/site.yaml", "apiVersion: bundle/v1\nkind: Site\nprofile: ha-3node\n"
              "source: {url: \"https://registry.example.com:5000\", ca: true, verify: false}\n")
        flux.apply_seed(machine)
        manifests = self.root / "var/lib/rancher/k3s/server/manifests"
        self.assertIn("registry.example.com:5000", (manifests / "bundle-30-source.yaml").read_text())
        self.assertIn("profiles/ha-3node", (manifests / "bundle-40-release.yaml").read_text())


class Configuration(World):
    def test_config_stick(self):
        write(self.stick / "appliance.yaml", "apiVersion: bundle/v1\nkind: Appliance\nregistry: {listen: \"0.0.0.0:5443\"}\n")
        write(self.stick / "secrets/origin", "user:password-of-the-site\n")
        out = self.boot("--only", "configure")
        self.assertIn("from the config stick", out)
        self.assertNotIn("password-of-the-site", out + (self.root / "run/appliance/status.json").read_text())
        self.assertEqual(0o600, stat.S_IMODE((self.root / "etc/bundle/secrets/origin").stat().st_mode))

    def test_a_wrong_one_changes_nothing(self):
        for text, words in (("apiVersion: bundle/v1\nkind: Appliance\nregistri: {}\n", "unknown key 'registri'"),
                            ("kind: Other\n", "does not begin"), ("a: [b\n", "no right YAML"),
                            ("apiVersion: bundle/v1\nkind: Appliance\nregistry: {listen: 5000}\n", "wrong type")):
            with self.subTest(words):
                write(self.stick / "appliance.yaml", text)
                self.assertIn(words, self.boot("--only", "configure", status=75))
                self.assertFalse((self.root / "etc/bundle/appliance.yaml").exists())

    def test_an_image_without_a_root(self):
        (self.root / "usr/share/appliance/trust/vendor").unlink()
        self.assertIn("pins no trust root", self.boot("--only", "configure", status=75))


if __name__ == "__main__":
    image_support.main()
