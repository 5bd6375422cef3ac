"""The registry and k3s: their files, their start, their health."""
import hashlib
import json
import re
import secrets
import ssl
import time
import urllib.error
import urllib.request

from . import releases
from .outcome import Failed
from .site import setting

TLS = "/etc/bundle/tls"
TOKEN = "/etc/bundle/secrets/node.token"
K3S = "/usr/local/bin/k3s"
IMAGES = "/var/lib/rancher/k3s/agent/images"
WAIT_SECONDS = 600
DUMMY_ADDRESS = "203.0.113.254"  # appliance-dummy-route.service


def _listen(context):
    return setting(context, "registry", "listen", default="0.0.0.0:5000")


def endpoint(context):
    """Address by which this node asks its own registry."""
    return setting(context, "registry", "endpoint", default=f"https://127.0.0.1:{_listen(context).rpartition(':')[2]}")


def node_address(context):
    """The address of this node for pods: from which it would send to elsewhere (RFC 5737), else that of the route to nowhere."""
    done = context.run("ip", "-4", "-json", "route", "get", "198.51.100.1", check=False)
    try:
        found = [route["prefsrc"] for route in json.loads(done.stdout or "[]") if route.get("prefsrc")]
    except ValueError:
        found = []
    return found[0] if found else DUMMY_ADDRESS


def cluster_endpoint(context):
    """Address by which pods (Flux) ask this node's registry: the loopback of a pod is not the node's."""
    port = _listen(context).rpartition(":")[2]
    return setting(context, "registry", "endpoint", default=f"https://{node_address(context)}:{port}")


def _service_account(context, *paths):
    """Files that the registry's user must read, and nobody else."""
    if str(context.root) == "/":
        context.run("chown", "bundle-registry:bundle-registry", *paths)


def registry_files(context):
    """Certificate, login and units of the registry; True when something is new."""
    new = False
    names = ["127.0.0.1", "localhost", *setting(context, "registry", "names", default=[])]
    host = re.sub(r"^https?://|:\d+$", "", endpoint(context))
    pods = re.sub(r"^https?://|:\d+$", "", cluster_endpoint(context))
    names += [name for name in dict.fromkeys((host, pods)) if name not in names]
    certificate, made_for = context.path(f"{TLS}/server.pem"), "\n".join(names) + "\n"
    if not certificate.exists() or context.write(f"{TLS}/names", made_for):
        options = [word for name in names for word in ("--name", name)]
        context.run("bundle-import", "gen-cert", "--out", context.path(TLS), *options)
        context.write(f"{TLS}/names", made_for)
        new = True
    token = context.path(TOKEN)
    if not token.exists():
        context.write(TOKEN, secrets.token_hex(32) + "\n", 0o600)
    digest = hashlib.sha256(token.read_text().strip().encode()).hexdigest()
    new |= context.write("/etc/bundle/tokens", f"node:sha256:{digest}\n", 0o600)
    new |= context.write("/etc/bundle/access.yaml", "apiVersion: bundle/v1\nkind: RegistryAccess\ntokens: tokens\n"
                         "rules:\n- {prefix: \"\", pull: [authenticated]}\n", 0o600)
    new |= context.write("/etc/bundle/registry.env", "BUNDLE_REGISTRY_OPTIONS=--tls-cert /etc/bundle/tls/server.pem "
                         "--tls-key /etc/bundle/tls/server.key --access /etc/bundle/access.yaml\n")
    new |= context.write("/etc/systemd/system/bundle-registry.socket.d/50-appliance.conf",
                         f"[Socket]\nListenStream=\nListenStream={_listen(context)}\n")
    _service_account(context, *(context.path(name) for name in
                                (f"{TLS}/server.key", "/etc/bundle/tokens", "/etc/bundle/access.yaml")))
    return new


def start_registry(context):
    if registry_files(context):
        context.run("systemctl", "daemon-reload")
        context.run("systemctl", "stop", "bundle-registry.service", "bundle-registry.socket", check=False)
    context.run("systemctl", "enable", "--now", "bundle-registry.socket", "bundle-registry.service")
    url = f"{endpoint(context)}/readyz"
    wait_until(lambda: _answers(context, url), f"the registry did not become ready ({url})",
               "journalctl -u bundle-registry shows why.", seconds=120)
    return f"the registry serves the release at {endpoint(context)}"


