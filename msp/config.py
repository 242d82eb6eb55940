"""The run's configuration: one YAML file, checked whole before any work starts.

Unknown keys are refused with the nearest known key; rules across sections are
in :meth:`RunConfig._check_across_sections`. :mod:`msp.config_file` reads it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


class Section(BaseModel):
    """A section of the config: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class TaskConfig(Section):
    """What is labelled, and which examples are seed, dev and test."""

    name: Literal["jsonl", "nlupp"] = Field(description="the task's reader")
    path: str = Field(
        description="data file (jsonl) or folder (nlupp); sample:front_desk ships with the project"
    )
    ontology: str | None = Field(None, description="ontology file; beside the data file by default")
    domain: str | None = Field(None, description="one domain of the ontology (required by nlupp)")
    setting: Literal["full", "fold20", "fold10", "cross"] = Field(
        "full", description="nlupp: train on one fold, on two, on the other domain; jsonl: full"
    )
    fold: NonNegativeInt = Field(0, description="which fold is the seed data (fold20, fold10)")
    max_seed_examples: PositiveInt | None = Field(
        None, description="few-shot: at most this many, drawn by seed"
    )
    dev_fraction: Fraction = Field(
        0.2,
        description="share of the training part held out as dev where the data names no dev split",
    )


class ModelConfig(Section):
    """The frozen LM: any causal or seq2seq checkpoint."""

    name: str = Field("builtin", description="builtin, a local path, or a hub id")
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on a CPU"
    )
    trust_remote_code: bool = Field(False, description="run code that the checkpoint brings")


class PromptsConfig(Section):
    """Sizes, initialisation and mixture of the soft prompts, and the text after them."""

    instruction_length: PositiveInt = 32
    attribute_length: PositiveInt = 8
    mixture: Literal["concat", "pooling"] = "concat"
    init: Literal["description", "vocabulary", "noise"] = Field(
        "description",
        description="how attribute prompts start (the instruction prompt: from its text, or noise)",
    )
    num_exemplars: NonNegativeInt = 2
    exemplar_pool_size: PositiveInt = Field(
        10, description="drawn from this many best by attribute overlap"
    )
    attributes_in_text: bool = Field(
        True, description="name the attributes in the text after the soft prompts, too"
    )


class TuneConfig(Section):
    """Prompt tuning: Ray Train workers, each with the frozen LM, under DeepSpeed."""

    num_epochs: NonNegativeInt = Field(12, description="0 leaves the prompts as initialised")
    batch_size: PositiveInt = Field(16, description="examples per optimiser step, over all workers")
    learning_rate: PositiveFloat = 0.01
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    warmup_fraction: Fraction = 0.1
    patience: PositiveInt = Field(
        4, description="epochs without a better dev score before stopping"
    )
    select_by: Literal["dev_loss", "dev_bleu"] = "dev_loss"
    max_dev_generations: NonNegativeInt = Field(
        32, description="dev examples generated for BLEU each epoch; 0 for none"
    )
    num_workers: PositiveInt = 1
    gpus_per_worker: NonNegativeInt = 0
    cpus_per_worker: PositiveInt = 1
    zero_stage: Literal[0, 1, 2, 3] = 0
    offload: Literal["none", "cpu"] = "none"
    precision: Literal["float32", "bfloat16"] = "float32"
    max_failures: NonNegativeInt = Field(
        3, description="worker failures survived before the run fails"
    )


class GenerateConfig(Section):
    """The plan, the engine and its sampling."""

    method: Literal["msp"] = "msp"
    engine: Literal["hf", "scripted"] = "hf"
    attributes: list[str] | None = Field(
        None, description="plan only constraints that carry one of these; none plans all"
    )
    units_per_seed_example: NonNegativeInt = Field(
        1, description="units that ask for what a seed example carries"
    )
    novel_units_per_seed_example: NonNegativeInt = Field(
        4, description="units that ask for labels which no seed example combines"
    )
    num_candidates_per_unit: PositiveInt = 5
    units_per_shard: PositiveInt = Field(32, description="units that commit together as one object")
    temperature: PositiveFloat = 0.6
    top_k: NonNegativeInt = Field(0, description="0 keeps the whole vocabulary")
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    repetition_penalty: PositiveFloat = 1.0
    max_new_tokens: PositiveInt = 64
    batch_size: PositiveInt = Field(32, description="units in one forward pass")


