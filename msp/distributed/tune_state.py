"""What tuning needs to go on after any death: one object in the run's store for each epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import safetensors
import safetensors.torch
from torch import Tensor

from msp.config import TuneConfig
from msp.storage.layout import TUNE_STATE_PREFIX, progress_key, tune_state_key
from msp.storage.seal import CHECKSUM_KEY, UNSEALED, check_seal, damaged, sealed
from msp.storage.store import ObjectStore

EPOCH_PREFIX = tune_state_key("epoch-")
BEST_PREFIX = tune_state_key("best-")
PROGRESS_KEY = progress_key("tune")

Stop = Literal["num_epochs", "patience", "diverged"]


@dataclass(frozen=True)
class EpochRecord:
    """One point of the tuning curve.

    Args:
        epoch: 0 before the first step.
        train_loss: mean cross-entropy of a target token in nats; None at epoch 0.
        dev_loss: the same on dev; None without dev examples.
        dev_bleu: corpus BLEU (0 to 100) of one greedy text per dev example; None if not made.
        learning_rate: of the epoch's last step.
        seconds: wall time of the epoch with its evaluation.
    """

    epoch: int
    train_loss: float | None
    dev_loss: float | None
    dev_bleu: float | None
    learning_rate: float
    seconds: float

    @property
    def is_finite(self) -> bool:
        """False where tuning has left the numbers."""
        return all(math.isfinite(x) for x in (self.train_loss, self.dev_loss) if x is not None)

    def score(self, select_by: str) -> tuple[float, float]:
        """Return what the best epoch has most of; ties in BLEU go to the lower dev loss.

        Without dev examples nothing can be compared, and the latest is the best.
        """
        if self.dev_loss is None:
            return (float(self.epoch), 0.0)
        if select_by == "dev_bleu" and self.dev_bleu is not None:
            return (self.dev_bleu, -self.dev_loss)
        return (-self.dev_loss, 0.0)


@dataclass(frozen=True)
class TuneState:
    """Everything after a finished epoch.

    Args:
        step: optimiser steps taken.
        history: epoch 0, before the first step, and every finished epoch.
        best_epoch: the epoch whose prompts are kept; 0 while there is none.
        stop: why tuning is over; None while it is not.
        tensors: learned parameters and Adam moments, float32; empty before the first epoch.
    """

    step: int = 0
    history: tuple[EpochRecord, ...] = ()
    best_epoch: int = 0
    stop: Stop | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The last finished epoch."""
        return self.history[-1].epoch if self.history else 0

    def after(self, record: EpochRecord, *, step: int, config: TuneConfig) -> TuneState:
        """Return the state after one more epoch, with the best epoch and the stop rule applied."""
        history = (*self.history, record)
        best_epoch = self._best_with(record, config.select_by)
        stop: Stop | None = None
        if not record.is_finite:
            stop = "diverged"
        elif record.epoch >= config.num_epochs:
            stop = "num_epochs"
        elif record.epoch - best_epoch >= config.patience:
            stop = "patience"
        return TuneState(step=step, history=history, best_epoch=best_epoch, stop=stop)

    def _best_with(self, record: EpochRecord, select_by: str) -> int:
        if not record.is_finite:
            return self.best_epoch
        if not self.best_epoch:
            return record.epoch
        best = next(r for r in self.history if r.epoch == self.best_epoch)
        better = record.score(select_by) > best.score(select_by)
        return record.epoch if better else self.best_epoch


def best_key(epoch: int) -> str:
    """Return where the prompts of an epoch are, if it is the best of its time."""
    return f"{BEST_PREFIX}{epoch:04d}.safetensors"


def save_state(store: ObjectStore, state: TuneState, *, parameters: Mapping[str, Tensor]) -> None:
    """Commit an epoch: the best prompts, then the state, and only then drop the older states.

    Whatever dies in between, the newest whole state and the best prompts of its
    history are there: an epoch made again makes the same bytes again.
    """
    if state.best_epoch == state.epoch:
        best = safetensors.torch.save(dict(parameters), {CHECKSUM_KEY: UNSEALED})
        store.write(best_key(state.epoch), sealed(best))
    fields = {name: value for name, value in asdict(replace(state, tensors={})).items()}
    del fields["tensors"]
    key = f"{EPOCH_PREFIX}{state.epoch:04d}.safetensors"
    meta = {"state": json.dumps(fields), CHECKSUM_KEY: UNSEALED}
    store.write(key, sealed(safetensors.torch.save(dict(state.tensors), meta)))
    stale = [info.key for info in store.list(EPOCH_PREFIX) if info.key < key]
    stale += [info.key for info in store.list(BEST_PREFIX) if info.key < best_key(state.best_epoch)]
    for old in stale:
        store.delete(old)


def load_state(store: ObjectStore) -> TuneState:
    """Return the newest committed state, or an empty one where there is none.

    Raises:
        DamagedError: the newest state is damaged; without it, tuning starts over.
    """
    keys = [info.key for info in store.list(EPOCH_PREFIX)]
    if not keys:
        return TuneState()
    payload = store.read(keys[-1])
    check_seal(payload, f"{store.uri}/{keys[-1]}")
    try:
        tensors = safetensors.torch.load(payload)
        fields = json.loads(_metadata(payload)["state"])
        history = tuple(EpochRecord(**record) for record in fields.pop("history"))
        return TuneState(**fields, history=history, tensors=tensors)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise damaged(f"{store.uri}/{keys[-1]}", str(error)) from error


def drop_state(store: ObjectStore) -> None:
    """Remove what only an unfinished tuning needs."""
    for key in [info.key for info in store.list(TUNE_STATE_PREFIX)]:
        store.delete(key)


def write_progress(store: ObjectStore, state: TuneState, *, num_epochs: int) -> None:
    """Say how far tuning is, for whoever reads the store."""
    last = state.history[-1]
    progress = {
        "stage": "tune",
        "epoch": state.epoch,
        "num_epochs": num_epochs,
        "dev_loss": last.dev_loss,
        "dev_bleu": last.dev_bleu,
        "best_epoch": state.best_epoch,
        "seconds": round(sum(record.seconds for record in state.history), 3),
        "stop": state.stop,
    }
    store.write(PROGRESS_KEY, json.dumps(progress).encode())


def tuning_metrics(state: TuneState, config: TuneConfig, *, num_parameters: int) -> dict[str, Any]:
    """Return the figures of a finished tuning, as prompts.json and metrics.json hold them."""
    best = next((r for r in state.history if r.epoch == state.best_epoch), None)
    return {
        "num_epochs": state.epoch,
        "num_steps": state.step,
        "stop": state.stop,
        "select_by": config.select_by,
        "best_epoch": state.best_epoch,
        "dev_loss": best.dev_loss if best else None,
        "dev_bleu": best.dev_bleu if best else None,
        "num_parameters": num_parameters,
        "wall_seconds": round(sum(record.seconds for record in state.history), 3),
        "curve": [asdict(record) for record in state.history],
    }


def _metadata(payload: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file, which the library reads from paths alone."""
    header_length = int.from_bytes(payload[:8], "little")
    metadata: dict[str, str] = json.loads(payload[8 : 8 + header_length])["__metadata__"]
    return metadata
