"""The training loop: batch, loss, two optimisers; then log, held-out loss, samples, checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from msp.models.attention import use_fast_attention
from msp.models.pretrain.checkpoint import Progress, export_model, load_newest, save_checkpoint
from msp.models.pretrain.material import Material
from msp.models.pretrain.network import LanguageModelLoss, build_model
from msp.models.pretrain.optimizer import build_optimizers, set_rate
from msp.models.pretrain.settings import PretrainConfig
from msp.storage.store import ObjectStore

_LOG_EVERY_STEPS = 20
_HELD_OUT_ROWS = 24
_EVALUATED_AT_ONCE = 4
# See LanguageModelLoss for the first; a GPU is only filled by the second.
_CPU_MICRO_BATCH_TOKENS = 2_048
_GPU_MICRO_BATCH_TOKENS = 32_768
SAMPLE_PROMPTS = (
    "Utterances in the hotels domain:\n1) wifi; how [3rd floor; Anna Keller]:",
    "Utterances in the restaurants domain:\n1) book table; time [half past 7; Olivia Brown]: can i "
    "book a table for half past 7, the name is Olivia Brown\n"
    "2) book table; time [25 to 9 p.m.; Peter Novak]:",
    "Show me three distinct utterances that all express thank and say goodbye in the banking "
    "domain:\n1)",
    "Question: what is the capital of France?\nAnswer:",
)


@dataclass(slots=True)
class Place:
    """Which worker this is, and how it shares gradients; the defaults are a run without others."""

    rank: int = 0
    num_workers: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module


class Trainer:
    """A pre-training run on one worker; it starts where the newest checkpoint stands.

    Args:
        config: the run.
        material: what it reads; the same on every worker.
        store: where checkpoints and the model go.
        place: which worker this is.
    """

    def __init__(
        self, config: PretrainConfig, material: Material, *, store: ObjectStore, place: Place
    ) -> None:
        self.config, self.material, self.place = config, material, place
        self._store = store
        self.model = build_model(config.model, config.seed).to(place.device)
        use_fast_attention(self.model, dtype=torch.bfloat16)
        self.optimizers = build_optimizers(self.model, config)
        self.progress = load_newest(store, self.model, self.optimizers, defining=config.defining())
        self._loss = LanguageModelLoss(self.model)
        self._wrapped = place.wrap(self._loss)
        compiled = torch.compile(self._wrapped) if config.runtime.compile else self._wrapped
        self._forward: Callable[[Tensor], Tensor] = compiled

    def run(self, log: Callable[[str], None], until: int | None = None) -> None:
        """The run is done to its last step (or `until`); checkpoint and model are in the store."""
        config, last = self.config, min(until or self.config.num_steps, self.config.num_steps)
        saved = time.monotonic()
        speed = Speedometer(self.progress.step)
        while (step := self.progress.step) < last:
            loss = self.train_step()
            step += 1
            if step % _LOG_EVERY_STEPS == 0:
                log(self._line(loss, speed.steps_per_second(step)))
            if step % config.runtime.evaluate_every_steps == 0 or step == last:
                if self.place.rank == 0:
                    log(self.evaluation())
                speed = Speedometer(step)
            if time.monotonic() - saved > config.runtime.checkpoint_seconds or step == last:
                self.save()
                saved = time.monotonic()

    def train_step(self) -> float:
        """One optimiser step is taken; returns this worker's mean loss (nats a token) before it."""
        started = time.monotonic()
        config, step = self.config, self.progress.step
        ids = self._batch(step, config.length_at(step))
        parts = torch.split(ids, self._rows_at_once(ids.shape[1] - 1))
        self.model.train()
        total = 0.0
        for index, part in enumerate(parts, start=1):
            with self._sync(index == len(parts)):
                loss = self._forward(part) * (len(part) / len(ids))
                loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(self.model.parameters(), config.train.clip_norm)
        set_rate(self.optimizers, step, config)
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.progress = Progress(step + 1, self.progress.seconds + time.monotonic() - started)
        return total

    def evaluation(self) -> str:
        """Held-out loss by source and what the model writes after fixed beginnings, for the log."""
        losses = {name: self.held_out_loss(name) for name in self.material.held_out}
        shown = ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        samples = "\n".join(f"--- {self.sample(prompt)}" for prompt in SAMPLE_PROMPTS)
        return f"step {self.progress.step} held-out loss: {shown}\n{samples}"

    def result(self) -> dict[str, Any]:
        """What a finished run reports: sizes, speed and held-out loss (nats a token) by source."""
        num_tokens = self.progress.step * self.config.train.tokens_per_step
        return {
            "num_parameters": sum(p.numel() for p in self.model.parameters()),
            "num_steps": self.progress.step,
            "num_tokens": num_tokens,
            "seconds": round(self.progress.seconds, 1),
            "tokens_per_second": round(num_tokens / max(self.progress.seconds, 1e-9), 1),
            "held_out_loss": {
                name: round(self.held_out_loss(name), 4) for name in self.material.held_out
            },
        }

    @torch.no_grad()
    def held_out_loss(self, source: str) -> float:
        """Nats a token over the first rows of a held-out source."""
        row, length = self.material.held_out[source], self.config.train.sequence_length
        length = min(length, len(row) - 1)
        num_rows = min(_HELD_OUT_ROWS, (len(row) - 1) // length)
        parts = torch.split(
            row.batch(0, num_rows, length).to(self.place.device), _EVALUATED_AT_ONCE
        )
        self.model.eval()
        return sum(float(self._loss(part)) * len(part) for part in parts) / num_rows

    @torch.no_grad()
    def sample(self, prompt: str, num_tokens: int = 48) -> str:
        """The prompt and what the model writes after it, at temperature 0.7, by a fixed seed."""
        tokenizer = self.material.tokenizer
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        ids = ids.to(self.place.device)[:, -(self.config.model.context_length - num_tokens) :]
        self.model.eval()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            written = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=num_tokens,
                do_sample=True,
                temperature=0.7,
                top_p=0.95,
                top_k=0,
            )
        return str(tokenizer.decode(written[0]))

    def save(self) -> None:
        """Checkpoint and model are in the store, written by the first worker."""
        if self.place.rank == 0:
            save_checkpoint(
                self._store,
                self.model,
                self.optimizers,
                progress=self.progress,
                defining=self.config.defining(),
            )
            export_model(self._store, self.model, self.material.tokenizer)

    def _batch(self, step: int, length: int) -> Tensor:
        """[B, T + 1] ids: this worker's share of the step's tokens."""
        share = self.config.train.tokens_per_step // self.place.num_workers
        start = step * self.config.train.tokens_per_step + self.place.rank * share
        return self.material.training.batch(start, share // length, length).to(self.place.device)

    def _rows_at_once(self, length: int) -> int:
        on_gpu = self.place.device.type != "cpu"
        default = _GPU_MICRO_BATCH_TOKENS if on_gpu else _CPU_MICRO_BATCH_TOKENS
        return max(1, (self.config.runtime.micro_batch_tokens or default) // length)

    def _sync(self, last: bool) -> AbstractContextManager[object]:
        """Gradients are averaged over workers once a step, not once a micro-batch."""
        no_sync = getattr(self._wrapped, "no_sync", None)
        return nullcontext() if last or no_sync is None else no_sync()

    def _line(self, loss: float, steps_per_second: float) -> str:
        left = (self.config.num_steps - self.progress.step) / max(steps_per_second, 1e-9)
        return (
            f"step {self.progress.step}/{self.config.num_steps} loss {loss:.3f} "
            f"{steps_per_second * self.config.train.tokens_per_step:.0f} tok/s, "
            f"{left / 60:.0f} min left"
        )


class Speedometer:
    """Steps per second since it was last asked."""

    def __init__(self, step: int) -> None:
        self._step, self._at = step, time.monotonic()

    def steps_per_second(self, step: int) -> float:
        """The speed since the last call, or since the start."""
        now = time.monotonic()
        speed = (step - self._step) / max(now - self._at, 1e-9)
        self._step, self._at = step, now
        return speed
