"""bundle-import push: a release of the store into Debian's docker-registry and into ours, over good and bad lines."""

import hashlib
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import push_world  # noqa: E402
import small_release  # noqa: E402
import tools  # noqa: E402
from push_world import DockerRegistry, Proxy, get, manifest  # noqa: E402

FULL = os.environ.get("BUNDLE_FULL") == "1"
SEED = int(os.environ.get("BUNDLE_SEED", "20260101"))
HTTP_STATUS, NETWORK, CORRUPT = 81, 80, 71


def setUpModule():
    global SCRATCH, STORE, MANIFEST, BLOBS
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="bundle-push-", dir=os.environ.get("BUNDLE_SCRATCH")))
    key, pub = tools.make_key(SCRATCH)
    release = small_release.make_release(SCRATCH / "in", image_bytes=6 << 20, disk_bytes=4 << 20)
    release.write_text(release.read_text().replace('source: "oci:images:app/web:1.0.0"',
                                                   'source: "oci:images:app/web:1.0.0", platforms: [linux/amd64, linux/arm64]'))
    bundle = tools.make_bundle(release, SCRATCH / "bundle", key, "--fast")
    STORE = SCRATCH / "store"
    tools.import_bundle([bundle], STORE, pub, check=0)
    MANIFEST = json.loads((STORE / "releases" / "1.0.0" / "manifest.json").read_text())
    BLOBS = len(list((STORE / "blobs" / "sha256").iterdir()))


def tearDownModule():
    shutil.rmtree(SCRATCH, ignore_errors=True)


class Case(unittest.TestCase):
    def command(self, to, *options, store=None):
        return [str(part) for part in (tools.IMPORT, "push", "1.0.0", "--store", store or STORE, "--to", to, "--quiet", "--json",
                                       "--insecure-registry", "127.0.0.1", *options)]

    def push(self, to, *options, check=0, store=None):
        return json.loads(tools.run(*self.command(to, *options, store=store), check=check).stdout)

    def states(self, report):
        return {artifact["state"] for artifact in report["artifacts"]}

    def check_content(self, address, prefix=""):
        """Every manifest and blob that the release names is there byte for byte, its signatures, too."""
        seen = set()

        def walk(name, digest):
            if (name, digest) in seen:
                return
            seen.add((name, digest))
            status, _, body = get(address, f"/v2/{name}/manifests/{digest}")
            self.assertEqual((status, "sha256:" + hashlib.sha256(body).hexdigest()), (200, digest), name)
            document = json.loads(body)
            for child in document.get("manifests", []):
                walk(name, child["digest"])
            for blob in [document["config"], *document["layers"]] if "layers" in document else []:
                status, _, body = get(address, f"/v2/{name}/blobs/{blob['digest']}")
                self.assertEqual((status, "sha256:" + hashlib.sha256(body).hexdigest()), (200, blob["digest"]), name)

        artifacts = self.artifacts()
        self.assertGreater(len(artifacts), 5)
        for name, artifact in artifacts:
            walk(prefix + name, artifact["digest"])
            tag = artifact["name"].rsplit(":", 1)[1]
            self.assertEqual(get(address, f"/v2/{prefix}{name}/manifests/{tag}")[1]["Docker-Content-Digest"], artifact["digest"])
            for referrer in artifact.get("referrers", []):
                walk(prefix + name, referrer["digest"])
                self.assertIn(referrer["digest"], self.listed(address, prefix + name, referrer["subject"]))

    def artifacts(self):
        """[(repository with host, artifact)]"""
        lists = [MANIFEST["images"], [MANIFEST["app"]["chart"]], MANIFEST["os"]["artifacts"], MANIFEST["k8s"]["artifacts"],
                 MANIFEST["files"], [MANIFEST["releaseIndex"]]]
        found = []
        for artifact in itertools.chain.from_iterable(lists):
            artifact = {**artifact, **artifact.get("artifact", {})}
            host = artifact.get("registry", "")
            found.append((f"{host}/{artifact['repository']}" if host else artifact["repository"], artifact))
        return found

    def listed(self, address, name, subject):
        status, _, body = get(address, f"/v2/{name}/referrers/{subject}")
        index = json.loads(body) if status == 200 else manifest(address, name, subject.replace(":", "-"))
        return [entry["digest"] for entry in (index or {"manifests": []})["manifests"]]


