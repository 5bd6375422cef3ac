#!/usr/bin/env python3
"""Upgrades of a site and its cluster with the real programs: what they wait for, how they fail, and that a site is on
exactly one release, and says which, wherever it was cut short."""
import os
import pathlib
import tempfile
import time
import unittest

import site_world
import tools
from fake_cluster import FakeCluster
from site_world import Site

LATE, UNFINISHED, REFUSED, BUSY, AUTH, KILLED = 84, 75, 74, 8, 82, -9
PRELOAD = os.environ.get("BUNDLE_KILL_AT_RENAME", "")


def tearDownModule():
    site_world.remove_scratch()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.site = Site(self.folder, "1.0.0", "1.1.0", "1.2.0")

    def cluster(self, **options):
        cluster = self.enterContext(FakeCluster(store=self.site.store, **options))
        self.site.configure(cluster)
        return cluster

    def enterContext(self, context):  # of unittest since Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def assert_on(self, version):
        """The site is on this release and on no other, and every way of asking says so."""
        self.assertEqual(self.site.live(), version)
        status = self.site.call("status", status=0)[1]
        self.assertEqual(status["active"], version)
        self.assertEqual([r["version"] for r in status["releases"] if r["active"]], [version])
        return status


class WithoutCluster(Case):
    def test_says_that_it_does_not_wait(self):
        answer = self.site.call("upgrade", "1.1.0", status=0)[1]
        self.assertEqual((answer["outcome"], answer["active"], answer["waited"]), ("upgraded", "1.1.0", False))
        self.assertIn("no cluster is configured", " ".join(answer["notes"]))
        self.assert_on("1.1.0")

    def test_dry_run_changes_nothing(self):
        before = tools.tree_digest(self.site.store)
        answer = self.site.call("upgrade", "1.1.0", "--dry-run", status=0)[1]
        self.assertEqual([step["state"] for step in answer["steps"]], ["planned"])
        self.assertEqual(answer["outcome"], "planned")
        after = tools.tree_digest(self.site.store)
        after.pop(".upgrade.lock", None)
        self.assertEqual(before, after)

    def test_gate_refuses_before_anything(self):
        code, answer = self.site.call("upgrade", "1.2.0")
        self.assertEqual((code, answer["error"]), (REFUSED, "gate_refused"))
        self.assertIn("1.1.0", answer["hint"])
        self.assertIsNone(self.site.journal())
        self.assert_on("1.0.0")

    def test_rollback_and_again(self):
        self.site.call("upgrade", "1.1.0", status=0)
        answer = self.site.call("rollback", status=0)[1]
        self.assertEqual((answer["outcome"], answer["active"]), ("rolled_back", "1.0.0"))
        self.site.call("upgrade", "1.1.0", status=0)
        self.assertEqual(self.site.call("upgrade", "1.1.0", status=0)[1]["outcome"], "unchanged")
        self.assert_on("1.1.0")


