"""Pushing as sites do it: by foreign clients, while imports and gc run, and through kills."""

import hashlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import small_release  # noqa: E402
import tools  # noqa: E402

FULL = os.environ.get("BUNDLE_FULL") == "1"
KILLS = 50 if FULL else 3
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def request(address, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def push_image(address, name, tag, layer):
    """Pushes an image of one layer; returns its manifest. Raises unless everything was taken."""
    config = b'{"architecture":"amd64","os":"linux"}'
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(layer), "size": len(layer)}],
    }).encode()
    for blob in (config, layer):
        status, answer = request(address, "POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(blob)}", blob)
        if status != 201:
            raise AssertionError(f"blob: {status} {answer}")
    status, answer = request(address, "PUT", f"/v2/{name}/manifests/{tag}", manifest, {"Content-Type": MANIFEST})
    if status != 201:
        raise AssertionError(f"manifest: {status} {answer}")
    return manifest


class Push(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.scratch, True)
        cls.key, cls.pub = tools.make_key(cls.scratch)
        release = small_release.make_release(cls.scratch / "release")
        cls.bundle = tools.make_bundle(release, cls.scratch / "bundle", cls.key, "--fast")

    def setUp(self):
        self.store = pathlib.Path(tempfile.mkdtemp(dir=self.scratch)) / "store"
        tools.import_bundle([self.bundle], self.store, self.pub, check=0)
        tools.run(tools.IMPORT, "activate", "1.0.0", "--store", self.store, check=0)

    def test_an_upload_that_was_cut_goes_on(self):
        with self.serve() as address:
            host, port = address.split(":")
            for _ in range(8):
                connection = http.client.HTTPConnection(address, timeout=60)
                connection.request("POST", "/v2/team/cut/blobs/uploads/")
                location = connection.getresponse().headers["Location"]
                connection.close()
                with socket.create_connection((host, int(port))) as cut:
                    cut.sendall(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n".encode())
                    for _ in range(11):
                        cut.sendall(bytes(1 << 16))
                deadline = time.monotonic() + 20
                while (status := request(address, "GET", location)[0]) == 400 and time.monotonic() < deadline:
                    time.sleep(0.1)
                self.assertEqual(status, 204)

    def serve(self):
        return tools.Registry(self.store, "--writable", "--keep-free-mib", "0")

    def check_images(self, address, images):
        for (name, tag), (manifest, layer) in images.items():
            self.assertEqual(request(address, "GET", f"/v2/{name}/manifests/{tag}"), (200, manifest), f"{name}:{tag}")
            self.assertEqual(request(address, "GET", f"/v2/{name}/blobs/{digest_of(layer)}"), (200, layer), f"{name}:{tag}")

    @needs("skopeo")
    def test_skopeo_copies_a_released_image_and_gets_the_same_digest(self):
        with self.serve() as address:
            source = f"docker://{address}/docker.io/library/redis:7"
            target = f"docker://{address}/team/redis:copy"
            tools.run("skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false",
                      source, target, check=0)
            digests = [tools.run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", image, check=0).stdout
                       for image in (source, target)]
            self.assertEqual(*digests)
            into_release = tools.run("skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", source,
                                     f"docker://{address}/docker.io/library/redis:new")
            self.assertNotEqual(into_release.returncode, 0)

    @needs("crane")
    def test_crane_pushes_and_deletes(self):
        with self.serve() as address:
            tools.run("crane", "copy", "--insecure", f"{address}/docker.io/library/redis:7", f"{address}/team/redis:1", check=0)
            digest = tools.run("crane", "digest", "--insecure", f"{address}/team/redis:1", check=0).stdout.strip()
            tools.run("crane", "validate", "--insecure", "--remote", f"{address}/team/redis:1", check=0)
            tools.run("crane", "delete", "--insecure", f"{address}/team/redis@{digest}", check=0)
            self.assertEqual(request(address, "GET", "/v2/team/redis/manifests/1")[0], 404)

    def test_imports_and_gc_run_while_something_is_pushed(self):
        images, stop = {}, threading.Event()

        def maintain():
            while not stop.is_set():
                tools.import_bundle([self.bundle], self.store, self.pub, check=0)
                tools.run(tools.IMPORT, "gc", "--store", self.store, check=0)

        with self.serve() as address:
            thread = threading.Thread(target=maintain)
            thread.start()
            try:
                for number in range(40 if FULL else 4):
                    layer = random.Random(number).randbytes(100_000)
                    images["team/app", str(number)] = push_image(address, "team/app", str(number), layer), layer
            finally:
                stop.set()
                thread.join()
            self.check_images(address, images)
            self.assertEqual(request(address, "GET", "/readyz")[0], 200)
        tools.run(tools.IMPORT, "verify", "--store", self.store, check=0)

    def test_what_was_confirmed_is_there_after_kills(self):
        images, rng = {}, random.Random(5)
        for number in range(KILLS):
            registry = self.serve()
            address = registry.__enter__()
            try:
                self.check_images(address, images)
                moment = threading.Timer(rng.uniform(0.05, 1.0), registry.process.send_signal, [signal.SIGKILL])
                try:
                    for part in range(10_000):
                        if part == 1:
                            moment.start()
                        layer = rng.randbytes(rng.randrange(1, 400_000))
                        images["team/app", f"{number}-{part}"] = push_image(address, "team/app", f"{number}-{part}", layer), layer
                except (OSError, http.client.HTTPException):
                    pass  # killed
                moment.join()
                registry.process.wait(20)
            finally:
                registry.__exit__()
        with self.serve() as address:
            self.check_images(address, images)
            records = list((self.store / "pushed/repositories").iterdir())
            named = {entry["digest"].split(":")[1] for path in records for entry in json.loads(path.read_text())["blobs"]}
            # Nothing is left over but what records name.
            self.assertEqual({path.name for path in (self.store / "pushed/blobs/sha256").iterdir()}, named)
        self.assertGreaterEqual(len(images), KILLS)


if __name__ == "__main__":
    unittest.main()
