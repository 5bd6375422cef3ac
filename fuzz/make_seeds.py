#!/usr/bin/env python3
"""Makes the seed corpora in fuzz/corpus/ from a small bundle and from the schema examples.

    fuzz/make_seeds.py BUNDLE_DIR

The seeds are committed; run this again only when a format gains something worth seeding. What fuzzing
finds is added beside them by hand, with a name that says what it was.
"""
import base64
import gzip
import io
import pathlib
import struct
import sys
import tarfile
import zlib

import zstandard

ROOT = pathlib.Path(__file__).resolve().parent
DATA = ROOT.parent / "tests/data/schemas"
MAX_SEED = 32 * 1024


def put(target, name, content):
    folder = ROOT / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    if len(content) <= MAX_SEED:
        (folder / name).write_bytes(content)


def volume_parts(path):
    """Header, head, files of the head, and tail of a volume (docs/bundle-format.md section 3)."""
    data = path.read_bytes()
    head_size, = struct.unpack_from("<Q", data, 40)
    data_offset, data_size = struct.unpack_from("<QQ", data, 80)
    head = data[512:512 + head_size]
    files, at = {}, 4
    for _ in range(struct.unpack_from("<I", head, 0)[0]):
        length, = struct.unpack_from("<H", head, at)
        name = head[at + 2:at + 2 + length].decode()
        size, = struct.unpack_from("<Q", head, at + 2 + length)
        at += 10 + length
        files[name] = head[at:at + size]
        at += size
    return data[:512], head, files, data[data_offset + data_size:]


def bundle_seeds(folder):
    header, head, files, tail = volume_parts(next(folder.glob("*.bundle")))
    put("volume", "header", header)
    put("volume", "head", head)
    put("volume", "tail", tail)
    put("index", "index", files["index"])
    put("index", "recipe", b"\x00\x03abc\x01\x02" + bytes([0x81, 0x10, 0x00, 0x9C, 0x01]))
    # Go level 6 in two parts of five bytes, the first flushed after three, the second verbatim.
    put("index", "recipe-parts", bytes.fromhex("03 02 01 06 02  05 62 01 06  05 a1 01  01  f1 01 00"))
    put("index", "base_runs", b"\x01\x03" + bytes([0x8E, 0x10, 0, 0xC8, 1, 0x1E, 0, 2, 0x2D, 1, 4]))
    put("blob_list", "list", files["blobs.list"])
    put("blob_list", "base_list", b"".join(reversed(files["blobs.list"].splitlines(keepends=True))))
    frame = zstandard.ZstdCompressor(level=19).compress(b"{}" + bytes(range(32)) + bytes([5, 0, 0, 0, 0, 0]))
    put("documents", "one_blob", struct.pack("<HH", 2, 1) + frame)
    put("manifest", "manifest", files["manifest.json"])
    put("json", "manifest", files["manifest.json"])
    for name in ("statement.json", "carrier.json"):
        put("trust_documents", name, bytes([name != "statement.json"]) + files[name])
        put("json", name, files[name])
    for path in folder.glob("*.minisig"):
        put("trust_minisign", path.name.split(".")[0], path.read_bytes())
    for path in folder.glob("*.pub"):
        put("trust_minisign", "pub", path.read_bytes())
        put("trust_root", "pub", path.read_bytes())


