"""Flux: the seed of the cluster, and whether it has brought the application to health."""
import json

from . import releases, services
from .outcome import Failed
from .site import setting

SITE = "/var/lib/bundle/site.yaml"
MANIFESTS = "/var/lib/rancher/k3s/server/manifests"
COSIGN_KEY = "/usr/share/appliance/trust/cosign.pub"
# Kinds of Flux whose Ready condition tells of the application.
KINDS = "ocirepositories.source.toolkit.fluxcd.io,kustomizations.kustomize.toolkit.fluxcd.io,helmreleases.helm.toolkit.fluxcd.io"
HEALTH_SECONDS = 3600


def _has_desired_state(context):
    return "flux" in releases.manifest(context)


def _site_file(context):
    """site.yaml of the store: the site's own if there is one, else that the cluster follows this appliance's registry."""
    path = context.path(SITE)
    if not path.exists():
        verified = context.path(COSIGN_KEY).is_file()
        context.write(SITE, "apiVersion: bundle/v1\nkind: Site\nsource:\n"
                      f"  url: {services.cluster_endpoint(context)}\n  ca: true\n  login: true\n"
                      f"  verify: {str(verified).lower()}\n", 0o644)
    return path


def apply_seed(context):
    """Places the seed where k3s applies it, and applies it again, when it changes."""
    if not _has_desired_state(context):
        return "the release has no desired state for Flux: nothing is to be applied"
    out = context.path("/run/appliance/seed")
    options = ["--cosign-key", context.path(COSIGN_KEY)] if context.path(COSIGN_KEY).is_file() else []
    context.run("bundle-import", "seed", "--store", context.store, "--site", _site_file(context), "--out", out,
                "--ca", context.path(f"{services.TLS}/ca.pem"), *options)
    count = 0
    for file in sorted((out / "manifests").glob("*.yaml")):
        context.write(f"{MANIFESTS}/{file.name}", file.read_bytes(), 0o600)
        count += 1
    # The login of Flux is a secret of the site: from k3s-config, and nowhere but in this file and in the cluster.
    login = context.path("/run/appliance/k3s-config/flux-secrets.yaml")
    if login.is_file():
        context.write(f"{MANIFESTS}/bundle-15-login.yaml", login.read_bytes(), 0o600)
    return f"{count} manifests of the seed are in place"


def wait_healthy(context):
    """Until everything that Flux follows is ready; the time limit is long, for databases that are set up."""
    if not _has_desired_state(context):
        return "the application is not Flux's: its health is not asked"
    services.wait_until(lambda: _unready(context), "the application is not healthy yet",
                        "kubectl -n flux-system get ocirepository,kustomization,helmrelease shows what it waits for.",
                        seconds=setting(context, "healthSeconds", default=HEALTH_SECONDS), interval=10)
    return "the application is healthy"


def _unready(context):
    done = context.run(context.path(services.K3S), "kubectl", "get", KINDS, "--all-namespaces", "-o", "json", check=False, seconds=60)
    if done.returncode != 0:
        return "Flux is not there yet"
    try:
        items = json.loads(done.stdout)["items"]
    except ValueError:
        raise Failed("kubectl did not answer with JSON") from None
    waiting = [f"{item['kind']} {item['metadata']['name']}" for item in items
               if not any(condition["type"] == "Ready" and condition["status"] == "True"
                          for condition in item.get("status", {}).get("conditions", []))]
    if not items:
        return "Flux follows nothing yet"
    if waiting:
        context.report.update(message=f"waiting for {', '.join(waiting[:3])}{' and others' if len(waiting) > 3 else ''}")
        return f"not ready: {', '.join(waiting[:3])}"
    return True
