"""Configuration and secrets of the site: from a cloud-init seed, a config stick, or the console.

The one file is /etc/bundle/appliance.yaml. A seed writes it (write_files), a stick labelled APPCONFIG carries it as
appliance.yaml with a folder secrets/, appliance-setup asks for it. Without any the defaults make a site that serves itself.
Values of secrets are in files of /etc/bundle/secrets, and nowhere else.
"""
import os
import re

from . import media
from .outcome import Refused

FILE = "/etc/bundle/appliance.yaml"
SECRETS = "/etc/bundle/secrets"
MOST_BYTES = 64 << 10
MOST_SECRETS = 64
# key: (type, keys below it)
SOURCE = {"address": str, "channel": str, "release": str, "ca": str, "credentials": str, "limitRate": str}
KEYS = {
    "apiVersion": str, "kind": str,
    "source": {"mirror": (str, SOURCE), "origin": (str, SOURCE)},
    "registry": {"listen": str, "endpoint": str, "names": list},
    "k3s": {"config": dict},
    "healthSeconds": int,
}


def _check(value, keys, place):
    """Throws when the document has a key that nobody reads: a mistyped one must not be lost."""
    if not isinstance(value, dict):
        raise Refused(f"{place} is not a table of keys", "docs/image.md has an example.")
    for key, found in value.items():
        if key not in keys:
            raise Refused(f"{place} has the unknown key {key!r}", f"Known are: {', '.join(keys)}.")
        wanted = keys[key]
        if isinstance(wanted, tuple) and isinstance(found, str):
            continue
        if isinstance(wanted, (dict, tuple)):
            _check(found, wanted if isinstance(wanted, dict) else wanted[1], f"{place}, {key}")
        elif not isinstance(found, wanted):
            raise Refused(f"{place}: {key} has the wrong type", f"It must be {wanted.__name__}.")


def parse(text, name):
    import yaml
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise Refused(f"{name}{f', line {place.line + 1}' if place else ''}: no right YAML",
                      "Correct the file and put the stick in again.") from None
    _check(document, KEYS, name)
    if document and (document.get("apiVersion"), document.get("kind")) != ("bundle/v1", "Appliance"):
        raise Refused(f"{name} does not begin with apiVersion: bundle/v1 and kind: Appliance", "docs/image.md has an example.")
    return document


def _take_from_stick(context, folder):
    """Copies the configuration of a stick; a wrong one changes nothing."""
    file = folder / "appliance.yaml"
    if file.stat().st_size > MOST_BYTES:
        raise Refused(f"{file.name} on the config stick is larger than {MOST_BYTES >> 10} KiB", "It is no configuration.")
    text = file.read_text()
    parse(text, "appliance.yaml on the config stick")
    secrets = sorted((folder / "secrets").iterdir()) if (folder / "secrets").is_dir() else []
    if len(secrets) > MOST_SECRETS:
        raise Refused(f"the config stick has more than {MOST_SECRETS} secrets", "Is it the right stick?")
    for secret in secrets:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", secret.name) or secret.stat().st_size > MOST_BYTES:
            raise Refused(f"the config stick has a secret with an unusable name or size: {secret.name[:64]!r}",
                          "Letters, digits, dots and dashes; at most 64 KiB.")
        context.write(f"{SECRETS}/{secret.name}", secret.read_bytes(), 0o600)
    return context.write(FILE, text, 0o600)


def configure(context):
    """Reads the site's configuration into context.site."""
    folder = context.path(SECRETS)
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)
    taken = ""
    with context.media.open() as plugged:
        for place, label in plugged:
            if (place / "appliance.yaml").is_file() and (label == media.CONFIG_LABEL or not label):
                taken = " from the config stick" if _take_from_stick(context, place) else ""
                break
    file = context.path(FILE)
    if file.is_file():
        os.chmod(file, 0o600)
        context.site = parse(file.read_text(), FILE)
        return f"the site's configuration is read{taken}"
    return "no configuration: the defaults are used"


def setting(context, *keys, default=None):
    value = context.site
    for key in keys:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    return value if value not in ({}, None) else default
