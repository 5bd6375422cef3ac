"""A vendor with a trust folder and keys on several machines, made with the real tools; and its sites.

The vendor's clock is SOURCE_DATE_EPOCH, so that tests choose when something was signed.
"""

import json
import pathlib
import re
import shutil
import time

import small_release
import tools

DAY = 24 * 60 * 60
CHANNEL = "stable"


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Vendor:
    """Keys a, b, c (root, two of three needed), rel and rel2 (release), clock (timestamp), ci (carrier)."""

    def __init__(self, folder, now=None, release_threshold=1):
        self.folder = pathlib.Path(folder)
        self.trust = self.folder / "trust"
        self.now = now or int(time.time()) - DAY
        for name in ("a", "b", "c", "d", "rel", "rel2", "clock", "ci"):
            self.run("keygen", "--out", self.folder / name, "--no-password")
        releases = ["--release-key", self.pub("rel"), "--release-key", self.pub("rel2")]
        self.run("trust", "init", self.trust, *self.flags("--root-key", "a", "b", "c"), "--threshold", "root=2",
                 *releases, "--threshold", f"release={release_threshold}", "--timestamp-key", self.pub("clock"),
                 "--carrier-key", self.pub("ci"))
        self.sign_root("a", "b")

    def key(self, name):
        return self.folder / f"{name}.key"

    def pub(self, name):
        return self.folder / f"{name}.pub"

    def key_id(self, name):
        return re.search(r"([0-9A-F]{16})", self.pub(name).read_text())[1]

    def flags(self, option, *names):
        return [part for name in names for part in (option, self.pub(name))]

    def run(self, *command, check=0):
        return tools.run(tools.MAKE, *command, check=check, env={"SOURCE_DATE_EPOCH": str(self.now)})

    def json(self, *command):
        return json.loads(self.run(*command, "--json").stdout)

    def sign_root(self, *names):
        for name in names:
            self.run("trust", "sign", self.trust, "--key", self.key(name))

    def rotate(self, *signers, add=(), remove=()):
        """`add`: (role, key name); `remove`: key names."""
        self.run("trust", "rotate", self.trust)
        for role, name in add:
            self.run("trust", "add-key", self.trust, "--role", role, "--pub", self.pub(name))
        for name in remove:
            self.run("trust", "remove-key", self.trust, "--id", self.key_id(name))
        self.sign_root(*signers)

    def make(self, version, *signers, out=None, seed=1, carry=True):
        """A bundle signed by the release keys `signers` and the carrier key."""
        out = self.folder / (out or version)
        spec = self.folder / f"input-{version}" / "release.yaml"
        if not spec.exists():
            small_release.make_release(spec.parent, version=version, seed=seed, image_bytes=60_000, disk_bytes=1 << 16)
            with open(spec, "a") as file:
                file.write('upgradeFrom: ["1.0.x", "1.1.x"]\n')
        with_trust = ["--trust-dir", self.trust] if carry else []
        self.run("make", spec, "--out", out, "--fast", "--quiet", *with_trust)
        for name in (*signers, "ci"):
            self.run("sign", out, "--key", self.key(name), "--quiet")
        return out

    def promote(self, bundle, *options, key="clock"):
        self.run("promote", bundle, "--channel", CHANNEL, "--trust-dir", self.trust, "--key", self.key(key), *options)

    def revoke(self, *options, key="rel"):
        self.run("trust", "revoke", self.trust, "--key", self.key(key), *options)

    def root(self, version):
        return self.trust / f"{version}.root.json"


class Site:
    def __init__(self, folder, root=None):
        self.store = pathlib.Path(folder)
        if root:
            self.run("trust", "pin", root)

    def run(self, *command, check=0):
        return tools.run(tools.IMPORT, *command, "--store", self.store, check=check)

    def json(self, *command):
        return json.loads(self.run(*command, "--json").stdout)

    def refuse(self, error, *command):
        """Runs a command that must fail with this error; returns it."""
        result = tools.run(tools.IMPORT, *command, "--store", self.store, "--json")
        answer = json.loads(result.stdout)
        if answer.get("error") != error or result.returncode != answer["exit_status"]:
            raise AssertionError(f"{command}: {result.stdout}{result.stderr} instead of {error}")
        if not answer["hint"]:
            raise AssertionError(f"{command}: {answer['message']}: no hint")
        return answer

    def take(self, bundle, *options, activate=True):
        self.run("import", bundle, "--quiet", *options)
        version = json.loads((pathlib.Path(bundle) / "statement.json").read_text())["release_version"]
        if activate:
            self.run("activate", version)

    def trust(self):
        return self.json("trust", "show")

    def releases(self):
        return {entry["version"]: entry for entry in self.json("list")["releases"]}


def without(bundle, out, *patterns):
    """A copy of a bundle in which loose files and tails lack the files that match."""
    shutil.copytree(bundle, out)
    import bundle_parts  # beside the fault tests
    parts = bundle_parts.Bundle(out)
    for pattern in patterns:
        for path in list(pathlib.Path(out).glob(pattern)):
            path.unlink()
        parts.tail = {name: data for name, data in parts.tail.items() if not pathlib.PurePath(name).match(pattern)}
    parts.write()
    return pathlib.Path(out)
