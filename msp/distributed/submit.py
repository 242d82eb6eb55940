"""A run on a cluster that is already there, sent and followed through the Ray Jobs API."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from shlex import join
from typing import Any

import msp
from msp.config import RunConfig
from msp.errors import ConfigError, GenerationError, HeldError
from msp.progress import console

EXCLUDES = [".git", ".venv", ".venv-vllm", "runs", "tests"]
_NUM_NAMED = 5
_OUTPUT_KEY = "msp_output_uri"
# What a head says in its first seconds, and on a busy machine in its first minute.
_NO_AGENT, _NO_AGENT_SECONDS, _AGAIN_SECONDS = "No available agent", 60.0, 2.0


def submit_run(
    config: RunConfig,
    config_path: Path,
    overrides: Sequence[str],
    *,
    address: str,
    follow: bool,
) -> dict[str, Any]:
    """Return the job's id and status once it is submitted, or ended where ``follow`` is set.

    The working directory travels with the job, and so does this package; data
    that is named by a relative path below it is found there.

    Args:
        config: the run's, checked.
        config_path: its YAML file, below the working directory.
        overrides: ``section.key=value`` settings.
        address: the cluster's job server, such as ``http://127.0.0.1:8265``.
        follow: print the job's log to standard error until it ends.

    Raises:
        ConfigError: the config or its output would not be found, the working directory is too
            large to send, or nothing answers.
        HeldError: a job on this cluster that is not over writes to the same output.
        GenerationError: the followed job failed.
    """
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    folder = Path.cwd()
    entrypoint = _entrypoint(config_path, overrides, folder)
    output_uri = _reachable(config.output_uri)
    check_upload(folder)
    try:
        client = JobSubmissionClient(address)
        _check_free(client, output_uri)
        job_id = _taken(
            client,
            entrypoint=entrypoint,
            metadata={_OUTPUT_KEY: output_uri},
            runtime_env={
                "working_dir": str(folder),
                "py_modules": [str(Path(msp.__file__).parent)],
                "excludes": EXCLUDES,
            },
        )
    except AuthenticationError as error:
        raise ConfigError(
            f"--address {address}: the cluster refuses the token; set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token to the cluster's own."
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--address {address}: the job was not taken ({error}).") from error
    console().print(f"submitted {job_id}: {entrypoint}", markup=False)
    return _followed(client, job_id, address) if follow else _state(client, job_id)


def _taken(client: Any, **job: Any) -> str:
    """Return the id of a job that was taken; a head that has just started is asked again."""
    deadline = time.monotonic() + _NO_AGENT_SECONDS
    while True:
        try:
            return str(client.submit_job(**job))
        except RuntimeError as error:
            if _NO_AGENT not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(_AGAIN_SECONDS)


def _followed(client: Any, job_id: str, address: str) -> dict[str, Any]:
    """Return the job's state once it is over, having shown its log; an interrupt leaves it be."""
    from ray.job_submission import JobStatus

    try:
        asyncio.run(_follow(client, job_id))
    except KeyboardInterrupt:
        console().print(
            f"\nleft; job {job_id} goes on. See: ray job logs -f {job_id} --address {address}; "
            f"end it: ray job stop {job_id} --address {address}",
            markup=False,
        )
        return _state(client, job_id)
    state = _state(client, job_id)
    if state["status"] != JobStatus.SUCCEEDED.value:
        message = client.get_job_info(job_id).message
        raise GenerationError(
            f"job {job_id} ended as {state['status']}: {message} Its log is above; the same "
            "command continues the run."
        )
    return state


def _state(client: Any, job_id: str) -> dict[str, Any]:
    return {"job_id": job_id, "status": client.get_job_status(job_id).value}


def _entrypoint(config_path: Path, overrides: Sequence[str], folder: Path) -> str:
    try:
        inside = config_path.resolve().relative_to(folder)
    except ValueError as error:
        raise ConfigError(
            f"{config_path} is outside the working directory {folder}, which is what travels; "
            "submit from a folder that holds it."
        ) from error
    settings = [part for override in overrides for part in ("--set", override)]
    return join(["python", "-m", "msp.cli", "run", str(inside), *settings])


def _reachable(output_uri: str) -> str:
    """Return the output's URI, refused where it would lie in the job's own, temporary folder."""
    if "://" not in output_uri and not output_uri.startswith("/"):
        raise ConfigError(
            f"output_uri is {output_uri!r}, a relative path, which on the cluster is below a "
            "folder that goes with the job; use s3://bucket/prefix, or an absolute path that every "
            "node shares."
        )
    return output_uri.rstrip("/")


def _check_free(client: Any, output_uri: str) -> None:
    """Refuse an output that a job which is not over writes to.

    Two submitted at the same moment both pass; then the run's own lease refuses the second.
    """
    for job in client.list_jobs():
        if (job.metadata or {}).get(_OUTPUT_KEY) == output_uri and not job.status.is_terminal():
            raise HeldError(
                f"job {job.submission_id} ({job.status.value}) writes to {output_uri} already; "
                f"wait for it, stop it with `ray job stop {job.submission_id}`, or use another "
                "output_uri."
            )


def check_upload(folder: Path, *, limit: int | None = None) -> None:
    """Pass where a folder is small enough to travel with a job.

    Args:
        folder: the working directory, without :data:`EXCLUDES` and what ``.gitignore`` and
            ``.rayignore`` leave out.
        limit: in bytes; by default Ray's own.

    Raises:
        ConfigError: it is larger; the message names the largest files.
    """
    limit = _upload_limit() if limit is None else limit
    sizes = _travelling(folder)
    total = sum(sizes.values())
    if total < limit:
        return
    largest = sorted(sizes.items(), key=lambda item: item[1], reverse=True)[:_NUM_NAMED]
    named = ", ".join(f"{path.relative_to(folder)} ({_mib(size)})" for path, size in largest)
    raise ConfigError(
        f"the working directory {folder} is {_mib(total)} in {len(sizes)} files, and Ray takes "
        f"less than {_mib(limit)}; the largest are {named}. Name them in a .rayignore file, put "
        "data where the cluster reads it (an absolute task.path that every node has), or submit "
        "from a smaller folder."
    )


def _upload_limit() -> int:
    """Return the bytes that Ray's job server takes in one request and its store in one value."""
    from ray._private.ray_constants import DASHBOARD_CLIENT_MAX_SIZE
    from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE

    return int(min(DASHBOARD_CLIENT_MAX_SIZE, GCS_STORAGE_MAX_SIZE))


def _travelling(folder: Path) -> dict[Path, int]:
    """Return the size of each file that Ray would pack, by its own reading of ignore files."""
    # Not public; but a reading of our own would sooner or later differ from Ray's.
    from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

    sizes: dict[Path, int] = {}

    def note(path: Path) -> None:
        if path.is_file():
            sizes[path] = path.stat().st_size

    _dir_travel(folder, [_get_excludes(folder, EXCLUDES)], note, include_gitignore=True)
    return sizes


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


async def _follow(client: Any, job_id: str) -> None:
    async for lines in client.tail_job_logs(job_id):
        print(lines, end="", file=sys.stderr, flush=True)
