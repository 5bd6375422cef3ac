#!/usr/bin/env python3
"""Compares the gate with its second statement (gate_oracle.py) over the whole space of situations.

    test_gate_table.py GATE_TABLE

Versions in pairs, Kubernetes in pairs, the site's windows, disk, hooks and platform, and everything mixed at random.
BUNDLE_FULL=1 mixes more, BUNDLE_SEED mixes otherwise.
"""
import collections
import copy
import itertools
import json
import os
import random
import subprocess
import sys

import gate_oracle as oracle

PRODUCT = "example-appliance"
GIB = 1 << 30
LIVE = [None, "1.0.0", "1.1.0", "1.2.0", "1.2.3", "1.3.0", "1.3.2", "1.3.5", "1.4.0-rc.1", "1.4.0", "1.5.0", "2.0.0"]
MATRICES = [
    [],
    [{"app": "1.4.x", "k8s": ["1.31.x", "1.32.x"]}, {"app": "1.3.x", "k8s": ["1.30.x", "1.31.x"]}],
    [{"app": "1.x", "k8s": ["1.31.6"]}, {"app": "1.4.x", "k8s": [">=1.31.9 <1.33.0"]}],
    [{"app": "=1.2.3", "k8s": ["1.x"]}, {"app": "1.4.x", "k8s": ["1.33.x"]}],
]
WINDOWS = [
    [],
    [{"days": ["sat", "sun"], "from": "22:00", "to": "04:00"}],
    [{"from": "01:00", "to": "02:30"}, {"days": ["wed"], "from": "12:00", "to": "12:00"}],
    [{"days": ["mon"], "from": "00:00", "to": "23:59"}],
]
# Sunday night, its end, a minute after it, Monday noon, Wednesday noon, Thursday just before and after noon, 1970.
TIMES = ["2026-11-29T23:30:00Z", "2026-11-30T03:59:59Z", "2026-11-30T04:00:00Z", "2026-11-30T12:00:00Z",
         "2026-12-02T12:00:00Z", "2026-12-03T11:59:00Z", "2026-12-03T12:00:00Z", "2026-12-04T01:30:00Z",
         "1970-01-05T10:00:00Z"]
HOOKS = [
    [],
    [{"name": "50-backup.sh", "state": "passed"}],
    [{"name": "10-health", "state": "passed"}, {"name": "backup", "state": "failed"}],
    [{"name": "10-health", "state": "timed_out"}, {"name": "backup", "state": "not_run"}],
    [{"name": "10-health", "state": "failed"}],
    [{"name": "10-health", "state": "not_run"}, {"name": "50-backup", "state": "not_run"}],
]


def release(version, k8s="v1.31.6+k3s1", upgrade_from=None, **more):
    minors = oracle.MINORS
    before = minors[minors.index(oracle.LADDER[version]) - 1]
    usual = [f"{before}.x", oracle.LADDER[version] + ".x"] if before + ".x" in oracle.PATTERNS else ["1.x"]
    usual = [pattern for pattern in usual if pattern in oracle.PATTERNS]
    return {"product": PRODUCT, "version": version, "number": 1000 + oracle.ORDER.index(version), "k8s": k8s,
            "upgrade_from": usual if upgrade_from is None else upgrade_from, "gates": {}, "revoked": False, "missing": 0,
            **more}


def situation(active, candidate, store=(), **more):
    releases = {r["version"]: r for r in [*store, *([active] if active else []), candidate]}
    return {"active": active["version"] if active else "", "candidate": candidate["version"],
            "store": list(releases.values()), "rollback": False, "app_only": False, "newest": "", "installed": "",
            "platform": "linux/amd64", "disk_free": 100 * GIB, "now": TIMES[3], "floor": "2026-11-01T00:00:00Z",
            "windows": [], "outside": "", "hooks": [], "cluster_sick": False, "unhealthy": "", "values_bad": False,
            "restore": False, **more}


def version_rows():
    """Every pair of versions, forward and back, with other things in the store."""
    stores = [[], [release(v) for v in oracle.ORDER], [release(v) for v in ("1.1.0", "1.2.3", "1.3.5", "1.5.0")],
              [release(v, revoked=v == "1.3.5", missing=int(v == "1.4.0")) for v in oracle.ORDER if v != "1.2.0"]]
    for active, candidate, store, rollback in itertools.product(LIVE, oracle.ORDER, stores, (False, True)):
        yield situation(active and release(active), release(candidate), store, rollback=rollback)


