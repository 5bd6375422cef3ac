"""The release: found, verified and taken in by bundle-import, which has all of that logic; here it is called."""
import hashlib
import json
import os
import re

from . import media
from .context import replace
from .outcome import Failed, Refused, Wait

# The vendor's key or root that the image pins.
TRUST = "/usr/share/appliance/trust/vendor"
VOLUME_MISSING, VOLUME_FOREIGN, VOLUME_DUPLICATE, BUSY, NO_SPACE = 53, 55, 54, 8, 5
BLOCK = 1 << 20


def _answer(output):
    try:
        return json.loads(output)
    except ValueError:
        return {}


def status(context):
    """bundle-import status; a store that is not there is an empty one."""
    if not (context.store / "oci-layout").exists():
        return {"active": "", "releases": []}
    done = context.run("bundle-import", "status", "--store", context.store, "--json")
    return json.loads(done.stdout)


def active(context):
    return status(context).get("active") or ""


def _newest_complete(context):
    complete = [release for release in status(context)["releases"] if release["complete"] and not release.get("revoked")]
    return complete[-1]["version"] if complete else ""


def _import(context, sources, options, what):
    """One call of the importer; returns (status, its answer)."""
    code, output = context.run_with_progress(
        "bundle-import", "import", *sources, "--store", context.store, "--trust", context.path(TRUST), "--json", *options,
        show=lambda line: context.report.update(message=f"taking in the release from {what}: {line}"))
    return code, _answer(output)


def _explain(code, answer, what):
    """The outcome of a failed import, for the console."""
    message = answer.get("message") or f"bundle-import ended with status {code}"
    hint = answer.get("hint") or ""
    if code == VOLUME_MISSING:
        return Wait(f"{what}: {message}", hint or "Put in the stick with the next volume; this one may be taken out.")
    if code in (BUSY, NO_SPACE) or code < 30:
        return Failed(f"{what}: {message}", hint)
    return Refused(f"{what} is refused: {message}", f"{hint} Or put in another stick.".strip())


def from_media(context):
    """Imports from whatever is plugged in. True when a release is complete."""
    with context.media.open() as plugged:
        folders = media.bundle_folders(plugged)
        if not folders:
            return False
        context.report.update(state="working", message=f"reading volumes on {', '.join(map(str, folders))}", next="")
        # All of them together: a bundle may be cut over several. When they are of different bundles, one after the other.
        code, answer = _import(context, folders, [], "the stick")
        if code in (VOLUME_FOREIGN, VOLUME_DUPLICATE) and len(folders) > 1:
            for folder in folders:
                code, answer = _import(context, [folder], [], "the stick")
                if code == 0:
                    break
        if code == 0:
            return True
        raise _explain(code, answer, "The stick")


def _remote(context):
    """(address or folder, options, words) of the configured mirror and of the vendor's origin."""
    for key, words in (("mirror", "the site's mirror"), ("origin", "the vendor")):
        source = context.site.get("source", {}).get(key)
        if not source:
            continue
        if isinstance(source, str):
            source = {"address": source}
        options = ["--channel", source.get("channel", "stable")]
        if source.get("release"):
            options = ["--release", source["release"]]
        for name, option in (("ca", "--origin-ca"), ("credentials", "--origin-credentials")):
            if source.get(name):
                options += [option, context.path(source[name])]
        if source.get("limitRate"):
            options += ["--limit-rate", source["limitRate"]]
        yield source["address"], options, f"{words} ({source['address']})"


def from_network(context):
    """Imports from the mirror, else from the origin. True when a release is complete."""
    problem = None
    for address, options, words in _remote(context):
        context.report.update(state="working", message=f"asking {words}", next="")
        code, answer = _import(context, [address], options, words)
        if code == 0:
            return True
        problem = problem or _explain(code, answer, words)
    if problem:
        raise problem
    return False


def take_in(context):
    """A complete release in the store, from the first source that has one."""
    if _newest_complete(context):
        return f"{_newest_complete(context)} is in the store"
    refused = None
    try:
        if from_media(context):
            return f"{_newest_complete(context)} was taken in"
    except Wait as wait:
        refused = wait
    try:
        if from_network(context):
            return f"{_newest_complete(context)} was taken in"
    except Wait as wait:
        raise refused or wait from None
    raise refused or Wait("no release was found: no stick with *.bundle files, and no mirror or vendor is configured or answers",
                          "Put in the stick with the release. It is looked for every few seconds; nothing needs to be typed.")


def activate(context):
    live = active(context)
    if live:
        return f"{live} is live"
    version = _newest_complete(context)
    done = context.run("bundle-import", "activate", version, "--store", context.store, "--json", check=False, seconds=3600)
    if done.returncode != 0:
        raise _explain(done.returncode, _answer(done.stdout), f"Release {version}")
    return f"{version} is live"


# --- files of the live release ---------------------------------------------

def manifest(context):
    return json.loads((context.store / "releases" / active(context) / "manifest.json").read_text())


def copy_file(context, file, target, mode):
    """Copies a file of the release out of the store, hashed on the way; True when it was not there before.

    The manifest is covered by the vendor's signature, the file's bytes by the digest in it."""
    path, wanted = context.path(target), file["sha256"]
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise Failed(f"the manifest has no digest of {file['name']}")
    if path.is_file() and _digest(path) == wanted:
        os.chmod(path, mode)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.new")
    sha256 = hashlib.sha256()
    with open(context.store / "blobs/sha256" / wanted, "rb") as read, open(partial, "wb") as write:
        while piece := read.read(BLOCK):
            sha256.update(piece)
            write.write(piece)
        write.flush()
        os.fsync(write.fileno())
    if sha256.hexdigest() != wanted:
        partial.unlink()
        raise Refused(f"{file['name']} in the store does not match its signed digest",
                      "The store is damaged: put in the stick with this release; bundle-import verify names what is wrong.")
    os.chmod(partial, mode)
    replace(partial, path)
    return True


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def trust_is_pinned(context):
    if not context.path(TRUST).is_file():
        raise Failed("this image pins no trust root", "It was not made by build-image.sh; install a right one.")
