"""What the worker of a fit does: one training loop for whatever a method learns for itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import safetensors.torch
import torch

from msp.config import RunConfig, TuneConfig
from msp.distributed.tune_state import (
    EpochRecord,
    best_key,
    drop_state,
    load_state,
    save_state,
    tuning_metrics,
    write_progress,
)
from msp.distributed.zero import MOMENTS
from msp.errors import MSPError
from msp.methods import Fit, Opening, find_method
from msp.methods.fit_store import learned_tensors, save_fit
from msp.models.lm_files import find_lm
from msp.prompts.batches import plan_batches
from msp.prompts.schedule import learning_rate
from msp.storage.seal import check_seal
from msp.storage.store import ObjectStore
from msp.tasks.base import TaskData


def fit_and_save(config: RunConfig, task: TaskData, store: ObjectStore) -> None:
    """Leave the method's own model in the store, learned from the newest finished epoch on."""
    torch.set_num_threads(config.tune.cpus_per_worker)
    open_fit = find_method(config).open_fit
    assert open_fit is not None
    fit = open_fit(Opening(config, task, store))
    tuning = Fitter(fit, config.tune, store, seed=config.seed).run()
    files = find_lm(config.model)
    save_fit(store, learned_tensors(fit.module), config=config, files=files, tuning=tuning)
    drop_state(store)


class Fitter:
    """A fit, how far it is, and the store that can continue it.

    Args:
        fit: what learns.
        config: epochs, batches, rates and the rule by which it stops.
        store: the run's; every finished epoch is there.
        seed: of batches and noise.
    """

    def __init__(self, fit: Fit, config: TuneConfig, store: ObjectStore, *, seed: int) -> None:
        self._fit, self._config, self._store, self._seed = fit, config, store, seed
        self._learned = {n: p for n, p in fit.module.named_parameters() if p.requires_grad}
        self._adam = torch.optim.AdamW(
            self._learned.values(), lr=fit.learning_rate, weight_decay=config.weight_decay
        )
        self._state = load_state(store)

    def run(self) -> dict[str, Any]:
        """Return the figures of the fit, its module holding what the best epoch learned.

        Raises:
            MSPError: the loss was no number in any epoch.
        """
        if self._config.num_epochs:
            self._restore(self._state.tensors)
            if not self._state.history:
                record = EpochRecord(0, None, self._dev_loss(), None, 0.0, 0.0)
                self._state = replace(self._state, history=(record,))
                self._say_progress()
            while not self._state.stop:
                self._run_epoch(self._state.epoch + 1)
            self._take_best()
        num_parameters = sum(parameter.numel() for parameter in self._learned.values())
        return tuning_metrics(self._state, self._config, num_parameters=num_parameters)

    def _run_epoch(self, epoch: int) -> None:
        started = time.monotonic()
        batches = self._batches(self._fit.examples(epoch), epoch)
        num_steps = len(batches) * self._config.num_epochs
        total, num_tokens, rate = 0.0, 0, 0.0
        for offset, batch in enumerate(batches):
            step = self._state.step + offset
            rate = self._rate(step, num_steps)
            for group in self._adam.param_groups:
                group["lr"] = rate
            torch.manual_seed((self._seed * 1_000_003 + step) % 2**63)
            loss, num_targets = self._fit.loss(batch, share_done=step / num_steps)
            self._adam.zero_grad()
            (loss / num_targets).backward()  # type: ignore[no-untyped-call]
            self._adam.step()
            total += loss.item()
            num_tokens += num_targets
        dev_loss = self._dev_loss()
        seconds = round(time.monotonic() - started, 3)
        record = EpochRecord(epoch, total / num_tokens, dev_loss, None, rate, seconds)
        self._commit(record, step=self._state.step + len(batches))

    @torch.no_grad()
    def _dev_loss(self) -> float | None:
        examples = self._fit.dev_examples()
        if not examples:
            return None
        total, num_tokens = 0.0, 0
        torch.manual_seed(self._seed % 2**63)
        for batch in self._batches(examples, 0):
            loss, num_targets = self._fit.loss(batch, share_done=1.0)
            total += loss.item()
            num_tokens += num_targets
        return total / num_tokens

    def _batches(self, examples: Sequence[Any], epoch: int) -> list[list[Any]]:
        lengths = [example.length for example in examples]
        plan = plan_batches(lengths, self._config.batch_size, seed=self._seed, epoch=epoch)
        return [[examples[place] for place in batch] for batch in plan]

    def _rate(self, step: int, num_steps: int) -> float:
        return learning_rate(
            step,
            peak=self._fit.learning_rate,
            num_steps=num_steps,
            warmup_fraction=self._config.warmup_fraction,
        )

    def _commit(self, record: EpochRecord, *, step: int) -> None:
        parameters = learned_tensors(self._fit.module)
        moments = {
            f"{moment}.{name}": self._adam.state[parameter][moment].cpu()
            for name, parameter in self._learned.items()
            for moment in MOMENTS
            if moment in self._adam.state[parameter]  # what no batch has used has none
        }
        self._state = self._state.after(record, step=step, config=self._config)
        state = replace(self._state, tensors={**parameters, **moments})
        save_state(self._store, state, parameters=parameters)
        self._say_progress()

    @torch.no_grad()
    def _restore(self, tensors: Any) -> None:
        for name, parameter in self._learned.items():
            if name in tensors:
                parameter.copy_(tensors[name])
            if f"{MOMENTS[0]}.{name}" in tensors:
                # A clone each: the optimiser writes into them.
                moments = {m: tensors[f"{m}.{name}"].to(parameter.device).clone() for m in MOMENTS}
                step = torch.tensor(float(self._state.step))
                self._adam.state[parameter] = {"step": step, **moments}

    @torch.no_grad()
    def _take_best(self) -> None:
        if not self._state.best_epoch:
            drop_state(self._store)
            raise MSPError(
                f"tune: the loss is no number after epoch {self._state.epoch}; lower "
                f"tune.fit_learning_rate ({self._fit.learning_rate:g}) or raise "
                f"tune.warmup_fraction ({self._config.warmup_fraction})."
            )
        key = best_key(self._state.best_epoch)
        payload = self._store.read(key)
        check_seal(payload, f"{self._store.uri}/{key}")
        tensors = safetensors.torch.load(payload)
        for name, parameter in self._learned.items():
            parameter.copy_(tensors[name])

    def _say_progress(self) -> None:
        write_progress(self._store, self._state, num_epochs=self._config.num_epochs)