class WithCluster(Case):
    def test_waits_until_flux_has_followed(self):
        cluster = self.cluster()
        answer = self.site.call("upgrade", "1.1.0", status=0)[1]
        self.assertEqual((answer["outcome"], answer["waited"]), ("upgraded", True))
        self.assertIn("1.1.0@sha256:", cluster.object("OCIRepository", "app-chart")["status"]["artifact"]["revision"])
        asked = cluster.object("HelmRelease", "app")["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"]
        self.assertTrue(asked.startswith(self.site.journal()["id"] + "-to."), asked)
        self.assertEqual(self.assert_on("1.1.0")["upgrade"]["state"], "done")
        self.assertEqual(self.site.audit("upgrade")[-1]["outcome"], "done")

    def test_client_certificate_over_tls(self):
        tls = self.folder / "tls"
        tools.run(tools.IMPORT, "gen-cert", "--out", tls, "--name", "127.0.0.1", check=0)
        tools.run(tools.IMPORT, "gen-cert", "--out", tls, "--client", "node-1", check=0)
        self.cluster(tls=tls)
        self.assertTrue(self.site.call("upgrade", "1.1.0", status=0)[1]["waited"])

    def test_many_nodes_come_in_pages(self):
        self.cluster(nodes=[f"server-{i}" for i in range(250)])
        self.site.call("upgrade", "1.1.0", status=0)

    def test_application_that_does_not_get_ready(self):
        cluster = self.cluster()
        cluster.broken.add("1.1.0")
        code, answer = self.site.call("upgrade", "1.1.0")
        self.assertEqual((code, answer["outcome"], answer["active"]), (LATE, "rolled_back", "1.0.0"))
        self.assertIn("Pods do not become ready", answer["message"])
        self.assertIn("The live release is 1.0.0", answer["message"])
        # The cluster was led back, too.
        self.assertTrue(cluster.object("Kustomization", "release")["status"]["lastAppliedRevision"].startswith("1.0.0@"))
        self.assert_on("1.0.0")
        cluster.broken.clear()
        self.site.call("upgrade", "1.1.0", status=0)
        self.assert_on("1.1.0")

    def test_flux_gives_up(self):
        cluster = self.cluster()
        cluster.stalled.add("1.1.0")
        start = time.monotonic()
        self.site.configure(cluster, settings={"timeLimitSeconds": 600})
        code, answer = self.site.call("upgrade", "1.1.0")
        self.assertEqual((code, answer["active"]), (REFUSED, "1.0.0"))
        self.assertIn("stalled", answer["message"])
        self.assertLess(time.monotonic() - start, 60, "waited although nothing would come")

    def test_node_goes_away_after_the_move(self):
        cluster = self.cluster()

        def on_request(method, _):
            if method == "PATCH":
                cluster.set_node("server-1", ready=False)

        cluster.on_request = on_request
        code, answer = self.site.call("upgrade", "1.1.0")
        self.assertEqual((code, answer["active"]), (LATE, "1.0.0"))
        self.assertIn("node server-1 is not ready", answer["message"])
        self.assert_on("1.0.0")

    def test_preflight_of_a_cluster_that_is_not_well(self):
        cluster = self.cluster()
        cluster.set_node("server-1", ready=False)
        code, answer = self.site.call("upgrade", "1.1.0")
        self.assertEqual(code, REFUSED)
        self.assertIn("node server-1 is not ready", answer["message"])
        self.assertIsNone(self.site.journal())
        cluster.set_node("server-1")
        cluster.object("HelmRelease", "app")["status"]["conditions"] = []
        self.assertEqual(self.site.call("upgrade", "1.1.0")[0], REFUSED)
        answer = self.site.call("upgrade", "1.1.0", "--unhealthy", "the release is the cure", status=0)[1]
        self.assertEqual(self.site.audit("activate")[-1]["unhealthy"], "the release is the cure")

    def test_cluster_that_cannot_be_asked(self):
        cluster = self.cluster()
        cluster.write_kubeconfig(self.folder / "kubeconfig", token="wrong")
        code, answer = self.site.call("upgrade", "1.1.0")
        self.assertEqual(code, REFUSED)
        self.assertIn("401", answer["message"])
        self.assert_on("1.0.0")

    def test_suspended_source_is_told(self):
        cluster = self.cluster()
        cluster.object("OCIRepository", "app-chart")["spec"]["suspend"] = True
        code, answer = self.site.call("upgrade", "1.1.0")
        self.assertEqual((code, answer["active"]), (LATE, "1.0.0"))
        self.assertIn("is suspended", answer["message"])

    def test_api_server_that_stumbles(self):
        cluster = self.cluster()
        stumbles = iter([500, "cut", 503, 500])

        def on_request(method, _):
            if method == "PATCH" or len(cluster.requests) > 8:
                cluster.answers[:] = [next(stumbles, None)]

        cluster.on_request = on_request
        self.site.configure(cluster, settings={"timeLimitSeconds": 60})
        self.site.call("upgrade", "1.1.0", status=0)
        self.assert_on("1.1.0")

    def test_api_server_that_refuses_after_the_move(self):
        cluster = self.cluster()

        def on_request(method, _):
            if self.site.live() == "1.1.0":
                cluster.answers[:] = [403]

        cluster.on_request = on_request
        code, answer = self.site.call("upgrade", "1.1.0")
        self.assertEqual((code, answer["active"]), (AUTH, "1.0.0"))
        self.assertIn("403", answer["message"])

    def test_real_registry(self):
        """The registry serves the new release a moment after the pointer has moved: Flux is asked again."""
        with tools.Registry(self.site.store) as registry:
            self.cluster(registry=registry)
            self.site.configure(self.cluster(registry=registry), settings={"timeLimitSeconds": 60})
            self.site.call("upgrade", "1.1.0", status=0)
            self.site.call("rollback", status=0)
        self.assert_on("1.0.0")

    def test_first_release_stays(self):
        (self.site.store / "active").unlink()
        cluster = self.cluster()
        cluster.broken.add("1.0.0")
        code, answer = self.site.call("upgrade", "1.0.0")
        self.assertEqual((code, answer["outcome"], answer["active"]), (LATE, "failed", "1.0.0"))
        self.assert_on("1.0.0")


