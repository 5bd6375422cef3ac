#!/usr/bin/python3
"""A second reader of the bundle format, written from docs/bundle-format.md alone.

It shares no line with libbundle: where it and the C++ disagree, the text is wrong or one of them is.
Needs Python 3.9 and the Debian package python3-zstandard. It trusts nobody unless --verify-key is given.

    read_bundle.py DIR|VOLUME...            check headers, lists, documents and index; list the blobs
    read_bundle.py DIR --check              also check every leaf and rebuild every blob
    read_bundle.py DIR --verify-key K.pub   also check the signatures of a minisign key

Exit code: 0 good, 1 damaged or wrong, 2 wrong command line, 3 something could not be checked here
(no signature program, or a deflate encoder that Python does not have).
"""

import argparse
import base64
import bisect
import collections
import hashlib
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

import x86_filter
import zstandard

# Section 6 of the text.
MAX_VOLUMES = 4096
MAX_HEAD_BYTES = 134217728
MAX_TAIL_BYTES = 4194304
MAX_LIST_FILES = 1024
MAX_DOCUMENT_BYTES = 16777216
MAX_SIGNED_JSON_BYTES = 65536  # section 2
MAX_INDEX_BYTES = 67108864
MAX_BLOB_LIST_BYTES = 67108864
MAX_GROUP_PLAIN = 67108864
MAX_GROUP_PACKED = 68157440
MAX_WINDOW_LOG = 27
MAX_RECIPE_BYTES = 16777216
MAX_LITERAL = 65536
MAX_ENCODER_PARAMS = 64
MAX_STREAM_PARTS = 65536
MAX_PART_PLAIN = 16777216
MAX_STREAM_FLUSHES = 65536
MAX_VERBATIM_BYTES = 16777216
MAX_BLOB_BYTES = 17592186044416

LEAF_SIZE = 1 << 20
MAX_STREAMS = 12
HEADER_SIZE = 512
DATA_ALIGN = 4096
MAX_REFERENCE_BYTES = 67108864
MAX_REFERENCED_GROUP_BYTES = 100663296
MAX_DIFFERENCE_TABLE = 4194304
MAX_REFERENCE_LIST_BYTES = 4194304
HEAD_NAMES = ["blobs.list", "carrier.json", "index", "manifest.json", "statement.json"]
SHORT_HEAD_NAMES = ["carrier.json", "documents", "index", "statement.json"]
KNOWN_FEATURES = {1: "deflate-zlib", 2: "base", 3: "group-reference", 4: "deflate-go", 5: "deflate-klauspost",
                  6: "deflate-klauspost-more", 7: "deflate-pigz", 8: "deflate-tokens", 9: "deflate-parts",
                  10: "x86-filter", 11: "difference"}
# Encoder family: (feature, sizes of its parameters). Only zlib's can be replayed in Python.
ENCODER_FAMILIES = {1: (1, (3,)), 2: (4, (1,)), 3: (5, (1, 2)), 4: (5, (5, 6)), 5: (7, (6,)), 6: (8, (15,))}
GROUP_CACHE_BYTES = 192 << 20  # decoded groups that are kept; a choice of this reader
COPY_STEP = 1 << 20


class BadBundle(Exception):
    """The bundle breaks the format or a digest."""


class CannotCheck(Exception):
    """This reader lacks something that is needed to go on; the bundle may be good."""


def need(condition, message):
    if not condition:
        raise BadBundle(message)


def sha256(data):
    return hashlib.sha256(data).digest()


def digest_text(data):
    return "sha256:" + sha256(data).hex()


# ---- volumes (section 3) ----------------------------------------------------------------------


def parse_file_list(data, where):
    """Section 3.2: {name: bytes}, names checked."""
    need(len(data) >= 4, f"{where}: file list too short")
    (count,) = struct.unpack_from("<I", data, 0)
    need(count <= MAX_LIST_FILES, f"{where}: {count} files in one list")
    position, files, previous = 4, {}, b""
    for _ in range(count):
        need(position + 2 <= len(data), f"{where}: file list ends early")
        (length,) = struct.unpack_from("<H", data, position)
        position += 2
        need(1 <= length <= 128 and position + length + 8 <= len(data), f"{where}: bad name length")
        name = data[position : position + length]
        need(re.fullmatch(rb"[A-Za-z0-9_-][A-Za-z0-9._-]*", name), f"{where}: bad name {name!r}")
        need(name > previous, f"{where}: names not sorted at {name!r}")
        position += length
        (size,) = struct.unpack_from("<Q", data, position)
        position += 8
        need(size <= len(data) - position, f"{where}: {name!r} is longer than the list")
        files[name.decode()] = data[position : position + size]
        position += size
        previous = name
    need(position == len(data), f"{where}: bytes after the last file of a list")
    return files


