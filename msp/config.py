"""The run's configuration: one YAML file, checked whole before any work starts.

Unknown keys are refused with the nearest known key; rules across sections are
in :meth:`RunConfig._check_across_sections`. :mod:`msp.config_file` reads it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from msp.config_cluster import ClusterConfig
from msp.config_generate import DataCreationConfig, GenerateConfig, PromptMixConfig
from msp.config_sections import (
    DenoiseConfig,
    Fraction,
    MetricsConfig,
    ModelConfig,
    PositiveFloat,
    PositiveInt,
    PromptsConfig,
    Section,
    StudentConfig,
    TuneConfig,
)
from msp.config_task import WRITTEN_TASKS, TaskConfig

__all__ = [
    "ClusterConfig",
    "DataCreationConfig",
    "DenoiseConfig",
    "Fraction",
    "GenerateConfig",
    "MetricsConfig",
    "ModelConfig",
    "PositiveFloat",
    "PositiveInt",
    "PromptMixConfig",
    "PromptsConfig",
    "RunConfig",
    "Section",
    "StudentConfig",
    "TaskConfig",
    "TuneConfig",
    "fingerprint",
    "short_hash",
    "with_absolute_paths",
]

# Methods that write with weights of their own.
_OWN_WEIGHTS = ("clm", "dexperts", "cvae")
# Methods that answer the task instead of writing.
_DIRECT = ("fine_tune", "soft_prompt")
# Methods that need no label to ask for.
_WITHOUT_LABELS = ("softsrv", "hard_prompt", "in_context")


class RunConfig(Section):
    """One run: its sections, where its output goes and the seed of all that is random."""

    output_uri: str = Field(description="file:// or plain path, or s3://bucket/prefix")
    seed: int = 13
    parent: str | None = Field(
        None,
        description="output of the run that this one goes on from: its prompts are used as they "
        "are, what it kept is not kept again, and students learn from both",
    )
    task: TaskConfig
    model: ModelConfig = ModelConfig()
    prompts: PromptsConfig = PromptsConfig()
    tune: TuneConfig = TuneConfig()
    generate: GenerateConfig = GenerateConfig()
    denoise: DenoiseConfig = DenoiseConfig()
    student: StudentConfig = StudentConfig()
    metrics: MetricsConfig = MetricsConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _check_across_sections(self) -> RunConfig:
        made, kept = self.generate.num_candidates_per_unit, self.denoise.num_kept_per_unit
        # A reply of data_creation holds several.
        if made < kept and not self.generate.grows:
            raise ValueError(
                f"generate.num_candidates_per_unit is {made}, but denoise.num_kept_per_unit is "
                f"{kept}; over-generate at least as many as you keep."
            )
        if not (self.generate.units_per_seed_example or self.generate.novel_units_per_seed_example):
            raise ValueError(
                "generate.units_per_seed_example and novel_units_per_seed_example are both 0, "
                "which plans nothing; raise one."
            )
        if _absolute_uri(self.output_uri) in map(_absolute_uri, self.task.reviewed):
            raise ValueError(
                f"task.reviewed names {self.output_uri}, which is this run's own output_uri; what "
                "people decide on a run counts in the next one, so give that another output_uri."
            )
        if self.parent and _absolute_uri(self.output_uri) == _absolute_uri(self.parent):
            raise ValueError(
                f"parent is {self.parent}, which is this run's own output_uri; give this run "
                "another one."
            )
        self._check_quota()
        self._check_source()
        self._check_written()
        self._check_engine()
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
        return self

    @property
    def relabel(self) -> str:
        """What comes of the frozen LM's own label: none, replace, drop_disagreeing or keep."""
        if self.denoise.relabel != "auto":
            return self.denoise.relabel
        return "replace" if self.generate.mixes else "none"

    @property
    def changes_labels(self) -> bool:
        """Whether relabelling makes a second data set of the run's candidates."""
        return self.relabel in ("replace", "drop_disagreeing")

    def _check_engine(self) -> None:
        generate, cluster = self.generate, self.cluster
        if generate.method in _DIRECT and generate.engine != "hf":
            raise ValueError(
                f"generate.method is {generate.method}, for which the LM itself answers the task; "
                f"generate.engine {generate.engine} cannot, so set it to hf."
            )
        parallel = generate.tensor_parallel_size
        if generate.engine != "vllm":
            if parallel > 1:
                raise ValueError(
                    f"generate.tensor_parallel_size is {parallel}, which engine "
                    f"{generate.engine} does not know; set generate.engine to vllm."
                )
            return
        if generate.method in _OWN_WEIGHTS:
            raise ValueError(
                f"generate.method is {generate.method}, whose learned weights engine vllm cannot "
                "be handed; set generate.engine to hf."
            )
        if generate.repetition_penalty != 1.0:
            raise ValueError(
                f"generate.repetition_penalty is {generate.repetition_penalty:g}; with engine vllm "
                "a penalty on prompts that are embeddings can end the engine, so leave it at 1, "
                "or set generate.engine to hf."
            )
        if 1e-3 < generate.temperature < 0.01:
            raise ValueError(
                f"generate.temperature is {generate.temperature:g}, which vLLM would raise to "
                "0.01; use 0.01 or more, or 0.001 or less for the likeliest token each time."
            )
        gpus = cluster.gpus_per_generator
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"cluster.gpus_per_generator is {gpus:g}; above 1 it is a whole number of GPUs."
            )
        if gpus and parallel != max(1, gpus):
            raise ValueError(
                f"generate.tensor_parallel_size is {parallel}, but cluster.gpus_per_generator is "
                f"{gpus:g}; vLLM spreads an LM over all GPUs of its generator, so make them equal."
            )

    def _check_source(self) -> None:
        method, source = self.generate.method, self.prompts.source
        if (method == "softsrv") != (source == "example"):
            raise ValueError(
                f"generate.method is {method}, but prompts.source is {source}; softsrv is driven "
                "by the example alone, so example goes with softsrv and with nothing else."
            )

    def _check_written(self) -> None:
        """Pass where a task without labels meets nothing that needs some."""
        name, method = self.task.name, self.generate.method
        if name not in WRITTEN_TASKS:
            return
        if method not in _WITHOUT_LABELS:
            raise ValueError(
                f"task.name is {name}, whose examples have no labels, but generate.method {method} "
                f"works by labels; set it to {' or '.join(_WITHOUT_LABELS)}."
            )
        if self.denoise.disagreement_weight or self.denoise.frequency_weight:
            raise ValueError(
                f"task.name is {name}, whose examples have no labels, but "
                "denoise.disagreement_weight or frequency_weight counts them; set distance_weight "
                "to 1 and these to 0."
            )
        if self.student.kind != "finetune":
            raise ValueError(
                f"task.name is {name}, whose answers are written out, but student.kind is "
                f"{self.student.kind}, which writes nothing; set it to finetune (of student.lm)."
            )
        if self.generate.num_synthetic is not None:
            raise ValueError(
                f"generate.num_synthetic is set, but the examples of {name} have no labels to "
                "balance it over; leave it out."
            )

    def _check_quota(self) -> None:
        generate = self.generate
        shares = generate.balance
        if isinstance(shares, dict) and abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(
                f"generate.balance has shares that sum to {sum(shares.values()):g}; make them sum "
                "to 1."
            )
        units = {
            "seen": generate.units_per_seed_example,
            "novel": generate.novel_units_per_seed_example,
        }
        if generate.combinations != "both" and not units[generate.combinations]:
            raise ValueError(
                f"generate.combinations is {generate.combinations}, but generate."
                f"{'novel_' * (generate.combinations == 'novel')}units_per_seed_example is 0, "
                "which plans nothing; raise it."
            )
        if generate.num_synthetic is None and generate.first_unit:
            raise ValueError(
                f"generate.first_unit is {generate.first_unit}, but generate.num_synthetic is not "
                "set; only the rounds of an exact number go on from other units."
            )
        if generate.num_synthetic is None and generate.balance != "seed":
            raise ValueError(
                "generate.balance is set, but generate.num_synthetic is not; a balance divides a "
                "number, so say how many."
            )

    def defining(self) -> dict[str, Any]:
        """Return what makes two runs the same: all but where it goes, runs and is measured."""
        return self.model_dump(mode="json", exclude={"output_uri", "metrics", "cluster"})


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
    hashed = {key: short_hash(json.dumps(leaf, sort_keys=True)) for key, leaf in leaves.items()}
    return {**hashed, **content}


