"""The server: who gets in, what it says of itself, and what a kill leaves."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from review_runs import serving

from msp.review.decisions import read_decisions
from msp.review.door import Door
from msp.review.server import MAX_BODY_BYTES, ReviewServer
from msp.storage import layout
from msp.storage.holder import this_process
from msp.storage.store import open_store


class Client:
    """A browser of sorts: one that can also say what browsers never would."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.headers = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}"}

    def enter(self) -> Client:
        """Come in by the token; keep the cookie."""
        status, headers, _ = self.ask("GET", f"/?token={self.token}")
        assert (status, headers["Location"]) == (303, "/")
        self.headers["Cookie"] = headers["Set-Cookie"].split(";")[0]
        return self

    def ask(
        self, method: str, path: str, body: Any = None, **changes: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {**self.headers, **changes}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        data = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        if body is not None:
            headers = {
                "Content-Type": "application/json",
                "Content-Length": str(len(data)),
                **headers,
            }
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def call(self, path: str, **body: Any) -> dict[str, Any]:
        status, _, data = self.ask("POST", path, body)
        assert status == 200, data
        return json.loads(data)


@pytest.fixture
def server(reviewed: Path) -> Iterator[ReviewServer]:
    with serving(reviewed, lot=7) as running:
        yield running


@pytest.fixture
def client(server: ReviewServer) -> Client:
    return Client(server.door.port, server.door.token)


def test_the_token_lets_in_once_and_does_not_stay_in_the_address(client: Client) -> None:
    status, headers, _ = client.ask("GET", f"/?token={client.token}")
    assert (status, headers["Location"]) == (303, "/")
    assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Lax" in headers["Set-Cookie"]
    assert client.token not in headers["Set-Cookie"]
    assert client.enter().ask("GET", "/")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/review.js", "/?token=", "/?token=wrong", "/?token=a&token=b", "/none", "//"]
)
def test_nothing_is_shown_without_the_token(client: Client, path: str) -> None:
    status, headers, body = client.ask("GET", path)
    assert status == 403
    assert "Set-Cookie" not in headers and b"<" not in body


