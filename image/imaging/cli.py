"""Command line of imagectl: parses, calls, prints."""
import argparse
import datetime
import json
import pathlib
import sys
import tempfile

from . import compare, convert, disk, metadata, ova, pins, secret_scan
from .failure import Failure

EXAMPLES = """examples:
  imagectl pins --base ubuntu-iso
  imagectl scan --root /mnt
  imagectl scan --disk disk.raw --allow secret-scan-allow.txt
  imagectl convert --disk disk.raw --name appliance-1.4.0-b7 --out out
  imagectl check-ova out/appliance-1.4.0-b7.ova
  imagectl compare monday.qcow2 tuesday.qcow2
"""


def print_pins(options):
    values = pins.read(options.pins)
    problems = list(pins.problems(values, options.base))
    if not problems and options.base != "debian-test" and not options.allow_stale:
        stale = pins.age_problem(values, datetime.date.today())
        problems += [stale] if stale else []
    if options.json:
        print(json.dumps({"base": options.base, "problems": problems,
                          "pins": {name: value for name, (value, _) in values.items()}}))
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
        if not problems:
            for name in pins.NEEDED[options.base]:
                print(f"{name} = {values[name][0]}")
    return 1 if problems else 0


def scan(options):
    if options.root:
        return report_scan(options, secret_scan.scan(options.root, options.allow))
    with tempfile.TemporaryDirectory(prefix="imagectl-") as work:
        disk.unpack_root(pathlib.Path(options.disk), pathlib.Path(work) / "root")
        return report_scan(options, secret_scan.scan(pathlib.Path(work) / "root", options.allow))


def report_scan(options, report):
    if options.json:
        print(json.dumps({"files": report.files, "unchanged_packaged_files": report.skipped,
                          "findings": [finding._asdict() for finding in report.findings],
                          "allowed": [finding._asdict() for finding in report.allowed],
                          "unused": [" ".join(entry) for entry in report.unused]}))
    else:
        for finding in report.findings:
            print(f"SECRET {finding.rule}: /{finding.path}:{finding.line}: {finding.shown}", file=sys.stderr)
        for entry in report.unused:
            print(f"note: nothing needs this exception any more: {' '.join(entry)}", file=sys.stderr)
        print(f"{len(report.findings)} secrets in {report.files} files ({report.skipped} unchanged files of packages "
              f"left out, {len(report.allowed)} findings allowed)")
    return 1 if report.findings else 0


def print_list(options, key, lines, good):
    """A check's result: the problems, or the line that says there are none."""
    if options.json:
        print(json.dumps({key: lines}))
    else:
        for line in lines:
            print(line, file=sys.stderr)
        if not lines:
            print(good)
    return 1 if lines else 0


def write_metadata(options):
    inputs = metadata.read_inputs(pathlib.Path(options.inputs) / "inputs.env")
    name = metadata.write_inside(options.root, inputs, pathlib.Path(options.inputs) / "trust")
    print(json.dumps({"name": name}) if options.json else f"{name}: described in /{metadata.INSIDE}")
    return 0


def convert_disk(options):
    document = convert.publish(options.disk, options.name, options.out)
    if options.json:
        print(json.dumps(document))
    else:
        for output in document["outputs"]:
            print(f"{output['sha256']}  {output['file']} ({output['bytes']} bytes)")
    return 0


def check_ova(options):
    return print_list(options, "problems", list(ova.problems(options.file)), "good: order, digests, envelope")


def compare_builds(options):
    one, two = pathlib.Path(options.first), pathlib.Path(options.second)
    found = compare.trees if one.is_dir() else compare.disks
    lines = [f"{difference.what}: {difference.path}" +
             (f" ({difference.first} and {difference.second})" if difference.first or difference.second else "")
             for difference in found(one, two, options.times)]
    return print_list(options, "differences", lines, "no difference")


def parser():
    top = argparse.ArgumentParser(prog="imagectl", description=__doc__, epilog=EXAMPLES,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("pins", help="versions and checksums that a base needs; 1 when one is missing, "
                                               "unpinned or too old")
    command.add_argument("--base", required=True, choices=sorted(pins.NEEDED))
    command.add_argument("--pins", default=pins.FILE, metavar="FILE", help="another versions.pkrvars.hcl")
    command.add_argument("--allow-stale", action="store_true", help="take a base that is older than base_max_days")
    command.set_defaults(run=print_pins)

    command = commands.add_parser("scan", help="secrets in a finished file system; 1 when there is one (R25)")
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--root", metavar="DIR", help="the file system, mounted or unpacked; / for this machine")
    where.add_argument("--disk", metavar="RAW", help="a raw disk image; it is unpacked without mounting")
    command.add_argument("--allow", metavar="FILE", help="exceptions: lines RULE PATH-PATTERN REASON")
    command.set_defaults(run=scan)

    command = commands.add_parser("metadata", help="write image-metadata.json and the SPDX list into a file system")
    command.add_argument("--root", required=True, metavar="DIR", help="the file system; / for this machine")
    command.add_argument("--inputs", required=True, metavar="DIR", help="folder with inputs.env and trust/")
    command.set_defaults(run=write_metadata)

    command = commands.add_parser("convert", help="QCOW2, OVA, metadata and checksums from a raw disk")
    command.add_argument("--disk", required=True, metavar="RAW")
    command.add_argument("--name", required=True, help="PRODUCT-VERSION-BUILDID, as the image calls itself")
    command.add_argument("--out", required=True, metavar="DIR", help="new folder for the files")
    command.set_defaults(run=convert_disk)

    command = commands.add_parser("check-ova", help="order, manifest and envelope of an OVA; 1 when something is wrong")
    command.add_argument("file", metavar="OVA")
    command.set_defaults(run=check_ova)

    command = commands.add_parser("compare", help="differences of two builds (disks or unpacked); 1 when there are any")
    command.add_argument("first")
    command.add_argument("second")
    command.add_argument("--times", action="store_true", help="compare times of files, too")
    command.set_defaults(run=compare_builds)

    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="the result as one JSON object")
    return top


def main():
    options = parser().parse_args()
    try:
        return options.run(options)
    except Failure as failure:
        print(f"imagectl: error: {failure}", file=sys.stderr)
        if failure.hint:
            print(f"  next: {failure.hint}", file=sys.stderr)
        return 1
