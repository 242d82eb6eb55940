"""Who is let in: a browser of this machine that was given the token, and no other page in it.

The server is on loopback, but a machine has other users, and a browser has
other pages: they could guess the port, have a name of theirs point to 127.0.0.1
(DNS rebinding), or post to it blindly (cross-site request forgery).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 32


class RefusedError(Exception):
    """A request that is not let in.

    Args:
        status: of HTTP.
        message: for a person who came by mistake; it tells nothing of the run.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Door:
    """Checks every request of one server.

    Args:
        port: the server's.
        token: stands in the address of the first visit, and only there.
        key: what the browser shows after that, in a cookie that scripts cannot read. It is
            another secret, since cookies go to every port of a host.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES), repr=False)
    key: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES), repr=False)

    @property
    def url(self) -> str:
        """The address of the first visit."""
        return f"http://{LOOPBACK}:{self.port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """The value of Set-Cookie, once the token was right.

        Not ``Strict``: who follows the address from a terminal in a browser tab would come
        without it. What a foreign page could open with it is a page without any data;
        calls are posted, and that it cannot do.
        """
        return f"{self._cookie_name}={self.key}; Path=/; HttpOnly; SameSite=Lax"

    def check_host(self, headers: Message) -> None:
        """Pass where the request was meant for this server by one of its own names."""
        named = headers.get_all("Host", [])
        if len(named) != 1 or named[0].lower() not in self._hosts:
            raise RefusedError(403, "This address is not the server's own.")

    def has_token(self, query: str) -> bool:
        """Say whether the address carries the token.

        Raises:
            RefusedError: it carries another one.
        """
        given = parse_qs(query).get("token", [])
        if not given:
            return False
        if len(given) != 1 or not _same(given[0], self.token):
            raise RefusedError(403, "The token is wrong; open the address that msp review printed.")
        return True

    def check_key(self, headers: Message) -> None:
        """Pass where the browser has been let in before."""
        try:
            found = SimpleCookie(headers.get("Cookie", "")).get(self._cookie_name)
        except CookieError:
            found = None
        if found is None or not _same(found.value, self.key):
            raise RefusedError(403, "Open the address that msp review printed; it has the token.")

    def check_origin(self, headers: Message) -> None:
        """Pass where a write comes from this server's own page; browsers always say from where."""
        if headers.get("Origin", "").lower() not in {f"http://{host}" for host in self._hosts}:
            raise RefusedError(403, "Only the server's own page may write.")

    @property
    def _cookie_name(self) -> str:
        # A browser keeps one set of cookies for all ports of a host.
        return f"msp_review_{self.port}"

    @property
    def _hosts(self) -> frozenset[str]:
        return frozenset(f"{name}:{self.port}" for name in (LOOPBACK, "localhost"))


def _same(given: str, secret: str) -> bool:
    """Compare in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())
