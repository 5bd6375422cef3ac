"""mirror-sync from nginx into stores: what it fetches, what it costs when nothing is new, and what it says."""

import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from origin_world import TESTS, Liar, Nginx, Vendor, tools

sys.path.insert(0, str(TESTS / "registry"))
from push_world import DockerRegistry, Proxy, manifest  # noqa: E402

sys.path.insert(0, str(TESTS / "fault"))
from fault_support import SmallDisk, can_mount, remove_scratch  # noqa: E402

FULL = os.environ.get("BUNDLE_FULL") == "1"
SEED = int(os.environ.get("BUNDLE_SEED", "20260101"))
MIRROR = tools.BIN / "tools" / "mirror-sync"
NO_OP_CPU_S = 0.05
NO_OP_RSS_KIB = 20 * 1024


def setUpModule():
    global SCRATCH, VENDOR
    SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="bundle-mirror-", dir=os.environ.get("BUNDLE_SCRATCH")))
    VENDOR = Vendor(SCRATCH, image_bytes=600_000, disk_bytes=2 << 20)


def tearDownModule():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    remove_scratch()


class Case(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.home = self.work  # of the stores
        VENDOR.start_anew(self.work / "vendor")
        self.origin = self.work / "origin"
        self.config = self.work / "mirror.yaml"

    def publish(self, *versions, channel="stable", options=()):
        for version in versions:
            VENDOR.promote(version, channel)
            VENDOR.publish(self.origin, VENDOR.bundle(version), options=options)

    def store(self, name="site"):
        return self.home / name

    def write_config(self, address, stores=("site",), channels=("stable",), mirror=None, **more):
        self.config.write_text(json.dumps({
            "apiVersion": "bundle/v1", "kind": "Mirror", "state": str(self.work / "state"),
            "origins": [{"name": "vendor", "address": str(address)}],
            "stores": [{"name": name, "path": str(self.store(name)), "trust": str(VENDOR.pub)} for name in stores],
            "mirrors": [{"origin": "vendor", "stores": list(stores), "channels": list(channels), **(mirror or {})}],
            **more}))

    def mirror(self, *options, command="run", check=0):
        result = tools.run(MIRROR, command, "--config", self.config, "--quiet", "--json", *options, check=check)
        return json.loads(result.stdout)

    def only(self, report):
        (release,) = report["releases"]
        return release


@unittest.skipUnless(Nginx.is_there(), "nginx is not installed")
class FromNginx(Case):
    def test_follows_a_channel(self):
        self.publish("1.0.0")
        with Nginx(self.origin) as server:
            self.write_config(server.url)
            first = self.only(self.mirror())
            self.assertEqual((first["state"], first["version"]), ("synced", "1.0.0"))
            self.assertEqual(self.only(self.mirror())["state"], "current")
            self.publish("1.1.0")
            planned = self.only(self.mirror("--dry-run"))
            self.assertEqual((planned["state"], planned["version"]), ("pending", "1.1.0"))
            second = self.only(self.mirror())
            self.assertEqual(second["state"], "synced")
            self.assertLessEqual(planned["bytes_fetched"], second["bytes_fetched"])
        tools.assert_clean_store(self, self.store(), ["1.0.0", "1.1.0"])
        self.assertEqual(self.only(self.mirror(command="status"))["version"], "1.1.0")

    def test_nothing_new_costs_nothing(self):
        self.publish("1.0.0")
        with Nginx(self.origin) as server:
            self.write_config(server.url)
            self.mirror()
            server.requests()
            trace = self.work / "trace"
            result = tools.run("strace", "-f", "-e", "trace=openat,open,stat,newfstatat", "-o", trace, MIRROR, "run", "--config",
                               self.config, "--quiet", check=0)
            self.assertEqual(result.stdout, "")  # cron sends no mail
            ((method, path, status, _, _),) = server.requests()
            self.assertEqual((method, path, status), ("GET", "/channels/stable.news", 304))
            lines = trace.read_text()
            self.assertNotIn("/blobs/", lines)
            usage = tools.run("/usr/bin/env", "python3", "-c", MEASURE, MIRROR, "run", "--config", self.config, check=0)
            cpu, rss = map(float, usage.stdout.split())
            self.assertLess(rss, NO_OP_RSS_KIB)
            if not os.environ.get("BUNDLE_NO_TIMES"):
                self.assertLess(cpu, 4 * NO_OP_CPU_S)  # the bar itself is bench's; machines of tests are busy

    def test_many_stores_one_request(self):
        names = [f"site-{i}" for i in range(5)]
        self.publish("1.0.0")
        with Nginx(self.origin) as server:
            self.write_config(server.url, names)
            self.mirror()
            server.requests()
            report = self.mirror()
            self.assertEqual(len(server.requests()), 1)
        self.assertEqual([release["state"] for release in report["releases"]], ["current"] * 5)
        for name in names:
            tools.assert_clean_store(self, self.store(name), ["1.0.0"])

    def test_one_bad_release_does_not_stop_the_others(self):
        self.publish("1.0.0")
        self.publish("1.1.0", channel="candidate")
        with Nginx(self.origin) as server:
            self.write_config(server.url, channels=("stable", "nightly", "candidate"))
            report = self.mirror(check=3)
        self.assertEqual([(release["channel"], release["state"]) for release in report["releases"]],
                         [("stable", "synced"), ("nightly", "failed"), ("candidate", "synced")])
        tools.assert_clean_store(self, self.store(), ["1.0.0", "1.1.0"])

    def test_further_versions_and_retention(self):
        self.publish("1.0.0", "1.1.0", "1.2.0")
        with Nginx(self.origin) as server:
            self.write_config(server.url, mirror={"versions": ["1.x"], "keep": 2})
            report = self.mirror()
        self.assertEqual([release["version"] for release in report["releases"]], ["1.0.0", "1.1.0", "1.2.0"])
        self.assertEqual(report["releases"][-1]["removed"], "1.0.0")
        tools.assert_clean_store(self, self.store(), ["1.1.0", "1.2.0"])

    def test_a_release_that_went_is_fetched_again(self):
        self.publish("1.0.0")
        with Nginx(self.origin) as server:
            self.write_config(server.url)
            self.mirror()
            tools.run(tools.IMPORT, "gc", "--store", self.store(), "--remove", "1.0.0", check=0)
            self.assertEqual(self.only(self.mirror())["state"], "synced")
        tools.assert_clean_store(self, self.store(), ["1.0.0"])

    def test_check_and_repair(self):
        self.publish("1.0.0")
        with Nginx(self.origin) as server:
            self.write_config(server.url)
            self.mirror()
            victim = max((self.store() / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
            content = bytearray(victim.read_bytes())
            content[1000] ^= 1
            victim.chmod(0o644)
            victim.write_bytes(content)
            (problem,) = self.mirror(command="check", check=71)["problems"]
            self.assertEqual(problem["digest"], "sha256:" + victim.name)
            (problem,) = self.mirror("--repair", command="check")["problems"]
            self.assertTrue(problem["repaired"])
            self.assertEqual(self.mirror(command="check")["problems"], [])
        tools.assert_clean_store(self, self.store(), ["1.0.0"])


@unittest.skipUnless(DockerRegistry.program, "docker-registry is not installed")
class IntoARegistry(Case):
    def config_for(self, address, **more):
        registry = {"name": "harbor", "address": f"{address}/mirror", "insecure": True, "singlePlatform": True, **more}
        self.write_config(self.origin, mirror={"registries": ["harbor"]}, registries=[registry])

    def pair(self, *options, **more):
        store, registry = self.mirror(*options, **more)["releases"]
        self.assertEqual((store["store"], registry["store"], registry["to_registry"]), ("site", "harbor", True))
        return store["state"], registry["state"], registry["version"]

    def test_the_channels_release_is_pushed_once(self):
        self.publish("1.0.0")
        with DockerRegistry() as address:
            proxy = Proxy(address, lambda *_: None)
            front = self.enterContext(proxy)
            self.config_for(front)
            self.assertEqual(self.pair("--dry-run"), ("pending", "pending", ""))
            self.assertEqual(self.pair(), ("synced", "synced", "1.0.0"))
            self.assertIsNotNone(manifest(address, "mirror/docker.io/library/redis", "7"))
            asked = len(proxy.requests)
            self.assertEqual(self.pair(), ("current", "current", "1.0.0"))
            self.assertEqual(len(proxy.requests), asked)  # nothing new: the registry is not even asked
            self.publish("1.1.0")
            self.assertEqual(self.pair(), ("synced", "synced", "1.1.0"))

    def test_a_registry_that_fails_is_tried_again(self):
        self.publish("1.0.0")
        self.config_for("127.0.0.1:1")
        self.assertEqual(self.pair(check=80), ("synced", "failed", "1.0.0"))
        with DockerRegistry() as address:
            self.config_for(address)
            self.assertEqual(self.pair(), ("current", "synced", "1.0.0"))

    def test_check_and_repair(self):
        self.publish("1.0.0")
        with DockerRegistry() as address:
            self.config_for(address)
            self.mirror()
            self.assertEqual(self.mirror(command="check")["problems"], [])
            connection = http.client.HTTPConnection(address, timeout=60)
            digest = self.redis_digest()
            self.addCleanup(connection.close)
            connection.request("DELETE", f"/v2/mirror/docker.io/library/redis/manifests/{digest}")
            self.assertEqual(connection.getresponse().status, 202)
            (problem,) = self.mirror(command="check", check=71)["problems"]
            self.assertEqual((problem["store"], problem["digest"]), ("harbor", digest))
            (problem,) = self.mirror("--repair", command="check")["problems"]
            self.assertTrue(problem["repaired"])
            self.assertIsNotNone(manifest(address, "mirror/docker.io/library/redis", "7"))

    def redis_digest(self):
        images = json.loads((self.store() / "releases" / "1.0.0" / "manifest.json").read_text())["images"]
        return next(image["digest"] for image in images if "redis" in image["name"])

    def test_names_are_checked(self):
        self.publish("1.0.0")
        self.config_for("registry.example.com", name="site")
        self.assertIn("is the name of a store", tools.run(MIRROR, "run", "--config", self.config, check=21).stderr)


class Faults(Case):
    """A mirror at 1.0.0 is to get 1.1.0. Whatever happens, it is whole at the one or the other, and the next run ends it."""

    def begin(self, address=None):
        self.publish("1.0.0")
        self.write_config(address or self.origin)
        self.mirror()
        self.publish("1.1.0")

    def assert_whole(self, *versions):
        tools.run(tools.IMPORT, "verify", "--store", self.store(), "--quiet", check=0)
        found = sorted(path.name for path in (self.store() / "releases").iterdir())
        self.assertIn(found, versions or (["1.0.0"], ["1.0.0", "1.1.0"]))

    def finish(self):
        self.assertIn(self.only(self.mirror())["state"], ("synced", "current"))
        tools.assert_clean_store(self, self.store(), ["1.0.0", "1.1.0"])

    def test_killed_at_random_moments(self):
        chance = random.Random(f"{SEED} mirror kills")
        self.begin()
        kept = self.work / "kept"
        shutil.copytree(self.store(), kept)
        kills = 0
        with Liar(self.origin, lambda *_: time.sleep(0.005)) as server:
            self.write_config(server.url)
            while kills < (200 if FULL else 8):
                process = subprocess.Popen([str(MIRROR), "run", "--config", str(self.config), "--quiet"], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                time.sleep(chance.uniform(0, 0.25))
                process.send_signal(signal.SIGKILL)
                kills += process.wait() < 0
                self.assert_whole()
                if (self.store() / "releases" / "1.1.0").exists():
                    self.finish()
                    shutil.rmtree(self.store())
                    shutil.copytree(kept, self.store())
            self.finish()

    @unittest.skipUnless(can_mount(), "no file system can be mounted here")
    def test_the_targets_disk_is_full(self):
        with SmallDisk(64 << 20) as disk:
            self.home = disk.path
            self.begin()
            used = disk.used()
            disk.resize(used + (1 << 20))
            planned = self.only(self.mirror(check=tools.EXIT_NO_SPACE))
            self.assertIn("free", planned["hint"].lower())
            self.assert_whole(["1.0.0"])
            # It fits by the plan, and somebody else fills the disk meanwhile.
            disk.resize(64 << 20)
            balloon = disk.path / "balloon"

            def fill(path, *_):
                if path.endswith(".bundle") and not balloon.exists() and list((self.store() / "staging").glob("*/*")):
                    balloon.write_bytes(bytes(disk.free()))

            with Liar(self.origin, fill) as server:
                self.write_config(server.url, limits={"connections": 1})
                failed = self.only(self.mirror(check=tools.EXIT_NO_SPACE))
            self.assertEqual(failed["state"], "failed")
            self.assert_whole(["1.0.0"])
            balloon.unlink()
            self.write_config(self.origin)
            self.finish()

    @unittest.skipUnless(DockerRegistry.program, "docker-registry is not installed")
    def test_a_target_registry_that_fails_every_nth_request(self):
        self.publish("1.0.0")
        waiting = ((500, 3), (("cut", 1000), 7))  # takes its time: these are tried again later and later
        for status, period in ((503, 4), (429, 5), *(waiting if FULL else ())):
            shutil.rmtree(self.work / "state", ignore_errors=True)
            with self.subTest(status=status), DockerRegistry() as address, \
                    Proxy(address, lambda number, *_: status if number % period == 0 else None) as front:
                self.write_config(self.origin, mirror={"registries": ["far"]}, registries=[
                    {"name": "far", "address": f"{front}/mirror", "insecure": True, "singlePlatform": True}])
                for _ in range(10):
                    result = tools.run(MIRROR, "run", "--config", self.config, "--quiet", "--json")
                    store, registry = json.loads(result.stdout)["releases"]
                    self.assertIn(store["state"], ("synced", "current"))
                    if registry["state"] != "failed":
                        break
                    self.assertTrue(registry["message"] and registry["hint"])
                self.assertEqual(registry["state"], "synced")
                self.assertEqual(self.mirror(command="check")["problems"], [])
                self.assertIsNotNone(manifest(address, "mirror/docker.io/library/redis", "7"))


class Rules(Case):
    def test_windows(self):
        self.publish("1.0.0")
        hour = (time.gmtime().tm_hour + 12) % 24
        closed = [{"from": f"{hour:02}:00", "to": f"{hour:02}:01"}]
        self.write_config(self.origin, windows=closed)
        self.assertTrue(self.mirror()["outside_window"])
        self.assertFalse(self.store().exists())
        self.assertEqual(self.only(self.mirror("--outside-window"))["state"], "synced")

    def test_folder_hooks_and_metrics(self):
        hooks = self.work / "hooks"
        hooks.mkdir(mode=0o755)
        hook = hooks / "10-tell"
        hook.write_text(f'#!/bin/sh\nprintf %s "$BUNDLE_TO" > {self.work}/told\n')
        hook.chmod(0o755)
        self.publish("1.0.0")
        metrics = self.work / "mirror.prom"
        self.write_config(self.origin, hooks={"synced": str(hooks)}, metrics=str(metrics))
        self.mirror()
        self.assertEqual((self.work / "told").read_text(), "1.0.0")
        self.assertIn('mirror_sync_up_to_date{origin="vendor",channel="stable",store="site"} 1', metrics.read_text())
        for line in metrics.read_text().splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) .*|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.]+)$')

    def test_expired_pointer_is_no_good_news(self):
        tools.run(tools.MAKE, "promote", VENDOR.bundle("1.0.0"), "--channel", "stable", "--trust-dir", VENDOR.trust, "--key",
                  VENDOR.key, "--expires-days", "1", check=0)
        VENDOR.publish(self.origin, VENDOR.bundle("1.0.0"))
        self.write_config(self.origin)
        self.mirror()
        (memory,) = (self.work / "state" / "channels").iterdir()
        memory.write_text(re.sub(r'"expires":"[^"]*"', '"expires":"2026-01-02T00:00:00Z"', memory.read_text()))
        self.assertIn("expired", self.only(self.mirror(check=40))["message"])

    def test_configuration_is_checked(self):
        self.publish("1.0.0")
        self.write_config(self.origin, mirror={"origin": "other"})
        message = tools.run(MIRROR, "run", "--config", self.config, check=21).stderr
        self.assertIn("/mirrors/0/origin", message)
        self.write_config(self.origin)
        tools.run(MIRROR, "status", "--config", self.config, check=3)

    def test_two_at_once(self):
        self.publish("1.0.0")
        with Liar(self.origin, lambda *_: time.sleep(0.2)) as server:
            self.write_config(server.url)
            both = [subprocess.Popen([MIRROR, "run", "--config", self.config, "--quiet"], stderr=subprocess.DEVNULL)
                    for _ in range(2)]
            self.assertIn(sorted(process.wait() for process in both), [[0, 0], [0, tools.EXIT_BUSY]])
        tools.assert_clean_store(self, self.store(), ["1.0.0"])


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""

if __name__ == "__main__":
    unittest.main()
