"""The rules of the gate, stated a second time and in another form.

Nothing is computed from version texts here: the versions that occur are listed in order, a pattern is the list of the
versions that it stands for, the minor that may follow a minor is a table, a maintenance window is a span of calendar
time. A situation is the JSON object that gate_table.cc reads; verdict() says what the gate must answer.
"""
import datetime

# Oldest first; the minor of each.
LADDER = {
    "1.0.0": "1.0", "1.1.0": "1.1", "1.2.0": "1.2", "1.2.3": "1.2", "1.3.0": "1.3", "1.3.2": "1.3", "1.3.5": "1.3",
    "1.4.0-rc.1": "1.4", "1.4.0": "1.4", "1.4.2": "1.4", "1.5.0": "1.5", "2.0.0": "2.0", "2.0.1": "2.0", "2.1.0": "2.1"}
ORDER = list(LADDER)
MINORS = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "2.0", "2.1"]
FOLLOWS = {"1.0": ["1.0", "1.1", "2.0"], "1.1": ["1.1", "1.2", "2.0"], "1.2": ["1.2", "1.3", "2.0"],
           "1.3": ["1.3", "1.4", "2.0"], "1.4": ["1.4", "1.5", "2.0"], "1.5": ["1.5", "2.0"], "2.0": ["2.0", "2.1"],
           "2.1": ["2.1"]}
# What is missing when a site of this minor is to reach a later one of major 1, and one of major 2.
MISSING = {"1.0": "1.1.x", "1.1": "1.2.x", "1.2": "1.3.x", "1.3": "1.4.x", "1.4": "1.5.x", "1.5": "1.6.x",
           "2.0": "2.1.x", "2.1": "2.2.x"}
PATTERNS = {
    "1.0.x": {"1.0.0"}, "1.1.x": {"1.1.0"}, "1.2.x": {"1.2.0", "1.2.3"}, "1.3.x": {"1.3.0", "1.3.2", "1.3.5"},
    "1.4.x": {"1.4.0", "1.4.2"}, "1.5.x": {"1.5.0"}, "2.0.x": {"2.0.0", "2.0.1"}, "1.3.5": {"1.3.5"},
    "2.x": {"2.0.0", "2.0.1", "2.1.0"},
    "1.x": {"1.0.0", "1.1.0", "1.2.0", "1.2.3", "1.3.0", "1.3.2", "1.3.5", "1.4.0", "1.4.2", "1.5.0"},
    ">=1.3.2 <1.4.0": {"1.3.2", "1.3.5"}, "1.4.0-rc.1": {"1.4.0-rc.1"}, ">1.2.0 <=1.4.0": {
        "1.2.3", "1.3.0", "1.3.2", "1.3.5", "1.4.0"}, "=1.2.3": {"1.2.3"}}
K8S = {"v1.30.9+k3s1": 30, "v1.31.6+k3s1": 31, "v1.31.6+k3s2": 31, "v1.31.9+k3s1": 31, "v1.32.1+k3s1": 32,
       "v1.33.0+k3s1": 33}
K8S_ORDER = list(K8S)
K8S_PATTERNS = {
    "1.30.x": {"v1.30.9+k3s1"}, "1.31.x": {"v1.31.6+k3s1", "v1.31.6+k3s2", "v1.31.9+k3s1"}, "1.32.x": {"v1.32.1+k3s1"},
    "1.33.x": {"v1.33.0+k3s1"}, "1.31.6": {"v1.31.6+k3s1", "v1.31.6+k3s2"}, ">=1.31.9 <1.33.0": {
        "v1.31.9+k3s1", "v1.32.1+k3s1"}, "1.x": set(K8S)}
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
VERSION_RULES = ["sequential", "required-release", "upgrade-from", "support-window", "k8s-downgrade", "k8s-skew",
                 "k8s-matrix"]