class CutShort(Case):
    def test_another_step_has_to_wait(self):
        cluster = self.cluster()
        cluster.frozen = True
        self.site.configure(cluster, settings={"timeLimitSeconds": 600})
        process = self.site.start("upgrade", "1.1.0")
        while self.site.live() != "1.1.0":
            time.sleep(0.05)
        self.assertEqual(self.site.call("upgrade", "1.1.0")[0], BUSY)
        process.kill()
        process.communicate()
        self.assertEqual(self.assert_on("1.1.0")["upgrade"]["state"], "running")
        for arguments in (("activate", "1.0.0"), ("upgrade", "1.2.0"), ("gc", "--remove", "1.0.0")):
            code, answer = self.site.call(*arguments)
            self.assertEqual((code, answer["error"]), (UNFINISHED, "release_active"), arguments)
            self.assertIn("upgrade 1.1.0", answer["hint"])
        cluster.frozen = False
        answer = self.site.call("upgrade", "1.1.0", status=0)[1]
        self.assertTrue(answer["resumed"])
        self.assert_on("1.1.0")

    def test_undone_by_rollback(self):
        cluster = self.cluster()
        cluster.frozen = True
        process = self.site.start("upgrade", "1.1.0")
        while self.site.live() != "1.1.0":
            time.sleep(0.05)
        process.kill()
        process.communicate()
        cluster.frozen = False
        answer = self.site.call("rollback", status=0)[1]
        self.assertEqual((answer["outcome"], answer["active"]), ("rolled_back", "1.0.0"))
        self.assert_on("1.0.0")

    def test_interrupted(self):
        cluster = self.cluster()
        cluster.frozen = True
        process = self.site.start("upgrade", "1.1.0")
        while self.site.live() != "1.1.0":
            time.sleep(0.05)
        process.terminate()
        process.communicate()
        self.assertEqual(process.returncode, 9)
        self.assertEqual(self.site.journal()["state"], "running")


@unittest.skipUnless(PRELOAD, "BUNDLE_KILL_AT_RENAME is not set")
class Killed(Case):
    """Power lost at each change of the site's state, forward and on the way back."""

    def kill_at(self, moment, *arguments):
        """False when the command ended before."""
        process = self.site.start(*arguments, env={"LD_PRELOAD": PRELOAD, "BUNDLE_TEST_RENAME": moment})
        process.communicate()
        return process.returncode == KILLED

    def every_moment(self, prepare, command, check, broken=False):
        killed = 0
        full = os.environ.get("BUNDLE_FULL") == "1"
        for number in range(1, 40):
            # In turns before and after the change; BUNDLE_FULL=1 both.
            for after in ("", "+") if full else ("+" if number % 2 else "",):
                with self.subTest(rename=f"{number}{after}"), tempfile.TemporaryDirectory() as folder:
                    self.site = Site(folder, "1.0.0", "1.1.0", "1.2.0")
                    self.folder = pathlib.Path(folder)
                    with FakeCluster(store=self.site.store) as cluster:
                        self.site.configure(cluster, settings={"timeLimitSeconds": 1})
                        prepare(cluster)
                        if not self.kill_at(f"{number}{after}", *command):
                            self.assertGreater(killed, 6, "too few changes of state were seen")
                            return
                        killed += 1
                        self.assertIn(self.site.live(), ("1.0.0", "1.1.0"))
                        self.assert_on(self.site.live())
                        check(cluster)
        self.fail("it never ended")

    def test_forward(self):
        def check(_):
            answer = self.site.call("upgrade", "1.1.0", status=0)[1]
            self.assertEqual(answer["active"], "1.1.0")
            self.assertFalse(self.assert_on("1.1.0")["upgrade"]["state"] in ("running", "going_back"))

        self.every_moment(lambda cluster: None, ("upgrade", "1.1.0"), check)

    def test_back_after_a_failure(self):
        def check(_):
            code, answer = self.site.call("upgrade", "1.1.0")
            self.assertEqual((code, answer["active"]), (LATE, "1.0.0"))
            self.assertEqual(self.assert_on("1.0.0")["upgrade"]["state"], "rolled_back")

        self.every_moment(lambda cluster: cluster.broken.add("1.1.0"), ("upgrade", "1.1.0"), check)

    def test_rollback(self):
        def check(_):
            if self.site.live() == "1.1.0" or self.site.journal()["direction"] == "rollback":
                self.site.call("rollback", "1.0.0")
            self.assertIn(self.assert_on("1.0.0")["upgrade"]["state"], ("done", "rolled_back"))

        self.every_moment(lambda cluster: self.site.call("upgrade", "1.1.0", status=0), ("rollback",), check)


if __name__ == "__main__":
    unittest.main()
