"""An OCI registry in memory: as much of the distribution specification as Helm needs to push and pull a chart."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Registry:
    """What was pushed. `manifests` has each manifest by name and tag, and by name and digest."""

    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)


@contextmanager
def registry() -> Iterator[Registry]:
    """Run a registry on a free port of this machine."""
    held = Registry()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Handler", (_Handler,), {"held": held}))
    held.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    held: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/v2/":
            self._answer(200)
        elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            kind, body = self.held.manifests.get((found[1], found[2]), ("", b""))
            self._answer(200 if kind else 404, body, kind)
        elif found := re.fullmatch(r"/v2/.+/blobs/(.+)", path):
            blob = self.held.blobs.get(found[1])
            self._answer(404 if blob is None else 200, blob or b"", "application/octet-stream")
        else:
            self._answer(404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._body()
        self._answer(202, location=f"{urlsplit(self.path).path}one")

    def do_PUT(self) -> None:
        address, body = urlsplit(self.path), self._body()
        if found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", address.path):
            for name in (found[2], _digest(body)):
                self.held.manifests[found[1], name] = (self.headers["Content-Type"], body)
            self._answer(201, digest=_digest(body))
        else:
            [named] = parse_qs(address.query)["digest"]
            self.held.blobs[_digest(body)] = body
            self._answer(201 if named == _digest(body) else 400)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: bytes = b"", kind: str = "", location: str = "", digest: str = "") -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Location": location,
            "Docker-Content-Digest": digest or (_digest(body) if body else ""),
        }
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return
