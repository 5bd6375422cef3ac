"""Takes a one-volume bundle apart, lets a test change it, and puts it together again (docs/bundle-format.md).

What is put together has right checksums and sizes everywhere; only signatures are as they were, until sign() makes
new ones. So a test reaches the check that it is after, and not the one before.
"""

import hashlib
import json
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import tools  # noqa: E402

LEAF = 1 << 20
HEADER = 512


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def file_list(files):
    out = struct.pack("<I", len(files))
    for name in sorted(files):
        out += struct.pack("<H", len(name)) + name.encode() + struct.pack("<Q", len(files[name])) + files[name]
    return out


def parse_file_list(data):
    files, at = {}, 4
    for _ in range(struct.unpack_from("<I", data)[0]):
        length, = struct.unpack_from("<H", data, at)
        name = data[at + 2:at + 2 + length].decode()
        size, = struct.unpack_from("<Q", data, at + 2 + length)
        at += 10 + length
        files[name] = data[at:at + size]
        at += size
    return files


class Index:
    """The index as lists; groups are [stream, window, plain size, packed bytes]."""

    def __init__(self, data, pack):
        features, groups, leaves, blobs = struct.unpack_from("<4I", data, 16)
        at = 64
        self.features = list(struct.unpack_from(f"<{features}I", data, at))
        at += 4 * features
        self.groups, offset = [], 0
        for _ in range(groups):
            stream, window, plain, packed = struct.unpack_from("<BBxxII", data, at)
            self.groups.append([stream, window, plain, pack[offset:offset + packed]])
            offset += packed
            at += 24
        at += 32 * leaves
        self.blobs = [list(struct.unpack_from("<32sQI", data, at + 48 * i)) for i in range(blobs)]

    def pack(self):
        return b"".join(group[3] for group in self.groups)

    def leaves(self):
        return [group[3][at:at + LEAF] for group in self.groups for at in range(0, len(group[3]), LEAF)]

    def encode(self):
        leaves = self.leaves()
        out = b"BNDLIDX1" + struct.pack("<6IQ24x", 1, LEAF, len(self.features), len(self.groups), len(leaves),
                                        len(self.blobs), len(self.pack()))
        out += struct.pack(f"<{len(self.features)}I", *self.features)
        for stream, window, plain, packed in self.groups:
            out += struct.pack("<BBxxIIIQ", stream, window, plain, len(packed), 0, 0)
        out += b"".join(hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves)
        for blob, offset, size in self.blobs:
            out += struct.pack("<32sQII", blob, offset, size, 0)
        return out


class Bundle:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.volume = next(self.folder.glob("*.bundle"))
        data = self.volume.read_bytes()
        head_size, = struct.unpack_from("<Q", data, 40)
        self.data_offset, self.data_size = struct.unpack_from("<QQ", data, 80)
        self.head_end = HEADER + head_size
        self.head = parse_file_list(data[HEADER:self.head_end])
        pack = data[self.data_offset:self.data_offset + self.data_size]
        self.tail = parse_file_list(data[self.data_offset + self.data_size + 48:])
        self.index = Index(self.head["index"], pack)
        self.size = len(data)

    def document(self, name):
        return json.loads(self.head[name])

    def set_document(self, name, value):
        self.head[name] = canonical(value)

    def settle(self):
        """Carrier follows index and pack, statement follows manifest and blob list."""
        statement = self.document("statement.json")
        statement["manifest"] = {"digest": digest(self.head["manifest.json"]), "size": len(self.head["manifest.json"])}
        blobs = self.head["blobs.list"]
        statement["blobs"].update(digest=digest(blobs), size=len(blobs))
        self.set_document("statement.json", statement)
        carrier = self.document("carrier.json")
        carrier["statement"] = {"digest": digest(self.head["statement.json"])}
        carrier["index"] = {"digest": digest(self.head["index"]), "size": len(self.head["index"])}
        carrier["pack"] = {"leaves": len(self.index.leaves()), "size": len(self.index.pack())}
        self.set_document("carrier.json", carrier)

    def write(self, number=1, count=1, head=None, version=1):
        head = file_list(self.head) if head is None else head
        pack, tail = self.index.pack(), file_list(self.tail)
        bundle_id = hashlib.sha256(self.head["carrier.json"]).digest()[:16]
        offset = -(-(HEADER + len(head)) // 4096) * 4096
        header = b"BNDLVOL1" + struct.pack("<II16sIIQ32sQQII", version, HEADER, bundle_id, number, count, len(head),
                                           hashlib.sha256(head).digest(), offset, len(pack), 1, 0)
        header += struct.pack("<II", 0, len(self.index.leaves()))
        header += bytes(480 - len(header))
        header += hashlib.sha256(header).digest()
        framed = b"BNDLSIG1" + struct.pack("<Q", len(tail)) + hashlib.sha256(tail).digest() + tail
        body = header + head
        self.volume.write_bytes(body + bytes(offset - len(body)) + pack + framed)
        for name, content in {**self.head, **self.tail}.items():
            if name != "index":
                (self.folder / name).write_bytes(content)

    def sign(self, key):
        """Writes with new signatures by `key`."""
        for name in [name for name in self.tail if name.endswith(".minisig")]:
            del self.tail[name]
            (self.folder / name).unlink(missing_ok=True)
        self.write()
        tools.run(tools.MAKE, "sign", self.folder, "--key", key, check=0)
