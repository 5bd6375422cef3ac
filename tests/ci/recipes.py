"""The workflow files of docs/ci as data, and what is wrong with them.

A `Step` is a block of shell commands with the variables that it may use. `problems(...)` of each kind are lines for people.
"""

import functools
import pathlib
import re
import shlex
import subprocess
from typing import NamedTuple

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs" / "ci"
GITHUB, GITLAB = RECIPES / "github", RECIPES / "gitlab" / "gitlab-ci.yml"
# What runners set by themselves, and shells.
GIVEN = {"RUNNER_TEMP", "GITHUB_ENV", "GITHUB_OUTPUT", "HOME", "PATH"}
# Variables that an administrator sets; docs/ci/README.md has a row for each.
README = (RECIPES / "README.md").read_text()
SECRETS = ("COSIGN", "CARRIER", "RELEASE", "TIMESTAMP")


class Step(NamedTuple):
    where: str  # "build.yml, package"
    name: str
    text: str
    variables: set


class UniqueKeys(yaml.SafeLoader):
    """YAML as it is meant: a key that is there twice is a mistake, and `on` is a word."""


def construct_mapping(loader, node):
    seen = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.YAMLError(f"{key.start_mark}: {key.value} is there twice")
        seen.add(key.value)
    return {key.value: loader.construct_object(value, deep=True) for key, value in node.value}


UniqueKeys.add_constructor("tag:yaml.org,2002:map", construct_mapping)


def load(path):
    return yaml.load(path.read_text(), UniqueKeys)


def github_workflows():
    return {path.name: load(path) for path in sorted(GITHUB.glob("*.yml"))}


def github_steps():
    for file, workflow in github_workflows().items():
        for job_name, job in workflow["jobs"].items():
            written = set()  # by steps before, into GITHUB_ENV
            for step in job.get("steps", []):
                if "run" not in step:
                    continue
                variables = {*workflow.get("env", {}), *job.get("env", {}), *step.get("env", {}), *written}
                yield Step(f"{file}, {job_name}", step.get("name", ""), step["run"].strip(), variables)
                if "GITHUB_ENV" in step["run"]:
                    written |= {f"{name}_FILE" for name in step.get("env", {})}


def gitlab_jobs():
    document = load(GITLAB)
    reserved = {"workflow", "stages", "variables", "default", "include"}
    return document, {name: job for name, job in document.items() if name not in reserved and not name.startswith(".")}


def gitlab_steps():
    document, jobs = gitlab_jobs()
    by_rule = {name for rule in document["workflow"]["rules"] for name in rule.get("variables", {})}
    files = {f"{name}_{kind}_FILE" for name in SECRETS for kind in ("KEY", "PASSWORD")}
    by_hand = set(re.findall(r"\$([A-Z_]+)", str(document["workflow"]["rules"]))) - {"CI_COMMIT_TAG", "CI_PIPELINE_SOURCE"}
    for name, job in jobs.items():
        variables = {*document["variables"], *job.get("variables", {}), *by_rule, *files, *by_hand, *documented()}
        yield Step(f"gitlab-ci.yml, {name}", name, "\n".join(job["script"]).strip(), variables)


def documented():
    table = README.split("| variable | value |")[1].split("\n\n")[0]
    return set(re.findall(r"`([A-Z_]+)`", table))


def commands(text):
    """The simple commands of a script, as lists of words: enough for these files, which use no quoting across lines."""
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"\$\(", "\n", text)
    for line in text.splitlines():
        for part in re.split(r"(?:\|\||&&|[|;])(?=(?:[^'\"]|'[^']*'|\"[^\"]*\")*$)", line):
            part = re.sub(r"^\s*(?:do|then|else|if|!)\s+", "", part.strip())
            if not part or part.startswith("#"):
                continue
            try:
                yield shlex.split(part)
            except ValueError:
                yield part.split()


@functools.lru_cache(maxsize=None)
def help_options(program, words):
    """The options that --help of a command names. `words`: what follows the program, as a tuple."""
    command = [str(program)]
    for word in words:
        if word.startswith("-"):
            break
        trial = subprocess.run([*command, word, "--help"], capture_output=True, text=True, timeout=60)
        if trial.returncode != 0:
            break
        command.append(word)
    result = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        return None, command[1:]
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", result.stdout)), command[1:]


def command_problems(step, programs):
    """`programs`: name as the recipes write it -> file. Others must be those of every Unix."""
    plain = {"cmake", "git", "sed", "python3", "for", "do", "then", "else", "done", "fi", "umask", "printf", "echo", "rm", "ls", "continue", "[", "test"}
    for words in commands(step.text):
        if re.fullmatch(r"\w+=.*", words[0]) and len(words) == 1:
            continue
        name = words[0]
        if name in plain:
            continue
        if name not in programs:
            yield f"{step.where}: nobody knows the program {name}"
            continue
        if not programs[name].exists():
            yield f"{step.where}: there is no {name}"
            continue
        options, command = help_options(programs[name], tuple(word for word in words[1:3] if re.match(r"[a-z-]+$", word)))
        if options is None:
            yield f"{step.where}: {name} has no --help"
            continue
        if name.startswith("bundle-") and not command:
            yield f"{step.where}: {name} has no command {words[1]}"
        for word in words[1:]:
            option = re.match(r"--([a-z][a-z-]*)", word)
            if option and option[1] not in options:
                yield f"{step.where}: {' '.join([name, *command])} has no option --{option[1]}"