def short_hash(text: str) -> str:
    """Return what a fingerprint holds for a setting with this JSON."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _absolute_uri(uri: str) -> str:
    return uri.rstrip("/") if "://" in uri else str(Path(uri).expanduser().resolve())


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Return the config with its local paths made absolute, since workers have other folders."""

    def absolute(name: str) -> str:
        path = Path(name).expanduser()
        return str(path.resolve()) if path.exists() else name

    task, model, prompts, generate = config.task, config.model, config.prompts, config.generate
    files = ("thesaurus", "helper_model", "helper_model_back")
    return config.model_copy(
        update={
            "output_uri": _absolute_uri(config.output_uri),
            "parent": config.parent and _absolute_uri(config.parent),
            "task": task.model_copy(
                update={
                    "path": absolute(task.path),
                    "ontology": task.ontology and absolute(task.ontology),
                    "reviewed": [_absolute_uri(uri) for uri in task.reviewed],
                }
            ),
            "model": model.model_copy(update={"name": absolute(model.name)}),
            "prompts": prompts.model_copy(
                update={"contextual_encoder": absolute(prompts.contextual_encoder)}
            ),
            "generate": generate.model_copy(
                update={key: absolute(name) for key in files if (name := getattr(generate, key))}
            ),
            "denoise": config.denoise.model_copy(
                update={
                    "encoder": absolute(config.denoise.encoder),
                    "decontaminate": [absolute(path) for path in config.denoise.decontaminate],
                }
            ),
            "student": config.student.model_copy(
                update={
                    "encoder": absolute(config.student.encoder),
                    "lm": absolute(config.student.lm),
                }
            ),
        }
    )
