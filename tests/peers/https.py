"""A web server for autoconfig and its kin: given answers on 443 and 80 of one address.

``files`` maps a path (with its query, if one matters) to a ``Page``; other paths are 404. All
hosts share them unless a key begins with the host: "autoconfig.example.test/mail/config-v1.1.xml".
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTTP, HTTPS = 80, 443
BODY_LIMIT = 1 << 20  # of a request; tests send less


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    scheme: str
    host: str  # the Host header, without a port
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Web:
    """A running web server."""

    address: str
    files: Mapping[str, Page | bytes]
    requests: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Page:
        """Record the request and look up its page."""
        self.requests.append(request)
        keys = [request.path, request.path.partition("?")[0]]
        for key in [f"{request.host}{k}" for k in keys] + keys:
            if key in self.files:
                page = self.files[key]
                return page if isinstance(page, Page) else Page(page)
        return Page(b"not found\n", 404)


@contextmanager
def running(
    address: str, files: Mapping[str, Page | bytes], context: ssl.SSLContext | None
) -> Iterator[Web]:
    """Serve ``files`` on ``address``: port 80, and port 443 with ``context`` if there is one."""
    web = Web(address, files)
    with ExitStack() as stack:
        stack.enter_context(_serving(web, HTTP, None))
        if context is not None:
            stack.enter_context(_serving(web, HTTPS, context))
        yield web


@contextmanager
def _serving(web: Web, port: int, context: ssl.SSLContext | None) -> Iterator[None]:
    server = _Server(web, port, context)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, web: Web, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__((web.address, port), _Handler)
        self.web, self.context = web, context

    def finish_request(self, request, client_address) -> None:
        """In the connection's own thread, so that a slow handshake holds up nobody."""
        if self.context is not None:
            request.settimeout(10)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (ssl.SSLError, OSError):
                return  # a client that does not trust us hangs up: that is what a test may want
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address) -> None:
        """A client that goes away in the middle is no error of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), BODY_LIMIT)
        scheme = "https" if self.server.context else "http"
        host = (self.headers.get("Host") or "").partition(":")[0]
        body = self.rfile.read(length)
        request = Request(self.command, scheme, host, self.path, dict(self.headers), body)
        page = self.server.web.answer(request)
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_GET = do_POST = do_HEAD = _handle

    def log_message(self, format: str, *args: object) -> None:
        """``Web.requests`` is the log."""