def _answers(context, url):
    tls = None
    if url.startswith("https:"):
        tls = ssl.create_default_context(cafile=context.path(f"{TLS}/ca.pem"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        return f"it answers {error.code}: {error.read(300).decode(errors='replace').strip()}"
    except OSError as error:
        return str(error)


def wait_until(check, message, hint, seconds=WAIT_SECONDS, interval=2):
    """Until check() is True; what else it returns is the reason in the message of the failure."""
    end = time.monotonic() + seconds
    while (reason := check()) is not True:
        if time.monotonic() >= end:
            raise Failed(f"{message}: {reason}" if reason else message, hint)
        time.sleep(interval)


# --- k3s -------------------------------------------------------------------------

def _is_archive(name):
    return re.search(r"\.(tar|tar\.(zst|gz|bz2|lz4)|tgz|tzst|tbz)$", name)


def k3s_files(context):
    """The binary, its images, the way to the registry. True when something is new."""
    manifest = releases.manifest(context)
    files = {file["name"]: file for file in manifest["k8s"]["artifacts"]}
    if "k3s" not in files:
        raise Failed(f"release {manifest['releaseVersion']} has no file named k3s", "The vendor must add it to k8s.artifacts.")
    new = releases.copy_file(context, files["k3s"], K3S, 0o755)
    wanted = set()
    for name, file in files.items():
        if _is_archive(name):
            # A name of its own for each content: k3s looks at name, size and time to see whether it has imported it.
            target = f"{file['sha256'][:12]}-{name}"
            wanted.add(target)
            new |= releases.copy_file(context, file, f"{IMAGES}/{target}", 0o644)
    folder = context.path(IMAGES)
    if folder.is_dir():
        for old in folder.iterdir():
            if _is_archive(old.name) and old.name not in wanted:
                old.unlink()
        context.write(f"{IMAGES}/.cache.json", b"") if not (folder / ".cache.json").exists() else None
    return new | _k3s_configuration(context)


def _k3s_configuration(context):
    out = context.path("/run/appliance/k3s-config")
    context.run("bundle-import", "k3s-config", "--endpoint", endpoint(context), "--ca", context.path(f"{TLS}/ca.pem"),
                "--user", "node", "--password-file", context.path(TOKEN), "--store", context.store, "--out", out)
    new = False
    for name, target, mode in (("registries.yaml", "/etc/rancher/k3s/registries.yaml", 0o600),
                               ("bundle-registry-ca.crt", "/etc/rancher/k3s/bundle-registry-ca.crt", 0o644),
                               ("config.yaml.d/50-bundle-registry.yaml",
                                "/etc/rancher/k3s/config.yaml.d/50-bundle-registry.yaml", 0o600)):
        new |= context.write(target, (out / name).read_bytes(), mode)
    settings = {"write-kubeconfig-mode": "0600", **setting(context, "k3s", "config", default={})}
    # JSON is YAML.
    new |= context.write("/etc/rancher/k3s/config.yaml.d/60-appliance.yaml",
                         "".join(f"{key}: {json.dumps(value)}\n" for key, value in sorted(settings.items())), 0o600)
    return new


def _default_route(context):
    """k3s does not start without a default route, and a site without a network has none."""
    if not context.run("ip", "route", "show", "default", check=False).stdout.strip():
        context.run("systemctl", "enable", "--now", "appliance-dummy-route.service")


def start_k3s(context):
    new = k3s_files(context)
    _default_route(context)
    context.run("systemctl", "daemon-reload")
    context.run("systemctl", "enable", "k3s.service")
    if new:
        # To its end, or the server that is on its way out would answer for the new one.
        context.run("systemctl", "stop", "k3s.service")
    context.run("systemctl", "start", "--no-block", "k3s.service")
    wait_until(lambda: k3s_ready(context), "k3s did not become ready", "journalctl -u k3s shows why.")
    return f"k3s {releases.manifest(context)['k8s']['version']} is ready"


def k3s_ready(context):
    """True when the API server and this node are ready, else why not."""
    done = context.run(context.path(K3S), "kubectl", "get", "--raw", "/readyz", check=False, seconds=30)
    if done.returncode != 0 or done.stdout.strip() != "ok":
        return "the API server does not answer yet"
    done = context.run(context.path(K3S), "kubectl", "get", "nodes", "-o", "json", check=False, seconds=30)
    nodes = json.loads(done.stdout)["items"] if done.returncode == 0 else []
    ready = [node for node in nodes for condition in node["status"].get("conditions", [])
             if condition["type"] == "Ready" and condition["status"] == "True"]
    return True if nodes and len(ready) == len(nodes) else f"{len(ready)} of {len(nodes)} nodes are ready"
