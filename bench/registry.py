#!/usr/bin/env python3
"""Compares bundle-registry with nginx (sendfile) and docker-registry on the same bytes, in one run, and prints ratios.

    bench/registry.py --bin BUILD_DIR --work DIR [--size MIB] [--rounds N] [--json]

Each round asks all servers in turn, in another order each time; a ratio is the median of those of the rounds, so that what else
the machine does meets all of them. Processor time of the servers is compared as well, a byte or a request: it hardly depends on
others. Needs nginx, curl, wrk and openssl; docker-registry when it is there (Debian packages of these names).
"""
import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "interop"))
import small_release  # noqa: E402

MIB = 1 << 20
IDLE, ACTIVE = 1000, 200
# docker-registry has no OCI manifest for those who do not ask for one.
ACCEPT = "Accept: application/vnd.oci.image.manifest.v1+json"

NGINX = """daemon off; worker_processes auto; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 4096; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000; default_type application/octet-stream;
{temp}
server {{ listen 127.0.0.1:{port}{tls} root {root}; }} }}
"""
DOCKER_REGISTRY = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {work}/docker-registry}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class World:
    """One release with one large file in a store, a certificate, and the servers over it."""

    def __init__(self, binaries, work, size):
        self.binaries, self.work, self.store = binaries, work, work / "store"
        release = small_release.make_release(work / "source")
        with open(work / "source/os/appliance.img", "wb") as out:
            for _ in range(size):
                out.write(os.urandom(MIB))
        self.tool("bundle-make", "keygen", "--out", work / "key", "--no-password")
        self.tool("bundle-make", "make", release, "--out", work / "bundle", "--key", work / "key.key", "--fast", "--quiet")
        self.tool("bundle-import", "import", work / "bundle", "--store", self.store, "--trust", work / "key.pub", "--quiet")
        shutil.rmtree(work / "bundle")
        self.tool("bundle-import", "gen-cert", "--out", work / "tls", "--name", "127.0.0.1")
        self.certificate, self.key = work / "tls/server.pem", work / "tls/server.key"
        blobs = sorted((self.store / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        self.repository, self.blob = "test-appliance/files/appliance.img", blobs[-1].name
        self.manifest = next(path.name for path in blobs
                             if path.stat().st_size < 4096 and self.blob in path.read_text(errors="replace"))

    def tool(self, name, *arguments):
        subprocess.run([self.binaries / "tools" / name, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    def registry(self, port, tls):
        options = ["--tls-cert", self.certificate, "--tls-key", self.key] if tls else []
        return [self.binaries / "registry/bundle-registry", "serve", "--store", self.store, "--listen", f"127.0.0.1:{port}",
                "--max-connections-per-peer", "4096", "--scrub-days", "0", *options]

    def nginx(self, port, tls):
        temp = " ".join(f"{kind}_temp_path {self.work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        tls = f" ssl; ssl_certificate {self.certificate}; ssl_certificate_key {self.key};" if tls else ";"
        (self.work / "nginx.conf").write_text(NGINX.format(work=self.work, temp=temp, port=port, tls=tls,
                                                           root=self.store / "blobs/sha256"))
        return ["nginx", "-e", self.work / "nginx.err", "-c", self.work / "nginx.conf"]

    def docker_registry(self, port, tls):
        tls = f', tls: {{certificate: "{self.certificate}", key: "{self.key}"}}' if tls else ""
        (self.work / "docker-registry.yml").write_text(DOCKER_REGISTRY.format(work=self.work, port=port, tls=tls))
        return ["docker-registry", "serve", self.work / "docker-registry.yml"]

    def fill_docker_registry(self):
        port = free_port()
        with running(self.docker_registry(port, tls=False), port):
            address = f"127.0.0.1:{port}"
            self.tool("bundle-import", "push", "1.0.0", "--store", self.store, "--to", address, "--insecure-registry", address,
                      "--single-platform")


class Server:
    def __init__(self, process, port, tls, plain_files):
        self.process, self.port, self.tls, self.plain_files = process, port, tls, plain_files

    def url(self, world, kind):
        digest = world.blob if kind == "blobs" else world.manifest
        path = digest if self.plain_files else f"v2/{world.repository}/{kind}/sha256:{digest}"
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/{path}"

    def processes(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def processor_seconds(self):
        # The clock of another process (clock_getcpuclockid(3)): nanoseconds, all its threads.
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.processes())

    def resident(self):
        """Peak bytes in memory, of all its processes."""
        peaks = (pathlib.Path(f"/proc/{pid}/status").read_text() for pid in self.processes())
        return sum(int(re.search(r"VmHWM:\s+(\d+)", text)[1]) * 1024 for text in peaks)


@contextlib.contextmanager
def running(command, port):
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(400):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.05)
        else:
            sys.exit(f"does not start: {command[0]}")
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def all_servers(world, tls, with_docker_registry):
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, command in (("registry", world.registry), ("nginx", world.nginx),
                              ("docker-registry", with_docker_registry and world.docker_registry)):
            if command:
                port = free_port()
                servers[name] = Server(stack.enter_context(running(command(port, tls), port)), port, tls, name == "nginx")
        yield servers


def pull_blob(url):
    subprocess.run(["curl", "-sSk", "-o", "/dev/null", url], check=True)
    return 1


def ask_manifests(url):
    text = subprocess.run(["wrk", "-t", "1", "-c", "64", "-d", "2s", "-H", ACCEPT, url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        sys.exit(f"{url}: {text}")
    return int(re.search(r"(\d+) requests in", text)[1])


def compare(what, world, servers, kind, work, rounds):
    """{"what", "rate": {peer: ours / theirs}, "cpu": {peer: ours / theirs}}"""
    print(what, file=sys.stderr)
    for server in servers.values():
        work(server.url(world, kind))  # warm: cache, connections, memory
    taken = {name: [] for name in servers}
    names = list(servers)
    for number in range(rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            before, begin = servers[name].processor_seconds(), time.monotonic()
            done = work(servers[name].url(world, kind))
            seconds = time.monotonic() - begin
            taken[name].append((done / seconds, (servers[name].processor_seconds() - before) / done))
    row = {"what": what, "rate": {}, "cpu": {}, "rates": {}}
    for name in names:
        row["rates"][name] = statistics.median(rate for rate, _ in taken[name])
        if name != "registry":
            pairs = list(zip(taken["registry"], taken[name]))
            row["rate"][name] = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
            row["cpu"][name] = statistics.median(ours[1] / theirs[1] for ours, theirs in pairs)
    return row


def open_connection(server):
    raw = socket.create_connection(("127.0.0.1", server.port), 30)
    if not server.tls:
        return raw
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the request waits for an acknowledgement of the handshake
    return context.wrap_socket(raw)


def hold_connections(what, world, servers):
    """Connections that have asked once and are idle, and others in the middle of the blob: peak bytes of each server."""
    print(what, file=sys.stderr)
    row = {"what": what, "memory": {}}
    for name, server in servers.items():
        path = server.url(world, "blobs").split("/", 3)[3]
        ask = lambda method: f"{method} /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        held = []
        for number in range(IDLE + ACTIVE):
            held.append(open_connection(server))
            held[-1].sendall(ask("HEAD" if number < IDLE else "GET"))
            assert b" 200 " in held[-1].recv(4096).split(b"\r\n")[0]
        for _ in range(50):
            for connection in held[IDLE:]:
                assert connection.recv(16384)
        row["memory"][name] = server.resident()
        for connection in held:
            connection.close()
    return row


def table(rows):
    ratio = lambda row, kind, peer: f"{row[kind][peer]:.2f}" if peer in row[kind] else "–"
    lines = ["| what | rate: of nginx | of docker-registry | processor time: of nginx | of docker-registry |", "|---|---|---|---|---|"]
    for row in rows:
        if "rate" in row:
            lines.append("| " + " | ".join([row["what"], *(ratio(row, kind, peer) for kind in ("rate", "cpu")
                                                           for peer in ("nginx", "docker-registry"))]) + " |")
    lines += ["", "| memory | registry | nginx | docker-registry |", "|---|---|---|---|"]
    for row in rows:
        if "memory" in row:
            amounts = (f"{row['memory'][name] / MIB:.0f} MiB" if name in row["memory"] else "–"
                       for name in ("registry", "nginx", "docker-registry"))
            lines.append("| " + " | ".join([row["what"], *amounts]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    for program in ("nginx", "curl", "wrk"):
        if not shutil.which(program):
            sys.exit(f"{program} is needed (the Debian package of this name)")
    work = given.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        world = World(given.bin.resolve(), work, given.size)
        peer = shutil.which("docker-registry") is not None
        if peer:
            world.fill_docker_registry()
        rows = []
        for tls in (False, True):
            name = " over TLS" if tls else ""
            with all_servers(world, tls, peer) as servers:
                for kind, digest in (("blobs", world.blob), ("manifests", world.manifest)):
                    for server in servers.values():
                        got = subprocess.run(["curl", "-sSk", "-H", ACCEPT, server.url(world, kind)], capture_output=True, check=True).stdout
                        assert hashlib.sha256(got).hexdigest() == digest, server.url(world, kind)
                rows.append(compare(f"blob of {given.size} MiB{name}", world, servers, "blobs", pull_blob, given.rounds))
                rows.append(compare(f"manifest, 64 connections{name}", world, servers, "manifests", ask_manifests, given.rounds))
            with all_servers(world, tls, peer) as servers:  # fresh ones: the peak counts
                rows.append(hold_connections(f"{IDLE} idle and {ACTIVE} active connections{name}", world, servers))
        print(json.dumps(rows, indent=1) if given.json else table(rows))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
