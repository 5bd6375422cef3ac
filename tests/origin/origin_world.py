"""A vendor who publishes, and the servers that sites fetch from: nginx, and one that misbehaves by script."""

import http.server
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "interop"))
import small_release  # noqa: E402
import tools  # noqa: E402

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")
PATCH = 20_000  # bytes of the disk image that each release changes


class Vendor:
    """One key for everything, and releases that differ in a little of their disk image."""

    def __init__(self, folder, image_bytes=1_500_000, disk_bytes=4 << 20):
        self.folder = pathlib.Path(folder)
        self.key, self.pub = tools.make_key(self.folder)
        self.trust = self.folder / "trust"
        self.sizes = {"image_bytes": image_bytes, "disk_bytes": disk_bytes}
        self.inputs = {}
        self.own = None

    def start_anew(self, folder):
        """From now on pointers go into this folder, and bundles are copies in it: promotions of before are not in them."""
        self.own = pathlib.Path(folder)
        self.trust = self.own / "trust"

    def bundle(self, version, base=None, **more):
        """Makes the bundle of a version once, or its delta to `base`; returns its folder."""
        name = version if base is None else f"{version}-from-{base}"
        out = self.folder / name
        if not out.exists():
            options = [] if base is None else ["--base", self.bundle(base)]
            tools.make_bundle(self.release(version, **more), out, self.key, "--fast", *options,
                              env={"SOURCE_DATE_EPOCH": str(int(time.time()) // 86400 * 86400)})
        if self.own is None:
            return out
        if not (self.own / name).exists():
            shutil.copytree(out, self.own / name)
        return self.own / name

    def release(self, version, upgrade_from="", more=""):
        if version in self.inputs:
            return self.inputs[version]
        release = small_release.make_release(self.folder / f"in-{version}", version=version, seed=7, **self.sizes)
        disk = release.parent / "os" / "appliance.img"
        content = bytearray(disk.read_bytes())
        number = VERSIONS.index(version) if version in VERSIONS else 9
        for i in range(number):
            at = 1_000_000 + 200_000 * i
            content[at : at + PATCH] = random.Random(i).randbytes(PATCH)
        disk.write_bytes(content)
        spec = release.read_text()
        if not upgrade_from and 0 < number < len(VERSIONS):
            upgrade_from = f"1.{number - 1}.x"
        if upgrade_from:
            spec += f'upgradeFrom: ["{upgrade_from}"]\n'
        release.write_text(spec + more)
        self.inputs[version] = release
        return release

    def promote(self, version, channel="stable", check=0):
        return tools.run(tools.MAKE, "promote", self.bundle(version), "--channel", channel, "--trust-dir", self.trust,
                         "--key", self.key, check=check)

    def publish_command(self, origin, *bundles):
        return [str(part) for part in (tools.MAKE, "publish", *bundles, "--to", origin, "--trust-dir", self.trust,
                                       "--trust", self.pub, "--quiet")]

    def publish(self, origin, *bundles, options=(), check=0):
        return tools.run(*self.publish_command(origin, *bundles), *options, check=check)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


NGINX = """daemon off;
worker_processes 1;
pid {work}/pid;
error_log {work}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format plain '$request_method $uri $status $body_bytes_sent "$http_range"';
  access_log {work}/access.log plain;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location ~ /\\.publish {{ return 404; }}
    {more}
  }}
}}
"""


class Nginx:
    """A context manager that serves a folder; `requests()` tells what was asked since the last call."""

    def __init__(self, root, more=""):
        self.root, self.more = root, more

    @staticmethod
    def is_there():
        return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is not None

    def __enter__(self):
        self.work = pathlib.Path(tempfile.mkdtemp())
        self.work.chmod(0o755)
        self.port = free_port()
        config = self.work / "nginx.conf"
        config.write_text(NGINX.format(work=self.work, port=self.port, root=self.root, more=self.more))
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
        # As root, workers would run as another user, who may not read a test's folder.
        user = ["-g", "user root;"] if pathlib.Path("/proc/self").stat().st_uid == 0 else []
        self.process = subprocess.Popen([program, "-c", str(config), *user], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("nginx does not start: " + self.error_log()) from None
                time.sleep(0.05)
        self.read = 0
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def error_log(self):
        log = self.work / "error.log"
        return log.read_text() if log.exists() else "(no log)"

    def requests(self):
        """[(method, path, status, bytes, range)]. nginx writes a line when the answer has gone."""
        time.sleep(0.1)
        lines = (self.work / "access.log").read_text().splitlines()
        new, self.read = lines[self.read :], len(lines)
        found = [re.fullmatch(r'(\S+) (\S+) (\d+) (\d+) "(.*)"', line).groups() for line in new]
        return [(method, path, int(status), int(size), part) for method, path, status, size, part in found]

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            shutil.rmtree(self.work, ignore_errors=True)


class Liar:
    """A static server with byte ranges whose answers a test may spoil: `spoil(path, status, headers, body)` returns
    the same four, with `cut` bytes after which the connection ends; None leaves the answer alone."""

    def __init__(self, root, spoil=None):
        self.root, self.spoil = pathlib.Path(root), spoil
        self.sent = 0
        self.asked = []
        liar = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                liar.answer(self)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # clients that hang up are part of the game

        self.server = Server(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        path = self.root / handler.path.lstrip("/")
        self.asked.append(handler.path)
        status, headers, body, cut = 404, {}, b"", None
        if path.is_file():
            status, body = 200, path.read_bytes()
            headers["ETag"] = f'"{path.stat().st_mtime_ns}-{len(body)}"'
            part = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
            if handler.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
            elif part:
                first, last = int(part[1]), min(int(part[2] or len(body) - 1), len(body) - 1)
                status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{len(body)}"
                body = body[first : last + 1]
        spoilt = self.spoil(handler.path, status, headers, body) if self.spoil else None
        if spoilt:
            status, headers, body, cut = spoilt
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            if "Content-Length" not in headers:
                handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body if cut is None else body[:cut])
            self.sent += len(body) if cut is None else min(cut, len(body))
            if cut is not None:
                handler.close_connection = True
        except OSError:
            pass
