"""Makes releases for tests: OCI images, a chart, files and release.yaml, from a seed. Any size, never real.

Same arguments, same bytes, as long as zlib is the same.
"""

import hashlib
import io
import json
import os
import pathlib
import random
import subprocess
import tarfile
import zlib

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
REF_NAME = "org.opencontainers.image.ref.name"
WORDS = ("server client volume release bundle digest signature operator site stick layer image chart node "
         "return const import function null true false error message offset length buffer table index").split()
TEXT_BLOCK = 1 << 18


class Content:
    """A source of bytes that compress about as well as program files."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        words = self.random.choices(WORDS, k=TEXT_BLOCK // 4)
        numbers = (f"{word}{self.random.randrange(1000)}" for word in words)
        self.text = " ".join(numbers).encode()[:TEXT_BLOCK]

    def bytes(self, size):
        """A third text, a third random, a third either, in runs of up to 8 KiB."""
        parts, left = [], size
        while left:
            length = min(left, self.random.randrange(64, 8192))
            if self.random.random() < 0.6:
                start = self.random.randrange(TEXT_BLOCK - length)
                parts.append(self.text[start : start + length])
            else:
                parts.append(self.random.randbytes(length))
            left -= length
        return b"".join(parts)


def canonical(value):
    return json.dumps(value, separators=(",", ":")).encode()


class Layout:
    """An OCI image layout that is being written."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.blobs = self.root / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)
        self.entries = []

    def add(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def add_layer(self, write_tar, level):
        """`write_tar(file)`; level 0 leaves the tar as it is. Returns (descriptor, diff id)."""
        out = LayerFile(self.blobs / ".incoming", level)
        write_tar(out)
        digest, diff_id, size = out.close()
        os.replace(self.blobs / ".incoming", self.blobs / digest)
        media_type = LAYER + ("+gzip" if level else "")
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": size}, "sha256:" + diff_id

    def add_image(self, layers, architecture="amd64"):
        """`layers`: what add_layer() returned. Returns the manifest's descriptor."""
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add(canonical(config), CONFIG),
            "layers": [descriptor for descriptor, _ in layers],
        }
        return self.add(canonical(manifest), MANIFEST)

    def add_index(self, images):
        """`images`: [(descriptor, architecture)]"""
        entries = [{**image, "platform": {"architecture": name, "os": "linux"}} for image, name in images]
        return self.add(canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}), INDEX)

    def name(self, descriptor, name):
        self.entries.append({**descriptor, "annotations": {REF_NAME: name}})

    def finish(self):
        (self.root / "oci-layout").write_bytes(canonical({"imageLayoutVersion": "1.0.0"}))
        (self.root / "index.json").write_bytes(
            canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries}))


class LayerFile(io.RawIOBase):
    """Takes a tar, writes it as a layer, hashes both forms."""

    def __init__(self, path, level):
        super().__init__()
        self.file = open(path, "wb")
        self.encoder = zlib.compressobj(level, zlib.DEFLATED, 31) if level else None
        self.plain, self.packed, self.size = hashlib.sha256(), hashlib.sha256(), 0

    def writable(self):
        return True

    def write(self, data):
        self.plain.update(data)
        self.put(self.encoder.compress(data) if self.encoder else bytes(data))
        return len(data)

    def put(self, data):
        self.packed.update(data)
        self.size += len(data)
        self.file.write(data)

    def close(self):
        if self.file.closed:
            return None
        if self.encoder:
            self.put(self.encoder.flush())
        self.file.close()
        return self.packed.hexdigest(), self.plain.hexdigest(), self.size


def write_tar(out, content, size, file_size):
    """A tar of files of about `file_size` bytes each, `size` bytes in all."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        number = 0
        while size > 0:
            length = min(size, content.random.randrange(file_size // 2, file_size * 2))
            entry = tarfile.TarInfo(f"usr/lib/app/part{number // 100}/file{number}.js")
            entry.size, entry.mtime, entry.mode = length, 1700000000, 0o644
            tar.addfile(entry, io.BytesIO(content.bytes(length)))
            size -= length
            number += 1


def write_disk(path, content, size):
    """A raw disk image: data and holes by turns, 64 KiB to 1 MiB each."""
    with open(path, "wb") as file:
        left = size
        while left > 0:
            length = min(left, content.random.randrange(1 << 16, 1 << 20))
            if content.random.random() < 0.3:
                file.seek(length, os.SEEK_CUR)
            else:
                file.write(content.bytes(length))
            left -= length
        file.truncate(size)


def write_ova(path, disk):
    """An OVA as VMware reads it: a tar with a streamOptimized VMDK of a raw disk. Needs qemu-img."""
    grains = pathlib.Path(path).with_suffix(".vmdk")
    subprocess.run(["qemu-img", "convert", "-q", "-m", "1", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized",
                    disk, grains], check=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (("appliance.ovf", b"<Envelope/>\n"), ("appliance-disk1.vmdk", grains.read_bytes())):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    grains.unlink()


def make_images(folder, content, version, image_bytes, levels, file_size):
    layout = Layout(folder)
    share = max(image_bytes // len(levels), 4096)
    layers = [layout.add_layer(lambda out: write_tar(out, content, share, file_size), level) for level in levels]
    web = layout.add_image(layers)
    arm = layout.add_image(layers[:1], "arm64")
    layout.name(layout.add_index([(web, "amd64"), (arm, "arm64")]), f"app/web:{version}")
    extra = layout.add_layer(lambda out: write_tar(out, content, share // 4 + 4096, file_size), 6)
    layout.name(layout.add_image([layers[0], extra]), "library/redis:7")
    layout.finish()


RELEASE_YAML = """apiVersion: bundle/v1
kind: Release
releaseVersion: {version}
product: test-appliance
os: {{base: ubuntu-24.04, artifacts: [{{name: appliance.img, path: os/appliance.img}}]}}
k8s: {{distribution: k3s, version: v1.31.6+k3s1, artifacts: [{{name: k3s, path: k3s, mode: "0755"}}]}}
app: {{chartPath: helm/, valuesProfile: single-node}}
images:
- {{name: "registry.example.com/app/web:{version}", source: "oci:images:app/web:{version}"}}
- {{name: "docker.io/library/redis:7", source: "oci:images:library/redis:7"}}
files: [{{name: install.sh, path: install.sh, mode: "0755"}}]
"""


def make_release(folder, version="1.0.0", seed=1, image_bytes=300_000, disk_bytes=1 << 20, levels=(6, 9, 1, 0),
                 file_size=4000):
    """Writes a release's inputs into `folder`; returns the path of release.yaml.

    `image_bytes`: plain bytes of the web image's layers together; `levels`: zlib level of each layer, 0 for none.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    content = Content(seed)
    make_images(folder / "images", content, version, image_bytes, levels, file_size)
    (folder / "os").mkdir()
    write_disk(folder / "os" / "appliance.img", content, disk_bytes)
    (folder / "k3s").write_bytes(content.bytes(disk_bytes // 8 + 1000))
    (folder / "install.sh").write_bytes(b"#!/bin/sh\necho installed\n")
    chart = folder / "helm" / "templates"
    chart.mkdir(parents=True)
    (chart.parent / "Chart.yaml").write_text(f"apiVersion: v2\nname: test-app\nversion: {version}\n")
    (chart.parent / "values.yaml").write_text("replicas: 1\n")
    (chart / "web.yaml").write_text("kind: ConfigMap\napiVersion: v1\nmetadata: {name: web}\n")
    (folder / "release.yaml").write_text(RELEASE_YAML.format(version=version))
    return folder / "release.yaml"
