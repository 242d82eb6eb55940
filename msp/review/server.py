"""The page over HTTP, on loopback alone: its files, and five calls that exchange JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from msp.errors import MSPError, UserError
from msp.review.desk import Desk, RequestError
from msp.review.door import LOOPBACK, Door, RefusedError

MAX_BODY_BYTES = 1 << 20
_SILENCE_SECONDS = 60
_FILES = {
    "/": ("msp.review", "review.html", "text/html"),
    "/palette.css": ("msp.report", "palette.css", "text/css"),
    "/review.css": ("msp.review", "review.css", "text/css"),
    "/shown_text.js": ("msp.report", "shown_text.js", "text/javascript"),
    "/review.js": ("msp.review", "review.js", "text/javascript"),
}
# No script but the page's own file, no style but its own, nothing from elsewhere, no frame
# around it; and no text can become markup by way of a script.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves one desk on 127.0.0.1; no other address can be asked for.

    Args:
        desk: the review.
        port: 0 for any free one.
    """

    daemon_threads = True

    def __init__(self, desk: Desk, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.desk = desk
        self.door = Door(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what went wrong, unless the browser merely went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection; every request is checked before anything of it is used."""

    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE_SECONDS
    # A small answer must not wait for more of it (Nagle's algorithm).
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with a file of the page."""
        self._answer(self._file)

    def do_POST(self) -> None:
        """Answer a call of the page."""
        self._answer(self._call)

    def _answer(self, work: Callable[[str], None]) -> None:
        door, address = self.server.door, urlsplit(self.path)
        try:
            door.check_host(self.headers)
            if self.command == "GET" and address.path == "/" and door.has_token(address.query):
                self._send(303, b"", "text/plain", {"Location": "/", "Set-Cookie": door.cookie})
                return
            door.check_key(self.headers)
            work(address.path)
        except RefusedError as error:
            self.close_connection = True  # what follows on it was not read
            self._send(error.status, f"{error}\n".encode(), "text/plain")

    def _file(self, path: str) -> None:
        if path not in _FILES:
            raise RefusedError(404, "There is no such page.")
        package, name, kind = _FILES[path]
        self._send(200, _content(package, name), kind)

    def _call(self, path: str) -> None:
        self.server.door.check_origin(self.headers)
        call = _CALLS.get(path)
        if call is None:
            raise RefusedError(404, "There is no such call.")
        try:
            status, answer = 200, call(self.server.desk, self._body())
        except UserError as error:
            status, answer = 400, {"error": str(error)}
        except MSPError as error:
            status, answer = 503, {"error": str(error)}
        self._send(status, json.dumps(answer).encode(), "application/json")

    def _body(self) -> Mapping[str, Any]:
        length = self.headers.get("Content-Length", "")
        kind = self.headers.get_content_type()
        if not length.isdigit() or int(length) > MAX_BODY_BYTES or kind != "application/json":
            raise RefusedError(400, f"Send JSON of at most {MAX_BODY_BYTES} bytes.")
        try:
            found = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise RequestError(f"the request is not JSON ({error}).") from error
        if not isinstance(found, dict):
            raise RequestError("the request is no JSON object.")
        return found

    def _send(
        self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        given = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))}
        for name, value in (given | _HEADERS | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request of ours, without repeating any of it."""
        self.close_connection = True
        self._send(code, b"This is no request that the server knows.\n", "text/plain")

    def version_string(self) -> str:
        """Return the header Server without the versions of what runs here."""
        return "msp"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the address of the first visit has the token in it."""


@lru_cache
def _content(package: str, name: str) -> bytes:
    return (files(package) / name).read_bytes()


def _start(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    return desk.start()


def _next(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    attribute = None if asked.get("attribute") is None else _text(asked, "attribute")
    return desk.hand_out(_text(asked, "session"), _number(asked, "num"), attribute)


def _decide(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    verdict, correction = _text(asked, "verdict"), asked.get("correction")
    if verdict not in ("accepted", "rejected", "corrected"):
        raise RequestError(f"verdict is {verdict!r}; it is accepted, rejected or corrected.")
    if correction is not None and not isinstance(correction, dict):
        raise RequestError("the correction is no object.")
    return desk.decide(
        _text(asked, "session"),
        _number(asked, "number"),
        candidate_id=_id(asked),
        verdict=verdict,  # type: ignore[arg-type]
        correction=correction,
    )


def _undo(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    return desk.undo(
        _text(asked, "session"),
        _number(asked, "number"),
        candidate_id=_id(asked),
        undoes=_number(asked, "undoes"),
    )


def _skip(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    return desk.release(_text(asked, "session"), _id(asked))


_CALLS: dict[str, Callable[[Desk, Mapping[str, Any]], dict[str, Any]]] = {
    "/start": _start,
    "/next": _next,
    "/decide": _decide,
    "/undo": _undo,
    "/skip": _skip,
}


def _text(asked: Mapping[str, Any], key: str) -> str:
    found = asked.get(key)
    if not isinstance(found, str):
        raise RequestError(f"{key} is no string.")
    return found


def _number(asked: Mapping[str, Any], key: str) -> int:
    found = asked.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise RequestError(f"{key} is no number.")
    return found


def _id(asked: Mapping[str, Any]) -> int:
    found = _text(asked, "id")
    if not (found.isascii() and found.isdigit() and len(found) < 20):
        raise RequestError("id is no candidate's.")
    return int(found)
