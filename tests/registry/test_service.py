"""bundle-registry as a service: systemd's units, its socket and notices, reload, drain; a long mixed load while releases
come, go and become active; kill -9 during activation. BUNDLE_FULL=1 gives the full counts."""

import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import small_release  # noqa: E402
import tools  # noqa: E402

FULL = os.environ.get("BUNDLE_FULL") == "1"
LOAD_SECONDS = int(os.environ.get("BUNDLE_LOAD_SECONDS", "600" if FULL else "20"))
KILLS = 100 if FULL else 5
CLIENTS = 6
UNITS = tools.BIN / "registry"
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "registry" / "systemd"
REDIS = "/v2/docker.io/library/redis"
ACCEPT_WINDOW_S = 20


def make_store(scratch):
    """A store with 1.0.0 (active) and 1.1.0, and the bundle of 1.2.0; the tag redis:7 differs in all of them."""
    key, pub = tools.make_key(scratch)
    store, bundles = scratch / "store", {}
    for number, version in enumerate(("1.0.0", "1.1.0", "1.2.0")):
        release = small_release.make_release(scratch / f"release-{version}", version=version, seed=number + 1)
        text = release.read_text()
        release.write_text(text.replace("product:", 'upgradeFrom: ["1.0.x", "1.1.x"]\nproduct:'))
        bundles[version] = tools.make_bundle(release, scratch / f"bundle-{version}", key, "--fast")
    for version in ("1.0.0", "1.1.0"):
        tools.import_bundle([bundles[version]], store, pub, check=0)
    tools.run(tools.IMPORT, "activate", "1.0.0", "--store", store, check=0)
    return store, bundles["1.2.0"]


