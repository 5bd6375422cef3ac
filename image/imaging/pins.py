"""versions.pkrvars.hcl: the one file of versions and checksums, and what a build needs of it."""
import datetime
import pathlib
import re

from .failure import Failure

FILE = pathlib.Path(__file__).resolve().parent.parent / "versions.pkrvars.hcl"
# base: the pins that a build from it cannot do without.
NEEDED = {
    "ubuntu-iso": ["ubuntu_release", "ubuntu_iso_url", "ubuntu_iso_sha256", "ubuntu_base_date", "base_max_days",
                   "k3s_version", "packer_version", "packer_qemu_version"],
    "ubuntu-cloud": ["ubuntu_release", "ubuntu_cloud_image_url", "ubuntu_cloud_image_sha256", "ubuntu_base_date",
                     "base_max_days", "k3s_version", "packer_version", "packer_qemu_version"],
    "debian-test": ["debian_release", "k3s_version"],
}
FORMS = {
    "_sha256": (r"[0-9a-f]{64}", "64 hexadecimal digits"),
    "_url": (r"(?:https?|file)://\S+", "an address (https://, http:// or file://)"),
    "_date": (r"\d{4}-\d{2}-\d{2}", "a day like 2026-02-12"),
    "_days": (r"[1-9]\d{0,3}", "a number of days"),
    "k3s_version": (r"v\d+\.\d+\.\d+\+k3s\d+", "a k3s version like v1.31.6+k3s1"),
}


def read(path=FILE):
    """{name: (value, line number)}; nothing but NAME = "VALUE" lines and comments is taken."""
    pins = {}
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r'([a-z][a-z0-9_]*)\s*=\s*"([^"\\$]*)"', line)
        if not match:
            raise Failure(f"{path}, line {number}: not of the form NAME = \"VALUE\"", "Packer and imagectl read this file.")
        if match[1] in pins:
            raise Failure(f"{path}, line {number}: {match[1]} is there twice", "Remove one of the two lines.")
        pins[match[1]] = (match[2], number)
    return pins


def problems(pins, base):
    """What keeps a build from this base, one line each; empty: nothing."""
    for name in NEEDED[base]:
        if name not in pins:
            yield f"missing: {name}"
        elif not pins[name][0]:
            yield f"unpinned: {name} (line {pins[name][1]})"
        else:
            for suffix, (form, words) in FORMS.items():
                if name.endswith(suffix) and not re.fullmatch(form, pins[name][0]):
                    yield f"wrong: {name} (line {pins[name][1]}) is not {words}: {pins[name][0]}"


def age_problem(pins, today):
    """Why the base is too old for a new image (R18), or None."""
    published = datetime.date.fromisoformat(pins["ubuntu_base_date"][0])
    days, most = (today - published).days, int(pins["base_max_days"][0])
    if days > most:
        return f"stale: the base was published on {published}, {days} days ago; at most {most} are allowed"
    if days < 0:
        return f"wrong: ubuntu_base_date {published} is in the future"
    return None