def archive_seeds():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("manifest.json", b'[{"Config":"c.json","Layers":["l.tar"],"RepoTags":["a:1"]}]'),
                              ("c.json", b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'),
                              ("l.tar", b"\0" * 1024), ("n" * 150, b"long name")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    put("tar", "pax", buffer.getvalue())
    put("oci_archive", "docker", buffer.getvalue())
    text = b"some words that come again and again, again and again. " * 40
    for level in (1, 6, 9):
        put("gzip", f"level{level}", gzip.compress(text, level, mtime=0))
        stream = zlib.compressobj(level, zlib.DEFLATED, -15)
        put("deflate", f"stream-level{level}", b"\0" + stream.compress(text) + stream.flush())
    put("deflate", "stream-fixed", b"\0" + bytes.fromhex("0300"))
    # One piece of 5 plain bytes: a fixed block of 5 predicted tokens, final.
    for number in range(12):
        put("deflate", f"part-{number}", b"\2" + bytes([number, number % 8]) +
            (40).to_bytes(2, "little") + (90).to_bytes(2, "little") + (61).to_bytes(2, "little") +
            text[:400])
        put("deflate", f"follow-{number}", b"\3" + bytes([number, 7, 1, 16]) + text[:900])
    put("deflate", "corrections", b"\1" + bytes.fromhex("06000000" "05" "02" "0305" "01" "05") + b"abcde")
    put("inflate", "level6", bytes([5, 0, 9, 200, 1, 0, 3, 7]) + gzip.compress(text * 60, 6, mtime=0))
    put("inflate", "members", bytes([0, 9, 4, 2] * 2) + gzip.compress(text, 1, mtime=0) + gzip.compress(text, 9, mtime=0) + b"rest")
    put("gzip", "members", gzip.compress(text, 6, mtime=0) + gzip.compress(b"x", 9, mtime=0) + b"\0" * 9)
    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    put("gzip", "named", b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0" + raw.compress(text) + raw.flush() + b"\0" * 8)


def grain_seeds():
    def grain(sector, plain, level, damage=0):
        packed = bytearray(zlib.compress(plain, level))
        packed[-1] ^= damage
        record = struct.pack("<QI", sector, len(packed)) + packed
        return record + bytes(-len(record) % 512)
    first, second = b"the same text again and again " * 300, bytes(range(256)) * 9
    disk = b"KDMV" + bytes(508) + grain(0, first, 6) + grain(128, second, 1)
    put("grain", "disk", bytes([7]) + disk + bytes(512))
    put("grain", "wrong-checksum", bytes([200]) + grain(0, first, 6, damage=1) + grain(128, second, 9))
    put("grain", "cut-short", bytes([1]) + disk[:-700])


def package_seeds():
    """The first byte chooses the parser: see fuzz_packages.cc."""
    dpkg = b"Package: a\nStatus: install ok installed\nVersion: 1\n\n"
    seeds = {"dpkg": dpkg, "apk": b"P:musl\nV:1.2\nA:x86_64\n\n", "rpm": b"SQLite",
             "os_release": b'ID="debian"\nVERSION_ID="12"\n', "npm_package": b'{"name":"@a/b","version":"1.0.0"}',
             "npm_lock": b'{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0"}}}',
             "python": b"Name: a\nVersion: 1\n\ntext", "gem_spec": b"rack-3.0.8.gemspec",
             "gem_lock": b"GEM\n  specs:\n    rack (3.0.8)\n      a\n", "rpm_journal": b"x", "manifest": b"a\t1\nb:amd64\t2\n"}
    for number, (name, seed) in enumerate(seeds.items()):
        put("packages", name, bytes([number]) + seed)
    modules = b"#" * 16 + b"path\ta\nmod\ta\tv1\t\ndep\tb/c\tv2\th1:\n" + b"#" * 16
    program = (b"\x7fELF" + b"\0" * 12 + b"\xff Go buildinf:\x08\x02" + b"\0" * 16 + b"\x06go1.22" +
               bytes([len(modules)]) + modules)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in (("var/lib/dpkg/status", dpkg), ("usr/bin/go", program), ("a/.wh.b", b"")):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    put("packages", "layer", bytes([len(seeds)]) + buffer.getvalue())


def rpm_seeds():
    """The samples of tests/interop/rpm_world.py."""
    folder = ROOT.parent / "tests/data/rpm"
    put("rpm_header", "package", (folder / "header").read_bytes())
    put("rpm_ndb", "packages", (folder / "Packages.db").read_bytes())
    put("berkeley_hash", "packages", (folder / "Packages").read_bytes())
    put("berkeley_hash", "big_endian", (folder / "Packages.big-endian").read_bytes())
    put("sqlite_column", "packages", (folder / "rpmdb.sqlite").read_bytes())


def cosign_seeds():
    """0 in front: a key file; else a bundle."""
    envelope = (b'{"kdf":{"name":"scrypt","params":{"N":1024,"r":8,"p":1},"salt":"QUJD"},"cipher":{"name":'
                b'"nacl/secretbox","nonce":"a3tM/OdnXprrEiGAOmbWg9kCXYvcFogY"},"ciphertext":'
                b'"kEOWdhRFqze4gwe0uq7AWSV2adaVoC7WWiE67rg15SU="}')
    pem = b"-----%s ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
    put("cosign", "key", b"\0" + pem % b"BEGIN" + base64.b64encode(envelope) + b"\n" + pem % b"END")
    payload = (b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],'
               b'"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}')
    put("cosign", "bundle", b'\1{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":'
        b'{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"' + base64.b64encode(payload) +
        b'","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"MEUCIQ=="}]}}')


def example_seeds():
    targets = {"release-spec": ("spec", "yaml"), "release-manifest": ("manifest", "json"),
               "trust-root": ("trust_root", "json"), "site": ("site_config", "yaml")}
    for schema, names in targets.items():
        for path in sorted((DATA / schema / "valid").glob("*.json")):
            for target in names:
                put(target, f"{schema}-{path.stem}", path.read_bytes())


def text_seeds():
    put("yaml", "small", b"a: [1, 2.5, true, null, 'x']\nb: {c: \"d\"}\n")
    put("site_config", "windows", b"apiVersion: bundle/v1\nkind: Site\nmaintenanceWindows:\n"
        b"- {days: [sat], from: 22:00, to: 02:00}\n")
    put("auth_challenge", "bearer",
        b'Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:a/b:pull"')
    put("auth_challenge", "basic", b'Basic realm="registry"')
    put("docker_config", "auths",
        b'{"auths":{"registry.example.com/app":{"auth":"dXNlcjpwYXNz"}},"credHelpers":{"docker.io":"secretservice"}}')
    # The first byte chooses the file: see fuzz_registry_access.cc.
    put("registry_access", "rules", b"\0apiVersion: bundle/v1\nkind: RegistryAccess\nusers: users\ntokens: tokens\nstatus: [ops]\n"
        b"rules:\n- {prefix: \"\", pull: [authenticated]}\n- {prefix: \"docker.io/\", pull: [anonymous]}\n"
        b"- {prefix: team/, pull: [authenticated], push: [ops]}\n")
    put("registry_access", "users", b"\1# people\nops:$2y$05$" + b"abcdefghijklmnopqrstuu" + b"u" * 31 + b"\r\nnode:$2b$10$" + b"." * 53 + b"\n")
    put("registry_access", "tokens", b"\2node:sha256:" + b"a" * 64 + b"\nops:sha256:" + b"0" * 64 + b"\n")
    put("registry_path", "chunk", b"bytes 1048576-2097151/*")
    put("upload_headers", "absolute", b"0-1023\n1048576\nhttps://blobs.example.com/v2/app/blobs/uploads/1?state=a%2Fb")
    put("upload_headers", "relative", b"bytes=0-0\n\n../uploads/1?x#y")
    put("oci_reference", "name", b"registry.example.com:5000/app/server:1.4.0@sha256:" + b"a" * 64)
    put("oci_reference", "short", b"redis:7")
    put("oci_document", "manifest",
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":'
        b'"application/vnd.oci.image.config.v1+json","digest":"sha256:' + b"b" * 64 + b'","size":2},"layers":[]}')
    put("oci_document", "index",
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":'
        b'"application/vnd.oci.image.manifest.v1+json","digest":"sha256:' + b"c" * 64 +
        b'","size":2,"platform":{"architecture":"amd64","os":"linux"}}]}')
    put("trust_documents", "origin",
        b'\5{"_type":"origin","channels":["stable"],"product":"app","releases":[{"bundles":[{"bases":[],"id":"' + b"e" * 32 +
        b'","pack_size":9,"volumes":[{"name":"app-1.0.0.bundle","size":4096}]}],"release_number":1,"release_version":"1.0.0",'
        b'"statement":{"digest":"sha256:' + b"f" * 64 + b'"}}],"spec_version":"1.0"}')
    put("trust_documents", "origin-plain",
        b'\5{"_type":"origin","channels":["stable"],"product":"app","releases":[{"bundles":[],"documents":["blobs.list","manifest.json",'
        b'"statement.0123456789ABCDEF.minisig","statement.json"],"release_number":1,"release_version":"1.0.0",'
        b'"statement":{"digest":"sha256:' + b"f" * 64 + b'"}}],"spec_version":"1.0"}')
    put("registry_path", "manifest", b"/v2/app/server/manifests/1.4.0?ns=registry.example.com")
    put("registry_path", "range", b"bytes=0-99")
    put("registry_path", "referrers", b"/v2/app/server/referrers/sha256:" + b"d" * 64 + b"?artifactType=a%2Fb")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bundle_seeds(pathlib.Path(sys.argv[1]))
    archive_seeds()
    grain_seeds()
    package_seeds()
    rpm_seeds()
    cosign_seeds()
    example_seeds()
    text_seeds()
