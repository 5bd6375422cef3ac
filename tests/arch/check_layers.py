#!/usr/bin/env python3
"""Reads every #include of the project against libbundle/layers.txt and the third-party fences.

    check_layers.py SOURCE_DIR              checks; prints what breaks a rule; status 1 then
    check_layers.py SOURCE_DIR --report     files over 400 lines and functions over 60, for people
    check_layers.py SOURCE_DIR --self-test  each rule must catch a planted violation
"""
import argparse
import pathlib
import re
import shutil
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# Third-party header prefix: where it may be included. A place is a folder, or a file name prefix.
FENCES = {
    "curl/": ["libbundle/src/transfer/"],
    "openssl/": ["libbundle/src/crypto/"],
    "crypt.h": ["libbundle/src/crypto/"],
    "sodium": ["libbundle/src/crypto/"],
    "zstd": ["libbundle/src/codec/"],
    "zlib.h": ["libbundle/src/codec/"],
    "sqlite3": ["libbundle/src/codec/"],
    "nlohmann/": ["libbundle/src/codec/"],
    "yaml-cpp/": ["libbundle/src/codec/"],
    "valijson/": ["libbundle/src/codec/"],
    "cxxopts": ["tools/", "registry/main"],
    "microhttpd": ["registry/"],
    "gnutls/": ["registry/"],
    "fmt/": ["libbundle/src/", "tools/", "registry/"],
}

# Standard and system headers: no slash and no ".h", or one of these.
SYSTEM = re.compile(r"^(sys|linux|netinet|arpa|net)/|^(c?[a-z]+|[a-z]+intrin)\.h$")


def read_layers(root):
    layers = {}
    for line in (root / "libbundle/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, _, below = line.partition(":")
            layers[room.strip()] = set(below.split())
    return layers


def sources(root, *folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h") and path.is_file():
                yield path, path.relative_to(root).as_posix()


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1] == "<", match[2]


def check_table(layers):
    """Lower never includes higher: a room lists only rooms that stand above it in the file."""
    seen = set()
    for room, below in layers.items():
        for other in below - {"public"} - seen:
            yield f"libbundle/layers.txt: {room} may not list {other}, which stands below it in the table"
        seen.add(room)


def check_rooms(root, layers):
    rooms = set(layers) - {"registry", "tools"}
    for path, name in sources(root, "libbundle/src"):
        room = name.split("/")[2]
        if room not in layers:
            yield f"{name}: there is no room '{room}' in libbundle/layers.txt"
            continue
        for line, angle, header in includes(path):
            first = header.split("/")[0]
            if angle or first == "bundle" or first == room:
                continue
            if first not in rooms:
                yield f"{name}:{line}: \"{header}\" is in no room: write \"room/file.h\""
            elif first not in layers[room]:
                yield f"{name}:{line}: {room} may not include {first} (libbundle/layers.txt)"


def check_public(root):
    for path, name in sources(root, "libbundle/include"):
        for line, angle, header in includes(path):
            standard = angle and "/" not in header and "." not in header
            if not standard and not (not angle and header.startswith("bundle/")):
                yield f"{name}:{line}: a public header includes only the standard library and \"bundle/...\", not {header}"


def check_tools(root):
    for path, name in sources(root, "tools"):
        for line, angle, header in includes(path):
            own = path.parent.name
            if not angle and header.split("/")[0] not in ("bundle", "common", own):
                yield f"{name}:{line}: tools include only \"bundle/...\", \"common/...\" and \"{own}/...\", not {header}"


def check_registry(root, layers):
    allowed = layers["registry"] | {"registry", "bundle"}
    for path, name in sources(root, "registry"):
        for line, angle, header in includes(path):
            if not angle and header.split("/")[0] not in allowed:
                yield f"{name}:{line}: registry may not include {header} (libbundle/layers.txt)"


def check_fences(root):
    for path, name in sources(root, "libbundle", "tools", "registry"):
        for line, angle, header in includes(path):
            if not angle:
                continue
            places = next((FENCES[prefix] for prefix in FENCES if header.startswith(prefix)), None)
            if places is None:
                if ("/" in header or "." in header) and not SYSTEM.match(header):
                    yield f"{name}:{line}: <{header}> has no fence: add it to FENCES of check_layers.py"
            elif not name.startswith(tuple(places)):
                yield f"{name}:{line}: <{header}> belongs only in {', '.join(places)}"


def check(root):
    layers = read_layers(root)
    for part in (check_table(layers), check_rooms(root, layers), check_public(root), check_tools(root),
                 check_registry(root, layers), check_fences(root)):
        yield from part


def functions(path):
    """(name, first line, length) of function bodies; knows clang-format's layout, not C++."""
    start = name = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if start is None and re.match(r"^( {2})?[A-Za-z_~].*[({]$|^( {2})?[A-Za-z_~].*\) .*\{$", line):
            called = re.search(r"([A-Za-z_~:]+)\(", line)
            if called and not line.lstrip().startswith(("namespace", "class", "struct", "enum")):
                start, name, indent = number, called[1], len(line) - len(line.lstrip())
        elif start is not None and line.startswith(" " * indent + "}") and not line.startswith(" " * (indent + 1)):
            yield name, start, number - start + 1
            start = None


def report(root):
    for path, name in sources(root, "libbundle", "tools", "registry"):
        lines = len(path.read_text().splitlines())
        if lines > 400:
            print(f"{lines:5} lines  {name}")
        for function, start, length in functions(path):
            if length > 60:
                print(f"{length:5} lines  {name}:{start} {function}")


PLANTED = {
    "libbundle/src/base/planted.cc": '#include "io/stream.h"\n',
    "libbundle/src/store/planted.cc": '#include "pack/pack_writer.h"\n',
    "libbundle/src/site/planted.cc": '#include "pack/pack_writer.h"\n',
    "libbundle/src/source/planted.cc": '#include "spec/resolve.h"\n',
    "libbundle/src/plan/planted.cc": '#include <curl/curl.h>\n',
    "libbundle/src/trust/planted.cc": '#include <sodium.h>\n',
    "libbundle/src/unpack/planted.cc": '#  include <zstd.h>\n',
    "libbundle/src/attest/planted.cc": '#include <sqlite3.h>\n',
    "libbundle/src/oci/planted.cc": '#include "descriptor.h"\n',
    "libbundle/src/oci/planted2.cc": '#include <boost/asio.hpp>\n',
    "libbundle/src/attic/planted.cc": "\n",
    "libbundle/include/bundle/planted.h": "#include <fmt/format.h>\n",
    "libbundle/include/bundle/planted2.h": '#include "store/site_store.h"\n',
    "tools/bundle-make/planted.cc": '#include "store/site_store.h"\n',
    "registry/planted.cc": '#include "plan/import_plan.h"\n',
    "registry/planted2.cc": "#include <cxxopts.hpp>\n",
}


def self_test(root):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for part in ("libbundle", "tools", "registry"):
            shutil.copytree(root / part, copy / part)
        for name, text in PLANTED.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_text(text)
        found = "\n".join(check(copy))
        missed = [name for name in PLANTED if name not in found]
    for name in missed:
        print(f"not caught: {name}: {PLANTED[name].strip()}")
    return 1 if missed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        return report(arguments.source)
    if arguments.self_test:
        return self_test(arguments.source)
    problems = list(check(arguments.source))
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
