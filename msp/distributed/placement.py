"""The cluster a run lives on: connecting to it, and saying at once when it is too small."""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import ray
import ray.data  # which sets its log up

from msp.config import ClusterConfig, RunConfig
from msp.distributed.capacity import Workers, autoscales, cannot_bring, lacking
from msp.errors import ConfigError, MSPError
from msp.progress import console

# Reading a shard's number and writing its object is waiting, not work; a tenth of a CPU
# for each keeps them from taking a generator's place.
IO_CPUS = 0.1
# Counting and publishing is work: as many at once as there are CPUs, for each is a process.
TASK_CPUS = 1.0
_MIN_LOCAL_CPUS = 2
_CONNECT_SECONDS = 10.0
# What Ray Data appends to the message of every error that a step raises.
_RAYS_ADVICE = "\nFailed to apply UDF transform"


def connect(config: ClusterConfig) -> None:
    """Join the cluster at ``config.address``, or start a local Ray where none is named.

    A second call in one process is free. Worker output stays in Ray's own log
    files, so that standard output ends with this command's one JSON line.

    Raises:
        ConfigError: nothing answers at the address.
    """
    if ray.is_initialized():
        return
    # A local Ray listens on loopback for this process alone; a cluster brings its own token.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled" if config.address is None else "token")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # A local Ray ends a worker that was idle for a second and starts another a moment later.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "60000")
    # Ray's C++ core writes its own warnings to standard error, past Python's logging.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    address = config.address or os.environ.get("RAY_ADDRESS")
    local = address is None
    _check_answers(address)
    try:
        with warnings.catch_warnings(), _quiet_standard_error():
            warnings.simplefilter("ignore")
            ray.init(
                address=address or "local",  # never a cluster that happens to run here
                num_cpus=max(_MIN_LOCAL_CPUS, os.cpu_count() or 1) if local else None,
                include_dashboard=False if local else None,
                log_to_driver=bool(os.environ.get("MSP_WORKER_LOGS")),
                logging_level=logging.WARNING,
                configure_logging=True,
            )
    except ray.exceptions.AuthenticationError as error:
        raise ConfigError(
            f"cluster.address is {address!r}, and the cluster there refuses the token; set "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token to the cluster's own."
        ) from error
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cluster.address is {address!r}, but no Ray cluster answers there ({error}); "
            "start one, correct the address, or leave it out for a local Ray."
        ) from error
    _say_failures_once()


def _say_failures_once() -> None:
    """Leave the trace of a failed task to Ray's log file; the error that it becomes is shown."""
    log = logging.getLogger("ray.data")
    log.setLevel(logging.ERROR)
    for handler in [h for h in log.handlers if isinstance(h, logging.StreamHandler)]:
        log.removeHandler(handler)


def _check_answers(address: str | None) -> None:
    """Refuse an address where nothing listens; Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():  # a name that Ray resolves, such as auto
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"cluster.address is {address!r}, but nothing answers there ({error}); start a Ray "
            "cluster, correct the address, or leave it out for a local Ray."
        ) from error


def check_capacity(config: RunConfig) -> None:
    """Pass where the cluster holds every stage of the run at its smallest, or can grow to.

    Raises:
        ConfigError: a stage needs more CPUs or GPUs, or other nodes, than the cluster has, and
            no autoscaler can bring them.
    """
    for stage, groups in _needs(config).items():
        short = lacking(groups, ray.nodes())
        if short is None:
            continue
        needs, keys = short
        if not autoscales():
            raise ConfigError(
                f"{stage} needs {needs} ({keys}); lower them or use a larger cluster."
            )
        if cannot_bring(groups):
            raise ConfigError(
                f"{stage} needs {needs} ({keys}), and its autoscaler says that no nodes which it "
                f"may start can hold {', '.join(map(str, groups))}; lower them, or add a node "
                "type to the cluster or raise its maximum."
            )
        console().print(f"{stage} waits for nodes: it needs {needs}", markup=False)


def num_that_fit(config: RunConfig) -> int:
    """Return how many such runs the cluster holds at once, each at its smallest; at least 1."""
    has = ray.cluster_resources()
    counts = [1e9]
    for groups in _needs(config).values():
        for resource in ("CPU", "GPU"):
            need = sum(group.number * group.each.get(resource, 0.0) for group in groups)
            if need:
                counts.append(has.get(resource, 0.0) / need + 1e-9)
    return max(1, int(min(counts)))


def _needs(config: RunConfig) -> dict[str, list[Workers]]:
    cluster, tune, student = config.cluster, config.tune, config.student
    io = Workers(2, {"CPU": IO_CPUS}, f"{2 * IO_CPUS:g} for reading and writing")
    return {
        "generate": [
            Workers(
                cluster.min_generators,
                _amounts(cluster.cpus_per_generator, cluster.gpus_per_generator),
                "cluster.min_generators x cpus_per_generator and gpus_per_generator",
                cluster.generator_labels,
            ),
            Workers(
                cluster.num_scorers,
                _amounts(cluster.cpus_per_scorer, cluster.gpus_per_scorer),
                "cluster.num_scorers x cpus_per_scorer and gpus_per_scorer",
                cluster.scorer_labels,
            ),
            io,
        ],
        "tune": [
            Workers(
                tune.num_workers,
                _amounts(tune.cpus_per_worker, tune.gpus_per_worker),
                "tune.num_workers x cpus_per_worker and gpus_per_worker",
                cluster.tuner_labels,
            )
        ],
        "train": [
            Workers(
                student.num_workers,
                _amounts(1, student.gpus_per_worker),
                "student.num_workers x gpus_per_worker",
                cluster.student_labels,
            )
        ],
    }


def _amounts(cpus: float, gpus: float) -> dict[str, float]:
    return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}


@contextmanager
def _quiet_standard_error() -> Iterator[None]:
    """Keep Ray's C++ core from greeting on standard error; what it raises is ours to say."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@contextmanager
def ours_out_of_rays() -> Iterator[None]:
    """Re-raise an error of this project that Ray wrapped in its own, as itself."""
    try:
        yield
    except Exception as error:
        ours = _find_ours(error)
        if ours is None or ours is error:
            raise
        ours.args = tuple(str(arg).partition(_RAYS_ADVICE)[0] for arg in ours.args)
        raise ours from error


def _find_ours(error: BaseException) -> MSPError | None:
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if type(current).__module__ == "msp.errors" and isinstance(current, MSPError):
            return current
        queue += [getattr(current, "cause", None), current.__cause__, current.__context__]
        # An actor that died in its constructor has the reason among its arguments.
        queue += [arg for arg in current.args if isinstance(arg, BaseException)]
        queue += [
            value
            for value in getattr(current, "worker_failures", {}).values()
            if isinstance(value, BaseException)
        ]
    return None