def variable_problems(step):
    assigned = set(re.findall(r"(?:^|\s|for )([A-Za-z_]\w*)(?:=| in )", step.text))
    for name in set(re.findall(r"\$\{?!?([A-Za-z_]\w*)", re.sub(r"'[^']*'", "", step.text))):
        if name not in step.variables | assigned | GIVEN:
            yield f"{step.where}: nothing sets ${name}"


def shell_problems(step):
    if "${{" in step.text:
        yield f"{step.where}: an expression in a script; give it as a variable, which cannot be code"
    result = subprocess.run(["bash", "-n"], input=step.text, capture_output=True, text=True)
    if result.returncode != 0:
        yield f"{step.where}: {result.stderr.strip()}"
    for line in step.text.splitlines():
        for name in SECRETS:
            if re.search(rf"(echo|printf)[^>]*\$\{{?{name}_(KEY|PASSWORD)\b(?!.*>)", line):
                yield f"{step.where}: prints a secret"


def github_problems(file, workflow):
    if workflow.get("permissions") != {"contents": "read"}:
        yield f"{file}: the token may do more than read"
    if workflow.get("defaults", {}).get("run", {}).get("shell") != "bash":
        yield f"{file}: without shell: bash a pipe hides failures"
    if "pull_request_target" in workflow["on"]:
        yield f"{file}: pull_request_target runs foreign code with secrets"
    jobs = workflow["jobs"]
    for name, job in jobs.items():
        where = f"{file}, {name}"
        for need in job.get("needs", []):
            if need not in jobs:
                yield f"{where}: needs {need}, which is no job"
        if "uses" in job:
            called = GITHUB / pathlib.Path(job["uses"]).name
            if not called.exists():
                yield f"{where}: calls {job['uses']}, which is not there"
            else:
                inputs = load(called)["on"]["workflow_call"]["inputs"]
                if set(job.get("with", {})) != set(inputs):
                    yield f"{where}: gives {sorted(job.get('with', {}))} to a workflow that takes {sorted(inputs)}"
            continue
        if not isinstance(job.get("timeout-minutes"), int):
            yield f"{where}: no time limit"
        yield from github_step_problems(where, job, jobs)


def uploads(job):
    return {step["with"]["name"] for step in job.get("steps", []) if "upload-artifact" in step.get("uses", "")}


def before(name, jobs):
    found = set(jobs[name].get("needs", [])) & set(jobs)
    return found.union(*(before(need, jobs) for need in found)) if found else found


def github_step_problems(where, job, jobs):
    name = where.split(", ")[1]
    writes_keys = False
    for step in job["steps"]:
        uses = step.get("uses")
        if uses and not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", uses):
            yield f"{where}: {uses} is not pinned to a commit"
        if uses and "checkout" in uses and step.get("with", {}).get("persist-credentials") is not False:
            yield f"{where}: the checkout leaves a token behind"
        if uses and "download-artifact" in uses:
            made = set().union(*(uploads(jobs[need]) for need in before(name, jobs)), set())
            if step["with"]["name"] not in made:
                yield f"{where}: nobody before it uploads {step['with']['name']}"
        if any("secrets." in str(value) for value in step.get("env", {}).values()):
            writes_keys = True
            if "umask 077" not in step["run"]:
                yield f"{where}: a key is written for all to read"
    if writes_keys:
        last = [step for step in job["steps"] if "run" in step][-1]
        if last.get("if") != "always()" or "rm -f" not in last["run"]:
            yield f"{where}: keys stay on the runner"
    if "secrets." in str(job.get("env", {})):
        yield f"{where}: a secret is there for every step"


def gitlab_problems():
    document, jobs = gitlab_jobs()
    stages = document["stages"]
    for name, job in jobs.items():
        where = f"gitlab-ci.yml, {name}"
        if job.get("stage") not in stages:
            yield f"{where}: stage {job.get('stage')} is not listed"
        for need in job.get("needs", []):
            if need not in jobs:
                yield f"{where}: needs {need}, which is no job"
            elif stages.index(jobs[need]["stage"]) > stages.index(job["stage"]):
                yield f"{where}: needs {need}, which comes later"
        if "extends" in job and job["extends"] not in document:
            yield f"{where}: extends {job['extends']}, which is not there"
        for key in ("timeout", "tags"):
            if not job.get(key):
                yield f"{where}: no {key}"
        if "publish-release.sh" in str(job["script"]) and job.get("resource_group") != "publication":
            yield f"{where}: two publications could run at once"
