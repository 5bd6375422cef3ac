"""The web application of the sample: pages and modules, some of which differ between releases."""

import hashlib
import json
import os

from .releases import PRODUCT, iso_time
from .tree import FileTree

SOURCE = os.path.join(os.path.dirname(__file__), "..", "web")

SERVER = """#!/bin/sh
# busybox httpd in the foreground; a read-only root file system is enough for it.
exec busybox httpd -f -p "${WEB_PORT:-8080}" -h /srv/www "$@"
"""


def module_source(number, revision):
    """A JavaScript module with a table in it: text that compresses like code, and differs by revision."""
    rows = [hashlib.sha256(f"{number}/{revision if row % 16 == 0 else 1}/{row}".encode()).hexdigest()[:24]
            for row in range(200)]
    body = "\n".join(f'  {{ id: "{number}-{row}", label: "Row {row} of module {number}", key: "{key}" }},'
                     for row, key in enumerate(rows))
    return (f"// Generated for the sample release: module {number}, revision {revision}.\n"
            f"export const rows = [\n{body}\n];\n\n"
            f"export function find(id) {{\n  return rows.find((row) => row.id === id);\n}}\n")


def app_tree(release):
    """The layer that a developer of the product would change from release to release."""
    tree = FileTree()
    tree.add_file("usr/local/bin/web-server", SERVER, 0o755)
    tree.add_whiteout("srv/www/placeholder.txt")
    for name in sorted(os.listdir(SOURCE)):
        with open(os.path.join(SOURCE, name), encoding="utf-8") as stream:
            tree.add_file(f"srv/www/{name}", stream.read().replace("@VERSION@", release.version))
    about = {"product": PRODUCT, "version": release.version, "built": iso_time(release.built)}
    tree.add_file("srv/www/version.json", json.dumps(about) + "\n")
    tree.add_file("srv/www/healthz", "ok\n")
    for number in release.web_modules:
        revision = 2 if number in release.web_changed else 1
        tree.add_file(f"srv/www/modules/module-{number:02}.js", module_source(number, revision))
    return tree


def arm64_notice_tree():
    """The arm64 image of the sample is there to be chosen or left out, not to be run: it says so."""
    tree = FileTree()
    tree.add_file("SAMPLE-STAND-IN.txt", "Stand-in for an arm64 image: static files only, nothing to run.\n")
    return tree