def get(address, target, headers=None):
    """(status, headers, body) of one request on its own connection."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", target, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def pull(address, repository, tag):
    """Pulls an image and checks every byte. Returns the digest of what the tag names."""
    status, headers, body = get(address, f"{repository}/manifests/{tag}")
    assert status == 200, f"{tag}: {status} {body}"
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    assert headers["Docker-Content-Digest"] == digest, "the tag's manifest is not the one that the header names"
    manifest = json.loads(body)
    for blob in [manifest["config"], *manifest["layers"]]:
        status, _, body = get(address, f"{repository}/blobs/{blob['digest']}")
        assert status == 200, f"{blob['digest']}: {status} {body[:200]}"
        assert "sha256:" + hashlib.sha256(body).hexdigest() == blob["digest"], "wrong bytes"
    return digest


def resident_kib(process):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{process}/status").read_text())[1])


class Service:
    """bundle-registry with a socket and a notice socket as systemd gives them."""

    START = ("import os,sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID']=str(os.getpid());"
             "os.environ['LISTEN_FDS']='1'; os.execv(sys.argv[2], sys.argv[2:])")

    def __init__(self, folder, store, listener, *options):
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.settimeout(30)
        path = str(pathlib.Path(folder, f"notify-{time.monotonic_ns()}"))
        self.notices.bind(path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.START, str(listener.fileno()), str(tools.REGISTRY), "serve", "--store", str(store),
             "--listen", "systemd", *options], pass_fds=(listener.fileno(),), env={**os.environ, "NOTIFY_SOCKET": path},
            stderr=subprocess.DEVNULL)

    def notice(self):
        return self.notices.recv(4096).decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.notices.close()
        return status


class UnitFiles(unittest.TestCase):
    def setUp(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        unit = (UNITS / "bundle-registry.service").read_text()
        self.unit = pathlib.Path(self.folder, "bundle-registry.service")
        self.unit.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={tools.REGISTRY}", unit, flags=re.M))
        shutil.copy(SOURCE / "bundle-registry.socket", self.folder)

    def test_systemd_finds_nothing_wrong(self):
        for name in ("bundle-registry.service", "bundle-registry.socket"):
            result = subprocess.run(["systemd-analyze", "verify", "--man=no", f"{self.folder}/{name}"], text=True,
                                    capture_output=True, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{self.folder}:"})
            found = [line for line in result.stderr.splitlines() if "bundle-registry" in line]
            self.assertEqual((found, result.returncode), ([], 0), result.stderr)

    def test_exposure_stays_low(self):
        result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", str(self.unit)],
                                text=True, capture_output=True, env={**os.environ, "SYSTEMD_COLORS": "0"})
        if "unrecognized option" in result.stderr:
            self.skipTest("this systemd-analyze cannot judge a file")
        self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr)


class ServiceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.scratch, True)
        cls.store, cls.third = make_store(cls.scratch)

    def listen(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addCleanup(listener.close)
        return listener, "127.0.0.1:%d" % listener.getsockname()[1]

    def test_socket_of_systemd_outlives_the_service(self):
        listener, address = self.listen()
        first = Service(self.scratch, self.store, listener)
        self.assertEqual(first.notice(), "READY=1")
        pull(address, REDIS, "7")
        first.process.send_signal(signal.SIGHUP)
        self.assertEqual([first.notice(), first.notice()], ["RELOADING=1", "READY=1"])
        first.process.send_signal(signal.SIGTERM)
        self.assertEqual(first.notice(), "STOPPING=1")
        self.assertEqual(first.process.wait(60), 0)
        first.notices.close()
        # Nobody serves now: the client waits in the socket's queue until the next start.
        waiting = []
        client = threading.Thread(target=lambda: waiting.append(get(address, "/healthz")[0]))
        client.start()
        time.sleep(0.2)
        second = Service(self.scratch, self.store, listener)
        self.assertEqual(second.notice(), "READY=1")
        client.join(ACCEPT_WINDOW_S)
        self.assertEqual(waiting, [200])
        self.assertEqual(second.stop(), 0)

    def test_without_a_socket_of_systemd_it_says_so(self):
        result = tools.run(tools.REGISTRY, "serve", "--store", self.store, "--listen", "systemd", check=2)
        self.assertIn("next: ", result.stderr)

    def test_killed_during_activation_it_serves_one_release_whole(self):
        moments = random.Random(os.environ.get("BUNDLE_SEED", "1"))
        store = self.scratch / "store-kills"
        shutil.copytree(self.store, store)
        digests = {}
        for version in ("1.1.0", "1.0.0"):
            tools.run(tools.IMPORT, *self.step(version), "--store", store, check=0)
            with tools.Registry(store) as address:
                digests[version] = pull(address, REDIS, "7")
        start = time.monotonic()
        tools.run(tools.IMPORT, *self.step("1.1.0"), "--store", store, check=0)
        takes = time.monotonic() - start
        served = set()
        for number in range(KILLS):
            version = ("1.0.0", "1.1.0")[number % 2]
            registry = tools.Registry(store)
            registry.__enter__()
            activation = subprocess.Popen([str(tools.IMPORT), *self.step(version), "--store", str(store), "--quiet"],
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(moments.random() * takes * 1.2)
            activation.kill()
            registry.process.kill()
            activation.wait()
            registry.process.wait()
            registry.__exit__()
            with tools.Registry(store) as address:
                status, _, body = get(address, "/readyz")
                self.assertEqual(status, 200, body)
                release = json.loads(body)["release"]
                self.assertEqual(pull(address, REDIS, "7"), digests[release])
                served.add(release)
        tools.run(tools.IMPORT, "verify", "--store", store, "--quiet", check=0)
        self.assertLessEqual(served, set(digests))

    @staticmethod
    def step(version):
        return ("rollback", "1.0.0") if version == "1.0.0" else ("activate", version)

    def test_mixed_load(self):
        """Pulls by several clients while releases are imported, activated, rolled back and removed."""
        store = self.scratch / "store-load"
        shutil.copytree(self.store, store)
        stop, troubles, pulls = threading.Event(), [], []
        registry = tools.Registry(store)
        address = registry.__enter__()
        self.addCleanup(registry.__exit__)

        def client(number):
            chooser = random.Random(number)
            while not stop.is_set():
                try:
                    if chooser.random() < 0.2:
                        status, _, body = get(address, chooser.choice(["/readyz", "/", "/metrics", "/v2/"]))
                        assert status == 200, f"{status} {body[:300]}"
                    else:
                        pulls.append(pull(address, REDIS, "7"))
                except Exception as error:  # every kind is what this test looks for
                    troubles.append(f"{type(error).__name__}: {error}")

        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        resident, rounds = [], 0
        end = time.monotonic() + LOAD_SECONDS
        while time.monotonic() < end or rounds < 2:
            tools.run(tools.IMPORT, *self.step("1.1.0"), "--store", store, check=0)
            tools.import_bundle([self.third], store, check=0)
            tools.run(tools.IMPORT, *self.step("1.0.0"), "--store", store, check=0)
            tools.run(tools.IMPORT, "gc", "--remove", "1.2.0", "--store", store, check=0)
            resident.append(resident_kib(registry.process.pid))
            rounds += 1
        stop.set()
        for thread in clients:
            thread.join(60)
        self.assertEqual(troubles[:5], [])
        self.assertGreater(len(set(pulls)), 1, "no switch was seen")
        self.assertLess(resident[-1], 64 << 10)
        settled = resident[len(resident) // 4]
        self.assertLess(resident[-1], settled * 1.25 + 4096, f"memory grows: {resident}")
        print(f"{len(pulls)} pulls, {rounds} rounds, {resident[-1]} KiB resident", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
