"""A small cluster for tests: a real HTTP server that speaks the calls of the Kubernetes API which an upgrade makes.

Paths, media types, lists in pages, merge patches, generation, resourceVersion, Status answers and conditions are as the
API server has them. Behind it are nodes and the objects of Flux, whose controllers act at once: a request by annotation
makes a source look at the site (at the live release of a store, or at a registry), and what is made from it follow.

    with FakeCluster(store=STORE) as cluster:
        cluster.write_kubeconfig(path)
        cluster.broken.add("1.1.0")        # the application of this release never becomes ready
        cluster.answers.append(500)        # the next request is answered so
"""
import base64
import copy
import http.server
import json
import pathlib
import ssl
import threading
import time
import urllib.parse
import urllib.request

TOKEN = "test-token"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
COLLECTIONS = {
    "/api/v1/nodes": ("v1", "Node"),
    "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories":
        ("source.toolkit.fluxcd.io/v1", "OCIRepository"),
    "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations":
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases": ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def condition(kind, status, reason, message):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}


def merge(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class FakeCluster:
    def __init__(self, store=None, product="site", chart="app", nodes=("server-1",), version="v1.31.6+k3s1", tls=None,
                 registry=None):
        self.store, self.registry, self.tls = store and pathlib.Path(store), registry, tls
        self.product, self.chart = product, chart
        self.lock = threading.RLock()
        self.counter = 0
        self.broken = set()    # releases whose application does not become ready
        self.stalled = set()   # releases with which helm-controller gives up
        self.frozen = False    # no controller runs
        self.values = ""       # the site's own values, in a ConfigMap
        self.answers = []      # statuses of the next requests; "cut" closes the connection, None is an ordinary one
        self.requests = []     # (method, path) of everything that was asked
        self.on_request = None
        self.objects = {path: {} for path in COLLECTIONS}
        for name in nodes:
            self.add_node(name, version)
        self.add_flux()

    # --- objects ---

    def add(self, path, name, labels=None, spec=None, status=None):
        version, kind = COLLECTIONS[path]
        self.counter += 1
        self.objects[path][name] = {
            "apiVersion": version, "kind": kind,
            "metadata": {"name": name, "generation": 1, "resourceVersion": str(self.counter), "labels": labels or {},
                         "managedFields": [{"manager": "k3s", "operation": "Update"}]},
            "spec": spec or {}, "status": status or {}}

    def add_node(self, name, version, server=True):
        labels = {"kubernetes.io/hostname": name}
        if server:
            labels["node-role.kubernetes.io/control-plane"] = "true"
        self.add("/api/v1/nodes", name, labels, {}, {
            "nodeInfo": {"kubeletVersion": version}, "addresses": [{"type": "Hostname", "address": name},
                                                                   {"type": "InternalIP", "address": "192.0.2.1"}],
            "conditions": [condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "enough"),
                           condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")]})

    def add_flux(self):
        source, kustomize, helm = list(COLLECTIONS)[1:]
        url = f"oci://registry.example.com:5000/{self.product}/charts/{self.chart}"
        self.add(source, "app-chart", spec={"interval": "10m", "url": url, "ref": {"semver": ">=0.0.0"}})
        self.add(kustomize, "release", spec={"sourceRef": {"kind": "OCIRepository", "name": "app-chart"}, "path": "./"})
        self.add(helm, "app", spec={"chartRef": {"kind": "OCIRepository", "name": "app-chart"}})
        for path in (source, kustomize, helm):
            for item in self.objects[path].values():
                self.reconcile(path, item)

    def object(self, kind, name):
        return next(items[name] for path, items in self.objects.items()
                    if COLLECTIONS[path][1] == kind and name in items)

    def set_node(self, name, ready=True, version=None):
        with self.lock:
            node = self.object("Node", name)
            node["status"]["conditions"][-1] = condition(
                "Ready", "True" if ready else "Unknown", "KubeletReady" if ready else "NodeStatusUnknown", "told by the test")
            if version:
                node["status"]["nodeInfo"]["kubeletVersion"] = version

    # --- the controllers of Flux ---

    def live(self):
        """Version of the release that the site serves, and the digest of its chart."""
        active = self.store and self.store / "active"
        if not active or not active.exists():
            return "", ""
        version = active.read_text().strip()
        manifest = json.loads((self.store / "releases" / version / "manifest.json").read_text())
        artifact = manifest["app"]["chart"]["artifact"]
        if self.registry:
            return version, self.ask_registry(artifact["repository"], artifact["tag"])
        return version, artifact["digest"]

    def ask_registry(self, repository, tag):
        try:
            request = urllib.request.Request(f"http://{self.registry}/v2/{repository}/manifests/{tag}", method="HEAD")
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.headers["Docker-Content-Digest"]
        except OSError:
            return ""

    def reconcile(self, path, item):
        if self.frozen or item["spec"].get("suspend"):
            return
        kind, status = item["kind"], item["status"]
        version, digest = self.live()
        asked = item["metadata"].get("annotations", {}).get(REQUESTED)
        if asked:
            status["lastHandledReconcileAt"] = asked
        status["observedGeneration"] = item["metadata"]["generation"]
        ready = condition("Ready", "True", "Succeeded", f"at {version}")
        others = []
        if kind == "OCIRepository":
            if digest:
                status["artifact"] = {"revision": f"{version}@{digest}", "lastUpdateTime": now()}
            else:
                ready = condition("Ready", "False", "OCIArtifactPullFailed", "nothing is served")
        elif kind == "Kustomization":
            status["lastAppliedRevision"] = f"{version}@{digest}"
        else:
            status["lastAttemptedRevisionDigest"] = digest
            if version in self.broken | self.stalled:
                ready = condition("Ready", "False", "UpgradeFailed", "the application's Pods do not become ready")
            if version in self.stalled:
                others.append(condition("Stalled", "True", "RetriesExceeded", "failed after 3 attempts"))
        status["conditions"] = [ready] + others
        self.touch(item)

    def touch(self, item):
        self.counter += 1
        item["metadata"]["resourceVersion"] = str(self.counter)

    # --- the API ---

    def page(self, path, query):
        items = sorted(self.objects[path].items())
        limit = int(query.get("limit", ["500"])[0])
        start = int(base64.b64decode(query["continue"][0])) if "continue" in query else 0
        version, kind = COLLECTIONS[path]
        metadata = {"resourceVersion": str(self.counter)}
        if start + limit < len(items):
            metadata["continue"] = base64.b64encode(str(start + limit).encode()).decode()
            metadata["remainingItemCount"] = len(items) - start - limit
        return {"kind": kind + "List", "apiVersion": version, "metadata": metadata,
                "items": [copy.deepcopy(item) for _, item in items[start:start + limit]]}

    def patch(self, path, name, patch):
        item = self.objects[path][name]
        changed = merge(item, patch)
        if changed["spec"] != item["spec"]:
            changed["metadata"]["generation"] += 1
        changed["status"] = item["status"]  # a sub-resource: not changed this way
        self.objects[path][name] = changed
        self.touch(changed)
        if "flux" in path:
            self.reconcile(path, changed)
        return copy.deepcopy(changed)

    def answer(self, method, target, headers, body):
        """(status, JSON) of one request."""
        url = urllib.parse.urlsplit(target)
        self.requests.append((method, url.path))
        if self.on_request:
            self.on_request(method, url.path)
        injected = self.answers.pop(0) if self.answers else None
        if injected == "cut":
            return None
        if injected:
            return self.status(injected, "told by the test")
        if not self.tls and headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.status(401, "Unauthorized")
        if url.path in COLLECTIONS and method == "GET":
            return 200, self.page(url.path, urllib.parse.parse_qs(url.query))
        if url.path == "/api/v1/namespaces/flux-system/configmaps/bundle-site-values" and self.values:
            return 200, {"kind": "ConfigMap", "apiVersion": "v1", "data": {"values.yaml": self.values}}
        path, _, name = url.path.rpartition("/")
        if path not in COLLECTIONS or name not in self.objects[path]:
            return self.status(404, "the server could not find the requested resource")
        if method == "GET":
            return 200, copy.deepcopy(self.objects[path][name])
        if method != "PATCH":
            return self.status(405, "the server does not allow this method on the requested resource")
        if headers.get("Content-Type") != "application/merge-patch+json":
            return self.status(415, "the body of the request was in an unknown format")
        return 200, self.patch(path, name, json.loads(body))

    @staticmethod
    def status(code, message):
        return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                      "code": code}

    # --- the server ---

    def __enter__(self):
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with cluster.lock:
                    answer = cluster.answer(self.command, self.path, self.headers, body)
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                text = json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_PATCH = do_POST = do_DELETE = do_PUT = do_GET

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except (OSError, ValueError):
                    pass  # the client was killed, or the test cut the connection

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls / "server.pem", self.tls / "server.key")
            context.load_verify_locations(self.tls / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def address(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"

    def write_kubeconfig(self, path, token=TOKEN):
        def data(name):
            return base64.b64encode((self.tls / name).read_bytes()).decode()

        cluster = {"server": self.address()}
        user = {"token": token}
        if self.tls:
            cluster["certificate-authority-data"] = data("ca.pem")
            user = {"client-certificate-data": data("node-1.pem"), "client-key-data": data("node-1.key")}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "default", "preferences": {},
                  "clusters": [{"name": "default", "cluster": cluster}],
                  "users": [{"name": "default", "user": user}],
                  "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}]}
        pathlib.Path(path).write_text(json.dumps(config))
        return path
