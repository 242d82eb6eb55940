"""The section ``generate``: the method, its plan, the engine and its sampling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from msp.config_methods import MethodSettings, check_method
from msp.config_sections import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)


class PromptMixConfig(Section):
    """What a text of method promptmix is asked to be (arXiv 2310.14192)."""

    variant: Literal["one_class", "described", "no_mixing", "mixing", "zero_shot_mixing"] = Field(
        "mixing",
        description="the paper's ladder: the context shows one class; also its description; a "
        "group of classes; a group, and the text is of two of them; the same without exemplars",
    )
    classes_per_group: Annotated[int, Field(ge=2)] = 4
    exemplars_per_class: NonNegativeInt = Field(2, description="seed examples shown of each class")
    texts_per_class: PositiveInt = Field(
        100, description="candidates made of each class; generate.num_synthetic goes before it"
    )
    alphas: list[Annotated[float, Field(ge=0.5, le=1.0)]] | None = Field(
        None,
        min_length=1,
        description="shares of the first class, drawn from these alike; none: 0.5 + 0.5 Beta(5, 2)",
    )


class FormattingExample(Section):
    """The one example that method data_creation begins with."""

    question: Annotated[str, Field(min_length=1)]
    context: str | None = None
    options: Annotated[list[str], Field(min_length=2)]
    label: str

    @field_validator("label", mode="before")
    @classmethod
    def _yes_or_no(cls, label: object) -> object:
        return str(label) if isinstance(label, bool) else label

    @model_validator(mode="after")
    def _check(self) -> FormattingExample:
        if self.label not in self.options:
            raise ValueError(
                f"generate.data_creation.example has the label {self.label!r}, which is not among "
                f"its options; use one of {', '.join(map(repr, self.options))}."
            )
        return self


class DataCreationConfig(Section):
    """How one formatting example grows into a set (arXiv 2310.20111)."""

    strategy: Literal["naive", "random", "diverse", "similar", "tree"] = Field(
        "tree",
        description="what formats the next request: always the first example; any accepted one; "
        "the one least, or most, similar to the current one; or every accepted one in its turn, "
        "level by level",
    )
    example: FormattingExample | None = Field(
        None, description="the first one; none: a seed example, drawn by seed"
    )
    format: Literal["json", "lines"] = Field(
        "json",
        description="of requests and replies: a JSON list, whose objects are the questions; or "
        "numbered lines, of which a reply is one, as the LM that ships knows them",
    )
    num_chains: PositiveInt = Field(
        4, description="all but tree: requests of a round, each with a chain of examples of its own"
    )
    max_requests_per_round: Annotated[int, Field(ge=1, le=4096)] = Field(
        256, description="tree: the rest of a level waits for the next round"
    )
    max_items_per_reply: Annotated[int, Field(ge=1, le=64)] = Field(
        8, description="json: examples read of one reply; what follows them is dropped"
    )
    max_fruitless: PositiveInt = Field(
        40, description="requests in a row without an accepted example after which the run stops"
    )


class GenerateConfig(Section, MethodSettings):
    """The plan, the engine and its sampling."""

    method: Literal[
        "msp",
        "softsrv",
        "promptmix",
        "promptmix_soft",
        "data_creation",
        "hard_prompt",
        "in_context",
        "eda",
        "paraphrase",
        "fill_in",
        "round_trip",
        "clm",
        "dexperts",
        "cvae",
        "fine_tune",
        "soft_prompt",
    ] = Field(
        "msp",
        description="msp: mixed soft prompts; softsrv: prompts computed from real examples "
        "(prompts.source: example); promptmix: texts between two classes, asked for in words, "
        "then relabelled; promptmix_soft: likewise, asked for by soft prompts; data_creation: "
        "questions with options, grown from one formatting example; hard_prompt: the "
        "same LM with text alone; in_context: with more exemplars; eda, paraphrase, fill_in, "
        "round_trip: seed examples' texts made over; clm: the LM fine-tuned on the seed examples; "
        "dexperts: the LM steered by an expert and an anti-expert of each attribute; cvae: a "
        "variational autoencoder of the seed examples; fine_tune, soft_prompt: nothing is "
        "generated, the LM answers the task itself",
    )
    promptmix: PromptMixConfig = PromptMixConfig()
    data_creation: DataCreationConfig = DataCreationConfig()
    engine: Literal["hf", "vllm", "scripted"] = Field(
        "hf", description="vllm: decoder-only LMs, continuous batching; needs the extra msp[vllm]"
    )
    tensor_parallel_size: PositiveInt = Field(
        1, description="vllm: GPUs that share one LM; as many as cluster.gpus_per_generator"
    )
    attributes: list[str] | None = Field(
        None, description="plan only constraints that carry one of these; none plans all"
    )
    units_per_seed_example: NonNegativeInt = Field(
        1, description="units that ask for what a seed example carries"
    )
    novel_units_per_seed_example: NonNegativeInt = Field(
        4, description="units that ask for labels which no seed example combines"
    )
    unseen_attributes: bool = Field(
        True,
        description="labels that no seed example carries take part in new combinations, each like "
        "one with a single seed example",
    )
    num_synthetic: PositiveInt | None = Field(
        None,
        description="exactly this many synthetic examples, in rounds; none: what one pass keeps",
    )
    balance: Literal["seed", "uniform", "inverse"] | dict[str, PositiveFloat] = Field(
        "seed",
        description="of num_synthetic: as the seed examples, all alike, the rare ones most, or "
        "{name: share} with shares that sum to 1 (a combination is named label+label)",
    )
    balance_over: Literal["attributes", "combinations"] = "attributes"
    combinations: Literal["seen", "novel", "both"] = Field(
        "both", description="of labels: those of seed examples, those that none has, or both"
    )
    compatibility: Literal["any", "companions", "classifier"] = Field(
        "any", description="which labels a new combination may bring together"
    )
    max_rounds: PositiveInt = Field(8, description="of generation, until num_synthetic is there")
    first_unit: NonNegativeInt = Field(
        0,
        description="with num_synthetic: id of the first unit; a run that goes on from another one "
        "starts after its units, and so writes other texts",
    )
    num_candidates_per_unit: PositiveInt = 5
    units_per_shard: PositiveInt = Field(32, description="units that commit together as one object")
    temperature: PositiveFloat = 0.6
    top_k: NonNegativeInt = Field(0, description="0 keeps the whole vocabulary")
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    repetition_penalty: PositiveFloat = 1.0
    value_bonus: NonNegativeFloat = Field(
        3.0,
        description="nats added to the next token of an asked slot value until the value stands, "
        "and taken from what would end the text before; 0: none",
    )
    max_new_tokens: PositiveInt = 64
    batch_size: PositiveInt | Literal["auto"] = Field(
        "auto",
        description="units at once; auto: what the memory holds; fewer where it was too many",
    )

    @property
    def mixes(self) -> bool:
        """Whether a text is asked to lie between two classes."""
        return self.method in ("promptmix", "promptmix_soft")

    @property
    def grows(self) -> bool:
        """Whether what is accepted formats the next requests."""
        return self.method == "data_creation"

    @model_validator(mode="after")
    def _check(self) -> GenerateConfig:
        check_method(self, method=self.method, engine=self.engine)
        if self.grows and self.num_synthetic is None:
            raise ValueError(
                "generate.method is data_creation, which grows until it has enough, but "
                "generate.num_synthetic is not set; say how many."
            )
        if not self.grows and self.data_creation != DataCreationConfig():
            raise ValueError(
                f"generate.data_creation is set, which method {self.method} does not know; leave "
                "it out or set generate.method to data_creation."
            )
        return self
