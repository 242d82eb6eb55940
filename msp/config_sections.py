"""The sections of a run's configuration, each with what its settings mean and may be.

Rules that look at one section stand with it; those across sections are
:class:`msp.config.RunConfig`'s. The sections ``task`` and ``generate`` are in files of their own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


class Section(BaseModel):
    """A section of the config: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ModelConfig(Section):
    """The frozen LM: any causal or seq2seq checkpoint."""

    name: str = Field("builtin", description="builtin, a local path, or a hub id")
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 where the device multiplies in it, else float32"
    )
    trust_remote_code: bool = Field(False, description="run code that the checkpoint brings")


class PromptsConfig(Section):
    """Sizes, initialisation and mixture of the soft prompts, and the text after them."""

    instruction_length: PositiveInt = 32
    attribute_length: PositiveInt = 8
    mixture: Literal["attention", "bottleneck", "concat", "convolution", "pooling"] = "concat"
    init: Literal["description", "vocabulary", "noise"] = Field(
        "description",
        description="how attribute prompts start (the instruction prompt: from its text, or noise; "
        "one that an example alone drives: from a list of seed examples, or vocabulary, or noise)",
    )
    num_exemplars: NonNegativeInt = 2
    exemplar_pool_size: PositiveInt = Field(
        10, description="drawn from this many best by attribute overlap"
    )
    attributes_in_text: bool = Field(
        True, description="name the attributes in the text after the soft prompts, too"
    )
    source: Literal["attributes", "example", "both"] = Field(
        "attributes",
        description="what a soft prompt comes from: attributes, each with a prompt of its own "
        "(MSP); a real example's embedding, and no text follows (SoftSRV); both: attributes, then "
        "the example, then the text",
    )
    contextual_form: Literal["nsp", "mixture", "mlp"] = Field(
        "mlp",
        description="of source example and both: nsp is one prompt for all examples, mixture "
        "weighs a few, mlp has a small network for each position",
    )
    contextual_length: PositiveInt = 128
    contextual_bases: PositiveInt = Field(2, description="prompts that mixture weighs")
    contextual_width: PositiveInt = Field(128, description="units of each network of mlp")
    contextual_encoder: str = Field(
        "minilm", description="embeds the example: minilm, a local path or hub id"
    )

    @property
    def has_contextual(self) -> bool:
        """Whether a part of the soft prompt is computed from an example."""
        return self.source != "attributes"

    @property
    def has_attributes(self) -> bool:
        """Whether a part of the soft prompt is mixed of attribute prompts, and text follows."""
        return self.source != "example"

    @model_validator(mode="after")
    def _check(self) -> PromptsConfig:
        if not self.has_attributes and self.mixture != "concat":
            raise ValueError(
                f"prompts.mixture is {self.mixture}, but prompts.source is example, where nothing "
                "is mixed; leave it at concat, or set source to both."
            )
        return self


class TuneConfig(Section):
    """Prompt tuning: Ray Train workers, each with the frozen LM, under DeepSpeed."""

    num_epochs: NonNegativeInt = Field(12, description="0 leaves the prompts as initialised")
    batch_size: PositiveInt = Field(16, description="examples per optimiser step, over all workers")
    learning_rate: PositiveFloat = 0.01
    instruction: bool = Field(
        True,
        description="tune the instruction prompt, too; false: it stays the text that it starts as",
    )
    fit_learning_rate: PositiveFloat | None = Field(
        None,
        description="of a model that a method learns itself (clm, dexperts, cvae, fine_tune); "
        "none: 1e-3, or 1e-4 where all weights of the LM learn",
    )
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    warmup_fraction: Fraction = 0.1
    patience: PositiveInt = Field(
        4, description="epochs without a better dev score before stopping"
    )
    select_by: Literal["dev_loss", "dev_bleu"] = "dev_loss"
    max_dev_examples: PositiveInt = Field(
        128, description="dev examples that each epoch's loss is taken over; fewer, less time"
    )
    max_dev_generations: NonNegativeInt = Field(
        32, description="dev examples generated for BLEU each epoch; 0 for none"
    )
    num_workers: PositiveInt = 1
    gpus_per_worker: NonNegativeInt = 0
    cpus_per_worker: PositiveInt = 1
    zero_stage: Literal[0, 1, 2, 3] = 0
    offload: Literal["none", "cpu"] = "none"
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of the frozen LM; prompts and optimiser stay float32; auto: bfloat16 where "
        "the device multiplies in it",
    )
    activation_checkpointing: bool = Field(
        False, description="less memory for about a third more computation"
    )
    max_failures: NonNegativeInt = Field(
        3, description="worker failures survived before the run fails"
    )


