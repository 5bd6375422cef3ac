#!/usr/bin/env python3
"""Compares bundle-registry with nginx (sendfile) on the same files, in one run, and prints ratios.

    bench/registry.py --bin BUILD_DIR --work DIR [--size MIB] [--rounds N] [--tls]

Each round asks both for the same large blob, in turn, then both for the same small manifest over 64 connections at
a time. Ratios of wall time are what docs/performance.md quotes; processor time of the servers is printed because it does
not depend on what else the machine does. Needs: nginx, curl; ab (apache2-utils) for the manifests; openssl with --tls.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "interop"))
import small_release  # noqa: E402

MIB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")

NGINX = """daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 4096; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000; default_type application/octet-stream;
{temp}
server {{ listen 127.0.0.1:{port}{tls} root {root}; }} }}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def make_store(binaries, work, size):
    """A release with one file of `size` MiB. Returns (store, file's repository, blob digest, manifest digest)."""
    source = work / "source"
    release = small_release.make_release(source)
    with open(source / "os" / "appliance.img", "wb") as out:
        for _ in range(size):
            out.write(os.urandom(MIB))
    tool = lambda name, *arguments: subprocess.run([binaries / "tools" / name, *map(str, arguments)], check=True,
                                                   stdout=subprocess.DEVNULL)
    tool("bundle-make", "keygen", "--out", work / "key", "--no-password")
    tool("bundle-make", "make", release, "--out", work / "bundle", "--key", work / "key.key", "--fast", "--quiet")
    tool("bundle-import", "import", work / "bundle", "--store", work / "store", "--trust", work / "key.pub", "--quiet")
    shutil.rmtree(work / "bundle")
    blobs = sorted((work / "store/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    layer = blobs[-1].name
    document = next(path.name for path in blobs if path.stat().st_size < 4096 and layer in path.read_text(errors="replace"))
    return work / "store", "test-appliance/files/appliance.img", f"sha256:{layer}", f"sha256:{document}"


def start(command, port):
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.05)
    sys.exit(f"does not start: {command[0]}")


def processor_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(process, command):
    """(seconds, the server's processor seconds)"""
    before, begin = processor_seconds(process), time.monotonic()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin, processor_seconds(process) - before


def compare(what, servers, command_of, rounds):
    taken = {name: [] for name in servers}
    for name, (process, url) in servers.items():
        measure(process, command_of(url))  # warm: cache, connections, memory
    for _ in range(rounds):
        for name, (process, url) in servers.items():
            taken[name].append(measure(process, command_of(url)))
    wall = {name: statistics.median(seconds for seconds, _ in runs) for name, runs in taken.items()}
    work = {name: statistics.median(cpu for _, cpu in runs) for name, runs in taken.items()}
    print(f"{what}: rate {wall['nginx'] / wall['registry']:.2f} of nginx "
          f"({wall['registry']:.3f} s to {wall['nginx']:.3f} s); processor time {work['registry']:.2f} s to {work['nginx']:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--tls", action="store_true")
    given = parser.parse_args()
    if not shutil.which("nginx") or not shutil.which("curl"):
        sys.exit("nginx and curl are needed (Debian packages of these names)")
    work = given.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    store, repository, blob, manifest = make_store(given.bin.resolve(), work, given.size)
    port, peer_port = free_port(), free_port()
    options, tls, scheme = [], ";", "http"
    if given.tls:
        subprocess.run([given.bin / "tools/bundle-import", "gen-cert", "--out", work / "tls", "--name", "127.0.0.1"], check=True,
                       stdout=subprocess.DEVNULL)
        options = ["--tls-cert", work / "tls/server.pem", "--tls-key", work / "tls/server.key"]
        tls, scheme = f" ssl; ssl_certificate {options[1]}; ssl_certificate_key {options[3]};", "https"
    temp = " ".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = NGINX.format(work=work, temp=temp, port=peer_port, tls=tls, root=store / "blobs/sha256")
    (work / "nginx.conf").write_text(text)
    registry = start([given.bin / "registry/bundle-registry", "serve", "--store", store, "--listen", f"127.0.0.1:{port}",
                      "--max-connections-per-peer", "4096", "--scrub-days", "0", *options], port)
    nginx = start(["nginx", "-e", work / "nginx.err", "-c", work / "nginx.conf"], peer_port)
    try:
        servers = lambda kind, digest: {
            "registry": (registry, f"{scheme}://127.0.0.1:{port}/v2/{repository}/{kind}/{digest}"),
            "nginx": (nginx, f"{scheme}://127.0.0.1:{peer_port}/{digest[7:]}")}
        curl = lambda url: ["curl", "-sSk", "-o", "/dev/null", url]
        got = subprocess.run(["curl", "-sSk", servers("blobs", blob)["registry"][1]], capture_output=True, check=True).stdout
        assert "sha256:" + hashlib.sha256(got).hexdigest() == blob
        del got
        compare(f"blob of {given.size} MiB{' over TLS' if given.tls else ''}", servers("blobs", blob), curl, given.rounds)
        if shutil.which("ab"):
            compare("manifest, 64 connections", servers("manifests", manifest),
                    lambda url: ["ab", "-q", "-k", "-c", "64", "-n", str(given.requests), url], given.rounds)
        print("memory: %s" % re.search(r"VmHWM:\s+(.*)", pathlib.Path(f"/proc/{registry.pid}/status").read_text())[1])
    finally:
        registry.terminate()
        nginx.terminate()
        registry.wait()
        nginx.wait()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
