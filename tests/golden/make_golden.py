#!/usr/bin/env python3
"""Makes a set of golden bundles: make_golden.py NAME writes the folder NAME beside this file.

Only for a new set, when the format has got something new. Sets that exist are never made again and never removed:
they stand for bundles that lie on sticks somewhere.

    inputs/        the release's inputs (release.yaml expires in 2999, so that the set does not)
    one/  many/    its bundle in one volume and cut into several
    expected.json  digests of every blob and of every file of the set
"""

import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))
import read_bundle  # noqa: E402
import small_release  # noqa: E402
import tools  # noqa: E402

KEY = HERE / "test-only.key"  # signs nothing but golden files; the secret is public
PUB = HERE / "test-only.pub"


def make(inputs, out):
    return tools.make_bundle(inputs / "release.yaml", out, KEY, env={"SOURCE_DATE_EPOCH": tools.EPOCH})


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


def main():
    folder = HERE / sys.argv[1]
    folder.mkdir()
    inputs = folder / "inputs"
    release = small_release.make_release(inputs, image_bytes=90_000, disk_bytes=48 << 10, file_size=3000, seed=11)
    release.write_text(release.read_text() + "expires: 2999-01-01T00:00:00Z\n")
    make(inputs, folder / "one")
    cut(folder / "one", folder / "many", 3)
    lines = (folder / "one" / "blobs.list").read_text().splitlines()
    expected = {
        "blobs": {line.split()[0]: int(line.split()[1]) for line in lines},
        "files": {f"{part}/{name}": digest for part in ("one", "many")
                  for name, digest in tools.tree_digest(folder / part).items()},
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
