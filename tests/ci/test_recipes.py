"""The CI recipes of docs/ci: well-formed, with commands that exist, the same for both systems, and doing what they say."""

import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import small_release  # noqa: E402
import tools  # noqa: E402

try:
    import recipes
except ImportError as error:  # PyYAML
    raise unittest.SkipTest(f"{error.name} is not installed (python3-yaml)") from error

ROOT = recipes.ROOT
PROGRAMS = {"bundle-make": tools.MAKE, "bundle-import": tools.IMPORT,
            "publish-release.sh": ROOT / "scripts" / "publish-release.sh",
            **{f"image/{name}": ROOT / "image" / name for name in ("build-image.sh", "imagectl", "make-packages.sh")}}


def all_steps():
    return [*recipes.github_steps(), *recipes.gitlab_steps()]


class Form(unittest.TestCase):
    def check(self, problems):
        self.assertEqual(sorted(set(problems)), [])

    def test_github(self):
        workflows = recipes.github_workflows()
        self.assertEqual(set(workflows), {"build.yml", "nightly.yml", "promote.yml", "release.yml"})
        for file, workflow in workflows.items():
            self.check(recipes.github_problems(file, workflow))

    def test_gitlab(self):
        self.check(recipes.gitlab_problems())

    def test_scripts(self):
        steps = all_steps()
        self.assertGreater(len(steps), 20)
        for step in steps:
            self.check(recipes.shell_problems(step))
            self.check(recipes.variable_problems(step))

    def test_commands_and_options_exist(self):
        for step in all_steps():
            self.check(recipes.command_problems(step, PROGRAMS))

    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not installed")
    def test_shellcheck(self):
        for step in all_steps():
            result = subprocess.run(["shellcheck", "-s", "bash", "-S", "warning", "-"], input=step.text, capture_output=True,
                                    text=True)
            self.assertEqual(result.returncode, 0, f"{step.where}: {result.stdout}")

    def test_both_systems_run_the_same(self):
        github = {step.name: step.text for step in recipes.github_steps() if step.name not in ("", "keys", "forget the keys")}
        gitlab = {step.name: step.text for step in recipes.gitlab_steps()}
        self.assertEqual(github, gitlab)

    def test_the_readme_names_every_stage_variable_and_secret(self):
        _, jobs = recipes.gitlab_jobs()
        for name in jobs:
            self.assertIn(f"`{name}`", recipes.README)
        used = {name for step in recipes.github_steps() for name in step.variables}
        for text in (path.read_text() for path in recipes.GITHUB.glob("*.yml")):
            for name in set(recipes.re.findall(r"(?:vars|secrets)\.([A-Z_]+)", text)):
                self.assertIn(f"`{name}`", recipes.README)
                self.assertIn(name, used | {"RELEASE_LINE"})


class TheCheckItself(unittest.TestCase):
    """A check that cannot fail is none: planted mistakes."""

    def problems(self, text, check=lambda step: recipes.command_problems(step, PROGRAMS), variables=()):
        return list(check(recipes.Step("x.yml, job", "name", text, set(variables))))

    def test_commands(self):
        self.assertEqual(self.problems("bundle-make verify out --trust a --rebuild"), [])
        for bad in ("bundle-make verify out --rebuilt", "bundle-make publihs out", "bundle-mke make", "image/nothing.sh --out x",
                    "publish-release.sh --chanel a", "x=$(bundle-make inspect out --yaml | sed p)",
                    "for a in b; do bundle-import import --stor x; done"):
            self.assertEqual(len(self.problems(bad)), 1, bad)

    def test_scripts(self):
        self.assertEqual(len(self.problems('echo "${{ inputs.version }}"', recipes.shell_problems)), 1)
        self.assertEqual(len(self.problems("if true; then", recipes.shell_problems)), 1)
        self.assertEqual(len(self.problems('echo "$CARRIER_KEY"', recipes.shell_problems)), 1)
        self.assertEqual(len(self.problems('echo "$WHAT"', recipes.variable_problems)), 1)
        self.assertEqual(self.problems('a=1; echo "$a $B"', recipes.variable_problems, ["B"]), [])

    def test_workflows(self):
        for change in (lambda w: w.update(permissions={"contents": "write"}), lambda w: w.pop("defaults"),
                       lambda w: w["jobs"]["smoke"].update(needs=["nothing"]),
                       lambda w: w["jobs"]["smoke"].pop("timeout-minutes"),
                       lambda w: w["jobs"]["image"]["steps"][0].update(uses="actions/checkout@v4"),
                       lambda w: w["jobs"]["image"]["steps"][0].pop("with"),
                       lambda w: w["jobs"]["try"].update(needs=["package"]),
                       lambda w: w["jobs"]["package"]["steps"].pop(-2)):
            workflow = recipes.github_workflows()["build.yml"]
            change(workflow)
            self.assertNotEqual(list(recipes.github_problems("build.yml", workflow)), [])