class DenoiseConfig(Section):
    """Noise scores and the keep rule."""

    encoder: str = Field(
        "minilm", description="minilm (all-MiniLM-L6-v2) or a local path or hub id"
    )
    num_kept_per_unit: PositiveInt = 4
    frequency_weight: Fraction = Field(
        0.0, description="weight of how common the attributes are (MSP's own: 0.5, distance 0.5)"
    )
    distance_weight: Fraction = Field(0.2, description="weight of 1 - cosine to the seed example")
    disagreement_weight: Fraction = Field(
        0.8, description="weight of how little a classifier of the seed examples agrees"
    )
    max_noise_score: PositiveFloat = Field(0.85, description="drop above this")
    require_values: bool = Field(
        True, description="drop where an asked slot value is missing from the text"
    )
    max_drop_rate: Fraction = Field(
        0.98, description="stop the run when more than this share is dropped"
    )
    drop_rate_window: PositiveInt = Field(
        1000, description="candidates over which the drop rate is watched"
    )

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of frequency, distance and disagreement in the noise score."""
        return self.frequency_weight, self.distance_weight, self.disagreement_weight


class StudentConfig(Section):
    """The downstream model, trained on seed examples and on seed + synthetic."""

    kind: Literal["head", "finetune"] = "head"
    encoder: str = Field(
        "minilm", description="body of the student: minilm, a local path or hub id"
    )
    num_seeds: PositiveInt = Field(
        3, description="trainings of each kind, for mean and standard deviation"
    )
    num_steps: PositiveInt = 600
    batch_size: PositiveInt = 16
    learning_rate: PositiveFloat = Field(1e-3, description="of the head, or of finetune's output")
    encoder_learning_rate: PositiveFloat = Field(1e-4, description="finetune only")
    hidden_size: PositiveInt = Field(512, description="units of the head")
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    embedding_noise: Annotated[float, Field(ge=0.0)] = Field(
        2.0,
        description="head only: standard deviation of the noise on embeddings of unit variance",
    )
    synthetic_weight: PositiveFloat = Field(
        0.5, description="how often synthetic examples are drawn, all against all seed examples"
    )
    num_workers: PositiveInt = 1
    gpus_per_worker: NonNegativeInt = 0


class ClusterConfig(Section):
    """Where it runs. Not part of what defines a run: any cluster may continue it."""

    address: str | None = Field(None, description="Ray address; none starts a local Ray")
    min_generators: PositiveInt = 1
    max_generators: PositiveInt = 1
    cpus_per_generator: PositiveFloat = 1
    gpus_per_generator: Annotated[float, Field(ge=0.0)] = 0
    num_scorers: PositiveInt = 1
    cpus_per_scorer: PositiveFloat = 0.5
    gpus_per_scorer: Annotated[float, Field(ge=0.0)] = 0
    s3_endpoint_url: str | None = Field(
        None, description="for MinIO, Ceph, R2; none uses the AWS setting"
    )


class RunConfig(Section):
    """One run: its sections, where its output goes and the seed of all that is random."""

    output_uri: str = Field(description="file:// or plain path, or s3://bucket/prefix")
    seed: int = 13
    task: TaskConfig
    model: ModelConfig = ModelConfig()
    prompts: PromptsConfig = PromptsConfig()
    tune: TuneConfig = TuneConfig()
    generate: GenerateConfig = GenerateConfig()
    denoise: DenoiseConfig = DenoiseConfig()
    student: StudentConfig = StudentConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _check_across_sections(self) -> RunConfig:
        made, kept = self.generate.num_candidates_per_unit, self.denoise.num_kept_per_unit
        if made < kept:
            raise ValueError(
                f"generate.num_candidates_per_unit is {made}, but denoise.num_kept_per_unit is "
                f"{kept}; over-generate at least as many as you keep."
            )
        if not (self.generate.units_per_seed_example or self.generate.novel_units_per_seed_example):
            raise ValueError(
                "generate.units_per_seed_example and novel_units_per_seed_example are both 0, "
                "which plans nothing; raise one."
            )
        weights = self.denoise.weights
        if abs(sum(weights) - 1) > 1e-6:
            raise ValueError(
                "denoise.frequency_weight, distance_weight and disagreement_weight are "
                f"{', '.join(f'{w:g}' for w in weights)}; make them sum to 1."
            )
        if self.cluster.max_generators < self.cluster.min_generators:
            raise ValueError(
                f"cluster.max_generators is {self.cluster.max_generators}, but "
                f"cluster.min_generators is {self.cluster.min_generators}; "
                "the pool grows from min to max."
            )
        if self.tune.batch_size % self.tune.num_workers:
            raise ValueError(
                f"tune.batch_size is {self.tune.batch_size}, which "
                f"{self.tune.num_workers} workers cannot share evenly; "
                "use a multiple of tune.num_workers."
            )
        if self.student.kind == "finetune" and self.student.batch_size % self.student.num_workers:
            raise ValueError(
                f"student.batch_size is {self.student.batch_size}, which "
                f"{self.student.num_workers} workers cannot share evenly; "
                "use a multiple of student.num_workers."
            )
        if self.tune.select_by == "dev_bleu" and not self.tune.max_dev_generations:
            raise ValueError(
                "tune.select_by is dev_bleu, but tune.max_dev_generations is 0; "
                "generate some or select by dev_loss."
            )
        if self.task.name == "nlupp" and self.task.domain is None:
            raise ValueError("task.domain is not set; nlupp has the domains banking and hotels.")
        if self.task.name == "jsonl" and self.task.setting != "full":
            raise ValueError(
                f"task.setting is {self.task.setting}, which only nlupp knows; jsonl has: full."
            )
        return self

    def defining(self) -> dict[str, Any]:
        """Return what makes two runs the same: all but where the output goes and where it runs."""
        return self.model_dump(mode="json", exclude={"output_uri", "cluster"})


def fingerprint(config: RunConfig, *, content: dict[str, str]) -> dict[str, str]:
    """Return one short hash per thing that defines a run, so that a refusal can name what differs.

    Args:
        config: the resolved config.
        content: further hashes, such as of the seed examples and of the frozen LM's weights.

    Returns:
        dotted config key (or content name) -> hash.
    """
    leaves = {
        f"{section}.{key}" if isinstance(value, dict) else section: leaf
        for section, value in config.defining().items()
        for key, leaf in (value.items() if isinstance(value, dict) else [("", value)])
    }
    hashed = {key: _short_hash(json.dumps(leaf, sort_keys=True)) for key, leaf in leaves.items()}
    return {**hashed, **content}


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Return the config with its local paths made absolute, since workers have other folders."""

    def absolute(name: str) -> str:
        path = Path(name).expanduser()
        return str(path.resolve()) if path.exists() else name

    task, model = config.task, config.model
    output_uri = config.output_uri
    if "://" not in output_uri:
        output_uri = str(Path(output_uri).expanduser().resolve())
    return config.model_copy(
        update={
            "output_uri": output_uri,
            "task": task.model_copy(
                update={
                    "path": absolute(task.path),
                    "ontology": task.ontology and absolute(task.ontology),
                }
            ),
            "model": model.model_copy(update={"name": absolute(model.name)}),
            "denoise": config.denoise.model_copy(
                update={"encoder": absolute(config.denoise.encoder)}
            ),
            "student": config.student.model_copy(
                update={"encoder": absolute(config.student.encoder)}
            ),
        }
    )
