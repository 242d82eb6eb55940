"""A proxy before an S3 server that breaks off answers in the middle, as networks do."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from servers import S3Server


@contextmanager
def cutting_proxy(server: S3Server, *, cut_answers: int) -> Iterator[str]:
    """Yield the URL of a proxy that cuts the first ``cut_answers`` answers to GET in half."""
    left = [cut_answers]

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request = urllib.request.Request(
                server.endpoint_url + self.path,
                headers={k: v for k, v in self.headers.items() if k.lower() != "host"},
            )
            with urllib.request.urlopen(request) as answer:
                body = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            left[0] -= 1
            self.wfile.write(body[: len(body) // 2] if left[0] >= 0 else body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
