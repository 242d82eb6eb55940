"""Tuning speed beside PEFT's prompt tuning under the Hugging Face Trainer, on the same examples.

::

    OMP_NUM_THREADS=1 python tests/bench/bench_tune.py

Both sides tune the built-in LM on the sample task for the same number of epochs
with the same batch size and learning rate, each run in a process of its own.
Theirs has as many virtual tokens as our longest soft prompt, batches of like
length, and whichever of float32 and bfloat16 weights is faster for it. Tokens
are those of contexts and targets, without soft prompts and padding; evaluation
and start-up are not timed. The lines say both dev losses, and how much memory
training took beyond the loaded model.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from measuring import report

from msp.config import ModelConfig, RunConfig
from msp.tasks import load_task
from msp.tasks.base import TaskData

if TYPE_CHECKING:
    from msp.prompts.encode import EncodedExample

SIDES = ("ours", "theirs_float32", "theirs_bfloat16")
_MEGABYTE = 1024  # ru_maxrss counts kilobytes


def make_config(folder: str, num_epochs: int) -> RunConfig:
    """Return the quickstart's config without what is not part of a training step."""
    return RunConfig.model_validate(
        {
            "output_uri": folder,
            "task": {"name": "jsonl", "path": "sample:front_desk"},
            "tune": {"num_epochs": num_epochs, "max_dev_generations": 0},
        }
    )


