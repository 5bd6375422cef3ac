"""The desired state of a release on its way: made, closed, served under a moving tag, seeded into a cluster."""

import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import sys
import tarfile
import tempfile
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import small_release  # noqa: E402
import tools  # noqa: E402

SEED = tools.DOCS.parent / "flux-seed" / "release"
ENV = {"SOURCE_DATE_EPOCH": tools.EPOCH}
NO_PROGRAMS = {"PATH": "/nonexistent"}  # neither helm nor kustomize nor git
EXIT_SPEC, EXIT_CONFIG, EXIT_KEY = 20, 21, 30
VALUES = """replicas: 1
web: {image: {repository: registry.example.com/app/web, tag: ""}}
redis: {image: "redis:7"}
exporter: {repository: docker.io/library/redis, tag: 7}
"""
TEMPLATE = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: "{{ .Values.web.image.repository }}:{{ .Values.web.image.tag | default .Chart.AppVersion }}"
        - name: redis
          image: {{ .Values.redis.image }}
"""
INSTALL = """apiVersion: v1
kind: Namespace
metadata: {name: flux-system}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ocirepositories.source.toolkit.fluxcd.io}
spec:
  versions:
    - schema: {openAPIV3Schema: {properties: {spec: {properties: {ref: {properties: {digest: {type: string}, tag: {type: string}}}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: source-controller, namespace: flux-system}
spec:
  selector: {matchLabels: {app: source-controller}}
  template:
    metadata: {labels: {app: source-controller}}
    spec:
      containers: [{name: manager, image: "docker.io/library/redis:7"}]
"""
SITE = """apiVersion: bundle/v1
kind: Site
profile: ha-3node
hostNames: [appliance.example.com]
storage: {class: fast}
source:
  url: https://registry.example.com:5000
  ca: true
  git: {url: "https://git.example.com/appliance.git"}
maintenanceWindows: [{days: [sat], from: 22:00, to: 02:00}]
"""


def make_inputs(folder, version="1.0.0", seed=1):
    """A release with desired state; returns the path of release.yaml."""
    spec = small_release.make_release(folder, version, seed, image_bytes=20_000, disk_bytes=1 << 16)
    folder = pathlib.Path(folder)
    (folder / "helm/Chart.yaml").write_text(
        f'apiVersion: v2\nname: test-app\nversion: {version}\nappVersion: "{version}"\n')
    (folder / "helm/values.yaml").write_text(VALUES)
    (folder / "helm/templates/web.yaml").write_text(TEMPLATE)
    shutil.copytree(SEED, folder / "flux")
    for path in (folder / "flux").rglob("*.yaml"):
        text = path.read_text().replace("example-appliance/charts/example-appliance", "test-appliance/charts/test-app")
        path.write_text(text)
    (folder / "values").mkdir()
    (folder / "values/single-node.yaml").write_text("{}\n")
    (folder / "values/ha-3node.yaml").write_text("replicas: 3\n")
    (folder / "install.yaml").write_text(INSTALL)
    with open(spec, "a", encoding="utf-8") as out:
        out.write("flux: {path: flux/, values: values/, install: install.yaml}\n")
        if version != "1.0.0":
            out.write('upgradeFrom: ["1.0.x"]\n')
    return spec


def get(url):
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        return answer.read()


class World(unittest.TestCase):
    """Two releases, made and signed once."""

    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.holder.name)
        cls.key, cls.pub = tools.make_key(cls.folder)
        cls.specs = {}
        for seed, version in enumerate(("1.0.0", "1.1.0"), 1):
            cls.specs[version] = make_inputs(cls.folder / f"in-{version}", version, seed)
            if shutil.which("openssl"):
                cls.sign(cls.specs[version])
            tools.make_bundle(cls.specs[version], cls.folder / version, cls.key, "--fast", env=ENV)

    @classmethod
    def sign(cls, spec):
        """For the cluster: the signature of the state must not be taken for the state."""
        key = cls.folder / "cosign.key"
        if not key.exists():
            tools.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key, check=0)
        with open(spec, "a", encoding="utf-8") as out:
            out.write("signatures: signatures\n")
        tools.run(tools.MAKE, "cosign-sign", spec, "--key", key, "--quiet", check=0)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def setUp(self):
        self.site_holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.site_holder.cleanup)
        self.site = pathlib.Path(self.site_holder.name)
        self.store = self.site / "store"

    def take_in(self, *versions):
        for version in versions:
            tools.import_bundle([self.folder / version], self.store, self.pub, check=0)

    def activate(self, version):
        tools.run(tools.IMPORT, "activate", version, "--store", self.store, check=0)

    def manifest(self, version):
        return json.loads((self.store / "releases" / version / "manifest.json").read_text())

    def state(self, version):
        """The files of the release's Flux artifact, from the store's blobs."""
        blobs = self.store / "blobs" / "sha256"
        digest = self.manifest(version)["flux"]["artifact"]["digest"]
        artifact = json.loads((blobs / digest[7:]).read_text())
        self.assertEqual(artifact["config"]["mediaType"], "application/vnd.cncf.flux.config.v1+json")
        layer, = artifact["layers"]
        self.assertEqual(layer["mediaType"], "application/vnd.cncf.flux.content.v1.tar+gzip")
        self.assertEqual(artifact["annotations"]["org.opencontainers.image.revision"], f"{version}@{layer['digest']}")
        packed = (blobs / layer["digest"][7:]).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            members = tar.getmembers()
            self.assertEqual({(m.uid, m.gid, m.mtime, m.uname) for m in members}, {(0, 0, 0, "")})
            return {member.name: tar.extractfile(member).read().decode() for member in members}


class Artifact(World):
    def test_everything_in_it_is_named_by_digest(self):
        self.take_in("1.0.0")
        state, manifest = self.state("1.0.0"), self.manifest("1.0.0")
        self.assertEqual(manifest["flux"]["profiles"], ["ha-3node", "single-node"])
        self.assertIn(manifest["app"]["chart"]["artifact"]["digest"], state["base/chart.yaml"])
        web, redis = manifest["images"]
        self.assertIn(f"redis@{redis['digest']}", state["flux-system/gotk-components.yaml"])
        values = state["profiles/ha-3node/bundle-values.yaml"]
        self.assertIn("    replicas: 3\n", values)
        self.assertIn(f"1.0.0@{web['digest']}", values)
        self.assertIn(f"docker.io/library/redis@{redis['digest']}", values)

    def test_the_same_input_gives_the_same_artifact(self):
        again = self.site / "again"
        shutil.copytree(self.specs["1.0.0"].parent, again)
        tools.make_bundle(again / "release.yaml", self.site / "out", self.key, "--fast", env=ENV)
        one, two = (json.loads(tools.run(tools.MAKE, "inspect", folder, "--json", check=0).stdout)
                    for folder in (self.folder / "1.0.0", self.site / "out"))
        of = lambda report: [a["digest"] for a in report["artifacts"] if a["kind"] == "flux"]  # noqa: E731
        self.assertEqual(of(one), of(two))
        self.assertEqual(len(of(one)), 1)

    def test_the_tag_active_moves_with_activation_and_rollback(self):
        self.take_in("1.0.0", "1.1.0")
        digests = {version: self.manifest(version)["flux"]["artifact"]["digest"] for version in ("1.0.0", "1.1.0")}
        self.assertEqual(len(set(digests.values())), 2)

        def active():
            with tools.Registry(self.store) as address:
                body = get(f"http://{address}/v2/test-appliance/flux/manifests/active")
                return "sha256:" + hashlib.sha256(body).hexdigest()

        with self.assertRaises(urllib.error.HTTPError) as nothing:
            active()
        self.assertEqual(nothing.exception.code, 404)
        nothing.exception.close()
        self.activate("1.0.0")
        self.assertEqual(active(), digests["1.0.0"])
        self.activate("1.1.0")
        self.assertEqual(active(), digests["1.1.0"])
        tools.run(tools.IMPORT, "rollback", "--store", self.store, check=0)
        self.assertEqual(active(), digests["1.0.0"])


    COSIGN = ["cosign-v3", "verify", "--insecure-ignore-tlog=true", "--allow-http-registry"]

    @unittest.skipUnless(shutil.which("cosign-v3") and shutil.which("openssl"), "cosign-v3 or openssl is not installed")
    def test_cosign_verifies_what_is_active_before_and_after_a_move(self):
        self.take_in("1.0.0", "1.1.0")
        pub, other = self.site / "cosign.pub", self.site / "other.pub"
        tools.run("openssl", "pkey", "-in", self.folder / "cosign.key", "-pubout", "-out", pub, check=0)
        tools.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.site / "k", check=0)
        tools.run("openssl", "pkey", "-in", self.site / "k", "-pubout", "-out", other, check=0)
        env = {"HOME": str(self.site), "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
        for version in ("1.0.0", "1.1.0"):
            self.activate(version)
            with tools.Registry(self.store) as address:
                reference = f"{address}/test-appliance/flux:active"
                tools.run(*self.COSIGN, "--key", pub, reference, check=0, env=env)
                self.assertNotEqual(tools.run(*self.COSIGN, "--key", other, reference, env=env).returncode, 0)


class Seed(World):
    def setUp(self):
        super().setUp()
        self.take_in("1.0.0")
        self.activate("1.0.0")
        (self.site / "site.yaml").write_text(SITE)

    def seed(self, *options, check=0, env=None, out="seed"):
        return tools.run(tools.IMPORT, "seed", "--store", self.store, "--site", self.site / "site.yaml",
                         "--out", self.site / out, "--json", *options, check=check, env=env)

    def test_it_is_rendered_for_the_site(self):
        report = json.loads(self.seed().stdout)
        self.assertEqual((report["version"], report["profile"]), ("1.0.0", "ha-3node"))
        self.assertEqual(sorted(tools.tree_digest(self.site / "seed")), report["files"])
        text = {path: (self.site / "seed" / path).read_text() for path in report["files"]}
        self.assertIn('url: "oci://registry.example.com:5000/test-appliance/flux"', text["manifests/bundle-30-source.yaml"])
        self.assertIn('tag: "active"', text["manifests/bundle-30-source.yaml"])
        self.assertIn("provider: cosign", text["manifests/bundle-30-source.yaml"])
        self.assertIn('path: "./profiles/ha-3node"', text["manifests/bundle-40-release.yaml"])
        self.assertIn("certSecretRef", text["manifests/bundle-40-release.yaml"])
        self.assertIn('bundle_storage_class: "fast"', text["manifests/bundle-20-site.yaml"])
        self.assertIn("sat 22:00-02:00 UTC", text["manifests/bundle-20-site.yaml"])
        self.assertEqual(text["manifests/bundle-10-flux-system.yaml"], self.state("1.0.0")["flux-system/gotk-components.yaml"])
        for path, content in text.items():
            self.assertNotIn("{{", content.replace("{{\"", ""), path)  # every word was filled in
        for path in report["files"]:
            if path.startswith("manifests/"):
                self.assertIn(path, text["kustomization.yaml"])

    def test_the_same_input_gives_the_same_seed(self):
        self.seed()
        first = tools.tree_digest(self.site / "seed")
        self.seed()
        self.assertEqual(tools.tree_digest(self.site / "seed"), first)

    def test_a_dry_run_writes_nothing(self):
        self.assertTrue(json.loads(self.seed("--dry-run").stdout)["files"])
        self.assertFalse((self.site / "seed").exists())

    def test_what_is_secret_is_refused(self):
        (self.site / "ca.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        self.seed("--ca", self.site / "ca.pem", check=EXIT_KEY)

    def test_a_profile_that_the_release_has_not(self):
        (self.site / "site.yaml").write_text(SITE.replace("ha-3node", "ha-5node"))
        answer = json.loads(self.seed(check=EXIT_CONFIG).stdout)
        self.assertIn("ha-3node, single-node", answer["hint"])

    def test_an_online_site_differs_by_its_source_only(self):
        self.seed()
        online = SITE.replace("registry.example.com:5000", "vendor.example.com").replace("  ca: true\n", "  ca: true\n  tag: stable\n")
        (self.site / "site.yaml").write_text(online)
        report = json.loads(self.seed(out="online").stdout)
        self.assertIn("maintenance windows", " ".join(report["notes"]))
        for path in report["files"]:
            here, there = ((self.site / out / path).read_text() for out in ("seed", "online"))
            back = there.replace("vendor.example.com", "registry.example.com:5000").replace('tag: "stable"', 'tag: "active"')
            self.assertEqual(here, back, path)

    @unittest.skipUnless(shutil.which("git"), "git is not installed")
    def test_a_git_repository_as_the_source(self):
        report = json.loads(self.seed("--git", self.site / "repo").stdout)
        text = (self.site / "seed/manifests/bundle-30-source.yaml").read_text()
        self.assertIn("kind: GitRepository", text)
        self.assertIn('branch: "main"', text)
        git = lambda *a: tools.run("git", "-C", self.site / "repo", *a, check=0).stdout  # noqa: E731
        self.assertEqual(git("rev-parse", "main").strip(), report["commit"])
        self.assertEqual(set(git("ls-files").split()), set(self.state("1.0.0")))
        again = json.loads(self.seed("--git", self.site / "repo").stdout)
        self.assertEqual(again["commit"], report["commit"])  # nothing new, no commit
        other = json.loads(self.seed("--git", self.site / "other").stdout)
        self.assertEqual(other["commit"], report["commit"])  # whoever writes it
        self.take_in("1.1.0")
        self.activate("1.1.0")
        self.seed("--git", self.site / "repo")
        self.assertEqual(git("log", "--format=%s").split("\n")[:2], ["test-appliance 1.1.0", "test-appliance 1.0.0"])
        (self.site / "mine").mkdir()
        (self.site / "mine/file").write_text("not a repository")
        self.seed("--git", self.site / "mine", check=2)
        self.assertEqual((self.site / "mine/file").read_text(), "not a repository")

    @unittest.skipUnless(shutil.which("kustomize"), "kustomize is not installed")
    def test_kustomize_builds_seed_and_profiles(self):
        self.seed()
        built = tools.run("kustomize", "build", self.site / "seed", check=0).stdout
        self.assertIn("kind: OCIRepository", built)
        for path, text in self.state("1.0.0").items():
            target = self.site / "state" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        for profile in ("single-node", "ha-3node"):
            built = tools.run("kustomize", "build", self.site / "state/profiles" / profile, check=0).stdout
            self.assertIn("name: bundle-values", built)
            self.assertIn("dependsOn", built)


    # BUNDLE_FLUX_CRDS: a folder with Flux's custom resource definitions (config/crd/bases of its controllers).
    @unittest.skipUnless(shutil.which("kubeconform") and os.environ.get("BUNDLE_FLUX_CRDS"),
                         "kubeconform is not installed, or BUNDLE_FLUX_CRDS not set")
    def test_custom_resources_fit_their_schemas(self):
        self.seed()
        self.seed("--git", self.site / "repo", out="git")
        schemas = self.site / "schemas"
        schemas.mkdir()
        write_schemas(os.environ["BUNDLE_FLUX_CRDS"], schemas)
        resources = self.site / "resources"
        resources.mkdir()
        files = [*(self.site / "seed/manifests").glob("*.yaml"), *(self.site / "git/manifests").glob("*-30-*.yaml")]
        texts = [path.read_text() for path in files] + list(self.state("1.0.0").values())
        for number, text in enumerate(texts):
            text = re.sub(r"\$\{bundle_source_kind\}", "OCIRepository", text)  # as Flux substitutes
            (resources / f"{number}.yaml").write_text(re.sub(r"\$\{bundle_\w+\}", "value", text))
        location = str(schemas / "{{ .Group }}-{{ .ResourceKind }}-{{ .ResourceAPIVersion }}.json")
        answer = tools.run("kubeconform", "-strict", "-ignore-missing-schemas", "-summary", "-output", "json", "-verbose",
                           "-schema-location", location, resources, check=0)
        report = json.loads(answer.stdout)
        valid = {resource["kind"] for resource in report["resources"] if resource["status"] == "statusValid"}
        self.assertLessEqual({"OCIRepository", "GitRepository", "HelmRelease"}, valid, report["summary"])
        self.assertTrue(any(resource["kind"] == "Kustomization" and resource["status"] == "statusValid"
                            for resource in report["resources"]))


def write_schemas(folder, out):
    """What a custom resource definition says of its versions, as schemas that know every key."""
    import yaml

    def closed(schema):
        if isinstance(schema, list):
            return [closed(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema and isinstance(schema["properties"], dict) and schema.get("type") == "object":
            schema.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
        return schema

    for path in pathlib.Path(folder).rglob("*.yaml"):
        for crd in yaml.safe_load_all(path.read_text()):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"].lower()
            for version in crd["spec"]["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                (out / f"{group}-{kind}-{version['name']}.json").write_text(json.dumps(schema))


# What a vendor may overlook, each of another kind: file, what is appended or written, what the report names.
LEAKS = [
    ("helm/templates/init.yaml", "kind: Pod\nspec:\n  initContainers:\n    - {name: i, image: busybox}\n", "busybox"),
    ("helm/templates/hook.yaml", "kind: Job\nmetadata: {annotations: {helm.sh/hook: pre-upgrade}}\nspec:\n  template:\n    spec:\n"
     "      containers:\n        - name: migrate\n          image: registry.example.com/app/migrate:2\n",
     "registry.example.com/app/migrate:2"),
    ("helm/values.yaml", "sidecar: {image: {repository: ghcr.io/app/sidecar, tag: v1}}\n", "ghcr.io/app/sidecar:v1"),
    ("helm/crds/crd.yaml", "kind: CustomResourceDefinition\nspec: {default: \"quay.io/app/crd:v1\"}\n", "quay.io/app/crd:v1"),
    ("flux/app/cronjob.yaml", "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: 'alpine:3'}]}}}}}\n",
     "alpine:3"),
    ("flux/app/operator.yaml", "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: o\n"
     "          image: redis:7\n          env: [{name: RELATED_IMAGE_AGENT, value: agent:4}]\n", "agent:4"),
    ("flux/app/declared.yaml", "kind: Agent\nspec: {runner: {imageName: runner-image}}\n", "runner-image"),
    ("flux/app/args.yaml", "kind: Deployment\nspec: {args: [\"--reloader-image=reloader:9\"]}\n", "reloader:9"),
    ("flux/app/configmap.yaml", "kind: ConfigMap\ndata:\n  pod.yaml: |\n    spec:\n      image: quay.io/app/nested:v2\n", "quay.io/app/nested:v2"),
    ("flux/app/elsewhere.yaml", "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nspec: {url: 'https://charts.example.com'}\n",
     "https://charts.example.com"),
    ("flux/app/pinned.yaml", "kind: Pod\nspec: {containers: [{name: p, image: 'redis@sha256:" + "ab" * 32 + "'}]}\n", "redis@sha256:abab"),
    ("flux/app/patched.yaml", "kind: HelmRelease\nspec:\n  postRenderers:\n    - kustomize:\n        patches:\n          - patch: |\n"
     "              - {op: replace, path: /spec/template/spec/containers/0/image, value: 'patched:5'}\n", "patched:5"),
    ("flux/app/volume.yaml", "kind: Pod\nspec: {volumes: [{name: v, image: {reference: 'models:1'}}]}\n", "models:1"),
]
USE_SIDECAR = "kind: Pod\nspec:\n  containers:\n    - {name: s, image: \"{{ .Values.sidecar.image.repository }}:{{ .Values.sidecar.image.tag }}\"}\n"


class Closure(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name) / "in"
        self.spec = make_inputs(self.folder)

    def closure(self, check, env=None):
        answer = tools.run(tools.MAKE, "closure", self.spec, "--json", check=check, env=env)
        return json.loads(answer.stdout)

    def plant(self):
        for file, text, _ in LEAKS:
            path = self.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8") as out:
                out.write(text)
        (self.folder / "helm/templates/sidecar.yaml").write_text(USE_SIDECAR)
        with open(self.spec, "a", encoding="utf-8") as out:
            out.write('closure: {fields: ["spec.runner.imageName"]}\n')

    def assert_all_are_named(self, report):
        for file, _, image in LEAKS:
            found = [leak for leak in report["leaks"] if image in leak["image"]]
            self.assertTrue(found, f"{file}: {image} was not found in {report['leaks']}")
            if not file.endswith("values.yaml"):  # of that a template is named, or the profile's values
                self.assertTrue(any(file in leak["place"] for leak in found), found)
        known = [image for _, _, image in LEAKS]
        for leak in report["leaks"]:
            self.assertTrue(any(image in leak["image"] for image in known), f"no leak was planted there: {leak}")

    def test_a_closed_release_passes(self):
        report = self.closure(0, NO_PROGRAMS)
        self.assertEqual(report["leaks"], [])
        self.assertGreater(report["references"], 4)
        self.assertIn("2 expressions", " ".join(report["notes"]))

    def test_planted_leaks_are_caught_by_the_search(self):
        self.plant()
        report = self.closure(EXIT_SPEC, NO_PROGRAMS)
        self.assert_all_are_named(report)
        init, = (leak for leak in report["leaks"] if leak["image"] == "busybox")
        self.assertTrue(init["place"].endswith("helm/templates/init.yaml:4"), init)

    @unittest.skipUnless(shutil.which("helm"), "helm is not installed")
    def test_planted_leaks_are_caught_in_what_helm_renders(self):
        self.plant()
        report = self.closure(EXIT_SPEC)
        self.assertIn("helm ha-3node", report["rendered"])
        self.assert_all_are_named(report)

    def test_a_packed_subchart_is_looked_into(self):
        charts = self.folder / "helm/charts"
        charts.mkdir()
        files = {"cache/Chart.yaml": "apiVersion: v2\nname: cache\nversion: 1.0.0\n", "cache/values.yaml": "{}\n",
                 "cache/templates/pod.yaml": "kind: Pod\nspec: {containers: [{name: c, image: 'memcached:1'}]}\n"}
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w:gz") as tar:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        (charts / "cache-1.0.0.tgz").write_bytes(inner.getvalue())
        for env in (NO_PROGRAMS, None):  # searched, and rendered where helm is
            report = self.closure(EXIT_SPEC, env)
            leak, = report["leaks"]
            self.assertEqual(leak["image"], "memcached:1")
            self.assertIn("helm/charts/cache/templates/pod.yaml", leak["place"])

    @unittest.skipUnless(shutil.which("helm"), "helm is not installed")
    def test_a_closed_release_passes_rendered(self):
        report = self.closure(0)
        self.assertEqual(report["leaks"], [])
        self.assertIn("helm single-node", report["rendered"])

    @unittest.skipUnless(os.environ.get("BUNDLE_FLUX_CRDS"), "BUNDLE_FLUX_CRDS is not set")
    def test_the_definitions_of_flux_are_no_images(self):
        before = self.closure(0, NO_PROGRAMS)["references"]
        definitions = sorted(pathlib.Path(os.environ["BUNDLE_FLUX_CRDS"]).rglob("*.yaml"))
        with open(self.folder / "install.yaml", "a", encoding="utf-8") as out:
            for file in definitions:
                out.write("---\n" + file.read_text())
        report = self.closure(0, NO_PROGRAMS)
        self.assertEqual((report["leaks"], report["references"]), ([], before))

    def test_make_refuses_and_writes_nothing(self):
        self.plant()
        answer = tools.run(tools.MAKE, "make", self.spec, "--out", self.folder / "out", "--fast", "--quiet", check=EXIT_SPEC)
        self.assertIn("busybox", answer.stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_an_exception_has_a_reason_and_stays_on_record(self):
        (self.folder / "flux/app/debug.yaml").write_text("kind: Pod\nspec: {containers: [{name: d, image: 'debug:1'}]}\n")
        self.closure(EXIT_SPEC, NO_PROGRAMS)
        with open(self.spec, "a", encoding="utf-8") as out:
            out.write('closure: {exceptions: [{image: "debug:*", file: app/debug.yaml, reason: "applied by hand only"}]}\n')
        report = self.closure(0, NO_PROGRAMS)
        self.assertEqual([finding["reason"] for finding in report["excepted"]], ["applied by hand only"])

    def test_an_overlay_that_repeats_its_base_is_refused(self):
        (self.folder / "values/ha-3node.yaml").write_text("replicas: 1\n")
        answer = tools.run(tools.MAKE, "closure", self.spec, check=EXIT_SPEC)
        self.assertIn("values/ha-3node.yaml:1:1: 'replicas'", answer.stderr)


if __name__ == "__main__":
    unittest.main()
