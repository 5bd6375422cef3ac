"""The sample's container images: web, redis and postgres on one shared Debian base layer."""

import base64
import concurrent.futures
import dataclasses
import json
import os
import re

from . import web
from .debs import read_control, unpack_data
from .oci import CONFIG, MANIFEST, to_json
from .releases import BASE_BUILT, POSTGRES_BUILT, REGISTRY, iso_time
from .tools import SampleError
from .tree import FileTree

BASE_PACKAGES = ("base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep", "hostname", "libc-bin",
                 "mawk", "netbase", "sed")
WEB_PACKAGES = ("busybox-static", "libjs-bootstrap", "libjs-jquery")
REDIS_ID, POSTGRES_ID, WEB_ID = 999, 999, 33     # as in the well-known images; 33 is Debian's www-data
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclasses.dataclass(frozen=True)
class ImageRef:
    """An image of the release: the name nodes ask for, and its tag in the layout."""

    name: str
    ref: str


class Packages:
    """Package sets as file trees, each package unpacked once per run."""

    def __init__(self, source, work):
        self._source, self._work = source, work
        self._controls = {}

    def prepare(self, names_of_sets):
        """Work out several closures, fetch all their packages at once, and unpack them."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:  # the work is in apt and dpkg-deb
            closures = list(pool.map(self._source.closure, names_of_sets))
            debs = sorted(set().union(*closures))
            self._source.fetch(debs)
            for deb, control in zip(debs, pool.map(self._unpack, debs)):
                self._controls[deb] = control
        return closures

    def tree(self, debs, below=()):
        """The files of some packages, with dpkg's record of them and of the packages in the layers below."""
        tree = FileTree()
        for deb in debs:
            listed = tree.add_archive(self._data(deb))
            info = f"var/lib/dpkg/info/{deb.name}"
            tree.add_file(info + ".list", "\n".join(listed) + "\n")
            tree.add_file(info + ".md5sums", self._controls[deb].md5sums)
        everything = sorted({*debs, *below})
        tree.add_file("var/lib/dpkg/status", "\n".join(self._controls[deb].status for deb in everything))
        return tree

    def _data(self, deb):
        return os.path.join(self._work, deb.filename + ".tar")

    def _unpack(self, deb):
        unpack_data(self._source.path(deb), self._data(deb))
        return read_control(self._source.path(deb))


def base_tree(packages, debs):
    """A minimal Debian; what the maintainer scripts of these packages would have made is made here."""
    tree = FileTree()
    tree.add_merged_usr()
    tree.update(packages.tree(debs))
    for name in ("passwd", "group"):
        tree.add_file(f"etc/{name}", tree.read(f"usr/share/base-passwd/{name}.master"))
    tree.add_symlink("usr/bin/sh", "dash")
    tree.add_symlink("usr/bin/awk", "mawk")
    tree.add_symlink("var/run", "/run")
    tree.add_symlink("var/lock", "/run/lock")
    tree.add_dir("run/lock", 0o1777)
    tree.add_file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    return tree


def add_user(tree, base, name, number, home):
    """Add a system user to the base's account files."""
    tree.add_file("etc/passwd", base.read("etc/passwd").decode() + f"{name}:x:{number}:{number}::{home}:/bin/sh\n")
    tree.add_file("etc/group", base.read("etc/group").decode() + f"{name}:x:{number}:\n")


REDIS_ENTRYPOINT = """#!/bin/sh
# Give up root before the server starts; options alone mean "redis-server with these options".
set -eu
case "${1:--}" in -*) set -- redis-server "$@" ;; esac
case " $* " in *" --version "*|*" --help "*) exec "$@" ;; esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    exec chroot --userspec=redis:redis --skip-chdir / "$@"
fi
exec "$@"
"""

POSTGRES_ENTRYPOINT = """#!/bin/sh
# Make the database on first start, then run the server; never as root, which postgres refuses.
set -eu
case "${1:--}" in -*) set -- postgres "$@" ;; esac
case " $* " in *" --version "*|*" --help "*) exec "$@" ;; esac
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA"
    exec chroot --userspec=postgres:postgres --skip-chdir / "$0" "$@"
fi
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?set it: the image has no password of its own}"
    umask 077
    printf '%s\\n' "$POSTGRES_PASSWORD" > "$PGDATA.password"
    initdb --pgdata="$PGDATA" --username=postgres --auth-local=trust --auth-host=scram-sha-256 \\
        --pwfile="$PGDATA.password" --locale=C.UTF-8 >&2
    rm -f "$PGDATA.password"
    printf 'host all all all scram-sha-256\\n' >> "$PGDATA/pg_hba.conf"
fi
exec "$@"
"""