def run_ours(config: RunConfig, task: TaskData) -> dict[str, float]:
    """Tune as a Ray Train worker does; return tokens, seconds, CPU seconds, dev loss and memory."""
    import torch.distributed

    from msp.distributed.tune_job import TuneJob
    from msp.distributed.tune_worker import Tuner
    from msp.storage.store import open_store

    class TimedTuner(Tuner):
        """Notes how long evaluation takes, which the other side is not timed with either."""

        training = 0.0
        computing = 0.0

        def _run_epoch(self, epoch: int) -> None:
            self._add(1)
            super()._run_epoch(epoch)
            self._add(-1)

        def _evaluated(self, *args: Any, **kwargs: Any) -> Any:
            inside = args[0] > 0
            if inside:
                self._add(-1)
            record = super()._evaluated(*args, **kwargs)
            if inside:
                self._add(1)
            return record

        def _add(self, sign: int) -> None:
            self.training -= sign * time.perf_counter()
            self.computing -= sign * time.process_time()

    addresses = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 1000)}
    os.environ.update(addresses, RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", DS_ACCELERATOR="cpu")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    tuner = TimedTuner(TuneJob(config, task, open_store(config.output_uri)), rank=0, num_workers=1)
    before = _peak()
    tuner.run()
    records = tuner._state.history[1:]
    examples = [tuner._encoder.encode(task.seeds, epoch=record.epoch) for record in records]
    return {
        "tokens": sum(len(e.context) + len(e.target) for epoch in examples for e in epoch),
        "seconds": tuner.training,
        "cpu_seconds": tuner.computing,
        "dev_loss": float(records[-1].dev_loss or 0.0),
        "memory": _peak() - before,
    }


def run_theirs(config: RunConfig, task: TaskData, dtype: str) -> dict[str, float]:
    """Tune with PEFT and the Trainer; return tokens, seconds, CPU seconds, dev loss and memory."""
    from peft import PromptTuningConfig, TaskType, get_peft_model

    from msp.models.frozen_lm import load_frozen_lm
    from msp.prompts.encode import ExampleEncoder

    lm = load_frozen_lm(ModelConfig(dtype=dtype), device="cpu")
    encoder = ExampleEncoder(lm.files, config.prompts, task.ontology, task.seeds, config.seed)
    rows = encoder.encode(task.seeds, epoch=1)
    peft = PromptTuningConfig(
        task_type=TaskType.CAUSAL_LM, num_virtual_tokens=max(row.soft_length for row in rows)
    )
    model = get_peft_model(lm.model, peft)
    collate = partial(_padded, pad_id=encoder.pad_id)
    train, dev = _features(rows), _features(encoder.encode(task.dev, epoch=0))
    with tempfile.TemporaryDirectory(prefix="msp-bench-") as folder:
        trainer = _trainer(model, config, train, folder, collate)
        before, cpu_started = _peak(), time.process_time()
        seconds = trainer.train().metrics["train_runtime"]
        cpu_seconds = time.process_time() - cpu_started
    return {
        "tokens": config.tune.num_epochs * sum(row["length"] for row in train),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "dev_loss": _dev_loss(model, [collate([row]) for row in dev]),
        "memory": _peak() - before,
    }


def _features(examples: Sequence[EncodedExample]) -> list[dict[str, Any]]:
    return [
        {
            "input_ids": [*row.context, *row.target],
            "labels": [-100] * len(row.context) + row.target,
            "length": len(row.context) + len(row.target),
        }
        for row in examples
    ]


def _padded(batch: list[dict[str, Any]], pad_id: int) -> dict[str, Any]:
    import torch

    width = max(row["length"] for row in batch)
    tensors = {
        name: torch.tensor([row[name] + [value] * (width - row["length"]) for row in batch])
        for name, value in {"input_ids": pad_id, "labels": -100}.items()
    }
    lengths = torch.tensor([row["length"] for row in batch])
    mask = (torch.arange(width) < lengths[:, None]).long()
    return {**tensors, "attention_mask": mask}


def _trainer(
    model: Any, config: RunConfig, train: list[dict[str, Any]], folder: str, collate: Any
) -> Any:
    import transformers

    arguments = transformers.TrainingArguments(
        output_dir=folder,
        num_train_epochs=config.tune.num_epochs,
        per_device_train_batch_size=config.tune.batch_size,
        learning_rate=config.tune.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.tune.warmup_fraction,
        weight_decay=config.tune.weight_decay,
        max_grad_norm=0.0,
        train_sampling_strategy="group_by_length",
        use_cpu=True,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    return transformers.Trainer(
        model=model, args=arguments, train_dataset=train, data_collator=collate
    )


def _dev_loss(model: Any, batches: Sequence[dict[str, Any]]) -> float:
    """Return the mean nats a target token over batches of one example each."""
    import torch

    total = num_targets = 0.0
    model.eval()
    for batch in batches:
        count = float((batch["labels"] != -100).sum())
        with torch.no_grad():
            total += count * float(model(**batch).loss)
        num_targets += count
    return total / num_targets


def _speed(run: dict[str, float], clock: str = "seconds") -> float:
    return run["tokens"] / run[clock]


def _peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE


def run_side(side: str, num_epochs: int) -> dict[str, float]:
    """Return what one run of a side gave, in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--epochs", str(num_epochs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure both sides and print the lines, or be one side's run."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        with tempfile.TemporaryDirectory(prefix="msp-bench-") as folder:
            config = make_config(folder, options.epochs)
            task = load_task(config.task, seed=config.seed)
            if options.side == "ours":
                found = run_ours(config, task)
            else:
                found = run_theirs(config, task, options.side.removeprefix("theirs_"))
            print(json.dumps(found))
        return
    tries = {side: run_side(side, 1) for side in SIDES[1:]}
    theirs = max(tries, key=lambda side: _speed(tries[side], "cpu_seconds"))
    runs = [
        [run_side(side, options.epochs) for side in ("ours", theirs)] for _ in range(options.runs)
    ]
    cpu_speeds = [
        statistics.median(_speed(pair[side], "cpu_seconds") for pair in runs) for side in (0, 1)
    ]
    settings = {
        "epochs": options.epochs,
        "theirs_with": theirs.removeprefix("theirs_"),
        "dev_loss": {"ours": runs[0][0]["dev_loss"], "theirs": runs[0][1]["dev_loss"]},
    }
    report(
        "prompt tuning beside PEFT under the Trainer",
        ours=[_speed(pair[0]) for pair in runs],
        theirs=[_speed(pair[1]) for pair in runs],
        unit="tokens/s",
        cpu_ratio=round(cpu_speeds[0] / cpu_speeds[1], 3),
        **settings,
    )
    report(
        "memory of prompt tuning beside PEFT under the Trainer (less is better)",
        ours=[pair[0]["memory"] for pair in runs],
        theirs=[pair[1]["memory"] for pair in runs],
        unit="MB",
        **settings,
    )


if __name__ == "__main__":
    main()