@unittest.skipUnless(DockerRegistry.program, "docker-registry is not installed")
class IntoDockerRegistry(Case):
    def test_everything_once_and_then_nothing(self):
        with DockerRegistry() as address, Proxy(address, lambda *_: None) as front:
            planned = self.push(f"{front}/mirror", "--dry-run")
            self.assertEqual(self.states(planned), {"pending"})
            first = self.push(f"{front}/mirror")
            self.assertEqual(self.states(first), {"pushed"})
            self.assertEqual(planned["bytes_sent"], first["bytes_sent"])
            self.assertGreater(first["blobs_mounted"], 0)
            self.check_content(address, "mirror/")
            again = self.push(f"{front}/mirror")
            self.assertEqual(self.states(again), {"present"})
            self.assertEqual((again["blobs_sent"], again["bytes_sent"]), (0, 0))
            checked = self.push(f"{front}/mirror", "--recheck")
            self.assertEqual((self.states(checked), checked["blobs_sent"]), ({"present"}, 0))

    def test_the_names_that_nodes_ask_for(self):
        with DockerRegistry() as address:
            self.push(address, "--names", "repository")
            self.assertIsNotNone(manifest(address, "library/redis", "7"))

    def test_what_others_listed_stays(self):
        (name, artifact), = [entry for entry in self.artifacts() if entry[1] is not None and entry[1].get("referrers")][:1]
        subject = artifact["referrers"][0]["subject"]
        with DockerRegistry() as address:
            self.push(address)
            index = manifest(address, name, subject.replace(":", "-"))
            other = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": artifact["digest"],
                     "size": artifact["size"], "artifactType": "application/vnd.example"}
            body = json.dumps({**index, "manifests": [other]}).encode()
            connection = push_world.http.client.HTTPConnection(address, timeout=60)
            connection.request("PUT", f"/v2/{name}/manifests/{subject.replace(':', '-')}", body,
                               {"Content-Type": index["mediaType"]})
            self.assertEqual(connection.getresponse().status, 201)
            connection.close()
            self.assertIn("pushed", self.states(self.push(address)))
            listed = self.listed(address, name, subject)
            self.assertIn(other["digest"], listed)
            self.assertIn(artifact["referrers"][0]["digest"], listed)

    def test_every_nth_request_fails(self):
        for status, period in ((500, 5), (503, 4), (429, 6)):
            with self.subTest(status=status), DockerRegistry() as address, \
                    Proxy(address, lambda number, *_: status if number % period == 0 else None) as front:
                self.assertEqual(self.states(self.push(front, "--chunk-size", "1M", "--connections", "2")), {"pushed"})
                self.check_content(address)

    def test_a_registry_that_is_gone(self):
        port = push_world.free_port()
        started = time.monotonic()
        message = tools.run(*self.command(f"127.0.0.1:{port}"), check=NETWORK).stdout
        self.assertIn("cannot", json.loads(message)["message"])
        self.assertLess(time.monotonic() - started, 60)

    def test_a_registry_that_refuses_one_repository(self):
        with DockerRegistry() as address, \
                Proxy(address, lambda _, method, path: 403 if "/library/redis/" in path and method != "HEAD" else None) as front:
            report = json.loads(tools.run(*self.command(front), check=82).stdout)
            failed = [artifact for artifact in report["artifacts"] if artifact["state"] == "failed"]
            self.assertEqual([artifact["name"] for artifact in failed], ["docker.io/library/redis:7"])
            self.assertTrue(failed[0]["hint"])
            self.assertIsNotNone(manifest(address, "registry.example.com/app/web", "1.0.0"))

    def test_a_damaged_blob_is_not_sent(self):
        store = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH)) / "store"
        shutil.copytree(STORE, store)
        victim = max((store / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
        content = bytearray(victim.read_bytes())
        content[1000] ^= 1
        victim.chmod(0o644)
        victim.write_bytes(content)
        with DockerRegistry() as address:
            report = self.push(address, store=store, check=CORRUPT)
            failed = [artifact for artifact in report["artifacts"] if artifact["state"] == "failed"]
            self.assertEqual([artifact["name"] for artifact in failed],
                             ["test-appliance/files/appliance.img:1.0.0", "test-appliance/release:1.0.0"])
            for artifact in failed:
                self.assertIn(victim.name, artifact["message"])

    def test_an_altered_statement_stays_at_home(self):
        store = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH)) / "store"
        shutil.copytree(STORE, store)
        statement = store / "releases" / "1.0.0" / "statement.json"
        statement.chmod(0o644)
        statement.write_text(statement.read_text().replace("1.0.0", "1.0.1", 1))
        asked = []
        with Proxy("127.0.0.1:1", lambda *request: asked.append(request) or 500) as front:
            result = tools.run(*self.command(front, store=store))
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(asked, [])

    def test_killed_at_any_moment(self):
        rng = random.Random(f"{SEED} push")
        with DockerRegistry() as address:
            sent = 0
            for _ in range(50 if FULL else 5):
                process = subprocess.Popen(self.command(address, "--limit-rate", "8M"), stdout=subprocess.DEVNULL)
                time.sleep(rng.uniform(0.02, 1.2))
                process.send_signal(signal.SIGKILL)
                process.wait()
                sent += 1
            self.assertIn(self.states(self.push(address)) - {"present"}, (set(), {"pushed"}))
            self.check_content(address)