class Volume:
    """One *.bundle file: header and both lists checked, leaves not yet."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.file = open(self.path, "rb")
        header = self.file.read(HEADER_SIZE)
        need(len(header) == HEADER_SIZE, f"{self.path}: shorter than a volume header")
        need(header[:8] == b"BNDLVOL1", f"{self.path}: no magic")
        need(sha256(header[:480]) == header[480:512], f"{self.path}: header digest")
        version, header_size = struct.unpack_from("<II", header, 8)
        need(version == 1, f"{self.path}: format version {version}")
        need(header_size == HEADER_SIZE, f"{self.path}: header size {header_size}")
        self.bundle_id = header[16:32]
        self.number, self.count, self.head_size = struct.unpack_from("<IIQ", header, 32)
        head_digest = header[48:80]
        self.data_offset, self.data_size, range_count, zero = struct.unpack_from("<QQII", header, 80)
        need(1 <= self.number <= self.count <= MAX_VOLUMES, f"{self.path}: volume number or count")
        need(self.head_size <= MAX_HEAD_BYTES, f"{self.path}: head of {self.head_size} bytes")
        after_head = HEADER_SIZE + self.head_size
        need(self.data_offset == -(-after_head // DATA_ALIGN) * DATA_ALIGN, f"{self.path}: data_offset")
        need(1 <= range_count <= 4 and zero == 0, f"{self.path}: number of leaf ranges")
        numbers = struct.unpack_from("<8I", header, 104)
        pairs = list(zip(numbers[0::2], numbers[1::2]))
        self.ranges, self.unused = pairs[:range_count], pairs[range_count:]
        need(all(pair == (0, 0) for pair in self.unused), f"{self.path}: unused ranges not zero")
        need(not any(header[136:480]), f"{self.path}: reserved header bytes not zero")
        end = 0
        for first, count in self.ranges:
            need(count > 0 and first >= end, f"{self.path}: leaf ranges empty or out of order")
            end = first + count
        self.head = self.file.read(self.head_size)
        need(sha256(self.head) == head_digest, f"{self.path}: head digest")
        padding = self.file.read(self.data_offset - after_head)
        need(len(padding) == self.data_offset - after_head and not any(padding), f"{self.path}: padding")
        self.tail = self.read_tail()

    def read_tail(self):
        self.file.seek(0, os.SEEK_END)
        size = self.file.tell() - (self.data_offset + self.data_size)
        need(size >= 48, f"{self.path}: truncated (tail is missing)")
        need(size - 48 <= MAX_TAIL_BYTES, f"{self.path}: tail of {size} bytes")
        self.file.seek(self.data_offset + self.data_size)
        tail = self.file.read(size)
        need(tail[:8] == b"BNDLSIG1", f"{self.path}: tail magic")
        (list_size,) = struct.unpack_from("<Q", tail, 8)
        need(list_size == size - 48, f"{self.path}: tail size")
        need(sha256(tail[48:]) == tail[16:48], f"{self.path}: tail digest")
        return parse_file_list(tail[48:], f"{self.path} (tail)")

    def read(self, offset, size):
        self.file.seek(offset)
        data = self.file.read(size)
        need(len(data) == size, f"{self.path}: ends inside the data")
        return data


# ---- index (section 4) ------------------------------------------------------------------------

Group = collections.namedtuple("Group", "stream window_log filter plain packed reference leaf leaves plain_offset")
Blob = collections.namedtuple("Blob", "digest recipe_offset recipe_size size")


class Index:
    def __init__(self, data, sizes):
        """`sizes`: {digest text: size} of blobs.list."""
        need(64 <= len(data) <= MAX_INDEX_BYTES, "index: size")
        need(data[:8] == b"BNDLIDX1", "index: no magic")
        version, leaf_size, features, groups, leaves, blobs, self.pack_size = struct.unpack_from("<6IQ", data, 8)
        need(version == 1 and leaf_size == LEAF_SIZE, "index: version or leaf size")
        need(not any(data[40:64]), "index: reserved header bytes not zero")
        need(len(data) == 64 + 4 * features + 24 * groups + 32 * leaves + 48 * blobs, "index: size does not fit its counts")
        position = 64
        self.features = list(struct.unpack_from(f"<{features}I", data, position))
        need(self.features == sorted(set(self.features)), "index: features not ascending")
        for feature in self.features:
            if feature not in KNOWN_FEATURES:
                raise CannotCheck(f"index: needs feature {feature}, which this reader does not know")
        position += 4 * features
        self.read_groups(data, position, groups, leaves)
        position += 24 * groups
        self.leaf_hashes = [data[position + 32 * i : position + 32 * i + 32] for i in range(leaves)]
        position += 32 * leaves
        self.read_blobs(data, position, blobs, sizes)

    def read_groups(self, data, position, count, leaf_count):
        self.groups = []
        self.streams = [[] for _ in range(MAX_STREAMS)]  # numbers of a stream's groups
        self.stream_size = [0] * MAX_STREAMS
        leaf = packed_total = 0
        for number in range(count):
            entry = struct.unpack_from("<BBBBIIIQ", data, position + 24 * number)
            stream, window_log, kind, zero, plain, packed, *reference = entry  # size and offset of its list
            where = f"index: group {number}"
            need(stream < MAX_STREAMS and window_log <= MAX_WINDOW_LOG, f"{where}: stream or window")
            need(zero == 0, f"{where}: reserved bytes not zero")
            need(kind == 0 or (kind in (1, 2) and kind + 9 in self.features and stream), f"{where}: filter")
            need(kind != 2 or reference[0], f"{where}: a difference from nothing")
            need(1 <= plain <= MAX_GROUP_PLAIN and 1 <= packed <= MAX_GROUP_PACKED, f"{where}: sizes")
            need(reference[0] or not reference[1], f"{where}: reference of no size")
            need(not reference[0] or (3 in self.features and stream), f"{where}: reference without feature 3")
            need(reference[0] <= MAX_REFERENCE_LIST_BYTES, f"{where}: reference list too long")
            leaves = -(-packed // LEAF_SIZE)
            self.streams[stream].append(number)
            self.groups.append(Group(stream, window_log, kind, plain, packed, reference, leaf, leaves, self.stream_size[stream]))
            self.stream_size[stream] += plain
            leaf += leaves
            packed_total += packed
        need(leaf == leaf_count, f"index: {leaf_count} leaves, but the groups have {leaf}")
        need(packed_total == self.pack_size, "index: size of the pack stream")
        self.leaf_sizes = []
        for group in self.groups:
            full, rest = divmod(group.packed, LEAF_SIZE)
            self.leaf_sizes += [LEAF_SIZE] * full + ([rest] if rest else [])

    def read_blobs(self, data, position, count, sizes):
        self.blobs, seen = [], set()
        for number in range(count):
            digest, offset, size, zero = struct.unpack_from("<32sQII", data, position + 48 * number)
            where = f"index: blob {number}"
            text = "sha256:" + digest.hex()
            need(text in sizes, f"{where}: {text} is not in blobs.list")
            need(text not in seen, f"{where}: {text} twice")
            need(zero == 0 and 1 <= size <= MAX_RECIPE_BYTES, f"{where}: recipe size")
            need(offset + size <= self.stream_size[0], f"{where}: recipe outside of stream 0")
            seen.add(text)
            self.blobs.append(Blob(text, offset, size, sizes[text]))
        need(2 in self.features or len(seen) == len(sizes), "index: lacks blobs of blobs.list")


# ---- recipes (section 5) ----------------------------------------------------------------------

Run = collections.namedtuple("Run", "source length offset base_blob")
Segment = collections.namedtuple("Segment", "kind data family params runs parts")
Part = collections.namedtuple("Part", "plain bits verbatim flushes")  # flushes: (plain bytes before it, full)


class RecipeReader:
    def __init__(self, data, features, base_count):
        self.data, self.position, self.features, self.base_count = data, 0, features, base_count
        self.base_ends = {13: (0, 0), 14: (0, 0)}  # blob and end of the previous run of each source
        self.ends = [0] * MAX_STREAMS  # where the previous run of each stream ended

    def varint(self):
        value = shift = 0
        while True:
            need(self.position < len(self.data), "recipe: ends inside a number")
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                need(value < 1 << 64, "recipe: number above 64 bits")
                need(byte != 0 or shift == 0, "recipe: number not in its shortest form")
                return value
            shift += 7
            need(shift < 70, "recipe: number too long")

    def zigzag(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def take(self, size):
        need(size <= len(self.data) - self.position, "recipe: ends inside bytes")
        self.position += size
        return self.data[self.position - size : self.position]

    def run(self):
        length, source = divmod(self.varint(), 16)
        need(length >= 1, "recipe: empty run")
        if 1 <= source < MAX_STREAMS:
            offset = self.ends[source] + self.zigzag()
            need(offset >= 0, "recipe: run before its stream")
            self.ends[source] = offset + length
            return Run(source, length, offset, None)
        if source == 12:
            return Run(source, length, 0, None)
        need(source in (13, 14) and 2 in self.features, f"recipe: run source {source}")
        blob = self.varint()
        need(blob < self.base_count, f"recipe: base blob {blob} is not listed")
        last, end = self.base_ends[source]
        offset = (end if last == blob else 0) + self.zigzag()
        need(offset >= 0, "recipe: run before its base blob")
        self.base_ends[source] = (blob, offset + length)
        return Run(source, length, offset, blob)

    def runs(self):
        count = self.varint()
        need(count <= len(self.data), "recipe: more runs than bytes")
        return [self.run() for _ in range(count)]

    def parts(self):
        """Section 5.4."""
        count = self.varint()
        need(1 <= count <= MAX_STREAM_PARTS, "recipe: number of parts")
        result = []
        for _ in range(count):
            plain, head = self.varint(), self.varint()
            need(plain <= MAX_PART_PLAIN, "recipe: part too long")
            flushes, at = [], 0
            for _ in range(self.varint() if head & 2 else 0):
                need(len(flushes) < MAX_STREAM_FLUSHES, "recipe: too many flushes")
                number = self.varint()
                at += number >> 1
                flushes.append((at, number & 1 == 1))
            need(at <= plain and (flushes or not head & 2), "recipe: flushes of a part")
            result.append(Part(plain, head >> 2, head & 1 == 1, flushes))
        need(sum(len(part.flushes) for part in result) <= MAX_STREAM_FLUSHES, "recipe: too many flushes")
        need(sum(part.bits for part in result) % 8 == 0, "recipe: parts do not end on a byte boundary")
        need(verbatim_size(result) <= MAX_VERBATIM_BYTES, "recipe: too many verbatim bytes")
        return result

    def segments(self):
        """All segments. Lists are small: a recipe has at most 16 MiB."""
        result = []
        while self.position < len(self.data):
            kind = self.varint()
            if kind == 0:
                size = self.varint()
                need(1 <= size <= MAX_LITERAL, "recipe: literal size")
                result.append(Segment("literal", self.take(size), None, None, None, None))
            elif kind == 1:
                result.append(Segment("plain", None, None, None, self.runs(), None))
            elif kind == 2:
                family = self.varint()
                size = self.varint()
                need(size <= MAX_ENCODER_PARAMS, "recipe: encoder parameters too long")
                result.append(Segment("deflate", None, family, self.take(size), self.runs(), None))
            elif kind == 3:
                need(9 in self.features, "recipe: parts without feature 9")
                family = self.varint()
                size = self.varint()
                need(size <= MAX_ENCODER_PARAMS, "recipe: encoder parameters too long")
                params, parts = self.take(size), self.parts()
                result.append(Segment("parts", None, family, params, self.runs(), parts))
            else:
                raise BadBundle(f"recipe: segment kind {kind}")
        return result


def verbatim_size(parts):
    return sum((part.bits + 7) // 8 for part in parts if part.verbatim)


def part_pieces(parts, encoder, plain):
    """The stream of section 5.4. `plain` yields the runs' bytes.

    Python's zlib cannot begin within a stream, and need not: parts that follow each other without a verbatim one
    are what one encoder makes of the whole stream, flushed where it was flushed.
    """
    if any(part.verbatim for part in parts):
        raise CannotCheck("a deflate stream with verbatim parts needs an encoder that begins within a stream")
    flushes, start = [], 0
    for part in parts:
        flushes += [(start + at, full) for at, full in part.flushes]
        start += part.plain
    done = made = 0
    for piece in plain:
        while piece or (flushes and flushes[0][0] == done):
            count = min(len(piece), flushes[0][0] - done) if flushes else len(piece)
            out = encoder.compress(piece[:count])
            done, piece = done + count, piece[count:]
            if flushes and flushes[0][0] == done:
                out += encoder.flush(zlib.Z_FULL_FLUSH if flushes.pop(0)[1] else zlib.Z_SYNC_FLUSH)
            made += len(out)
            yield out
    need(done == start, f"parts of {start} plain bytes with runs of {done}")
    out = encoder.flush()
    if (made + len(out)) * 8 != sum(part.bits for part in parts):
        raise CannotCheck("a deflate stream in parts that are not those of one encoder")
    yield out


def make_encoder(family, params, features):
    """Section 5.1: an object with compress() and flush()."""
    need(family in ENCODER_FAMILIES, f"recipe: encoder family {family}")
    feature, sizes = ENCODER_FAMILIES[family]
    need(len(params) in sizes, f"recipe: parameters of encoder family {family}")
    if family in (3, 4) and (params[0] not in (1, 5, 6) or len(params) != sizes[0]):
        feature = 6
    need(feature in features, f"recipe: encoder family {family} without feature {feature}")
    if family != 1:
        raise CannotCheck(f"deflate encoder family {family} ({KNOWN_FEATURES[feature]}) does not exist in Python")
    level, mem_level, strategy = params
    need(1 <= level <= 9 and 1 <= mem_level <= 9 and strategy <= 4, "recipe: parameters of encoder family 1")
    return zlib.compressobj(level, zlib.DEFLATED, -15, mem_level, strategy)


# ---- the whole bundle -------------------------------------------------------------------------


def canonical_document(data, name):
    """Section 2. Parses and compares with the canonical form."""
    need(len(data) <= MAX_SIGNED_JSON_BYTES, f"{name}: too large")
    try:
        document = json.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadBundle(f"{name}: {error}") from error
    need(canonical_json(document, name) == data, f"{name}: not canonical JSON")
    return document


def canonical_json(value, name):
    if isinstance(value, dict):
        items = sorted((key.encode(), item) for key, item in value.items())
        members = [canonical_json(key.decode(), name) + b":" + canonical_json(item, name) for key, item in items]
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(canonical_json(item, name) for item in value) + b"]"
    if isinstance(value, str):
        return b'"' + value.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    if value is True or value is False or value is None:
        return {True: b"true", False: b"false", None: b"null"}[value]
    need(isinstance(value, int), f"{name}: a number that is not whole")
    return str(value).encode()


def parse_lines(data, name):
    need(len(data) <= MAX_BLOB_LIST_BYTES, f"{name}: too large")
    for line in data.splitlines(keepends=True):
        match = re.fullmatch(rb"(sha256:[0-9a-f]{64}) (0|[1-9][0-9]*)\n", line)
        need(match, f"{name}: bad line {line[:100]!r}")
        digest, size = match[1].decode(), int(match[2])
        need(size <= MAX_BLOB_BYTES, f"{name}: {digest}")
        yield digest, size


def parse_blob_list(data):
    lines = list(parse_lines(data, "blobs.list"))
    digests = [digest for digest, _ in lines]
    need(digests == sorted(set(digests)), "blobs.list: not sorted")
    return dict(lines)


class Bundle:
    def __init__(self, sources):
        self.volumes = [Volume(path) for path in find_volumes(sources)]
        need(self.volumes, "no *.bundle file found")
        first = self.volumes[0]
        seen = {}  # (number, count) -> leaf ranges
        for volume in self.volumes:
            need(volume.bundle_id == first.bundle_id, f"{volume.path}: another bundle")
            need(volume.head == first.head, f"{volume.path}: another head")
            key = (volume.number, volume.count)
            need(seen.setdefault(key, volume.ranges) == volume.ranges, f"{volume.path}: another volume {key}")
        self.files = parse_file_list(first.head, f"{first.path} (head)")
        names = HEAD_NAMES if "documents" not in self.files else SHORT_HEAD_NAMES
        need(sorted({*self.files} - {"bases.list"}) == names, f"{first.path}: head has {sorted(self.files)}")
        self.signatures = {}
        for volume in self.volumes:
            self.signatures.update({n: d for n, d in volume.tail.items() if n.endswith(".minisig")})
        self.check_loose_files(sources)
        self.group_cache = collections.OrderedDict()
        self.group_cache_bytes = 0
        self.leaf_place = None
        self.base_store = None
        self.base_cache = {}

    def check_loose_files(self, sources):
        for folder in {path if path.is_dir() else path.parent for path in map(pathlib.Path, sources)}:
            for path in sorted(folder.iterdir()):
                inside = self.files.get(path.name) or self.signatures.get(path.name)
                if path.name != "index" and inside is not None:
                    need(path.read_bytes() == inside, f"{path}: differs from the copy in the volumes")
                elif re.fullmatch(r"(statement|carrier)\.[0-9A-F]{16}\.minisig", path.name):
                    self.signatures[path.name] = path.read_bytes()

    def read_documents(self):
        """Digests outside in, then the index. Call after the signatures are checked."""
        files = self.files
        self.statement = canonical_document(files["statement.json"], "statement.json")
        self.carrier = canonical_document(files["carrier.json"], "carrier.json")
        statement, carrier = self.statement, self.carrier
        need(sha256(files["carrier.json"])[:16] == self.volumes[0].bundle_id, "bundle id")
        need(statement["_type"] == "release" and statement["spec_version"].startswith("1."), "statement.json: type")
        need(carrier["_type"] == "carrier" and carrier["spec_version"].startswith("1."), "carrier.json: type")
        need(carrier["kind"] == "bundle", "carrier.json: kind")
        need(carrier["statement"]["digest"] == digest_text(files["statement.json"]), "carrier.json: statement")
        if "documents" in carrier:
            need(carrier["documents"] == described(files["documents"], MAX_HEAD_BYTES), "documents: digest or size")
            self.unpack_documents(files, statement)
        need(statement["manifest"] == described(files["manifest.json"], MAX_DOCUMENT_BYTES), "manifest.json: digest or size")
        expected = described(files["blobs.list"], MAX_BLOB_LIST_BYTES)
        need({key: statement["blobs"][key] for key in expected} == expected, "blobs.list: digest or size")
        need(carrier["index"] == described(files["index"], MAX_INDEX_BYTES), "index: digest or size")
        self.sizes = parse_blob_list(files["blobs.list"])
        self.base_blobs = []
        if "base_list" in carrier:
            need(carrier["base_list"] == described(files["bases.list"], MAX_BLOB_LIST_BYTES), "bases.list: digest or size")
            self.base_blobs = list(parse_lines(files["bases.list"], "bases.list"))
            need(len({digest for digest, _ in self.base_blobs}) == len(self.base_blobs), "bases.list: a blob twice")
        need(statement["blobs"]["count"] == len(self.sizes), "statement.json: number of blobs")
        need(statement["blobs"]["bytes"] == sum(self.sizes.values()), "statement.json: bytes of blobs")
        self.index = Index(files["index"], self.sizes)
        need(carrier["pack"]["leaves"] == len(self.index.leaf_hashes), "carrier.json: number of leaves")
        need(carrier["pack"]["size"] == self.index.pack_size, "carrier.json: size of the pack stream")
        self.place_leaves()

    @staticmethod
    def unpack_documents(files, statement):
        """Section 2.6: manifest.json and blobs.list out of one frame."""
        size, count = statement["manifest"]["size"], statement["blobs"]["count"]
        need(size <= MAX_DOCUMENT_BYTES and count <= MAX_BLOB_LIST_BYTES // 74, "statement.json: counts")
        plain = zstandard.ZstdDecompressor().decompress(files["documents"], max_output_size=size + 38 * count)
        need(len(plain) == size + 38 * count, "documents: size")
        digests, sizes = plain[size : size + 32 * count], plain[size + 32 * count :]
        files["manifest.json"] = plain[:size]
        files["blobs.list"] = b"".join(
            b"sha256:%s %d\n" % (digests[32 * i : 32 * i + 32].hex().encode(), int.from_bytes(sizes[i::count], "little"))
            for i in range(count)
        )

    def place_leaves(self):
        """leaf number -> [(volume, offset)]"""
        sizes = self.index.leaf_sizes
        self.leaf_place = [[] for _ in sizes]
        for volume in self.volumes:
            offset = volume.data_offset
            for first, count in volume.ranges:
                need(first + count <= len(sizes), f"{volume.path}: leaf range outside of the index")
                for leaf in range(first, first + count):
                    self.leaf_place[leaf].append((volume, offset))
                    offset += sizes[leaf]
            need(offset == volume.data_offset + volume.data_size, f"{volume.path}: data_size does not fit its ranges")
        self.missing_leaves = sum(not places for places in self.leaf_place)
        whole = {volume.number for volume in self.volumes} == set(range(1, self.volumes[0].count + 1))
        need(self.missing_leaves == 0 or not whole, "all volumes are here but do not hold every leaf")

    def read_leaf(self, leaf, volume, offset):
        data = volume.read(offset, self.index.leaf_sizes[leaf])
        need(
            sha256(b"\0" + data) == self.index.leaf_hashes[leaf],
            f"{volume.path}: leaf {leaf} at offset {offset} is damaged",
        )
        return data

    def check_leaves(self):
        """Every copy of every leaf that is there."""
        for leaf, places in enumerate(self.leaf_place):
            for volume, offset in places:
                self.read_leaf(leaf, volume, offset)

    def group(self, number):
        """The plain bytes of a group, leaves checked before the decoder sees them."""
        if number in self.group_cache:
            self.group_cache.move_to_end(number)
            return self.group_cache[number]
        group = self.index.groups[number]
        packed = bytearray()
        for leaf in range(group.leaf, group.leaf + group.leaves):
            if not self.leaf_place[leaf]:
                raise CannotCheck(f"leaf {leaf} is in a volume that is missing")
            packed += self.read_leaf(leaf, *self.leaf_place[leaf][0])
        plain = decode_frame(bytes(packed), group, number, self.reference(group) if group.reference[0] else None)
        self.group_cache[number] = plain
        self.group_cache_bytes += len(plain)
        while self.group_cache_bytes > GROUP_CACHE_BYTES and len(self.group_cache) > 1:
            self.group_cache_bytes -= len(self.group_cache.popitem(last=False)[1])
        return plain

    def reference(self, group):
        """The raw-content prefix of a group's frame (section 4.5)."""
        size, offset = group.reference
        need(offset + size <= self.index.stream_size[0], "reference list outside of stream 0")
        segments = self.recipe_segments(offset, size)
        need(all(segment.kind == "plain" for segment in segments), "reference: not made of plain segments")
        runs = [run for segment in segments for run in segment.runs]
        need(all(run.source in (13, 14) for run in runs), "reference: not made of base blobs")
        total = sum(run.length for run in runs)
        need(total <= MAX_REFERENCE_BYTES and total + max(1, group.filter) * group.plain <= MAX_REFERENCED_GROUP_BYTES, "reference: too large")
        return b"".join(piece for run in runs for piece in self.run_bytes(run))

    def base_bytes(self, number, plain):
        """A blob of the base, whole: this reader is for small bundles."""
        if self.base_store is None:
            raise CannotCheck("this is a delta: give the store of a site that holds its base with --base")
        if (number, plain) not in self.base_cache:
            digest, size = self.base_blobs[number]
            path = self.base_store / "blobs" / "sha256" / digest.removeprefix("sha256:")
            data = path.read_bytes()
            need(len(data) == size and digest_text(data) == digest, f"{path}: damaged")
            self.base_cache[number, plain] = inflate_members(data) if plain else data
        return self.base_cache[number, plain]

    def stream_bytes(self, stream, offset, length):
        """Pieces of a stream."""
        need(offset + length <= self.index.stream_size[stream], f"run outside of stream {stream}")
        numbers = self.index.streams[stream]
        starts = [self.index.groups[number].plain_offset for number in numbers]
        at = bisect.bisect_right(starts, offset) - 1
        while length:
            within = offset - starts[at]
            piece = self.group(numbers[at])[within : within + length]
            yield piece
            offset += len(piece)
            length -= len(piece)
            at += 1

    def run_bytes(self, run):
        if run.source == 12:
            for start in range(0, run.length, COPY_STEP):
                yield bytes(min(COPY_STEP, run.length - start))
        elif run.source in (13, 14):
            data = self.base_bytes(run.base_blob, run.source == 14)
            need(run.offset + run.length <= len(data), "recipe: run past the end of a base blob")
            yield data[run.offset : run.offset + run.length]
        else:
            yield from self.stream_bytes(run.source, run.offset, run.length)

    def has_recipe(self, blob):
        """Whether all of stream 0 that the recipe needs is in the volumes that are here."""
        for number in self.index.streams[0]:
            group = self.index.groups[number]
            start, end = group.plain_offset, group.plain_offset + group.plain
            if start < blob.recipe_offset + blob.recipe_size and blob.recipe_offset < end:
                if not all(self.leaf_place[group.leaf : group.leaf + group.leaves]):
                    return False
        return True

    def recipe(self, blob):
        return self.recipe_segments(blob.recipe_offset, blob.recipe_size)

    def recipe_segments(self, offset, size):
        data = b"".join(self.stream_bytes(0, offset, size))
        return RecipeReader(data, self.index.features, len(self.base_blobs)).segments()

    def blob_bytes(self, blob):
        """The pieces of a blob; the caller compares the digest."""
        for segment in self.recipe(blob):
            if segment.kind == "literal":
                yield segment.data
                continue
            encoder = None
            if segment.kind in ("deflate", "parts"):
                encoder = make_encoder(segment.family, segment.params, self.index.features)
            if segment.kind == "parts":
                plain = (piece for run in segment.runs for piece in self.run_bytes(run))
                yield from part_pieces(segment.parts, encoder, plain)
                continue
            for run in segment.runs:
                for piece in self.run_bytes(run):
                    yield encoder.compress(piece) if encoder else piece
            if encoder:
                yield encoder.flush()

    def rebuild(self, blob, write=None):
        """Rebuilds one blob, compares digest and size, and hands its bytes to `write`."""
        digest, size = hashlib.sha256(), 0
        for piece in self.blob_bytes(blob):
            digest.update(piece)
            size += len(piece)
            need(size <= blob.size, f"{blob.digest}: rebuilt longer than {blob.size} bytes")
            if write:
                write(piece)
        need(size == blob.size, f"{blob.digest}: {size} bytes instead of {blob.size}")
        need("sha256:" + digest.hexdigest() == blob.digest, f"{blob.digest}: rebuilt with other bytes")


