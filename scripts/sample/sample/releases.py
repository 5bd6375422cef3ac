"""What the sample releases are: everything in which 1.0.0 and 1.1.0 differ is in this one table."""

import dataclasses
import datetime

from .tools import SampleError

PRODUCT = "example-appliance"
REGISTRY = "registry.example.com"


def _epoch(text):
    return int(datetime.datetime.fromisoformat(text + "+00:00").timestamp())


@dataclasses.dataclass(frozen=True)
class Release:
    """One release; times are seconds since 1970."""

    version: str
    upgrade_from: tuple
    k3s: str
    built: int                       # web and redis images, chart, disk image
    postgres_extensions: tuple       # packages beside postgresql-N, "{major}" is filled in
    web_changed: frozenset = frozenset()     # numbers of the web modules that differ from the release before
    web_modules: range = range(0)


BASE_BUILT = _epoch("2025-01-06T04:00:00")       # the shared base layer is the same in all releases
POSTGRES_BUILT = _epoch("2025-01-08T04:00:00")   # only the package set of this image changes

RELEASES = {release.version: release for release in (
    Release("1.0.0", (), "v1.31.6+k3s1", _epoch("2025-03-03T10:00:00"), (),
            web_modules=range(0, 48)),
    Release("1.1.0", ("1.0.x",), "v1.31.7+k3s1", _epoch("2025-04-07T10:00:00"), ("postgresql-{major}-cron",),
            web_changed=frozenset((3, 11, 12, 29, 40)), web_modules=range(1, 51)),
)}


def release_of(version):
    """Look a release up."""
    if version not in RELEASES:
        raise SampleError(f"no sample release {version}: there are {', '.join(RELEASES)}")
    return RELEASES[version]


def iso_time(seconds):
    """RFC 3339, as OCI configs want it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
