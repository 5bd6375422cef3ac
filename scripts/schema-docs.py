#!/usr/bin/env python3
"""Writes docs/schemas.md from schemas/*.schema.json and their examples in tests/data/schemas.

    scripts/schema-docs.py            writes the page
    scripts/schema-docs.py --check    exit status 1 when the page is another one (a test runs this)
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "schemas.md"
EXAMPLES = ROOT / "tests" / "data" / "schemas"

HEAD = """# Schemas

<!-- Written by scripts/schema-docs.py from schemas/ and tests/data/schemas/. Change those and run it again. -->

Every document that people write or programs exchange has a JSON Schema (draft-07) in `schemas/`. The schemas are embedded in the library, which
holds what it reads against them; what a schema cannot say (a pattern of versions that is none, a name twice) is checked after it. YAML files are
held against the same schemas. The examples are those of the tests: each valid one must be accepted, each other one refused.

Keys with `[]` are those of each entry of a list, keys with `<name>` those of a mapping with names of its own. Where a key of an optional part is
needed, it is needed when that part is there. Lengths of text are in bytes.
"""

TYPES = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`", "object": "mapping", "array": "list",
         "number": "number", "null": "nothing"}


def resolve(schema, node):
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].removeprefix("#/definitions/")]
    return node


def code(value):
    return "`" + (value if isinstance(value, str) else json.dumps(value)).replace("|", "\\|") + "`"


def span(node, low, high, unit=""):
    """ "1 to 64 entries", "at most 4096 bytes"; nothing when there is no bound."""
    least, most = node.get(low), node.get(high)
    if least is None and most is None:
        return []
    if least is not None and most is not None:
        return [f"{least}{unit}" if least == most else f"{least} to {most}{unit}"]
    return [f"at most {most}{unit}" if least is None else f"at least {least}{unit}"]


def value_of(node):
    """What a value must be, in words."""
    if "const" in node:
        return code(node["const"])
    if "enum" in node:
        return " or ".join(code(value) for value in node["enum"])
    kinds = node.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    parts = [" or ".join(TYPES[kind] for kind in kinds)] if kinds else ["anything"]
    parts += span(node, "minimum", "maximum")
    parts += span(node, "minLength", "maxLength")
    parts += span(node, "minItems", "maxItems", " entries")
    parts += span(node, "minProperties", "maxProperties", " entries")
    if node.get("uniqueItems"):
        parts.append("each once")
    if "pattern" in node:
        parts.append(code(node["pattern"]))
    text = ", ".join(parts)
    return f"{node['description'].replace('|', chr(92) + '|')} ({text})" if "description" in node else text


def rows(schema, node, path=""):
    """(key, needed, value) of all that lies below `node`."""
    needed = node.get("required", [])
    for name, child in node.get("properties", {}).items():
        yield from row(schema, child, f"{path}.{name}" if path else name, name in needed)
    rest = node.get("additionalProperties")
    if isinstance(rest, dict):
        yield from row(schema, rest, f"{path}.<name>" if path else "<name>", False)
    for word in ("anyOf", "oneOf", "allOf"):
        for choice in node.get(word, []):
            yield from rows(schema, resolve(schema, choice), path)


def row(schema, child, path, needed):
    child = resolve(schema, child)
    yield path, "yes" if needed else "", value_of(child)
    yield from rows(schema, child, path)
    items = child.get("items")
    if isinstance(items, dict):
        items = resolve(schema, items)
        if "properties" not in items:
            yield f"{path}[]", "", value_of(items)
        yield from rows(schema, items, f"{path}[]")


def examples(name, kind):
    return sorted((EXAMPLES / name / kind).glob("*.json"))


def section(path):
    name = path.name.removesuffix(".schema.json")
    schema = json.loads(path.read_text())
    yield f"\n## {schema['title']}\n"
    yield f"`schemas/{path.name}`. {schema['description']}\n"
    rest = "refused" if schema.get("additionalProperties") is False else "ignored"
    yield f"Keys that are not listed are {rest}.\n"
    yield "| key | needed | value |\n|---|---|---|"
    for key, needed, value in rows(schema, schema):
        yield f"| `{key}` | {needed} | {value} |"
    valid = examples(name, "valid")
    shown = min(valid, key=lambda file: (len(file.read_text()), file.name))
    yield f"\nA short one (`{shown.relative_to(ROOT)}`):"
    yield "```json\n" + json.dumps(json.loads(shown.read_text()), indent=2) + "\n```"
    yield "Accepted: " + ", ".join(file.stem for file in valid) + "."
    yield "Refused: " + ", ".join(file.stem for file in examples(name, "invalid")) + "."


def page():
    lines = [HEAD.rstrip("\n")]
    for path in sorted((ROOT / "schemas").glob("*.schema.json")):
        lines += section(path)
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    text = page()
    if not sys.argv[1:]:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit("docs/schemas.md is not what the schemas say: run scripts/schema-docs.py")


if __name__ == "__main__":
    main()
