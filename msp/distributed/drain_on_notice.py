"""Preemption that a run notices: a spot node that must go is given no more work first.

Beside Ray on every spot node, ``python -m msp.distributed.drain_on_notice aws``
(or ``gcp``) waits for the cloud's notice; on Kubernetes a pod's ``preStop`` hook
says ``now``. Ray then places nothing on the node and Ray Data gives its actors no
further shard, so that a shard which is begun is the only work at stake.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_POLL_SECONDS = 5.0
_TIMEOUT_SECONDS = 2.0
# Fewer than a pod's terminationGracePeriodSeconds in cluster/kubernetes/, which ends the hook.
_HOOK_SECONDS = 75


@dataclass(frozen=True)
class Cloud:
    """Where a cloud's notice is found.

    Args:
        notice: returns whether this machine is to be taken away; the argument is the
            metadata server's URL.
        server: that URL on a real machine.
        seconds: between notice and end, as the cloud promises.
    """

    notice: Callable[[str], bool]
    server: str
    seconds: int


def aws_notice(server: str) -> bool:
    """Return whether EC2 says that it takes this spot instance back (IMDSv2)."""
    session = _ask(
        f"{server}/latest/api/token",
        method="PUT",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"},
    )
    if session is None:
        return False
    action = f"{server}/latest/meta-data/spot/instance-action"
    return _ask(action, headers={"X-aws-ec2-metadata-token": session}) is not None


def gcp_notice(server: str) -> bool:
    """Return whether Compute Engine says that it preempts this machine."""
    preempted = f"{server}/computeMetadata/v1/instance/preempted"
    return _ask(preempted, headers={"Metadata-Flavor": "Google"}) == "TRUE"


CLOUDS = {
    "aws": Cloud(aws_notice, "http://169.254.169.254", 120),
    "gcp": Cloud(gcp_notice, "http://metadata.google.internal", 30),
}


def wait_for_notice(cloud: Cloud, *, poll_seconds: float = _POLL_SECONDS) -> None:
    """Return once the cloud has given notice; a server that does not answer has given none."""
    while not cloud.notice(cloud.server):
        time.sleep(poll_seconds)


def drain_command(seconds: int) -> list[str]:
    """Return the command by which this node gets no more work and ends in ``seconds``."""
    return [
        "ray",
        "drain-node",
        "--reason=DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message=the spot node is taken away",
        f"--deadline-remaining-seconds={seconds}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait for a notice where one is named, drain this node, and return Ray's exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notice", choices=[*CLOUDS, "now"], help="whose notice to wait for")
    asked = parser.parse_args(arguments).notice
    seconds = _HOOK_SECONDS
    if asked in CLOUDS:
        wait_for_notice(CLOUDS[asked])
        seconds = CLOUDS[asked].seconds
    status = subprocess.run(drain_command(seconds), check=False).returncode
    if asked == "now" and not status:
        time.sleep(seconds)  # the pod is stopped when its hook returns
    return status


def _ask(url: str, *, headers: dict[str, str], method: str = "GET") -> str | None:
    """Return the answer, or None where there is none."""
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return str(answer.read().decode()).strip()
    except (urllib.error.URLError, OSError):
        return None


if __name__ == "__main__":
    sys.exit(main())
