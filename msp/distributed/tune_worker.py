"""What each tuning worker does: the one training loop, for every ZeRO stage and worker count."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from msp.distributed.tune_job import TuneJob, tuning_model
from msp.distributed.tune_state import (
    EpochRecord,
    load_state,
    save_state,
    write_progress,
)
from msp.distributed.zero import (
    read_moments,
    read_parameters,
    set_learning_rate,
    start_deepspeed,
    write_learned,
)
from msp.models.attention import use_fast_attention
from msp.models.frozen_lm import load_frozen_lm
from msp.models.recompute import recompute_activations
from msp.prompts.batches import plan_batches, share
from msp.prompts.dev_bleu import DevBleu, sample_dev
from msp.prompts.encode import EncodedExample, ExampleEncoder
from msp.prompts.initialisers import initial_prompts
from msp.prompts.objective import TuningObjective, collate
from msp.prompts.schedule import learning_rate
from msp.prompts.vectors import example_vectors


class Tuner:
    """The state of one worker: its LM, the prompts, and how far tuning is.

    All workers walk through the same batches and take their share of each, so
    the curve does not depend on how many there are.

    Args:
        job: config, task and store.
        rank: of this worker.
        num_workers: in all.
    """

    def __init__(self, job: TuneJob, *, rank: int, num_workers: int) -> None:
        self._config, self._task, self._store = job.config, job.task, job.store
        self._rank, self._num_workers = rank, num_workers
        self._lm = load_frozen_lm(tuning_model(job.config))
        files, ontology = self._lm.files, job.task.ontology
        self._encoder = ExampleEncoder(
            files, job.config.prompts, ontology, job.task.labelled, job.config.seed
        )
        self._soft = initial_prompts(
            self._lm,
            ontology,
            job.config.prompts,
            seed=job.config.seed,
            examples=job.task.seeds,
        )
        if not job.config.tune.instruction:
            self._soft.fix_instruction()
        self._state = load_state(job.store)
        dev = sample_dev(job.task.dev, job.config.tune.max_dev_examples, seed=job.config.seed)
        self._dev = self._encoder.encode(dev, epoch=0)
        examples = (*job.task.labelled, *job.task.dev)
        self._vectors = example_vectors(job.config.prompts, examples)
        self._bleu = DevBleu(self._lm, self._encoder, job.task, job.config, vectors=self._vectors)
        use_fast_attention(self._lm.model, dtype=self._lm.model.dtype)
        recomputes = job.config.tune.activation_checkpointing
        if recomputes:
            recompute_activations(self._lm.model, name=self._lm.name)
        self._objective = TuningObjective(self._lm, self._soft, shares_instruction=not recomputes)
        self._engine: Any = None

    def run(self) -> None:
        """Tune on from the newest committed epoch until a stop rule holds."""
        if self._state.stop:
            return
        self._soft.to(self._lm.device)
        is_bfloat16 = self._lm.model.dtype == torch.bfloat16
        self._engine = start_deepspeed(
            self._objective, self._soft, self._config.tune, is_bfloat16=is_bfloat16
        )
        if self._state.tensors:
            self._restore()
        else:
            self._state = replace(self._state, history=(self._evaluated(0, time.monotonic()),))
            self._say_progress()
        while not self._state.stop:
            self._run_epoch(self._state.epoch + 1)

    def _run_epoch(self, epoch: int) -> None:
        started = time.monotonic()
        examples = self._encoder.encode(self._task.labelled, epoch=epoch)
        batches = self._batches(examples, epoch)
        num_steps = len(batches) * self._config.tune.num_epochs
        total, num_tokens, rate = 0.0, 0, 0.0
        for offset, batch in enumerate(batches):
            rate = self._rate(self._state.step + offset, num_steps)
            set_learning_rate(self._engine, rate)
            loss, num_targets = self._loss(batch)
            # DeepSpeed averages gradients over workers; with this factor the average is the
            # gradient of the mean over the whole batch's tokens.
            self._engine.backward(loss * (self._num_workers / num_targets))
            self._engine.step()
            total += loss.item()
            num_tokens += num_targets
        record = self._evaluated(
            epoch, started, train_loss=self._summed(total) / num_tokens, rate=rate
        )
        self._commit(record, step=self._state.step + len(batches))

    def _commit(self, record: EpochRecord, *, step: int) -> None:
        parameters = read_parameters(self._soft)
        state = self._state.after(record, step=step, config=self._config.tune)
        state = replace(state, tensors={**parameters, **read_moments(self._engine, self._soft)})
        if self._rank == 0:
            save_state(self._store, state, parameters=parameters)
        self._state = state
        self._say_progress()

    def _say_progress(self) -> None:
        if self._rank == 0:
            num_epochs = self._config.tune.num_epochs
            write_progress(self._store, self._state, num_epochs=num_epochs)

    def _restore(self) -> None:
        batch = self._batches(self._encoder.encode(self._task.labelled, epoch=1), 1)[0]
        loss, _ = self._loss(batch)
        self._engine.backward(loss * 0.0)
        write_learned(self._engine, self._soft, self._state.tensors, step=self._state.step)

    def _evaluated(
        self, epoch: int, started: float, *, train_loss: float | None = None, rate: float = 0.0
    ) -> EpochRecord:
        self._engine.eval()
        record = EpochRecord(epoch, train_loss, self._dev_loss(), None, rate, 0.0)
        dev_bleu = None
        if record.is_finite:
            dev_bleu = self._bleu.score(
                self._soft,
                rank=self._rank,
                num_workers=self._num_workers,
                in_step=self._config.tune.zero_stage == 3,
            )
        self._engine.train()
        seconds = round(time.monotonic() - started, 3)
        return replace(record, dev_bleu=dev_bleu, seconds=seconds)

    @torch.no_grad()
    def _dev_loss(self) -> float | None:
        if not self._dev:
            return None
        total, num_tokens = 0.0, 0
        for batch in self._batches(self._dev, 0):
            loss, num_targets = self._loss(batch)
            total += loss.item()
            num_tokens += num_targets
        return self._summed(total) / num_tokens

    def _loss(self, batch: Sequence[EncodedExample]) -> tuple[Tensor, int]:
        """Return the loss of this worker's share, summed, and the whole batch's target tokens.

        A worker without a share computes one for nothing: under ZeRO all of them take part in
        every step.
        """
        places = share(range(len(batch)), rank=self._rank, num_workers=self._num_workers)
        own = [batch[place] for place in places] or list(batch[:1])
        num_attributes = len(self._task.ontology.all)
        tensors = collate(own, num_attributes, self._encoder.pad_id, self._vectors)
        loss = self._engine(tensors.to(self._lm.device)) * (1.0 if places else 0.0)
        return loss, sum(len(example.target) for example in batch)

    def _batches(self, examples: list[EncodedExample], epoch: int) -> list[list[EncodedExample]]:
        lengths = [example.length for example in examples]
        size = self._config.tune.batch_size
        plan = plan_batches(lengths, size, seed=self._config.seed, epoch=epoch)
        return [[examples[place] for place in batch] for batch in plan]

    def _rate(self, step: int, num_steps: int) -> float:
        tune = self._config.tune
        return learning_rate(
            step,
            peak=tune.learning_rate,
            num_steps=num_steps,
            warmup_fraction=tune.warmup_fraction,
        )

    def _summed(self, value: float) -> float:
        total = torch.tensor(value, dtype=torch.float64, device=self._lm.device)
        torch.distributed.all_reduce(total)
        return float(total)
