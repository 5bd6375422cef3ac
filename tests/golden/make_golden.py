#!/usr/bin/env python3
"""Makes a set of golden bundles: make_golden.py NAME writes the folder NAME beside this file.

Only for a new set, when the format has got something new. Sets that exist are never made again and never removed:
they stand for bundles that lie on sticks somewhere.

    inputs/        the release's inputs (release.yaml expires in 2999, so that the set does not)
    one/  many/    its bundle in one volume and cut into several
    delta/         a bundle of the release after it, made with one/ as base
    expected.json  digests of every blob and of every file of the set
"""

import hashlib
import io
import json
import pathlib
import struct
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))
import read_bundle  # noqa: E402
import small_release  # noqa: E402
import tools  # noqa: E402

KEY = HERE / "test-only.key"  # signs nothing but golden files; the secret is public
PUB = HERE / "test-only.pub"


def make(inputs, out, *options):
    return tools.make_bundle(inputs / "release.yaml", out, KEY, *options, env={"SOURCE_DATE_EPOCH": tools.EPOCH})


def program(gap=0):
    """An ELF file of x86-64 with calls and accesses to data: groups with it have filter 1. It does not run.

    With a gap in the code all calls across it are others: a delta's group is a difference.
    """
    code = b""
    for n in range(1000):
        place = 24 * n + (gap if n >= 500 else 0)
        code += bytes(place - len(code)) + hashlib.sha256(bytes([n % 250, n // 250])).digest()[:7] + b"\x48\x8b\x05"
        code += struct.pack("<i", 50_000 + 8 * n - place) + b"\xe8" + struct.pack("<i", 7919 * n % 24_000 - place) + b"\x90" * 5
    # Pointers, as tables of methods are: each moves with the gap.
    code += b"".join(struct.pack("<Q", 4096 + gap + int.from_bytes(hashlib.sha256(b"%d" % n).digest()[:4], "little"))
                     for n in range(3000))
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    size = 64 + 2 * 56 + len(code)
    return (header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096) +
            struct.pack("<IIQQQQQQ", 1, 6, size, size, size, 0, 4096, 4096) + code)


def write_appliance(path, changed=b""):
    """An OVA: its grains are stored inflated. Some text, a hole, some text."""
    text = small_release.Content(12).text
    disk = path.with_suffix(".raw")
    disk.write_bytes(text[:100_000] + bytes(100_000) + changed + text[100_000 : 200_000 - len(changed)])
    small_release.write_ova(path, disk)
    disk.unlink()


def in_tar(content):
    """By its path the older file is found."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        entry = tarfile.TarInfo("usr/bin/k3s")
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def finish_inputs(release, changed=b"", more=""):
    release.write_text(release.read_text() + "expires: 2999-01-01T00:00:00Z\n" + more)
    write_appliance(release.parent / "os" / "appliance.img", changed)


def make_next(folder, scratch):
    """The release after it: some files of a layer are others, all else is the same."""
    inputs = scratch / "inputs"
    release = small_release.make_release(inputs, image_bytes=90_000, disk_bytes=48 << 10, file_size=3000, seed=11, version="1.1.0",
                                         levels=(6, 9, 1, 1))
    finish_inputs(release, b"changed", "upgradeFrom: [\"1.0.x\"]\n")
    (inputs / "k3s").write_bytes(in_tar(program(gap=40)))
    make(inputs, folder / "delta", "--base", folder / "one")


def cut(source, out, count):
    """Cuts a bundle by the text, leaf by leaf, into volumes far smaller than the tools would make.

    Every volume has the recipes' leaves, and one part of the others.
    """
    bundle = read_bundle.Bundle([source])
    bundle.read_documents()
    recipes = [leaf for number in bundle.index.streams[0] for leaf in leaves_of(bundle.index.groups[number])]
    others = [leaf for leaf in range(len(bundle.index.leaf_hashes)) if leaf not in recipes]
    out.mkdir()
    for number in range(count):
        mine = sorted(recipes + others[len(others) * number // count : len(others) * (number + 1) // count])
        write_volume(bundle, out / f"part{number + 1}.bundle", number + 1, count, mine)


def leaves_of(group):
    return range(group.leaf, group.leaf + group.leaves)


def write_volume(bundle, path, number, count, leaves):
    ranges = []
    for leaf in leaves:
        if ranges and sum(ranges[-1]) == leaf:
            ranges[-1][1] += 1
        else:
            ranges.append([leaf, 1])
    first = bundle.volumes[0]
    data = b"".join(bundle.read_leaf(leaf, *bundle.leaf_place[leaf][0]) for leaf in leaves)
    header = struct.pack("<8sII16sIIQ32sQQII", b"BNDLVOL1", 1, 512, first.bundle_id, number, count, len(first.head),
                         read_bundle.sha256(first.head), first.data_offset, len(data), len(ranges), 0)
    header += b"".join(struct.pack("<II", *pair) for pair in ranges)
    header += bytes(480 - len(header))
    padding = bytes(first.data_offset - 512 - len(first.head))
    first.file.seek(first.data_offset + first.data_size)
    path.write_bytes(header + read_bundle.sha256(header) + first.head + padding + data + first.file.read())


def blobs_of(bundle):
    return {line.split()[0]: int(line.split()[1]) for line in (bundle / "blobs.list").read_text().splitlines()}


def main():
    folder = HERE / sys.argv[1]
    folder.mkdir()
    inputs = folder / "inputs"
    release = small_release.make_release(inputs, image_bytes=90_000, disk_bytes=48 << 10, file_size=3000, seed=11)
    finish_inputs(release)
    (inputs / "k3s").write_bytes(in_tar(program()))
    make(inputs, folder / "one")
    with tempfile.TemporaryDirectory() as scratch:
        make_next(folder, pathlib.Path(scratch))
    cut(folder / "one", folder / "many", 3)
    expected = {
        "blobs": blobs_of(folder / "one"),
        "delta_blobs": blobs_of(folder / "delta"),
        "files": {f"{part}/{name}": digest for part in ("one", "many", "delta")
                  for name, digest in tools.tree_digest(folder / part).items()},
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