def redis_tree(packages, base, debs, base_debs):
    """The redis server and a data directory."""
    tree = packages.tree([deb for deb in debs if deb not in base_debs], below=debs)
    add_user(tree, base, "redis", REDIS_ID, "/data")
    tree.add_dir("data", 0o750, REDIS_ID, REDIS_ID)
    tree.add_file("usr/local/bin/docker-entrypoint.sh", REDIS_ENTRYPOINT, 0o755)
    return tree


def postgres_tree(packages, base, debs, base_debs):
    """The PostgreSQL server and the directories that it writes to."""
    tree = packages.tree([deb for deb in debs if deb not in base_debs], below=debs)
    add_user(tree, base, "postgres", POSTGRES_ID, "/var/lib/postgresql")
    tree.add_dir("var/lib/postgresql", 0o755, POSTGRES_ID, POSTGRES_ID)
    tree.add_dir("var/lib/postgresql/data", 0o700, POSTGRES_ID, POSTGRES_ID)
    tree.add_dir("run/postgresql", 0o2775, POSTGRES_ID, POSTGRES_ID)
    tree.add_file("usr/local/bin/docker-entrypoint.sh", POSTGRES_ENTRYPOINT, 0o755)
    return tree


def web_runtime_tree(packages, debs, base_debs):
    """busybox (the HTTP server) and two JavaScript libraries, linked where the pages expect them."""
    tree = packages.tree([deb for deb in debs if deb not in base_debs], below=debs)
    tree.add_symlink("srv/www/vendor", "/usr/share/javascript")
    tree.add_file("srv/www/placeholder.txt", "Removed by a whiteout in the layer above.\n")
    return tree


def postgres_major(source):
    """The major version that the distribution's postgresql metapackage stands for (15 in Debian 12)."""
    match = re.search(r"\bpostgresql-(\d+)\b", source.candidate_depends("postgresql"))
    if not match:
        raise SampleError("apt knows no package postgresql: run 'apt-get update' first (on Ubuntu: with universe)")
    return match[1]


def redis_major(debs):
    """The first number of the server's version, epoch left out."""
    version = next(deb.version for deb in debs if deb.name == "redis-server")
    return version.rpartition(":")[2].split(".")[0]


