"""What the cluster and auditors get: signatures that cosign verifies, the SBOM, the provenance."""

import base64
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import small_release  # noqa: E402
import tools  # noqa: E402

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SPDX_TYPE = "application/spdx+json"
IN_TOTO_TYPE = "application/vnd.in-toto+json"
ENV = {"SOURCE_DATE_EPOCH": tools.EPOCH}
WEB, REDIS = "registry.example.com/app/web:1.0.0", "docker.io/library/redis:7"
EXIT_SPEC = 20
EXIT_SIGNER = 85

DPKG = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u4

Package: removed
Status: deinstall ok config-files
Version: 1.0

"""


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return unittest.skipIf(missing, f"{', '.join(missing)} is not installed")


def go_program(modules):
    """The start of an ELF file with what Go's linker leaves in it."""
    text = b"#" * 16 + modules.encode() + b"#" * 16
    size = bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    return b"\x7fELF" + b"\0" * 4092 + b"\xff Go buildinf:\x08\x02" + b"\0" * 16 + b"\x08go1.22.3" + size + text


def check_spdx(test, path):
    try:
        from spdx_tools.spdx.parser.parse_anything import parse_file
        from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
    except ImportError:
        test.skipTest("spdx-tools is not installed")
    test.assertEqual([str(message) for message in validate_full_spdx_document(parse_file(str(path)))], [])


def write_members(out, members):
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            content = content.encode() if isinstance(content, str) else content
            entry.size, entry.mtime, entry.mode = len(content), 1700000000, 0o755
            tar.addfile(entry, io.BytesIO(content))


def add_packages(folder):
    """Puts a third image into a release, whose layers have packages of every kind."""
    images = small_release.Layout(folder / "apps")
    lower = images.add_layer(lambda out: write_members(out, {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "var/lib/dpkg/status": DPKG,
        "app/node_modules/left-pad/package.json": '{"name":"left-pad","version":"1.3.0"}',
        "app/node_modules/old/package.json": '{"name":"old","version":"0.1.0"}',
        "usr/lib/python3/site-packages/Requests-2.31.0.dist-info/METADATA": "Name: Requests\nVersion: 2.31.0\n\n",
    }), 6)
    upper = images.add_layer(lambda out: write_members(out, {
        "app/node_modules/.wh.old": "",
        "srv/package-lock.json": '{"lockfileVersion":3,"packages":{"node_modules/@s/x":{"version":"2.0.0"}}}',
        "srv/Gemfile.lock": "GEM\n  specs:\n    rack (3.0.8)\n",
        "usr/local/bin/app": go_program("path\ta\nmod\texample.com/app\tv1.5.0\t\ndep\tgolang.org/x/net\tv0.24.0\th1:\n"),
    }), 0)
    images.name(images.add_image([lower, upper]), "apps:1")
    images.finish()
    yaml = folder / "release.yaml"
    text = yaml.read_text().replace(
        "images:\n", 'images:\n- {name: "registry.example.com/apps:1", source: "oci:apps:apps:1"}\n')
    text = text.replace("{base: ubuntu-24.04,", "{base: ubuntu-24.04, packages: os/packages.manifest,")
    yaml.write_text(text + "signatures: signatures\n")
    (folder / "os" / "packages.manifest").write_text("openssh-server\t1:9.6p1-3ubuntu13\n")


def make_release(folder, **options):
    yaml = small_release.make_release(folder, **options)
    add_packages(pathlib.Path(folder))
    return yaml


def openssl_key(folder, name="cosign"):
    key, public = folder / f"{name}.key", folder / f"{name}.pub"
    tools.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key, check=0)
    tools.run("openssl", "pkey", "-in", key, "-pubout", "-out", public, check=0)
    return key, public


def cosign_sign(release, key, *options, check=0):
    return tools.run(tools.MAKE, "cosign-sign", release, "--key", key, "--json", *options, check=check, env=ENV)


