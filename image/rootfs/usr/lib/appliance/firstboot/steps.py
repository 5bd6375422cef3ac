"""First boot as a list: what is done in which order. Each step returns what it found or did, in words."""
import collections

from . import flux, releases, services, site

Step = collections.namedtuple("Step", "name title run")


def _configure(context):
    releases.trust_is_pinned(context)
    return site.configure(context)


STEPS = [
    Step("configure", "reading the site's configuration", _configure),
    Step("take-in", "looking for a release", releases.take_in),
    Step("activate", "making the release live", releases.activate),
    Step("registry", "starting the registry", services.start_registry),
    Step("k3s", "starting k3s", services.start_k3s),
    Step("seed", "applying the release's desired state", flux.apply_seed),
    Step("health", "waiting for the application", flux.wait_healthy),
]
