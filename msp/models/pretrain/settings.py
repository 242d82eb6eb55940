"""What defines a pre-training run, checked before any work starts; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from msp.config import Fraction, PositiveFloat, PositiveInt, Section


class DataSection(Section):
    """What the model reads."""

    inputs: list[str] = Field(
        min_length=1,
        description=".txt (a document a line) and .jsonl (annotated utterances), also with .xz",
    )
    source_weights: dict[str, Annotated[float, Field(ge=0.0)]] = Field(
        {}, description="share of each source of utterances; by default the root of its size"
    )
    num_tokenizer_documents: PositiveInt = Field(
        40_000, description="documents of the mixture that the tokenizer is trained on"
    )


class ModelSection(Section):
    """Sizes of the Llama decoder; the defaults are the model that ships with the project."""

    start_from: str | None = Field(
        None,
        description="builtin, or a folder with a Llama checkpoint of these sizes, to train on "
        "from, with its tokenizer; none starts from random weights and trains a tokenizer",
    )
    vocab_size: int = Field(4096, ge=300, le=65_535, description="tokens; two bytes each on disk")
    hidden_size: PositiveInt = 256
    intermediate_size: PositiveInt = 704
    num_layers: PositiveInt = 6
    head_size: PositiveInt = 64
    context_length: PositiveInt = 512


class TrainSection(Section):
    """The token budget, the batches, the optimisers."""

    num_tokens: PositiveInt = Field(description="token budget; its cosine schedule ends there")
    tokens_per_step: PositiveInt = 8192
    sequence_length: PositiveInt = Field(256, description="of the packed rows, but for the last")
    long_share: Fraction = Field(0.1, description="last share of steps on rows of context_length")
    muon_learning_rate: PositiveFloat = Field(0.02, description="matrices between the layers")
    adamw_learning_rate: PositiveFloat = Field(0.003, description="embeddings and norms")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(0.1, description="on the matrices")
    warmup_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.02
    clip_norm: PositiveFloat = 1.0


class RuntimeSection(Section):
    """Where and how often; not part of what defines a run."""

    address: str | None = Field(None, description="Ray address; none starts a local Ray")
    s3_endpoint_url: str | None = Field(None, description="for MinIO, Ceph, R2")
    num_workers: PositiveInt = 1
    cpus_per_worker: PositiveInt = 1
    gpus_per_worker: Literal["auto", 0, 1] = Field(
        "auto", description="auto: one each where the cluster has as many, else none"
    )
    micro_batch_tokens: PositiveInt | None = Field(
        None, description="in one forward pass; none: 2048 on a CPU (its cache), 32768 on a GPU"
    )
    max_failures: Annotated[int, Field(ge=0)] = 3
    compile: bool = Field(True, description="torch.compile: a minute at the start, faster after")
    checkpoint_seconds: PositiveFloat = 300.0
    evaluate_every_steps: PositiveInt = 500
    scratch_path: str | None = Field(
        None, description="where a node packs its tokens; by default a folder in the system's temp"
    )


class PretrainConfig(Section):
    """One pre-training run: text in, a model and its tokenizer out."""

    output_uri: str = Field(description="file:// or plain path, or s3://bucket/prefix")
    seed: int = 0
    data: DataSection
    model: ModelSection = ModelSection()
    train: TrainSection
    runtime: RuntimeSection = RuntimeSection()

    @model_validator(mode="after")
    def _rows_fill_steps(self) -> PretrainConfig:
        train, model, workers = self.train, self.model, self.runtime.num_workers
        _multiple("model.hidden_size", model.hidden_size, "model.head_size", model.head_size)
        _multiple(
            "model.context_length",
            model.context_length,
            "train.sequence_length",
            train.sequence_length,
        )
        _multiple(
            "train.tokens_per_step",
            train.tokens_per_step,
            "model.context_length x runtime.num_workers",
            model.context_length * workers,
        )
        return self

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return max(1, self.train.num_tokens // self.train.tokens_per_step)

    @property
    def input_paths(self) -> list[Path]:
        """The input files."""
        return [Path(name).expanduser() for name in self.data.inputs]

    def length_at(self, step: int) -> int:
        """Tokens of a training row at this step: short first, the whole context at the end."""
        is_long = step >= self.num_steps * (1 - self.train.long_share)
        return self.model.context_length if is_long else self.train.sequence_length

    def with_absolute_paths(self) -> PretrainConfig:
        """The config with its local paths made absolute, since workers have other folders."""
        uri = self.output_uri
        if "://" not in uri:
            uri = str(Path(uri).expanduser().resolve())
        inputs = [str(path.resolve()) for path in self.input_paths]
        data = self.data.model_copy(update={"inputs": inputs})
        start = self.model.start_from
        if start is not None and Path(start).expanduser().exists():
            start = str(Path(start).expanduser().resolve())
        model = self.model.model_copy(update={"start_from": start})
        return self.model_copy(update={"output_uri": uri, "data": data, "model": model})

    def defining(self) -> dict[str, Any]:
        """What makes two runs the same, by dotted key: all but where they read, run and write."""
        tree = self.model_dump(mode="json", exclude={"output_uri", "runtime"})
        tree["data"]["inputs"] = [path.name for path in self.input_paths]
        return {
            f"{section}.{key}" if isinstance(value, dict) else section: leaf
            for section, value in tree.items()
            for key, leaf in (value.items() if isinstance(value, dict) else [("", value)])
        }


def _multiple(name: str, value: int, of: str, unit: int) -> None:
    if value % unit:
        raise ValueError(f"{name} is {value}; it must be a multiple of {of} ({unit}).")
