"""Registries to push into: Debian's docker-registry, and a proxy that spoils requests on the way to any."""

import http.client
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", secret: test}}
{more}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class DockerRegistry:
    """A context manager that gives host:port; its content is in `data`."""

    program = shutil.which("docker-registry")

    def __init__(self, more=""):
        self.more = more

    def __enter__(self):
        self.work = pathlib.Path(tempfile.mkdtemp())
        self.data = self.work / "data"
        self.port = free_port()
        config = self.work / "config.yml"
        config.write_text(CONFIG.format(data=self.data, port=self.port, more=self.more))
        self.log = open(self.work / "log", "wb")
        self.process = subprocess.Popen([self.program, "serve", str(config)], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return f"127.0.0.1:{self.port}"
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("docker-registry: " + (self.work / "log").read_text()) from None
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.log.close()
            shutil.rmtree(self.work, ignore_errors=True)


class Proxy:
    """Passes requests to `upstream`; `spoil(number, method, path)` may give back a status to answer instead, or
    ("cut", bytes): the connection ends after so many bytes of the request's body went on."""

    def __init__(self, upstream, spoil):
        self.upstream, self.spoil = upstream, spoil
        self.lock = threading.Lock()
        self.requests = []  # (method, path)
        self.uploaded = 0  # bytes of bodies
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                proxy.pass_on(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return f"127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def pass_on(self, handler):
        with self.lock:
            self.requests.append((handler.command, handler.path))
            number = len(self.requests)
        verdict = self.spoil(number, handler.command, handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        if isinstance(verdict, int):
            handler.rfile.read(length)
            self.answer(handler, verdict, [("Retry-After", "0")] if verdict in (429, 503) else [], b"{}")
            return
        cut = verdict[1] if verdict else None
        if cut is not None and cut >= length:
            cut = length // 2
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders()
            left = length if cut is None else cut
            while left > 0:
                piece = handler.rfile.read(min(left, 1 << 16))
                if not piece:
                    break
                connection.send(piece)
                left -= len(piece)
                with self.lock:
                    self.uploaded += len(piece)
            if cut is not None:
                handler.connection.close()
                handler.close_connection = True
                return
            reply = connection.getresponse()
            self.answer(handler, reply.status, reply.getheaders(), reply.read())
        finally:
            connection.close()

    def answer(self, handler, status, headers, body):
        handler.send_response_only(status)
        for name, value in headers:
            if name.lower() in ("transfer-encoding", "connection", "content-length"):
                continue
            handler.send_header(name, value.replace(f"http://{self.upstream}", ""))
        length = dict((name.lower(), value) for name, value in headers).get("content-length", len(body))
        handler.send_header("Content-Length", str(length if handler.command == "HEAD" else len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)


ACCEPT = ", ".join(("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
                    "application/vnd.docker.distribution.manifest.v2+json"))


def get(address, path):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", path, headers={"Accept": ACCEPT})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def manifest(address, name, reference):
    status, headers, body = get(address, f"/v2/{name}/manifests/{reference}")
    return json.loads(body) if status == 200 else None