@unittest.skipUnless(DockerRegistry.program, "docker-registry is not installed")
class SparseIndex(Case):
    """A release that carries one platform of two; docker-registry wants both."""

    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        key, pub = tools.make_key(folder)
        release = small_release.make_release(folder / "in")
        cls.store = folder / "store"
        tools.import_bundle([tools.make_bundle(release, folder / "out", key, "--fast")], cls.store, pub, check=0)

    def test_refused_with_a_way_out(self):
        with DockerRegistry() as address:
            report = json.loads(tools.run(*self.command(address, store=self.store)).stdout)
            failed = [artifact for artifact in report["artifacts"] if artifact["state"] == "failed"]
            self.assertEqual([artifact["name"] for artifact in failed],
                             ["registry.example.com/app/web:1.0.0", "test-appliance/release:1.0.0"])
            self.assertIn("--single-platform", failed[0]["hint"])
            report = self.push(address, "--single-platform", store=self.store)
            notes = [artifact["note"] for artifact in report["artifacts"]]
            self.assertEqual([bool(note) for note in notes], [True, *[False] * 5, True])
            found = manifest(address, "registry.example.com/app/web", "1.0.0")
            self.assertIn("layers", found)
            again = self.push(address, "--single-platform", store=self.store)
            self.assertEqual(self.states(again), {"present"})
            self.assertEqual([artifact["note"] for artifact in again["artifacts"]], notes)

    def test_ours_takes_it(self):
        target = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH)) / "empty"
        shutil.copytree(STORE, target)
        with tools.Registry(target, "--writable", "--keep-free-mib", "0") as address:
            report = self.push(f"{address}/sparse", store=self.store)
            self.assertEqual(self.states(report), {"pushed"})


class IntoOurs(Case):
    def registry(self):
        """A writable registry over another store with the same release; releases keep their names to themselves."""
        target = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH)) / "store"
        shutil.copytree(STORE, target)
        return tools.Registry(target, "--writable", "--keep-free-mib", "0")

    def test_everything_and_referrers(self):
        with self.registry() as address:
            first = self.push(f"{address}/copy")
            self.assertEqual(self.states(first), {"pushed"})
            self.check_content(address, "copy/")
            self.assertEqual(self.states(self.push(f"{address}/copy")), {"present"})
            for name, artifact in self.artifacts():
                for referrer in artifact.get("referrers", []):
                    self.assertIsNone(manifest(address, "copy/" + name, referrer["subject"].replace(":", "-")))

    def test_cuts_go_on_where_they_were(self):
        with self.registry() as address:
            cuts, patches = [], []

            def spoil(number, method, _):
                patches.append(method == "PATCH")
                if method == "PATCH" and sum(patches) % 2 == 0 and len(cuts) < 3:
                    cuts.append(number)
                    return ("cut", 700_000)
                return None

            proxy = Proxy(address, spoil)
            with proxy as front:
                report = self.push(f"{front}/copy", "--chunk-size", "1M", "--connections", "1")
            self.assertEqual(self.states(report), {"pushed"})
            self.assertEqual(len(cuts), 3)
            self.check_content(address, "copy/")
            # What had arrived before a cut was not sent again; manifests are not counted in bytes_sent.
            self.assertLess(proxy.uploaded, report["bytes_sent"] + 300_000)


if __name__ == "__main__":
    unittest.main()
