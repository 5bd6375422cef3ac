"""From the raw disk of a build to the files that are published."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import disk, metadata, ova, vmdk
from .failure import Failure

INSIDE = ["image-metadata.json", "image-packages.spdx.json", "image-packages.txt"]


def qcow2(raw, target):
    subprocess.run(["qemu-img", "convert", "-q", "-m", "1", "-c", "-f", "raw", "-O", "qcow2", "-o", "compat=1.1",
                    str(raw), str(target)], check=True)
    subprocess.run(["qemu-img", "check", "-q", str(target)], check=True)


def publish(raw, name, out):
    """Writes NAME.qcow2, NAME.ova, NAME.image-metadata.json, NAME.spdx.json, NAME.packages.txt, NAME.sha256 into the new
    folder `out`, which appears whole or not at all. The name must be the one that the image has inside."""
    raw, out = pathlib.Path(raw), pathlib.Path(out)
    if out.exists():
        raise Failure(f"{out} exists", "Name a folder that is not there yet.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=out.parent) as work:
        work = pathlib.Path(work)
        inside, files = work / "inside", work / "files"
        inside.mkdir()
        files.mkdir()
        for file in INSIDE:
            disk.read_file(raw, f"/{metadata.INSIDE}/{file}", inside / file)
        document = json.loads((inside / "image-metadata.json").read_text())
        if document["name"] != name:
            raise Failure(f"the image calls itself {document['name']}, not {name}", "It is of another build.")
        qcow2(raw, files / f"{name}.qcow2")
        ova.make(raw, files / f"{name}.ova", name, document["product"], document["version"],
                 int(os.environ.get("SOURCE_DATE_EPOCH", 0)), inside)
        wrong = list(ova.problems(files / f"{name}.ova"))
        if wrong:
            raise Failure(f"the OVA is not right: {'; '.join(wrong)}", "This is a bug of imagectl.")
        document["outputs"] = [{"file": path.name, "format": path.suffix[1:], "bytes": path.stat().st_size,
                                "diskBytes": raw.stat().st_size, "sha256": vmdk.sha256_of(path)}
                               for path in sorted(files.iterdir())]
        (files / f"{name}.image-metadata.json").write_text(json.dumps(document, indent=1) + "\n")
        shutil.copyfile(inside / INSIDE[1], files / f"{name}.spdx.json")
        shutil.copyfile(inside / INSIDE[2], files / f"{name}.packages.txt")
        (files / f"{name}.sha256").write_text("".join(
            f"{vmdk.sha256_of(path)}  {path.name}\n" for path in sorted(files.iterdir())))
        files.rename(out)
    return document
