"""A proxy before an S3 server that fails as S3 and networks fail, so many requests at a time."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

# The run's own patience, and what is beyond it; a slow read stays below it.
TIMEOUT_SECONDS = 2.0
_SILENCE_SECONDS = TIMEOUT_SECONDS + 1.0
_SLOW_PIECES, _SLOW_SECONDS = 10, 1.0

_ERRORS = {"s3 500": (500, "InternalError"), "s3 503": (503, "SlowDown")}
_XML = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


class FaultyS3:
    """The proxy's faults: armed by a test, spent by requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[tuple[str, str]] = []
        self.url = ""

    def arm(self, kind: str, num_requests: int, *, method: str = "") -> None:
        """Spoil the next requests; those of one method alone, if it is named."""
        with self._lock:
            self._armed += [(kind, method)] * num_requests

    def disarm(self) -> None:
        """Let all further requests through."""
        with self._lock:
            self._armed.clear()

    def next_fault(self, method: str) -> str:
        """Return the fault of this request, or an empty string."""
        with self._lock:
            if not self._armed or self._armed[0][1] not in ("", method):
                return ""
            return self._armed.pop(0)[0]


class _Proxy(BaseHTTPRequestHandler):
    """Passes a request on, or spoils it; a subclass says for which server."""

    faults: FaultyS3
    upstream: tuple[str, int]
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        # A client that was let down has gone away.
        with suppress(ConnectionError, TimeoutError):
            super().handle_one_request()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.faults.next_fault(self.command)
        if kind in _ERRORS:
            self._send_error(*_ERRORS[kind])
        elif kind == "s3 time-out":
            time.sleep(_SILENCE_SECONDS)
            self._cut()
        elif kind == "s3 cut" and self.command != "GET":
            self._cut()
        else:
            self._pass_on(body, kind)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def _pass_on(self, body: bytes, kind: str) -> None:
        upstream = http.client.HTTPConnection(*self.upstream)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
        upstream.request(self.command, self.path, body=body, headers=headers)
        answer = upstream.getresponse()
        payload = answer.read()
        upstream.close()
        if kind == "s3 lost answer":
            self._cut()
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(payload)))
        self.end_headers()
        if kind == "s3 cut":
            self.wfile.write(payload[: len(payload) // 2])
            self._cut()
        elif kind == "s3 slow read":
            self._dribble(payload)
        else:
            self.wfile.write(payload)

    def _dribble(self, payload: bytes) -> None:
        size = -(-len(payload) // _SLOW_PIECES) or 1
        for start in range(0, len(payload), size):
            self.wfile.write(payload[start : start + size])
            self.wfile.flush()
            time.sleep(_SLOW_SECONDS / _SLOW_PIECES)

    def _send_error(self, status: int, code: str) -> None:
        # Some servers and proxies repeat the request, headers and all, in their answer.
        text = _XML.format(code=code, message=escape(str(self.headers))).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _cut(self) -> None:
        self.close_connection = True
        # A reset, as a network cuts, and no orderly end.
        with suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def faulty_s3(endpoint_url: str) -> Iterator[FaultyS3]:
    """Yield a proxy to the server at ``endpoint_url``; it lets everything through until armed."""
    faults = FaultyS3()
    server = urlsplit(endpoint_url)
    known = {"faults": faults, "upstream": (str(server.hostname), server.port or 80)}
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), type("Proxy", (_Proxy,), known))
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    faults.url = f"http://127.0.0.1:{proxy.server_port}"
    try:
        yield faults
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