def artifacts(manifest):
    files = manifest["os"]["artifacts"] + manifest["k8s"]["artifacts"] + manifest["files"]
    return (manifest["images"] + [manifest["app"]["chart"]["artifact"]] + [file["artifact"] for file in files] +
            [manifest["releaseIndex"]])


class Site:
    """A registry's content over HTTP."""

    def __init__(self, address):
        self.address = address

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}/v2/{path}") as answer:
            return answer.read()

    def referrers(self, repository, digest, kind=None):
        found = json.loads(self.get(f"{repository}/referrers/{digest}"))["manifests"]
        return [entry for entry in found if kind in (None, entry["artifactType"])]

    def layer(self, repository, digest):
        manifest = json.loads(self.get(f"{repository}/manifests/{digest}"))
        self_digest = manifest["layers"][0]["digest"]
        data = self.get(f"{repository}/blobs/{self_digest}")
        assert "sha256:" + hashlib.sha256(data).hexdigest() == self_digest
        return manifest, data


class Fixture:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bundle-supply-"))
        self.key, self.pub = tools.make_key(self.folder)
        self.cosign_key, self.cosign_pub = openssl_key(self.folder)
        self.release = make_release(self.folder / "release")
        self.signed = json.loads(cosign_sign(self.release, self.cosign_key).stdout)["artifacts"]
        self.bundle = tools.make_bundle(self.release, self.folder / "bundle", self.key, "--fast", "--jobs", "1", env=ENV)
        self.manifest = json.loads((self.bundle / "manifest.json").read_text())
        self.store = self.folder / "store"
        tools.import_bundle([self.bundle], self.store, self.pub, check=0)
        tools.run(tools.IMPORT, "activate", "1.0.0", "--store", self.store, check=0)
        self.registry = tools.Registry(self.store)
        self.address = self.registry.__enter__()
        self.site = Site(self.address)


FIXTURE = None


@needs("openssl")
class Supply(unittest.TestCase):
    def setUp(self):
        global FIXTURE
        FIXTURE = FIXTURE or Fixture()
        self.__dict__.update(vars(FIXTURE))

    def repository(self, artifact):
        host = artifact.get("registry")
        return f"{host}/{artifact['repository']}" if host else artifact["repository"]

    def reference(self, artifact):
        return f"{self.address}/{self.repository(artifact)}@{artifact['digest']}"


def tearDownModule():
    if FIXTURE:
        FIXTURE.registry.__exit__()
        shutil.rmtree(FIXTURE.folder, ignore_errors=True)


class Sbom(Supply):
    def sbom(self):
        index = self.manifest["releaseIndex"]
        entry, = self.site.referrers(index["repository"], index["digest"], SPDX_TYPE)
        manifest, data = self.site.layer(index["repository"], entry["digest"])
        self.assertEqual(manifest["subject"]["digest"], index["digest"])
        self.assertEqual(manifest["artifactType"], SPDX_TYPE)
        return json.loads(data), data

    def purls(self, document, owner):
        ids = {package["SPDXID"]: package for package in document["packages"]}
        start, = [key for key, package in ids.items() if package["name"] == owner and "Package" not in key]
        found = [relation["relatedSpdxElement"] for relation in document["relationships"]
                 if relation["spdxElementId"] == start and relation["relationshipType"] == "CONTAINS"]
        return {ref["referenceLocator"] for key in found for ref in ids[key].get("externalRefs", [])}

    def test_lists_packages_of_every_kind(self):
        document, _ = self.sbom()
        self.assertEqual(self.purls(document, "registry.example.com/apps:1"), {
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12", "pkg:npm/left-pad@1.3.0",
            "pkg:pypi/requests@2.31.0", "pkg:npm/%40s/x@2.0.0", "pkg:gem/rack@3.0.8", "pkg:golang/stdlib@1.22.3",
            "pkg:golang/example.com/app@v1.5.0", "pkg:golang/golang.org/x/net@v0.24.0"})
        self.assertIn("pkg:deb/ubuntu/openssh-server@1:9.6p1-3ubuntu13?distro=ubuntu-24.04",
                      self.purls(document, "ubuntu"))

    def test_lists_every_artifact_with_its_digest(self):
        document, _ = self.sbom()
        sums = {sum["checksumValue"] for package in document["packages"] for sum in package.get("checksums", [])}
        for kind in (self.manifest["os"]["artifacts"], self.manifest["k8s"]["artifacts"], self.manifest["files"]):
            for file in kind:
                self.assertIn(file["sha256"], sums, file["name"])
        self.assertIn(self.manifest["app"]["chart"]["artifact"]["digest"][7:], sums)
        self.assertIn(self.manifest["releaseIndex"]["digest"][7:], sums)

    def test_spdx_tools_find_it_valid(self):
        path = self.folder / "sbom.spdx.json"
        path.write_bytes(self.sbom()[1])
        check_spdx(self, path)

    def test_is_part_of_the_signed_set(self):
        listed = {line.split()[0] for line in (self.bundle / "blobs.list").read_text().splitlines()}
        for referrer in self.manifest["releaseIndex"]["referrers"]:
            self.assertIn(referrer["digest"], listed)