def policy_rows():
    """upgradeFrom, required releases and support windows."""
    policies = [{}, {"supportWindow": 1}, {"supportWindow": 3}, {"requiredReleases": ["1.3.5"]},
                {"requiredReleases": ["1.4.2", "1.2.3"], "supportWindow": 2}]
    patterns = [None, [], ["1.3.5"], [">=1.3.2 <1.4.0"], ["1.x", "2.x"], ["1.4.0-rc.1", ">1.2.0 <=1.4.0"]]
    store = [release("1.2.3"), release("1.3.5"), release("1.4.2", gates={"supportWindow": 2})]
    for active, candidate, gates, upgrade_from, newest in itertools.product(
            LIVE, ("1.3.5", "1.4.0", "1.5.0", "2.0.0", "2.0.1"), policies, patterns, ("", "2.1.0")):
        yield situation(active and release(active), release(candidate, gates=gates, upgrade_from=upgrade_from), store,
                        newest=newest)


def k8s_rows():
    """Kubernetes before, in the release and on the site, under every matrix."""
    for before, target, installed, matrix, app_only, (active, candidate, rollback) in itertools.product(
            oracle.K8S, oracle.K8S, ["", *oracle.K8S], MATRICES, (False, True),
            (("1.3.5", "1.4.0", False), ("1.4.0", "1.3.5", True), (None, "1.4.0", False))):
        if active is None and before != "v1.31.6+k3s1":
            continue
        gates = {"compatibility": matrix} if matrix else {}
        yield situation(active and release(active, before, gates=gates), release(candidate, target, gates=gates),
                        installed=installed, app_only=app_only, rollback=rollback)


def site_rows():
    """What the site is, at several times of the week."""
    wants = [{}, {"maintenanceWindow": True}, {"backup": True}, {"maintenanceWindow": True, "backup": True}]
    for windows, now, outside, gates, hooks, (active, candidate, rollback) in itertools.product(
            WINDOWS, TIMES, ("", "security fix"), wants, HOOKS,
            (("1.3.5", "1.4.0", False), (None, "1.4.0", False), ("1.4.0", "1.3.5", True), ("1.4.0", "1.4.0", False))):
        yield situation(active and release(active), release(candidate, gates=gates), windows=windows, now=now,
                        outside=outside, hooks=hooks, rollback=rollback)
    for free, platform, platforms, active in itertools.product(
            (0, 20 * GIB - 1, 20 * GIB, 100 * GIB), ("linux/amd64", "linux/arm64", "linux/arm/v7"),
            (None, ["linux/amd64"], ["linux/arm64", "linux/amd64"]), ("1.3.0", "1.3.5", None)):
        gates = {"diskFree": 20 * GIB, **({"platforms": platforms} if platforms else {})}
        yield situation(active and release(active), release("1.4.0", gates=gates), disk_free=free, platform=platform)


def cluster_rows():
    """The cluster and the site's values before a step, and data that older releases cannot read after it."""
    for sick, why, bad, hooks, (active, candidate, rollback) in itertools.product(
            (False, True), ("", "it is the cure"), (False, True), HOOKS,
            (("1.3.5", "1.4.0", False), (None, "1.4.0", False), ("1.4.0", "1.3.5", True), ("1.4.0", "1.4.0", False))):
        yield situation(active and release(active), release(candidate), hooks=hooks, rollback=rollback, cluster_sick=sick,
                        unhealthy=why, values_bad=bad)
    marks = [None, "1.3.2", "1.3.5", "1.4.0", "1.4.2"]
    for live, middle, restore, active, candidate in itertools.product(
            marks, marks, (False, True), ("1.4.0", "1.4.2", "1.5.0"), ("1.3.0", "1.3.2", "1.3.5", "1.4.0")):
        def gates(mark):
            return {"pointOfNoReturn": mark} if mark else {}
        store = [release("1.3.5", gates=gates(middle)), release("2.0.0", gates={"pointOfNoReturn": "1.3.5"})]
        yield situation(release(active, gates=gates(live)), release(candidate), store, rollback=True, restore=restore)


