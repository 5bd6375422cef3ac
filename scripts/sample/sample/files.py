"""The parts of a release that are files with a few words filled in: chart, values, k3s stand-ins, release.yaml."""

import json
import os
import shutil

from .oci import LAYER_TAR, Layout, Layer, HashingWriter, to_json
from .releases import PRODUCT, REGISTRY, iso_time
from .tools import run
from .tree import Content, Entry, FileTree

SOURCE = os.path.normpath(os.path.join(os.path.dirname(__file__), ".."))


def copy_filled(names, out, words):
    """Copy template directories of this folder to the release, replacing @WORD@."""
    for name in names:
        for folder, subfolders, files in os.walk(os.path.join(SOURCE, name)):
            subfolders.sort()
            target = os.path.join(out, os.path.relpath(folder, SOURCE))
            os.makedirs(target, exist_ok=True)
            for file in sorted(files):
                _copy_filled_file(os.path.join(folder, file), os.path.join(target, file), words)


def copy_desired_state(out):
    """The desired state is the one that vendors begin with: flux-seed/release."""
    shutil.copytree(os.path.join(SOURCE, "..", "..", "flux-seed", "release"), os.path.join(out, "flux", "release"))


def _copy_filled_file(source, target, words):
    with open(source, encoding="utf-8") as stream:
        text = stream.read()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    with open(target, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(target, os.stat(source).st_mode)


def write_airgap_images(release, web_runtime, out, work):
    """The stand-in for k3s's own images: one tiny real image, in a tar that both docker and OCI tools read."""
    root = os.path.join(work, "airgap")
    layout = Layout(root)
    name = f"{REGISTRY}/k3s-stand-in/pause:{release.k3s.replace('+', '-')}"
    layer = _pause_layer(release, web_runtime, layout, work)
    image = layout.add_image([layer], created=iso_time(release.built),
                             config={"Entrypoint": ["/bin/busybox", "sleep", "infinity"]})
    layout.tag({**image, "annotations": {"io.containerd.image.name": name}}, name.rpartition(":")[2])
    layout.finish()
    _write_docker_manifest(root, image, name)
    tar = os.path.join(work, "airgap.tar")
    with open(tar, "wb") as stream:
        tree_of_directory(root).write_tar(stream, release.built)
    target = os.path.join(out, "k3s", "k3s-airgap-images-amd64.tar.zst")
    run(["zstd", "--quiet", "--force", "--no-progress", "--single-thread", "-10", tar, "-o", target])


def _pause_layer(release, web_runtime, layout, work):
    tree = FileTree()
    tree.add_file("STAND-IN.txt", f"Stand-in for the images of k3s {release.k3s}, made by scripts/sample.\n")
    tree.add_dir("bin")
    tree.entries["bin/busybox"] = web_runtime.entries["usr/bin/busybox"]
    path = os.path.join(work, "pause.tar")
    with open(path, "wb") as stream:
        digest = HashingWriter(stream)
        tree.write_tar(digest, release.built)
    return Layer(layout.add_file(path, LAYER_TAR), "sha256:" + digest.hexdigest(), "stand-in", iso_time(release.built))


def _write_docker_manifest(root, image, name):
    """manifest.json, for readers of `docker save` archives."""
    def blob(descriptor):
        return "blobs/" + descriptor["digest"].replace(":", "/")
    with open(os.path.join(root, blob(image)), "rb") as stream:
        manifest = json.load(stream)
    entry = {"Config": blob(manifest["config"]), "RepoTags": [name],
             "Layers": [blob(layer) for layer in manifest["layers"]]}
    with open(os.path.join(root, "manifest.json"), "wb") as out:
        out.write(to_json([entry]))


def tree_of_directory(root):
    """The regular files below a directory as a tree."""
    tree = FileTree()
    for folder, _, files in os.walk(root):
        for file in files:
            path = os.path.join(folder, file)
            name = os.path.relpath(path, root)
            tree.add_file(name, b"")
            content = Content(path=path, length=os.path.getsize(path))
            tree.entries[name] = Entry(tree.entries[name].kind, 0o644, content=content)
    return tree


def write_release_yaml(release, images, out):
    """release.yaml, the one file that bundle-make is pointed at."""
    upgrade_from = ", ".join(json.dumps(version) for version in release.upgrade_from)
    lines = [
        "apiVersion: bundle/v1",
        "kind: Release",
        f"releaseVersion: {release.version}",
        f"product: {PRODUCT}",
        f"upgradeFrom: [{upgrade_from}]",
        "os: {base: ubuntu-24.04, artifacts: [{name: appliance.img, path: os/appliance.img}]}",
        f"k8s: {{distribution: k3s, version: {release.k3s}, artifacts: ["
        '{name: k3s, path: k3s/k3s, mode: "0755"}, '
        "{name: k3s-airgap-images-amd64.tar.zst, path: k3s/k3s-airgap-images-amd64.tar.zst}]}",
        "app: {chartPath: helm/, valuesProfile: single-node}",
        "images:                          # source: skopeo's transport names; name: how nodes ask for it",
        *[f'- {{name: "{image.name}", source: "oci:images:{image.ref}"}}' for image in images],
        "flux: {path: flux/release, values: values, install: flux/install.yaml}",
        'files: [{name: install.sh, path: k3s/install.sh, mode: "0755"}]',
    ]
    with open(os.path.join(out, "release.yaml"), "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