class Provenance(Supply):
    def test_names_what_went_in_and_what_came_out(self):
        index = self.manifest["releaseIndex"]
        entry, = self.site.referrers(index["repository"], index["digest"], IN_TOTO_TYPE)
        manifest, data = self.site.layer(index["repository"], entry["digest"])
        self.assertEqual(manifest["layers"][0]["annotations"]["in-toto.io/predicate-type"], "https://slsa.dev/provenance/v1")
        statement = json.loads(data)
        self.assertEqual(statement["subject"][0]["digest"]["sha256"], index["digest"][7:])
        inputs = {item["name"]: item["digest"]["sha256"]
                  for item in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
        self.assertEqual(inputs["release.yaml"], tools.file_digest(self.release))
        self.assertEqual(inputs["k3s"], tools.file_digest(self.folder / "release" / "k3s"))
        self.assertNotIn(str(self.folder), data.decode())

    def test_the_builder_can_be_named(self):
        out = tools.make_bundle(self.release, self.folder / "named", self.key, "--fast", "--builder",
                                "https://ci.example.com/release", env=ENV)
        manifest = json.loads((out / "manifest.json").read_text())
        self.assertNotEqual(manifest["releaseIndex"]["referrers"], self.manifest["releaseIndex"]["referrers"])
        self.assertEqual(manifest["releaseIndex"]["digest"], self.manifest["releaseIndex"]["digest"])


class Deterministic(Supply):
    def test_same_inputs_same_bytes_whatever_the_jobs(self):
        again = tools.make_bundle(self.release, self.folder / "again", self.key, "--fast", "--jobs", "4", env=ENV)
        self.assertEqual(tools.tree_digest(again), tools.tree_digest(self.bundle))

    def test_signing_again_changes_nothing(self):
        before = tools.tree_digest(self.folder / "release" / "signatures")
        answer = json.loads(cosign_sign(self.release, self.cosign_key).stdout)
        self.assertEqual({entry["state"] for entry in answer["artifacts"]}, {"kept"})
        self.assertEqual(tools.tree_digest(self.folder / "release" / "signatures"), before)


def envelope_message(data):
    """What a DSSE envelope signs, its signature, and the in-toto statement in it."""
    envelope = json.loads(data)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d " % (len(kind), kind, len(payload)) + payload
    return message, base64.b64decode(envelope["signatures"][0]["sig"]), json.loads(payload)


class Signatures(Supply):
    def test_openssl_verifies_each_in_the_registry(self):
        for artifact in artifacts(self.manifest):
            repository = self.repository(artifact)
            entry, = self.site.referrers(repository, artifact["digest"], BUNDLE_TYPE)
            _, data = self.site.layer(repository, entry["digest"])
            message, signature, statement = envelope_message(data)
            self.assertEqual(statement["subject"][0]["digest"]["sha256"], artifact["digest"][7:])
            (self.folder / "message").write_bytes(message)
            (self.folder / "signature").write_bytes(signature)
            tools.run("openssl", "dgst", "-sha256", "-verify", self.cosign_pub, "-signature", self.folder / "signature",
                      self.folder / "message", check=0)

    def test_a_stale_signature_is_refused(self):
        copy = self.folder / "stale"
        shutil.copytree(self.folder / "release", copy)
        (copy / "helm" / "values.yaml").write_text("replicas: 2\n")
        result = tools.run(tools.MAKE, "make", copy / "release.yaml", "--out", self.folder / "stale-out", "--fast",
                           check=EXIT_SPEC, env=ENV)
        self.assertIn("cosign-sign", result.stderr)
        cosign_sign(copy / "release.yaml", self.cosign_key)
        tools.make_bundle(copy / "release.yaml", self.folder / "stale-out", self.key, "--fast", env=ENV)

    def test_a_maker_s_own_signature_is_not_hidden(self):
        copy = self.folder / "upstream"
        shutil.copytree(self.folder / "release", copy)
        shutil.rmtree(copy / "signatures")
        apps = self.manifest["images"][0]
        images = copy / "apps"
        layout = small_release.Layout.__new__(small_release.Layout)
        layout.root, layout.blobs = images, images / "blobs" / "sha256"
        layout.entries = json.loads((images / "index.json").read_text())["manifests"]
        payload = layout.add(b"{}", "application/vnd.dev.cosign.simplesigning.v1+json")
        config = layout.add(b'{"os":""}', small_release.CONFIG)
        signature = layout.add(small_release.canonical({
            "schemaVersion": 2, "mediaType": small_release.MANIFEST, "config": config, "layers": [payload]}),
            small_release.MANIFEST)
        layout.name(signature, apps["digest"].replace(":", "-") + ".sig")
        layout.finish()
        answer = json.loads(cosign_sign(copy / "release.yaml", self.cosign_key).stdout)
        states = {entry["name"]: entry["state"] for entry in answer["artifacts"]}
        self.assertEqual(states[apps["name"]], "upstream")
        self.assertEqual(states[WEB], "signed")
        # A bundle that somebody put there by hand is refused.
        shutil.rmtree(copy / "signatures")
        shutil.copytree(self.folder / "release" / "signatures", copy / "signatures")
        index = copy / "signatures" / "index.json"
        document = json.loads(index.read_text())
        document["manifests"] = document["manifests"][:1]
        index.write_text(json.dumps(document))
        result = tools.run(tools.MAKE, "make", copy / "release.yaml", "--out", copy / "out", "--fast", check=EXIT_SPEC)
        self.assertIn("hide", result.stderr)

    def test_a_command_signs(self):
        copy = self.folder / "command"
        shutil.copytree(self.folder / "release", copy)
        shutil.rmtree(copy / "signatures")
        command = f"openssl dgst -sha256 -sign '{self.cosign_key}'"
        tools.run(tools.MAKE, "cosign-sign", copy / "release.yaml", "--sign-command", command, "--public-key",
                  self.cosign_pub, check=0)
        _, other = openssl_key(self.folder, "other")
        shutil.rmtree(copy / "signatures")
        tools.run(tools.MAKE, "cosign-sign", copy / "release.yaml", "--sign-command", command, "--public-key", other,
                  check=EXIT_SIGNER)

    def test_classic_signatures_stand_under_their_tags(self):
        copy = self.folder / "classic"
        shutil.copytree(self.folder / "release", copy)
        shutil.rmtree(copy / "signatures")
        cosign_sign(copy / "release.yaml", self.cosign_key, "--classic")
        out = tools.make_bundle(copy / "release.yaml", copy / "out", self.key, "--fast", env=ENV)
        store = copy / "store"
        tools.import_bundle([out], store, self.pub, check=0)
        with tools.Registry(store) as address:
            site = Site(address)
            for artifact in artifacts(json.loads((out / "manifest.json").read_text())):
                tag = artifact["digest"].replace(":", "-") + ".sig"
                manifest, payload = site.layer(self.repository(artifact), tag)
                signature = manifest["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"]
                (copy / "payload").write_bytes(payload)
                (copy / "sig").write_bytes(base64.b64decode(signature))
                tools.run("openssl", "dgst", "-sha256", "-verify", self.cosign_pub, "-signature", copy / "sig",
                          copy / "payload", check=0)
                self.assertEqual(json.loads(payload)["critical"]["image"]["docker-manifest-digest"], artifact["digest"])
            if shutil.which("cosign-v2"):
                chart = self.manifest["app"]["chart"]["artifact"]
                verify = [*COSIGN["cosign-v2"][:1], "verify", "--key", self.cosign_pub, "--insecure-ignore-tlog=true",
                          "--allow-http-registry", f"{address}/{chart['repository']}@{chart['digest']}"]
                tools.run(*verify, check=0, env=OFFLINE)


# cosign 2 wants a trusted root even with a key; nothing needs to be in it.
TRUSTED_ROOT = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
# The real client, in the two generations that are in use, under these names or as "cosign".
COSIGN = {
    "cosign-v3": ["cosign-v3", "verify", "--insecure-ignore-tlog=true", "--allow-http-registry"],
    "cosign-v2": ["cosign-v2", "verify", "--new-bundle-format", "--insecure-ignore-tlog=true", "--allow-http-registry",
                  "--trusted-root", "trusted_root.json"],
    "cosign": ["cosign", "verify", "--insecure-ignore-tlog=true", "--allow-http-registry"],
}
# Nothing but the loopback can be reached through this proxy address, and the loopback needs none.
OFFLINE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1",
           "COSIGN_PASSWORD": "secret"}