def described(data, limit=MAX_HEAD_BYTES):
    need(len(data) <= limit, "a document of the head is too large")
    return {"digest": digest_text(data), "size": len(data)}


def decode_frame(packed, group, number, prefix):
    dictionary = zstandard.ZstdCompressionDict(prefix, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if prefix else None
    decoder = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=1 << max(group.window_log, 10))
    try:
        frame = decoder.decompressobj()
        plain = frame.decompress(packed)
    except zstandard.ZstdError as error:
        raise BadBundle(f"group {number}: {error}") from error
    if group.filter == 2:
        need(len(plain) <= group.plain + MAX_DIFFERENCE_TABLE, f"group {number}: difference of {len(plain)} bytes")
        plain = apply_difference(prefix, plain, f"group {number}")
    need(len(plain) == group.plain, f"group {number}: {len(plain)} plain bytes instead of {group.plain}")
    need(frame.eof and not frame.unused_data, f"group {number}: more or less than one zstd frame")
    return x86_filter.restore(plain) if group.filter == 1 else plain


def apply_difference(reference, difference, where):
    """Section 4.7."""
    need(len(difference) >= 8, f"{where}: difference too short")
    table_size, count = struct.unpack_from("<II", difference)
    need(8 + table_size + count <= len(difference), f"{where}: difference ends early")
    table, position = difference[8 : 8 + table_size], 0
    subtracted, fresh = 8 + table_size, 8 + table_size + count
    plain, old = bytearray(), 0
    numbers = []
    while position < len(table):
        value = shift = 0
        while True:
            need(position < len(table), f"{where}: table of stretches")
            byte = table[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        numbers.append(value)
    need(len(numbers) % 3 == 0, f"{where}: table of stretches")
    for before, length, move in zip(*[iter(numbers)] * 3):
        plain += difference[fresh : fresh + before]
        fresh += before
        old += (move >> 1) ^ -(move & 1)
        need(0 <= old and old + length <= len(reference), f"{where}: stretch past the end")
        plain += bytes((a + b) & 255 for a, b in zip(difference[subtracted : subtracted + length], reference[old : old + length]))
        subtracted += length
        old += length
    need(subtracted == 8 + table_size + count, f"{where}: subtracted bytes are left")
    return bytes(plain + difference[fresh:])


def inflate_members(data):
    """What gunzip gives, up to what is no gzip member."""
    plain = bytearray()
    while data[:3] == b"\x1f\x8b\x08":
        member = zlib.decompressobj(31)
        plain += member.decompress(data)
        need(member.eof, "a gzip member of a base blob ends early")
        data = member.unused_data
    return bytes(plain)


def find_volumes(sources):
    for source in map(pathlib.Path, sources):
        if source.is_dir():
            yield from sorted(path for path in source.iterdir() if path.name.endswith(".bundle") and path.is_file())
        else:
            yield source


# ---- signatures (section 2.4) -----------------------------------------------------------------


def verify_signatures(bundle, key_file):
    """Statement and carrier must both be signed by the key. Raises BadBundle or CannotCheck."""
    lines = pathlib.Path(key_file).read_text().splitlines()
    need(len(lines) >= 2, f"{key_file}: not a minisign public key")
    key = base64.b64decode(lines[1], validate=True)
    need(len(key) == 42 and key[:2] == b"Ed", f"{key_file}: not a minisign public key")
    for document in ("statement", "carrier"):
        texts = [text for name, text in bundle.signatures.items() if name.startswith(document + ".")]
        texts = [text for text in texts if signature_key_id(text) == key[2:10]]
        need(texts, f"{document}.json: no signature of this key")
        for text in texts:
            verify_one(bundle.files[document + ".json"], text, key, key_file, document)


def signature_key_id(text):
    lines = text.decode("utf-8", "replace").splitlines()
    need(len(lines) == 4, "signature file: not four lines")
    signature = base64.b64decode(lines[1], validate=True)
    need(len(signature) == 74 and signature[:2] == b"Ed", "signature file: not minisign's Ed")
    return signature[2:10]


def verify_one(message, text, key, key_file, document):
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return verify_by_program(message, text, key_file, document)
    lines = text.decode().splitlines()
    signature = base64.b64decode(lines[1], validate=True)[10:]
    prefix = "trusted comment: "
    need(lines[2].startswith(prefix), f"{document}: no trusted comment")
    public = Ed25519PublicKey.from_public_bytes(key[10:])
    try:
        public.verify(signature, message)
        public.verify(base64.b64decode(lines[3], validate=True), signature + lines[2][len(prefix) :].encode())
    except InvalidSignature as error:
        raise BadBundle(f"{document}.json: the signature does not match") from error


def verify_by_program(message, text, key_file, document):
    if not shutil.which("minisign"):
        raise CannotCheck("neither Python's cryptography nor minisign is installed")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, document)
        path.write_bytes(message)
        path.with_suffix(".minisig").write_bytes(text)
        command = ["minisign", "-Vm", path, "-x", path.with_suffix(".minisig"), "-p", key_file]
        result = subprocess.run(command, capture_output=True, text=True)
        need(result.returncode == 0, f"{document}.json: minisign: {result.stderr.strip()}")