@unittest.skipUnless(shutil.which("git"), "git is not installed")
class Executed(unittest.TestCase):
    """From packaging to promotion: the blocks as they are in the files, with the real programs."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-ci-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.environment = {"RUNNER_TEMP": str(cls.folder / "temp"), "ORIGIN": str(cls.folder / "origin"),
                           "TRUST_REPOSITORY": str(cls.folder / "trust.git"), "IMAGE_BASE": "ubuntu-iso",
                           "BUILD_ID": "7", "BUILDER": "https://ci.example.com/job/1", "CHANNELS": "candidate stable", "PRODUCT": "test-appliance"}
        (cls.folder / "temp").mkdir()
        cls.make_keys()
        cls.make_trust()
        cls.make_programs()

    @classmethod
    def make_keys(cls):
        for role in ("root", "release", "carrier", "timestamp"):
            (cls.folder / f"{role}.pw").write_text(f"of {role}\n")
            tools.run(tools.MAKE, "keygen", "--out", cls.folder / role, "--password-file", cls.folder / f"{role}.pw", check=0)
            cls.environment[f"{role.upper()}_KEY_FILE"] = str(cls.folder / f"{role}.key")
            cls.environment[f"{role.upper()}_PASSWORD_FILE"] = str(cls.folder / f"{role}.pw")
        key = cls.folder / "cosign.key"
        tools.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass",
                  "pass:of cosign", "-out", key, check=0)
        (cls.folder / "cosign.pw").write_text("of cosign\n")
        cls.environment.update(COSIGN_KEY_FILE=str(key), COSIGN_PASSWORD_FILE=str(cls.folder / "cosign.pw"))

    @classmethod
    def make_trust(cls):
        work = cls.folder / "trust-work"
        roles = [part for role in ("root", "release", "carrier", "timestamp")
                 for part in (f"--{role}-key", cls.folder / f"{role}.pub")]
        tools.run(tools.MAKE, "trust", "init", work, *roles, check=0)
        tools.run(tools.MAKE, "trust", "sign", work, "--key", cls.folder / "root.key", "--password-file", cls.folder / "root.pw",
                  check=0)
        names = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                 for what, value in (("NAME", "CI"), ("EMAIL", "ci@example.com"))}
        cls.environment.update(names, GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull)
        for command in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "root 1"]):
            tools.run("git", "-C", work, *command, check=0, env=cls.environment)
        tools.run("git", "clone", "-q", "--bare", work, cls.folder / "trust.git", check=0, env=cls.environment)

    @classmethod
    def make_programs(cls):
        programs = cls.folder / "bin"
        programs.mkdir()
        for name in ("bundle-make", "bundle-import", "publish-release.sh"):
            (programs / name).symlink_to(PROGRAMS[name])
        cls.environment["PATH"] = f"{programs}:{os.environ['PATH']}"

    def repository(self, version):
        """A clone of the vendor's repository as the job `package` finds it, after the image was built."""
        folder = self.folder / f"work-{version}"
        release = small_release.make_release(folder, version=version, image_bytes=60_000, disk_bytes=1 << 19)
        text = release.read_text().replace(f"releaseVersion: {version}", "releaseVersion: @VERSION@")
        text = text.replace("{base: ubuntu-24.04,", "{base: ubuntu-24.04, basePolicy: {built: @BASE_DATE@, maxAgeDays: 30},")
        (folder / "release.yaml.in").write_text(text + 'signatures: signatures\nupgradeFrom: ["1.0.x"]\n')
        release.unlink()
        shutil.copytree(ROOT / "image", folder / "image")
        pins = folder / "image" / "versions.pkrvars.hcl"
        day = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=10)).date().isoformat()
        lines = [f'ubuntu_base_date = "{day}"' if line.startswith("ubuntu_base_date") else line
                 for line in pins.read_text().splitlines()]
        pins.write_text("\n".join(lines) + "\n")
        return folder

    def run_step(self, name, folder, **variables):
        text = next(step.text for step in recipes.gitlab_steps() if step.name == name)
        shutil.rmtree(folder / "trust", ignore_errors=True)  # each job has a fresh clone
        return tools.run("bash", "-eo", "pipefail", "-c", text, check=0, cwd=folder, env={**self.environment, **variables})

    def at(self, channel):
        store = pathlib.Path(tempfile.mkdtemp(dir=self.folder), "store")
        report = tools.run(tools.IMPORT, "import", self.folder / "origin", "--channel", channel, "--store", store, "--trust",
                           self.folder / "trust-work" / "1.root.json", "--quiet", "--json", check=0)
        return json.loads(report.stdout)["version"]

    def history(self):
        log = tools.run("git", "-C", self.folder / "trust.git", "log", "--format=%s", check=0, env=self.environment)
        return log.stdout.splitlines()

    def test_package_to_promotion(self):
        for version in ("1.0.0", "1.0.1"):
            folder = self.repository(version)
            variables = {"VERSION": version, "CHANNEL": "candidate"}
            for name in ("package", "sign", "try", "publish"):
                self.run_step(name, folder, **variables)
            manifest = json.loads((folder / "out" / "manifest.json").read_text())
            self.assertEqual(manifest["os"]["basePolicy"]["maxAgeDays"], 30)
            self.assertEqual(self.at("candidate"), version)
        releases = tools.tree_digest(self.folder / "origin" / "releases")
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        self.run_step("promote", elsewhere, FROM="candidate", CHANNEL="stable")
        self.run_step("renew", elsewhere)
        self.assertEqual(self.at("stable"), "1.0.1")
        self.assertEqual(tools.tree_digest(self.folder / "origin" / "releases"), releases)
        self.assertEqual(self.history(), ["pointers renewed", "channel stable: what candidate stands at",
                                          "channel candidate: 1.0.1", "channel candidate: 1.0.0", "root 1"])


if __name__ == "__main__":
    unittest.main()
