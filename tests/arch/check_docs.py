#!/usr/bin/env python3
"""Keeps the documents equal to the code.

    check_docs.py errors SOURCE_DIR         docs/errors.md has a row for each code of error.h, and no other
    check_docs.py layers SOURCE_DIR         docs/architecture.md shows libbundle/layers.txt
    check_docs.py links SOURCE_DIR          relative links of the documents lead to files
    check_docs.py manual SOURCE_DIR PROGRAM BINARY
                                            the manual page names each command and option of --help
"""
import pathlib
import re
import subprocess
import sys


def read(root, name):
    return (root / name).read_text()


def check_errors(root):
    code = re.findall(r'X\((\w+), (\d+), "([^"]+)"\)', read(root, "libbundle/include/bundle/error.h"))
    rows = {name: (number, meaning.strip(), advice.strip()) for number, name, meaning, advice in
            re.findall(r"^\| (\d+) \| (\w+) \| ([^|]+) \| ([^|]+) \|$", read(root, "docs/errors.md"), re.M)}
    if not code:
        yield "error.h: no codes were found"
    for name, number, meaning in code:
        if name not in rows:
            yield f"docs/errors.md has no row for {name} ({number})"
            continue
        row = rows.pop(name)
        if row[:2] != (number, meaning):
            yield f"docs/errors.md, {name}: '{row[0]} {row[1]}' instead of '{number} {meaning}'"
        if len(row[2]) < 20:
            yield f"docs/errors.md, {name}: says too little about what to do"
    for name in rows:
        yield f"docs/errors.md has {name}, which error.h does not know"


def check_layers(root):
    table = [line for line in read(root, "libbundle/layers.txt").splitlines() if not line.startswith("#")]
    shown = re.search(r"<!-- layers.txt -->\n```\n(.*?)```", read(root, "docs/architecture.md"), re.S)
    if not shown:
        yield "docs/architecture.md has no block after <!-- layers.txt -->"
    elif shown[1].splitlines() != table:
        yield "docs/architecture.md shows another table than libbundle/layers.txt (without its comments)"


def check_links(root):
    documents = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    for document in documents:
        text = re.sub(r"`[^`\n]*`", "", document.read_text())  # a pattern in code is no link
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not (document.parent / target).exists():
                yield f"{document.relative_to(root)}: link to {target}, which is not there"


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def check_manual(root, program, binary):
    # mdoc writes options as ".Fl -name"; commands as ".Ss name" or ".Cm name"
    page = read(root, f"docs/man/{program}.1")
    overview = output_of(binary, "--help")
    listed = re.search(r"^commands:\n((?:  .*\n)+)", overview, re.M)
    commands = re.findall(r"^  (\S+(?: \S+)?)  ", listed[1], re.M) if listed else []
    texts = {"": overview} if not commands else {name: output_of(binary, *name.split(), "--help") for name in commands}
    for name, text in texts.items():
        if name and not re.search(rf"^\.(Ss|It Cm|Cm) {name}\b", page, re.M):
            yield f"{program}.1 does not describe the command {name}"
        for option in re.findall(r"^ +(?:-\w, )?--([a-z][a-z-]+)", text, re.M):
            if not re.search(rf"Fl -{option}\b", page):
                yield f"{program}.1 does not name --{option} ({name})"


def main():
    checks = {"errors": check_errors, "layers": check_layers, "links": check_links, "manual": check_manual}
    if len(sys.argv) < 3 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    problems = sorted(set(checks[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:])))
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