@pytest.mark.parametrize("cookie", ["", "msp_review_1=x", "{name}=wrong", "{name}=", '\x7f"=;;'])
def test_a_wrong_cookie_lets_nobody_call(client: Client, cookie: str) -> None:
    name = f"msp_review_{client.port}"
    assert client.ask("POST", "/start", {}, Cookie=cookie.format(name=name))[0] == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", None],
)
def test_another_name_for_this_address_is_refused_even_with_the_cookie(
    client: Client, host: str | None
) -> None:
    client.enter()
    named = host and host.format(port=client.port)
    assert client.ask("GET", "/", Host=named)[0] == 403
    assert client.ask("GET", f"/?token={client.token}", Host=named)[0] == 403
    assert client.ask("POST", "/start", {}, Host=named)[0] == 403
    assert client.ask("POST", "/start", {}, Host=f"LOCALHOST:{client.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "", None])
def test_another_page_cannot_write(client: Client, origin: str | None) -> None:
    assert client.enter().ask("POST", "/start", {}, Origin=origin)[0] == 403


def test_every_answer_forbids_foreign_scripts_frames_and_caches(client: Client) -> None:
    client.enter()
    for found in (
        client.ask("GET", "/"),
        client.ask("POST", "/start", {}),
        client.ask("GET", "/x"),
    ):
        policy = found[1]["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
            assert part in policy
        assert "unsafe" not in policy
        assert found[1]["Cache-Control"] == "no-store"
        assert found[1]["X-Content-Type-Options"] == "nosniff"
        assert "Python" not in found[1]["Server"]
        assert not any(name.startswith("Access-Control") for name in found[1])


def test_only_loopback_can_be_asked_for(server: ReviewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert set(inspect.signature(ReviewServer).parameters) == {"desk", "port"}
    # Another address of the same machine: what listens on all of them would answer.
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", server.door.port), 5):
        pass


def test_secrets_are_compared_whole_and_are_not_in_what_is_printed() -> None:
    door = Door(80)
    assert len(door.token) >= 43 and door.token != door.key != Door(80).key
    assert door.token not in repr(door) and door.key not in repr(door)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/start", b"{", 400),
        ("/start", b"[" * 100_000, 400),
        ("/start", [], 400),
        ("/none", {}, 404),
        ("/next", {"session": 1, "num": 1}, 400),
        ("/next", {"session": "x", "num": True}, 400),
        ("/decide", {"session": "x", "number": 0, "id": "../../x", "verdict": "accepted"}, 400),
        ("/decide", {"session": "x", "number": 0, "id": "1", "verdict": "undone"}, 400),
        ("/decide", {"session": "x", "number": 0, "id": "1", "verdict": "corrected"}, 400),
        ("/undo", {"session": "x", "number": -1, "id": "1", "undoes": 0}, 400),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_and_stores_nothing(
    client: Client, reviewed: Path, path: str, body: Any, status: int
) -> None:
    assert client.enter().ask("POST", path, body)[0] == status
    assert not (reviewed / layout.REVIEW_PREFIX).exists()


def test_a_body_that_is_too_long_or_no_json_is_not_read(client: Client) -> None:
    client.enter()
    long = {"Content-Length": str(MAX_BODY_BYTES + 1)}
    assert client.ask("POST", "/start", b"{}", **long)[0] == 400
    assert client.ask("POST", "/start", b"{}", **{"Content-Type": "text/plain"})[0] == 400
    assert client.ask("PUT", "/start", b"{}")[0] == 501


# ---- the command


def start(run: Path, *options: str) -> tuple[subprocess.Popen[str], Client]:
    """Start ``msp review`` and come in."""
    command = [sys.executable, "-m", "msp.cli", "review", str(run), *options]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_env(),
        # Where the suite runs in the background, its children would inherit a deaf ear.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stderr is not None
    for line in running.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line):
            running.stderr.readline()  # what to do with it; from here on it is silent
            return running, Client(int(found[1]), found[2]).enter()
    raise AssertionError("the server printed no address")


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "500"}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_well_and_says_what_was_decided(
    reviewed: Path, end: signal.Signals
) -> None:
    running, client = start(reviewed)
    session = client.call("/start")["session"]
    shown = client.call("/next", session=session, num=3)["candidates"]
    for number, verdict in enumerate(("accepted", "rejected")):
        client.call(
            "/decide", session=session, number=number, id=shown[number]["id"], verdict=verdict
        )
    running.send_signal(end)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert json.loads(out.splitlines()[-1]) == {
        "stage": "review",
        "output_uri": str(reviewed),
        "num_decisions": 2,
        "num_accepted": 1,
        "num_corrected": 0,
        "num_rejected": 1,
    }
    assert "2 decisions here" in err and client.token not in out + err


def test_a_killed_server_has_lost_nothing_that_it_acknowledged(reviewed: Path) -> None:
    running, client = start(reviewed)
    acknowledged: set[str] = set()
    enough = threading.Event()

    def decide_until_killed() -> None:
        try:
            session = client.call("/start")["session"]
            number = 0
            while shown := client.call("/next", session=session, num=10)["candidates"]:
                for one in shown:
                    asked = {"session": session, "number": number, "id": one["id"]}
                    client.call("/decide", **asked, verdict="rejected")
                    acknowledged.add(one["id"])
                    number += 1
                    if len(acknowledged) >= 40:
                        enough.set()
        except (OSError, HTTPException):
            return

    threads = [threading.Thread(target=decide_until_killed) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert enough.wait(120)
    running.kill()
    running.communicate(timeout=60)
    for thread in threads:
        thread.join(60)
    log = read_decisions(open_store(str(reviewed)))
    assert len(acknowledged) >= 40 and not log.damaged
    assert acknowledged <= {str(number) for number in log.words()}
    again, client = start(reviewed)
    session = client.call("/start")["session"]
    assert not acknowledged & {
        one["id"] for one in client.call("/next", session=session, num=50)["candidates"]
    }
    again.kill()
    again.communicate(timeout=60)


def refused(run: Path, *options: str) -> str:
    command = [sys.executable, "-m", "msp.cli", "review", str(run), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=_env())
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_a_run_under_way_a_taken_port_and_another_host_end_with_status_2(
    reviewed: Path, server: ReviewServer
) -> None:
    assert f"--port {server.door.port} cannot be used" in refused(
        reviewed, "--port", str(server.door.port)
    )
    assert "No such option" in refused(reviewed, "--host", "0.0.0.0")
    open_store(str(reviewed)).write(layout.HOLDER_JSON, this_process(60).to_json())
    assert "is being written by process" in refused(reviewed)
