"""A run on a cluster that is already there, sent and followed through the Ray Jobs API."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import join
from typing import Any

import msp
from msp.errors import ConfigError, GenerationError
from msp.progress import console


def submit_run(
    config_path: Path, overrides: Sequence[str], *, address: str, follow: bool
) -> dict[str, Any]:
    """Return the job's id and status once it is submitted, or ended where ``follow`` is set.

    The working directory travels with the job, and so does this package; data
    that is named by a relative path below it is found there.

    Args:
        config_path: the run's YAML file, below the working directory.
        overrides: ``section.key=value`` settings.
        address: the cluster's job server, such as ``http://127.0.0.1:8265``.
        follow: print the job's log to standard error until it ends.

    Raises:
        ConfigError: the config is outside the working directory, or nothing answers.
        GenerationError: the followed job failed.
    """
    from ray.job_submission import JobStatus, JobSubmissionClient

    entrypoint = _entrypoint(config_path, overrides)
    try:
        client = JobSubmissionClient(address)
        job_id = client.submit_job(
            entrypoint=entrypoint,
            runtime_env={
                "working_dir": str(Path.cwd()),
                "py_modules": [str(Path(msp.__file__).parent)],
                "excludes": [".git", ".venv", "runs", "tests"],
            },
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--address {address}: the job was not taken ({error}).") from error
    console().print(f"submitted {job_id}: {entrypoint}", markup=False)
    if follow:
        asyncio.run(_follow(client, job_id))
    status = client.get_job_status(job_id)
    if follow and status != JobStatus.SUCCEEDED:
        raise GenerationError(
            f"job {job_id} ended as {status.value}: {client.get_job_info(job_id).message}"
        )
    return {"job_id": job_id, "status": status.value}


def _entrypoint(config_path: Path, overrides: Sequence[str]) -> str:
    try:
        inside = config_path.resolve().relative_to(Path.cwd())
    except ValueError as error:
        raise ConfigError(
            f"{config_path} is outside the working directory {Path.cwd()}, which is what travels; "
            "submit from a folder that holds it."
        ) from error
    settings = [part for override in overrides for part in ("--set", override)]
    return join(["python", "-m", "msp.cli", "run", str(inside), *settings])


async def _follow(client: Any, job_id: str) -> None:
    async for lines in client.tail_job_logs(job_id):
        print(lines, end="", file=sys.stderr, flush=True)