class DenoiseConfig(Section):
    """Noise scores and the keep rule."""

    encoder: str = Field(
        "minilm", description="minilm (all-MiniLM-L6-v2) or a local path or hub id"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the encoder; auto: bfloat16 where the device multiplies in it"
    )
    num_kept_per_unit: PositiveInt = 4
    frequency_weight: Fraction = Field(
        0.0, description="weight of how common the attributes are (MSP's own: 0.5, distance 0.5)"
    )
    distance_weight: Fraction = Field(0.2, description="weight of 1 - cosine to the seed example")
    disagreement_weight: Fraction = Field(
        0.8, description="weight of how little a classifier of the seed examples agrees"
    )
    label_text_weight: NonNegativeFloat = Field(
        0.5,
        description="how often that classifier is shown the labels' own words and descriptions, "
        "all against all seed examples; 0: never",
    )
    max_noise_score: PositiveFloat = Field(0.85, description="drop above this")
    novel_agreement: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description="keep a text of a new combination only where classifiers of the seed examples "
        "are as sure of its labels as of this share of real texts of held-out ones; none: no rule",
    )
    span_agreement: Fraction = Field(
        0.8,
        description="where words are labelled: drop where taggers of the seed examples, shown the "
        "text, agree less on where labels stand (F1 of spans); 0: no rule",
    )
    relabel: Literal["auto", "none", "replace", "drop_disagreeing", "keep"] = Field(
        "auto",
        description="ask the frozen LM for each candidate's class again, and: replace the one that "
        "it was asked for, drop it where they differ, or keep it and note what the LM says; "
        "auto: replace with method promptmix, none otherwise",
    )
    relabel_shortlist: Annotated[int, Field(ge=2)] = Field(
        5, description="classes that the LM chooses among, the nearest by sentence embedding"
    )
    relabel_exemplars: NonNegativeInt = Field(
        1, description="seed examples of each of these classes that the LM is shown"
    )
    require_values: bool = Field(
        True, description="drop where an asked slot value is missing from the text"
    )
    max_surprise: PositiveFloat | None = Field(
        None,
        description="drop what the frozen LM itself found less likely, in nats a token (about 2.3 "
        "for the LM that ships); none: do not",
    )
    duplicates: Literal["none", "exact", "normalised", "minhash"] = Field(
        "minhash",
        description="drop what an earlier candidate of the run says, to the letter, but for case "
        "and punctuation, or nearly",
    )
    duplicate_threshold: Fraction = Field(
        0.8, description="minhash: share of the words and word pairs of two texts that they share"
    )
    duplicate_cosine: Fraction | None = Field(
        None, description="also drop above this cosine of the encoder's vectors; none: do not"
    )
    decontaminate: list[str] = Field(
        [],
        description="files of evaluation texts (.txt a line each, .jsonl with text), beside the "
        "task's own dev and test examples; what shares a text or 13 words in a row is dropped",
    )
    max_drop_rate: Fraction = Field(
        0.98,
        description="stop the run when more than this share is dropped; with num_synthetic, ask "
        "no further for a combination of which more is dropped",
    )
    drop_rate_window: PositiveInt = Field(
        1000, description="candidates over which the drop rate is watched"
    )

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of frequency, distance and disagreement in the noise score."""
        return self.frequency_weight, self.distance_weight, self.disagreement_weight

    @property
    def needs_encoder(self) -> bool:
        """Whether a verdict asks the sentence encoder for anything."""
        learned = self.disagreement_weight or self.novel_agreement is not None
        return bool(self.distance_weight or learned)


class StudentConfig(Section):
    """The downstream model, trained on seed examples and on seed + synthetic."""

    kind: Literal["head", "finetune"] = "head"
    encoder: str = Field(
        "minilm", description="body of the student: minilm, a local path or hub id"
    )
    lm: str = Field(
        "builtin",
        description="body of the student where answers are written out (gsm8k, mbpp): a causal or "
        "seq2seq LM, all of whose weights learn; builtin, a local path or hub id",
    )
    sizes: list[PositiveInt] = Field(
        [],
        description="train the augmented student on so many synthetic examples, too, each set "
        "within the next: how its score grows",
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
    curve: bool = Field(
        False,
        description="also train every student on the first 10, 20, ... 90 % of its examples, for "
        "the learning curve in metrics.json",
    )
    learns_from: Literal["both", "synthetic"] = Field(
        "both",
        description="of the augmented student: seed and synthetic examples, or synthetic ones "
        "alone, which sets them against the human data of the other student",
    )
    synthetic_weight: PositiveFloat = Field(
        0.5, description="how often synthetic examples are drawn, all against all seed examples"
    )
    label_text_weight: NonNegativeFloat = Field(
        0.5,
        description="likewise, the labels' own words and descriptions, which augmented learns, "
        "too; what these and synthetic examples give alone is trained beside it; 0: never",
    )
    source_weight: PositiveFloat = Field(
        0.5, description="likewise, labelled examples of other domains (task.setting additional)"
    )
    num_workers: PositiveInt = 1
    gpus_per_worker: NonNegativeInt = 0


class MetricsConfig(Section):
    """What is measured of the synthetic set. Not part of what defines a run."""

    max_texts: NonNegativeInt = Field(
        1000, description="texts that models measure, drawn by seed; 0 for none"
    )
    teacher: bool = Field(
        False,
        description="score the frozen LM itself on the test examples, as denoise.relabel asks it "
        "(tasks with one label a text)",
    )
    perplexity_model: str | None = Field(
        None, description="a causal LM for perplexity: builtin, a local path or hub id"
    )