def clock(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def is_open(windows, now):
    """Each window as a span of calendar time that began today or yesterday."""
    for window in windows:
        for day in (now.date(), now.date() - datetime.timedelta(days=1)):
            if DAYS[day.weekday()] not in window.get("days", DAYS):
                continue
            begin = datetime.datetime.combine(day, datetime.time.fromisoformat(window["from"]))
            end = datetime.datetime.combine(day, datetime.time.fromisoformat(window["to"]))
            if end <= begin:
                end += datetime.timedelta(days=1)
            if begin <= now < end:
                return True
    return False


class Situation:
    def __init__(self, row):
        self.row = row
        self.releases = {release["version"]: release for release in row["store"]}
        self.candidate = self.releases[row["candidate"]]
        self.active = self.releases.get(row["active"])
        heard_of = [r["version"] for r in row["store"] if r["product"] == self.candidate["product"]]
        self.heard_of = heard_of + [row["newest"]] * bool(row["newest"])

    # --- order ---

    @staticmethod
    def older(a, b):
        return a["number"] < b["number"] or ORDER.index(a["version"]) < ORDER.index(b["version"])

    def distance(self, older, newer):
        """Minors after the one and up to the other; of an earlier major those that anybody has heard of here."""
        first, last = MINORS.index(LADDER[older]), MINORS.index(LADDER[newer])
        heard = [MINORS.index(LADDER[version]) for version in self.heard_of]
        counted = 0
        for at in range(first + 1, last + 1):
            major = MINORS[at][0]
            of_this_major = [h for h in heard if MINORS[h][0] == major]
            counted += major == LADDER[newer][0] or (bool(of_this_major) and at <= max(of_this_major))
        return counted

    # --- Kubernetes ---

    def runs_now(self):
        return self.row["installed"] or (self.active["k8s"] if self.active else None)

    @staticmethod
    def runs_on(matrix, version, k8s):
        if not matrix:
            return True
        return any(version in PATTERNS[line["app"]] and any(k8s in K8S_PATTERNS[p] for p in line["k8s"])
                   for line in matrix)

    # --- a step between two releases ---

    def broken_by_step(self, old, new, k8s_before):
        old_version, new_version, gates = old["version"], new["version"], new["gates"]
        k8s_after = k8s_before if self.row["app_only"] else new["k8s"]
        matrix = gates.get("compatibility", [])
        either_order = (self.runs_on(matrix, new_version, k8s_before) or self.runs_on(matrix, old_version, k8s_after))
        between = ORDER[ORDER.index(old_version) + 1:ORDER.index(new_version)]
        broken = {
            "sequential": LADDER[new_version] not in FOLLOWS[LADDER[old_version]],
            "required-release": any(version in between for version in gates.get("requiredReleases", [])),
            "upgrade-from": not any(old_version in PATTERNS[pattern] for pattern in new["upgrade_from"]),
            "support-window": self.distance(old_version, new_version) > gates.get("supportWindow", 2),
            "k8s-downgrade": K8S_ORDER.index(k8s_after) < K8S_ORDER.index(k8s_before),
            "k8s-skew": K8S[k8s_after] - K8S[k8s_before] > 1,
            "k8s-matrix": not (self.runs_on(matrix, new_version, k8s_after) and either_order),
        }
        return [rule for rule in VERSION_RULES if broken[rule]]

    # --- the site ---

    def window_matters(self):
        return self.candidate["gates"].get("maintenanceWindow", False) or bool(self.row["windows"])

    def window_open(self):
        now = clock(self.row["now"])
        return now >= clock(self.row["floor"]) and is_open(self.row["windows"], now)

    def backup_hooks(self):
        return [hook for hook in self.row["hooks"] if "backup" in hook["name"]]

    def broken_by_site(self, release, kind):
        gates = release["gates"]
        broken = []
        if kind in ("first", "upgrade"):
            if "platforms" in gates and self.row["platform"] not in gates["platforms"]:
                broken.append("platform")
            if self.row["disk_free"] < gates.get("diskFree", 0):
                broken.append("disk")
        if kind == "upgrade":
            if self.window_matters() and not self.window_open() and not self.row["outside"]:
                broken.append("maintenance-window")
            if self.row["cluster_sick"] and not self.row["unhealthy"]:
                broken.append("cluster-health")
            if self.row["values_bad"]:
                broken.append("site-values")
            if gates.get("backup"):
                good = [hook for hook in self.backup_hooks() if hook["state"] in ("passed", "not_run")]
                if not good:
                    broken.append("backup")
            if any(hook["state"] in ("failed", "timed_out") for hook in self.row["hooks"]):
                broken.append("preflight-hook")
        return broken

    # --- all rules ---

    def kind(self, release):
        if not self.active:
            return "rollback" if self.row["rollback"] else "first"
        if (self.active["version"], self.active["product"]) == (release["version"], release["product"]):
            return "again"
        return "rollback" if self.row["rollback"] else "upgrade"

    def broken(self, release):
        kind = self.kind(release)
        no_step = []
        if kind in ("upgrade", "rollback"):
            if self.active and self.active["product"] != release["product"]:
                no_step.append("product")
            if not self.active or self.older(release, self.active) != self.row["rollback"]:
                no_step.append("direction")
        broken = no_step + ["revoked"] * release["revoked"] + ["complete"] * (release["missing"] > 0)
        if no_step:
            return broken
        version = release["version"]
        if kind == "first":
            newest = max((r for r in self.releases.values() if r["product"] == release["product"]),
                         key=lambda r: ORDER.index(r["version"]))
            best = max(self.heard_of, key=ORDER.index)
            if self.distance(version, best) > newest["gates"].get("supportWindow", 1000):
                broken.append("support-window")
            k8s = self.row["installed"] if self.row["app_only"] and self.row["installed"] else release["k8s"]
            if not self.runs_on(release["gates"].get("compatibility", []), version, k8s):
                broken.append("k8s-matrix")
        if kind == "rollback":
            gates = self.active["gates"]
            if self.distance(version, self.active["version"]) > gates.get("supportWindow", 2):
                broken.append("support-window")
            if not self.runs_on(gates.get("compatibility", []), version, self.runs_now()):
                broken.append("k8s-matrix")
            if self.no_way_back(version) and not self.row["restore"]:
                broken.append("point-of-no-return")
        if kind == "upgrade":
            broken += self.broken_by_step(self.active, release, self.runs_now())
        return broken + self.broken_by_site(release, kind)

    def no_way_back(self, version):
        """A release that is not newer than the live one says that older data ends between the two."""
        live = ORDER.index(self.active["version"])
        marks = [ORDER.index(r["gates"]["pointOfNoReturn"]) for r in self.releases.values()
                 if "pointOfNoReturn" in r["gates"] and r["product"] == self.active["product"] and
                 not self.older(self.active, r)]
        return any(ORDER.index(version) < mark <= live for mark in marks)

    # --- what to do instead ---

    def next_step(self, broken):
        version, kind = self.candidate["version"], self.kind(self.candidate)
        if not broken:
            return "", ""
        if "product" in broken:
            return "ask-vendor", ""
        if "direction" in broken:
            return ("activate" if self.row["rollback"] else "rollback"), version
        if kind == "upgrade" and "revoked" in broken:
            return self.instead()
        if kind != "upgrade" and ("revoked" in broken or "support-window" in broken or
                                  (kind == "rollback" and "k8s-matrix" in broken)):
            return self.other_of_the_kind(kind)
        if kind == "upgrade" and any(rule in VERSION_RULES for rule in broken):
            return self.on_the_way()
        if broken[0] == "maintenance-window":
            no_clock = clock(self.row["now"]) < clock(self.row["floor"])
            return ("fix-site" if no_clock or not self.row["windows"] else "wait"), ""
        return {"complete": ("import", version), "platform": ("ask-vendor", ""), "disk": ("free-space", ""),
                "backup": ("fix-site", ""), "preflight-hook": ("fix-site", ""),
                "k8s-matrix": ("ask-vendor", ""), "cluster-health": ("fix-site", ""),
                "site-values": ("fix-site", ""), "point-of-no-return": ("restore", "")}[broken[0]]

    def others(self):
        return [r for r in self.releases.values() if r["product"] == self.candidate["product"] and
                r["version"] != self.candidate["version"] and not r["revoked"] and not r["missing"]]

    def instead(self):
        fit = [r["version"] for r in self.others() if r is not self.active and not self.older(r, self.active) and
               not self.broken_by_step(self.active, r, self.runs_now())]
        return ("activate", max(fit, key=ORDER.index)) if fit else ("import", "")

    def other_of_the_kind(self, kind):
        fit = [r["version"] for r in self.others() if self.kind(r) == kind and not self.broken(r)]
        verb = "rollback" if kind == "rollback" else "activate"
        return (verb, max(fit, key=ORDER.index)) if fit else ("import", "")

    def on_the_way(self):
        start, goal = self.active, self.candidate
        stops = [r for r in self.others() if r is not start and not self.older(r, start) and not self.older(goal, r)]

        def broken(old, new):
            before = self.runs_now() if old is start or self.row["app_only"] else old["k8s"]
            return self.broken_by_step(old, new, before)

        def after(release):
            return [r for r in stops + [goal] if r is not release and not self.older(r, release) and
                    not broken(release, r)]

        known = {}

        def steps(release, target):
            """How many steps from one release to the other; 99: there is no way."""
            key = release["version"], target["version"]
            if key not in known:
                known[key] = 0 if release is target else min([99] + [1 + steps(r, target) for r in after(release)])
            return known[key]

        def first_of(target):
            best = [r["version"] for r in after(start) if 1 + steps(r, target) == steps(start, target)]
            return max(best, key=ORDER.index)

        if steps(start, goal) < 99:
            return "activate", first_of(goal)
        ahead = [r for r in stops if LADDER[r["version"]] != LADDER[start["version"]] and steps(start, r) < 99]
        if ahead:
            return "activate", first_of(max(ahead, key=lambda r: ORDER.index(r["version"])))
        return self.to_import(broken(start, goal)[0])

    def to_import(self, first_broken):
        start, goal = self.active["version"], self.candidate["version"]
        span = ORDER[ORDER.index(start) + 1:ORDER.index(goal)]
        required = [version for version in span if version in self.candidate["gates"].get("requiredReleases", [])]
        if first_broken in ("sequential", "support-window"):
            if required and LADDER[required[0]] in FOLLOWS[LADDER[start]]:
                return "import", required[0]
            other_major = LADDER[start][0] != LADDER[goal][0]
            return "import", MISSING[LADDER[start]] + (" or 2.0.x" if other_major else "")
        if first_broken == "required-release":
            return "import", required[0]
        if first_broken == "upgrade-from" and self.candidate["upgrade_from"]:
            return "import", " or ".join(self.candidate["upgrade_from"])
        return ("import", "") if first_broken == "k8s-skew" else ("ask-vendor", "")


def verdict(row):
    situation = Situation(row)
    broken = situation.broken(situation.candidate)
    action, version = situation.next_step(broken)
    outside = (not broken and situation.kind(situation.candidate) == "upgrade" and situation.window_matters() and
               not situation.window_open())
    return {"allowed": not broken, "failures": broken, "action": action, "version": version, "outside": outside}
