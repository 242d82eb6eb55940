"""A spot node hears its cloud's notice from a real HTTP server that speaks as the cloud's does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from msp.distributed.drain_on_notice import CLOUDS, Cloud, drain_command, main, wait_for_notice


@contextmanager
def metadata_server(*, quiet_looks: int) -> Iterator[str]:
    """Both clouds' metadata: no notice at the first looks, then one."""
    looks = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            assert self.path == "/latest/api/token"
            assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            self._answer(200, "secret")

        def do_GET(self) -> None:
            looks[0] += 1
            is_noticed = looks[0] > quiet_looks
            if self.path == "/latest/meta-data/spot/instance-action":
                known = self.headers["X-aws-ec2-metadata-token"] == "secret"
                self._answer(200 if known and is_noticed else 404, '{"action": "terminate"}')
            else:
                assert self.path == "/computeMetadata/v1/instance/preempted"
                assert self.headers["Metadata-Flavor"] == "Google"
                self._answer(200, "TRUE" if is_noticed else "FALSE")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_notice_is_heard_when_it_comes_and_not_before(cloud: str) -> None:
    with metadata_server(quiet_looks=2) as url:
        notice = CLOUDS[cloud].notice
        assert [notice(url) for _ in range(3)] == [False, False, True]
        wait_for_notice(Cloud(notice, url, 1), poll_seconds=0.01)


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_metadata_server_that_does_not_answer_has_given_no_notice(cloud: str) -> None:
    assert CLOUDS[cloud].notice("http://127.0.0.1:9") is False


def test_ray_knows_the_command_that_drains_the_node() -> None:
    from ray.scripts.scripts import cli

    _, name, *options = drain_command(30)
    found = CliRunner().invoke(cli, [name, *options, "--address=127.0.0.1:1", "--node-id=zz"])
    assert "Invalid hex ID" in found.output  # it parsed all the options, and refuses the node


def test_an_unknown_cloud_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["azure"])
    assert ended.value.code == 2
    assert "invalid choice: 'azure'" in capsys.readouterr().err
