"""rpm databases in the three forms that rpm has had, from packages that rpmbuild makes.

    rpm_world.py DIR        writes the small ones of tests/data/rpm

Debian's rpm writes SQLite only. The headers in it go into a Berkeley DB by db_load, and into ndb by the writer below,
which is made from the description in rpm's lib/backend/ndb/rpmpkg.c.
"""

import pathlib
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import zlib

SPECS = ["""Name: harbour-tools
Version: 1.4.2
Release: 3
Epoch: 2
Summary: Tools for a harbour
License: MIT and (GPLv2+ or Apache-2.0)
Vendor: Example Org (packaging)
BuildArch: noarch
%description
Text.
%files
""", """Name: libodd+name
Version: 0.9~rc1
Release: 1.el9
Summary: Odd characters
License: BSD-3-Clause
BuildArch: noarch
%description
Text.
%files
"""]
QUERY = "%{NAME}\t%{VERSION}-%{RELEASE}\t%{ARCH}\t%{EPOCH}\t%{LICENSE}\t%{VENDOR}\t%{SOURCERPM}\n"


def db_load():
    return shutil.which("db5.3_load") or shutil.which("db_load")


def run(*command, data=None):
    return subprocess.run([str(part) for part in command], check=True, input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout


def make_sqlite(folder):
    """rpm's own database with two packages, in folder/db."""
    for number, text in enumerate(SPECS):
        spec = folder / f"{number}.spec"
        spec.write_text(text)
        run("rpmbuild", "-bb", "--quiet", "--nodeps", "--define", f"_topdir {folder / 'top'}",
            "--define", "_buildhost build.example.com", "--define", "use_source_date_epoch_as_buildtime 1", spec)
    database = folder / "db"
    rpm = ["rpm", "--dbpath", database, "--define", "_db_backend sqlite"]
    run(*rpm, "--initdb")
    run(*rpm, "-i", "--justdb", "--nodeps", "--noscripts", "--ignoreos", *sorted((folder / "top").rglob("*.rpm")))
    return database


def query(database):
    """What rpm says is installed: rows of QUERY, "(none)" as None."""
    rows = run("rpm", "--dbpath", database, "-qa", "--qf", QUERY).decode().splitlines()
    return [[None if field == "(none)" else field for field in row.split("\t")] for row in rows]


def headers_of(database):
    with sqlite3.connect(f"file:{database / 'rpmdb.sqlite'}?mode=ro", uri=True) as connection:
        return [row[0] for row in connection.execute("SELECT blob FROM Packages ORDER BY hnum")]


def key_header():
    """What rpm keeps for a signing key: no package, and no architecture."""
    return make_header([(1000, 6, b"gpg-pubkey\0"), (1001, 6, b"0b0b0b0b\0"), (1002, 6, b"01010101\0")])


def make_header(entries):
    index, data = b"", b""
    for tag, kind, content in entries:
        index += struct.pack(">IIII", tag, kind, len(data), 1)
        data += content
    return struct.pack(">II", len(entries), len(data)) + index + data


def write_ndb(path, headers):
    page, block = 4096, 16
    slots, blobs, at = b"", b"", page // block
    for number, header in enumerate(headers, 1):
        blob = b"BlbS" + struct.pack("<III", number, 1, len(header)) + header
        blob += b"\0" * (-(len(blob) + 12) % block)
        blob += struct.pack("<II", zlib.adler32(blob), len(header)) + b"BlbE"
        slots += b"Slot" + struct.pack("<III", number, at + len(blobs) // block, len(blob) // block)
        blobs += blob
    head = b"RpmP" + struct.pack("<IIII", 0, len(headers), 1, len(headers) + 1)
    empty = b"Slot" + b"\0" * 12
    pages = head + b"\0" * (32 - len(head)) + slots
    path.write_bytes(pages + empty * ((page - len(pages)) // block) + blobs)


def write_berkeley(path, headers, order="little", page_size=4096):
    """The counter that rpm keeps under number 0, then the headers."""
    lines = [b"VERSION=3", b"format=bytevalue", b"type=hash", b"db_pagesize=%d" % page_size,
             b"db_lorder=%d" % {"little": 1234, "big": 4321}[order], b"HEADER=END"]
    values = [struct.pack("<I", len(headers))] + headers
    for number, value in enumerate(values):
        lines += [b" " + number.to_bytes(4, order).hex().encode(), b" " + value.hex().encode()]
    path.unlink(missing_ok=True)
    run(db_load(), path, data=b"\n".join(lines + [b"DATA=END", b""]))


def write_sqlite(path, headers, page_size=512):
    """Without the indexes that make rpm's own 200 KiB."""
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(header,) for header in headers])
    connection.close()
    data = bytearray(path.read_bytes())
    data[18:20] = b"\2\2"  # as rpm leaves it: there may be a write-ahead log
    path.write_bytes(data)


def main(out):
    out = pathlib.Path(out)
    with tempfile.TemporaryDirectory() as folder:
        headers = headers_of(make_sqlite(pathlib.Path(folder))) + [key_header()]
    (out / "header").write_bytes(next(header for header in headers if b"harbour-tools\0" in header))
    write_sqlite(out / "rpmdb.sqlite", headers)
    write_ndb(out / "Packages.db", headers)
    write_berkeley(out / "Packages", headers, page_size=512)
    write_berkeley(out / "Packages.big-endian", headers, order="big", page_size=512)


if __name__ == "__main__":
    main(*sys.argv[1:])