def odd_rows():
    """Another product, numbers against versions, the live release revoked or broken."""
    for rollback, product, number in itertools.product((False, True), (PRODUCT, "other"), (1, 1005, 5000)):
        for active, candidate in itertools.permutations(("1.3.5", "1.4.0", "1.2.3"), 2):
            yield situation(release(active), release(candidate, product=product, number=number), rollback=rollback)
    for revoked, missing, rollback in itertools.product((False, True), (0, 3), (False, True)):
        live = release("1.4.0", revoked=revoked, missing=missing)
        for store in ([], [release("1.4.2"), release("1.3.5")]):
            yield situation(live, live, store, rollback=rollback)


def random_row(rnd):
    def some_release(version):
        gates = {"supportWindow": rnd.randint(1, 3), "compatibility": rnd.choice(MATRICES),
                 "requiredReleases": rnd.sample(oracle.ORDER, rnd.randint(0, 2)), "diskFree": rnd.choice((0, 20 * GIB)),
                 "backup": rnd.random() < 0.3, "maintenanceWindow": rnd.random() < 0.3}
        kept = {key: value for key, value in gates.items() if value and rnd.random() < 0.35}
        return release(version, rnd.choice(oracle.K8S_ORDER[1:5]), gates=kept, revoked=rnd.random() < 0.1,
                       missing=int(rnd.random() < 0.1),
                       upgrade_from=rnd.choice((None, ["1.x", "2.x"], ["1.x", "2.x"],
                                                rnd.sample(sorted(oracle.PATTERNS), 2))))
    store = [some_release(version) for version in rnd.sample(oracle.ORDER, rnd.randint(1, len(oracle.ORDER)))]
    active = rnd.choice([None, *store, *store])
    return situation(active, rnd.choice(store), store, rollback=rnd.random() < 0.2, app_only=rnd.random() < 0.2,
                     newest=rnd.choice(["", rnd.choice(oracle.ORDER)]),
                     installed=rnd.choice(["", "", *oracle.K8S_ORDER]), disk_free=rnd.choice((1, 100 * GIB)),
                     now=rnd.choice(TIMES), windows=rnd.choice(WINDOWS), outside=rnd.choice(("", "", "must be")),
                     hooks=rnd.choice(HOOKS))


def all_rows():
    rnd = random.Random(int(os.environ.get("BUNDLE_SEED", "1")))
    mixed = 200_000 if os.environ.get("BUNDLE_FULL") else 5_000
    yield from itertools.chain(version_rows(), policy_rows(), k8s_rows(), site_rows(), cluster_rows(), odd_rows())
    for _ in range(mixed):
        yield copy.deepcopy(random_row(rnd))


def to_program(row):
    """The windows go as the site.yaml that an operator would write."""
    yaml = f"apiVersion: bundle/v1\nkind: Site\nplatform: {row['platform']}\n"
    if row["windows"]:
        yaml += "maintenanceWindows:\n" + "".join(f"- {json.dumps(window)}\n" for window in row["windows"])
    return json.dumps({**row, "site_yaml": yaml})


def ask(program, rows):
    result = subprocess.run([program], input="".join(to_program(row) + "\n" for row in rows), text=True,
                            stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def main():
    rows = list(all_rows())
    answers = ask(sys.argv[1], rows)
    assert len(answers) == len(rows)
    wrong = 0
    seen = collections.Counter()
    alone = collections.Counter()
    for row, answer in zip(rows, answers):
        expected = oracle.verdict(row)
        seen.update(expected["failures"] or ["allowed"])
        seen.update(["next: " + expected["action"]])
        if len(expected["failures"]) == 1:
            alone.update(expected["failures"])
        if {**answer, "failures": sorted(answer["failures"])} != {**expected, "failures": sorted(expected["failures"])}:
            wrong += 1
            if wrong <= 3:
                print(f"situation {json.dumps(row)}\n  gate   {answer}\n  oracle {expected}")
    print(f"{len(rows)} situations, {wrong} answered differently")
    print(", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
    # A table that never asks a rule proves nothing about it.
    rules = ["product", "direction", "revoked", "complete", *oracle.VERSION_RULES, "platform", "disk",
             "maintenance-window", "backup", "preflight-hook"]
    idle = [rule for rule in rules if alone[rule] < 10 and rule != "backup"]
    idle += [name for name in ("allowed", "backup") if seen[name] < 100]
    if idle:
        print("too few situations for " + ", ".join(idle))
    return 1 if wrong or idle or len(rows) < 500 else 0


if __name__ == "__main__":
    sys.exit(main())