# ---- command line -----------------------------------------------------------------------------


def summary_of(bundle):
    kinds = collections.Counter()
    blobs = []
    for blob in bundle.index.blobs:
        if not bundle.has_recipe(blob):
            blobs.append({"digest": blob.digest, "size": blob.size, "segments": None})
            continue
        names = [segment.kind for segment in bundle.recipe(blob)]
        kinds.update(names)
        blobs.append({"digest": blob.digest, "size": blob.size, "segments": len(names)})
    return {
        "product": bundle.statement["product"],
        "version": bundle.statement["release_version"],
        "volumes": len(bundle.volumes),
        "missing_leaves": bundle.missing_leaves,
        "features": [KNOWN_FEATURES[feature] for feature in bundle.index.features],
        "groups": len(bundle.index.groups),
        "leaves": len(bundle.index.leaf_hashes),
        "segments": dict(kinds),
        "blobs": blobs,
    }


def print_summary(summary):
    print(f"{summary['product']} {summary['version']}: {len(summary['blobs'])} blobs, "
          f"{summary['groups']} groups, {summary['leaves']} leaves in {summary['volumes']} volumes")
    print(f"features: {', '.join(summary['features']) or 'none'}; segments: {summary['segments']}")
    for blob in summary["blobs"]:
        print(f"{blob['digest']} {blob['size']} ({blob['segments']} segments)")