class CosignClient(Supply):
    def verify(self, client, key, reference):
        (self.folder / "trusted_root.json").write_text(TRUSTED_ROOT)
        return tools.run(*COSIGN[client], "--key", key, reference, cwd=self.folder,
                         env={**OFFLINE, "HOME": str(self.folder)})

    def clients(self):
        found = [client for client in COSIGN if shutil.which(client)]
        if not found:
            self.skipTest("cosign is not installed")
        return found

    def test_verifies_images_chart_and_index_offline(self):
        _, other = openssl_key(self.folder, "stranger")
        for client in self.clients():
            for artifact in artifacts(self.manifest):
                with self.subTest(client=client, artifact=artifact["name"]):
                    result = self.verify(client, self.cosign_pub, self.reference(artifact))
                    self.assertEqual(result.returncode, 0, result.stderr)
            chart = self.reference(self.manifest["app"]["chart"]["artifact"])
            self.assertNotEqual(self.verify(client, other, chart).returncode, 0, client)
            tagged = chart.split("@")[0] + ":1.0.0"
            self.assertEqual(self.verify(client, self.cosign_pub, tagged).returncode, 0, client)

    def test_what_nobody_signed_fails(self):
        index = self.manifest["releaseIndex"]
        sbom, = self.site.referrers(self.repository(index), index["digest"], SPDX_TYPE)
        for client in self.clients():
            reference = self.reference({**index, "digest": sbom["digest"]})
            self.assertNotEqual(self.verify(client, self.cosign_pub, reference).returncode, 0, client)

    def move_signature(self, release, digest, target):
        """Leaves one signature in the folder: that of `digest`, hung on another artifact."""
        folder = release / "signatures"
        blobs = folder / "blobs" / "sha256"
        entries = json.loads((folder / "index.json").read_text())["manifests"]
        entry = next(item for item in entries
                     if json.loads((blobs / item["digest"][7:]).read_text())["subject"]["digest"] == digest)
        document = json.loads((blobs / entry["digest"][7:]).read_text())
        document["subject"].update(digest=target["digest"], size=target["size"])
        data = small_release.canonical(document)
        moved = hashlib.sha256(data).hexdigest()
        (blobs / moved).write_bytes(data)
        moved = {"mediaType": entry["mediaType"], "digest": "sha256:" + moved, "size": len(data)}
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [moved]}))

    def test_an_altered_chart_under_the_tag_fails(self):
        """Without a signature, and with that of the real chart hung on it."""
        chart = self.manifest["app"]["chart"]["artifact"]
        for with_signature in (False, True):
            copy = self.folder / f"chart-{with_signature}"
            shutil.copytree(self.folder / "release", copy)
            (copy / "helm" / "values.yaml").write_text("image: evil\n")
            if not with_signature:
                yaml = copy / "release.yaml"
                yaml.write_text(yaml.read_text().replace("signatures: signatures\n", ""))
                target = json.loads((self.make(copy) / "manifest.json").read_text())["app"]["chart"]["artifact"]
                self.assertNotEqual(target["digest"], chart["digest"])
            else:
                self.move_signature(copy, chart["digest"], target)
                self.make(copy)
            tools.import_bundle([copy / "out"], copy / "store", self.pub, check=0)
            with tools.Registry(copy / "store") as address:
                found = Site(address).referrers(chart["repository"], target["digest"], BUNDLE_TYPE)
                self.assertEqual(len(found), int(with_signature))
                repository = f"{address}/{chart['repository']}"
                for client in self.clients():
                    for reference in (f"{repository}:1.0.0", f"{repository}@{target['digest']}"):
                        with self.subTest(client=client, reference=reference, with_signature=with_signature):
                            self.assertNotEqual(self.verify(client, self.cosign_pub, reference).returncode, 0)

    def make(self, release):
        return tools.make_bundle(release / "release.yaml", release / "out", self.key, "--fast", env=ENV)

    def test_re_tagged_and_altered_ones_fail(self):
        """Another image under the tag; and the signature of one image hung on another."""
        clients = self.clients()
        copy = self.folder / "attack"
        shutil.copytree(self.folder / "release", copy)
        # The tag apps:1 now names redis, which is signed under no such name but by digest: still good for
        # cosign, whose claim is the digest. An unsigned image under the tag is not.
        layout = small_release.Layout(copy / "evil")
        layer = layout.add_layer(lambda out: write_members(out, {"bin/evil": "x"}), 6)
        layout.name(layout.add_image([layer]), "evil:1")
        layout.finish()
        yaml = (copy / "release.yaml").read_text().replace('"oci:apps:apps:1"', '"oci:evil:evil:1"')
        (copy / "release.yaml").write_text(yaml)
        # The thief moves the signature of apps:1 to his image: subject rewritten, bundle as it was.
        evil = json.loads((copy / "evil" / "index.json").read_text())["manifests"][0]
        self.move_signature(copy, self.manifest["images"][0]["digest"], evil)
        out = tools.make_bundle(copy / "release.yaml", copy / "out", self.key, "--fast", env=ENV)
        tools.import_bundle([out], copy / "store", self.pub, check=0)
        with tools.Registry(copy / "store") as address:
            repository = f"{address}/registry.example.com/apps"
            self.assertEqual(len(Site(address).referrers("registry.example.com/apps", evil["digest"], BUNDLE_TYPE)), 1)
            for client in clients:
                for reference in (f"{repository}:1", f"{repository}@{evil['digest']}"):
                    with self.subTest(client=client, reference=reference):
                        self.assertNotEqual(self.verify(client, self.cosign_pub, reference).returncode, 0)

    def test_keys_of_cosign_sign(self):
        client = self.clients()[0]
        folder = self.folder / "cosign-made"
        folder.mkdir()
        subprocess.run([client, "generate-key-pair"], cwd=folder, check=True, capture_output=True, timeout=300,
                       env={"PATH": os.environ["PATH"], "HOME": str(folder), "COSIGN_PASSWORD": "secret"})
        (folder / "password").write_text("secret\n")
        copy = folder / "release"
        shutil.copytree(self.folder / "release", copy)
        answer = cosign_sign(copy / "release.yaml", folder / "cosign.key", "--password-file", folder / "password")
        self.assertEqual(json.loads(answer.stdout)["public_key"], (folder / "cosign.pub").read_text())


if __name__ == "__main__":
    unittest.main()