class ImageBuilder:
    """Builds all images of one release into a layout."""

    def __init__(self, release, source, cache, layout, work):
        self.release, self.source, self.cache, self.layout = release, source, cache, layout
        self.packages = Packages(source, work)
        self.postgres_major = postgres_major(source)
        extensions = [name.format(major=self.postgres_major) for name in release.postgres_extensions]
        self.base_debs, self.web_debs, self.redis_debs, self.postgres_debs = self.packages.prepare([
            BASE_PACKAGES,
            BASE_PACKAGES + WEB_PACKAGES,
            BASE_PACKAGES + ("redis-server",),
            BASE_PACKAGES + (f"postgresql-{self.postgres_major}", *extensions),
        ])
        self.redis_major = redis_major(self.redis_debs)
        self.base = base_tree(self.packages, self.base_debs)
        self.web_runtime = web_runtime_tree(self.packages, self.web_debs, self.base_debs)

    def build(self):
        """Write every image, its tag, and what refers to it; return the release's images."""
        layers = self._write_layers()
        images = [self._web(layers), self._redis(layers), self._postgres(layers)]
        self.layout.finish()
        return images

    def _write_layers(self):
        """Compress all layers, the largest first and two at a time: zlib runs outside the interpreter's lock."""
        release = self.release
        redis = redis_tree(self.packages, self.base, self.redis_debs, self.base_debs)
        postgres = postgres_tree(self.packages, self.base, self.postgres_debs, self.base_debs)
        recipes = {
            "postgres": (postgres, POSTGRES_BUILT, f"sample postgres: postgresql-{self.postgres_major}", 6),
            "redis": (redis, release.built, "sample redis: redis-server", 9),
            "base": (self.base, BASE_BUILT, "sample base: " + " ".join(BASE_PACKAGES), 6),
            "runtime": (self.web_runtime, BASE_BUILT, "sample web runtime: " + " ".join(WEB_PACKAGES), 6),
            "web": (web.app_tree(release), release.built, f"sample web application {release.version}", 6),
            "arm64": (web.arm64_notice_tree(), BASE_BUILT, "sample arm64 stand-in: static files only, no server", 6),
        }
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = {name: pool.submit(self.layout.add_layer, self.cache, tree, built, iso_time(built), text, level)
                    for name, (tree, built, text, level) in recipes.items()}
            return {name: job.result() for name, job in jobs.items()}

    def _labels(self, title):
        return {"org.opencontainers.image.title": title, "org.opencontainers.image.vendor": "sample release",
                "org.opencontainers.image.version": self.release.version}

    def _web(self, layers):
        release, created = self.release, iso_time(self.release.built)
        config = {
            "User": f"{WEB_ID}:{WEB_ID}", "ExposedPorts": {"8080/tcp": {}},
            "Env": [f"PATH={SYSTEM_PATH}", "WEB_PORT=8080"],
            "Entrypoint": ["/usr/local/bin/web-server"], "WorkingDir": "/srv/www", "Labels": self._labels("web"),
        }
        real = self.layout.add_image([layers["base"], layers["runtime"], layers["web"]], created=created, config=config)
        stand_in = self.layout.add_image([layers["arm64"], layers["web"]], created=created,
                                         config={"Labels": self._labels("web")}, architecture="arm64")
        annotations = {"org.opencontainers.image.created": created, **self._labels("web")}
        index = self.layout.add_index([real, stand_in], annotations)
        ref = f"app/web:{release.version}"
        self.layout.tag(index, ref)
        self._sample_signature(index, "app/web")
        return ImageRef(f"{REGISTRY}/{ref}", ref)

    def _redis(self, layers):
        created, ref = iso_time(self.release.built), f"library/redis:{self.redis_major}"
        config = {
            "ExposedPorts": {"6379/tcp": {}}, "Env": [f"PATH={SYSTEM_PATH}"], "Volumes": {"/data": {}},
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["redis-server"], "WorkingDir": "/data",
        }
        image = self.layout.add_image([layers["base"], layers["redis"]], created=created, config=config)
        self.layout.tag(image, ref)
        self._sbom(image, ref, self.redis_debs)
        return ImageRef(f"docker.io/{ref}", ref)

    def _postgres(self, layers):
        created, ref = iso_time(POSTGRES_BUILT), f"library/postgres:{self.postgres_major}"
        config = {
            "ExposedPorts": {"5432/tcp": {}}, "Volumes": {"/var/lib/postgresql/data": {}}, "StopSignal": "SIGINT",
            "Env": [f"PATH=/usr/lib/postgresql/{self.postgres_major}/bin:{SYSTEM_PATH}", "LANG=C.UTF-8",
                    "PGDATA=/var/lib/postgresql/data"],
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "WorkingDir": "/var/lib/postgresql",
        }
        image = self.layout.add_image([layers["base"], layers["postgres"]], created=created, config=config)
        self.layout.tag(image, ref)
        return ImageRef(f"docker.io/{ref}", ref)

    def _sbom(self, image, ref, debs):
        """A small SPDX document that refers to the image, to be found through the referrers API."""
        document = {
            "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": ref,
            "documentNamespace": f"https://{REGISTRY}/spdx/{image['digest'].removeprefix('sha256:')}",
            "creationInfo": {"created": iso_time(self.release.built), "creators": ["Tool: make-sample.py"]},
            "packages": [{"SPDXID": f"SPDXRef-{re.sub('[^A-Za-z0-9.-]', '-', deb.name)}", "name": deb.name,
                          "versionInfo": deb.version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                          "checksums": [{"algorithm": "SHA256", "checksumValue": deb.sha256}]} for deb in debs],
        }
        data = json.dumps(document, indent=1).encode() + b"\n"
        self.layout.list_untagged(self.layout.add_artifact(
            "application/spdx+json", data, image,
            {"org.opencontainers.image.created": iso_time(self.release.built), "com.example.sample": "SBOM"}))

    def _sample_signature(self, image, repository):
        """A manifest in the place and shape of a cosign signature, with a text where the signature would be."""
        payload = to_json({
            "critical": {"identity": {"docker-reference": f"{REGISTRY}/{repository}"},
                         "image": {"docker-manifest-digest": image["digest"]},
                         "type": "cosign container image signature"},
            "optional": {"sample": "not a real signature"},
        })
        not_a_signature = base64.b64encode(b"sample release: this is not a signature").decode()
        layer = self.layout.add_bytes(payload, SIMPLE_SIGNING,
                                      annotations={"dev.cosignproject.cosign/signature": not_a_signature})
        config = {"architecture": "", "os": "", "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.layout.add_bytes(to_json(config), CONFIG),
                    "layers": [layer], "annotations": {"com.example.sample": "not a real signature"}}
        self.layout.tag(self.layout.add_bytes(to_json(manifest), MANIFEST),
                        f"{repository}:{image['digest'].replace(':', '-')}.sig")