def run(arguments):
    bundle = Bundle(arguments.source)
    bundle.base_store = arguments.base
    if arguments.verify_key:
        verify_signatures(bundle, arguments.verify_key)
    bundle.read_documents()
    summary = summary_of(bundle)
    not_checked = []
    if arguments.check:
        bundle.check_leaves()
        for blob in bundle.index.blobs:
            try:
                bundle.rebuild(blob)
            except CannotCheck as error:
                not_checked.append(f"{blob.digest}: {error}")
        summary["checked"] = len(bundle.index.blobs) - len(not_checked)
        summary["not_checked"] = not_checked
    if arguments.json:
        print(json.dumps(summary, indent=1))
    else:
        print_summary(summary)
        if arguments.check:
            print(f"{summary['checked']} blobs rebuilt, digests equal")
        for line in not_checked:
            print(f"not checked: {line}")
    return 3 if not_checked else 0


def main():
    parser = argparse.ArgumentParser(description="Reads a bundle by docs/bundle-format.md.")
    parser.add_argument("source", nargs="+", help="bundle directory or volume file")
    parser.add_argument("--check", action="store_true", help="check every leaf and rebuild every blob")
    parser.add_argument("--base", metavar="STORE", type=pathlib.Path, help="of a delta: a site store with the base")
    parser.add_argument("--verify-key", metavar="PUB", help="minisign public key that must have signed")
    parser.add_argument("--json", action="store_true")
    try:
        return run(parser.parse_args())
    except CannotCheck as error:
        print(f"read_bundle: cannot check: {error}", file=sys.stderr)
        return 3
    except (BadBundle, OSError) as error:
        print(f"read_bundle: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
