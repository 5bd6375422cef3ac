"""Writing an OCI image layout: blobs by digest, and an index.json that names them."""

import dataclasses
import hashlib
import json
import os
import tempfile
import zlib

from .tools import sha256_of
from .tree import copy_fresh

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER_TAR + "+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"


def to_json(value):
    """JSON in one spelling: a manifest's digest is over its exact bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer as the manifest and the config name it, and what the history says of it."""

    descriptor: dict
    diff_id: str
    created_by: str
    created: str


class HashingWriter:
    """A write-only stream that hashes what passes, and hands it on when there is somewhere to hand it."""

    def __init__(self, out=None):
        self._out, self._digest, self.size = out, hashlib.sha256(), 0

    def write(self, data):
        self._digest.update(data)
        self.size += len(data)
        if self._out is not None:
            self._out.write(data)
        return len(data)

    def hexdigest(self):
        return self._digest.hexdigest()


class GzipWriter:
    """zlib's own gzip framing: modification time 0 and no file name in the header."""

    def __init__(self, out, level):
        self._out, self._zlib = out, zlib.compressobj(level, zlib.DEFLATED, wbits=31)

    def write(self, data):
        self._out.write(self._zlib.compress(data))
        return len(data)

    def close(self):
        self._out.write(self._zlib.flush())


class LayerCache:
    """Compressed layers by the digest of their tar, because compressing is most of the work of a run."""

    def __init__(self, cache):
        self._dir = os.path.join(cache, "layers")
        os.makedirs(self._dir, exist_ok=True)

    def gzip(self, tree, mtime, level):
        """Return (path of the gzip file, diff id) of the tree's tar."""
        plain = HashingWriter()
        tree.write_tar(plain, mtime)
        # another zlib may write other bytes, so its version is part of the name
        name = f"{plain.hexdigest()}-zlib{zlib.ZLIB_RUNTIME_VERSION}-{level}.tar.gz"
        path = os.path.join(self._dir, name)
        if not os.path.exists(path):
            self._compress(tree, mtime, level, path)
        return path, "sha256:" + plain.hexdigest()

    def _compress(self, tree, mtime, level, path):
        with tempfile.NamedTemporaryFile(dir=self._dir, prefix=".incoming-", delete=False) as out:
            packer = GzipWriter(out, level)
            tree.write_tar(packer, mtime)
            packer.close()
        os.replace(out.name, path)


class Layout:
    """An OCI image layout directory under construction."""

    def __init__(self, root):
        self.root = root
        self._entries = []
        os.makedirs(os.path.join(root, "blobs", "sha256"))

    def add_bytes(self, content, media_type, **more):
        """Store a small blob and return its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        with open(self._blob(digest), "wb") as out:
            out.write(content)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(content), **more}

    def add_file(self, path, media_type):
        """Store a file of any size and return its descriptor."""
        digest = sha256_of(path)
        copy_fresh(path, self._blob(digest))
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": os.path.getsize(path)}

    def add_layer(self, cache, tree, mtime, created, created_by, level=6):
        """Store a tree as a gzip layer."""
        path, diff_id = cache.gzip(tree, mtime, level)
        return Layer(self.add_file(path, LAYER_GZIP), diff_id, created_by, created)

    def add_image(self, layers, *, created, config, architecture="amd64", annotations=None):
        """Store the config and manifest of an image; the descriptor carries its platform."""
        platform = {"architecture": architecture, "os": "linux"}
        config_blob = {
            "created": created, **platform, "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": layer.created, "created_by": layer.created_by} for layer in layers],
        }
        manifest = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self.add_bytes(to_json(config_blob), CONFIG),
            "layers": [layer.descriptor for layer in layers],
            "annotations": {"org.opencontainers.image.created": created, **(annotations or {})},
        }
        return self.add_bytes(to_json(manifest), MANIFEST, platform=platform)

    def add_index(self, children, annotations):
        """Store an image index over several platforms."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children, "annotations": annotations}
        return self.add_bytes(to_json(index), INDEX)

    def add_artifact(self, artifact_type, data, subject, annotations):
        """Store a one-blob artifact that refers to another manifest, as `oras attach` would."""
        manifest = {
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type,
            "config": self.add_bytes(b"{}", EMPTY, data="e30="),
            "layers": [self.add_bytes(data, artifact_type)],
            "subject": {key: subject[key] for key in ("mediaType", "digest", "size")},
            "annotations": annotations,
        }
        return self.add_bytes(to_json(manifest), MANIFEST, artifactType=artifact_type, annotations=annotations)

    def tag(self, descriptor, ref):
        """Give a manifest a name in index.json."""
        annotations = {**descriptor.get("annotations", {}), REF_NAME: ref}
        self._entries.append({**descriptor, "annotations": annotations})

    def list_untagged(self, descriptor):
        """Put a manifest in index.json without a name: that is how a layout makes a referrer findable."""
        self._entries.append(descriptor)

    def finish(self):
        """Write oci-layout and index.json, entries in a fixed order."""
        def order(entry):
            return entry.get("annotations", {}).get(REF_NAME, "~"), entry["digest"]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": sorted(self._entries, key=order)}
        self._write("oci-layout", to_json({"imageLayoutVersion": "1.0.0"}))
        self._write("index.json", to_json(index))

    def _blob(self, digest):
        return os.path.join(self.root, "blobs", "sha256", digest)

    def _write(self, name, data):
        with open(os.path.join(self.root, name), "wb") as out:
            out.write(data)
