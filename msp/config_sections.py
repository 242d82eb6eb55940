"""The sections of a run's configuration, each with what its settings mean and may be.

Rules that look at one section stand with it; those across sections are
:class:`msp.config.RunConfig`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
Price = Annotated[float, Field(ge=0.0)] | None


class Section(BaseModel):
    """A section of the config: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


# Which settings each task has, by the names of MSP's experiments.
TASK_SETTINGS: dict[str, tuple[str, ...]] = {
    "jsonl": ("full", "few_shot"),
    "nlupp": ("full", "few_shot", "fold20", "fold10", "cross"),
    "crossner": ("full", "few_shot", "additional"),
    "topv2": ("full", "few_shot", "additional"),
    "banking77": ("full", "few_shot"),
    "actdial": ("full", "few_shot"),
    "trec": ("full", "few_shot"),
    "subj": ("full", "few_shot"),
}
_NEEDS_DOMAIN = {
    "nlupp": "banking and hotels",
    "crossner": "the folders of task.path, such as music",
    "topv2": "the files of task.path, such as reminder",
}


class TaskConfig(Section):
    """What is labelled, and which examples are seed, dev and test."""

    name: Literal["jsonl", "nlupp", "crossner", "topv2", "banking77", "actdial", "trec", "subj"] = (
        Field(description="the task's reader")
    )
    path: str = Field(
        description="data file (jsonl, actdial) or folder; sample:front_desk ships with the project"
    )
    ontology: str | None = Field(None, description="ontology file; beside the data file by default")
    domain: str | None = Field(
        None, description="one domain of the data (required by nlupp, crossner and topv2)"
    )
    setting: Literal["full", "few_shot", "fold20", "fold10", "cross", "additional"] = Field(
        "full",
        description="full: the published training split; few_shot: shots of it; fold20, fold10, "
        "cross (nlupp): train on one fold, on two, on the other domain; additional (crossner, "
        "topv2): the target domain, and labelled examples of the other domains beside it",
    )
    fold: NonNegativeInt = Field(0, description="which fold is the seed data (fold20, fold10)")
    shots: PositiveInt | None = Field(
        None,
        description="of few_shot: examples of each label (topv2: which published split, in SPIS)",
    )
    predict: Literal["labels", "label", "slots"] = Field(
        "labels",
        description="what the student answers in nlupp and jsonl; label: exactly one (jsonl)",
    )
    metrics: list[Literal["standard", "paper_compatible"]] = Field(
        ["standard"],
        description="paper_compatible adds the lenient figures of MSP's release, named paper_*",
    )
    max_seed_examples: PositiveInt | None = Field(
        None, description="at most this many seed examples, drawn by seed"
    )
    dev_fraction: Fraction = Field(
        0.2,
        description="share of the training part held out as dev where the data names no dev split",
    )
    compositional: bool = Field(
        False,
        description="test on labels that no seed or dev example has together, seed examples singly",
    )
    reviewed: list[str] = Field(
        [],
        description="outputs of runs whose reviewers' decisions count (msp review): accepted and "
        "corrected candidates join the seed examples, rejected ones are not kept again",
    )

    @model_validator(mode="after")
    def _check(self) -> TaskConfig:
        allowed = TASK_SETTINGS[self.name]
        if self.setting not in allowed:
            raise ValueError(
                f"task.setting is {self.setting}, which {self.name} does not know; it has: "
                f"{', '.join(allowed)}."
            )
        if self.name in _NEEDS_DOMAIN and self.domain is None:
            raise ValueError(
                f"task.domain is not set; {self.name} has the domains {_NEEDS_DOMAIN[self.name]}."
            )
        wants_shots = self.setting == "few_shot" or (
            self.setting == "additional" and self.name == "topv2"
        )
        if (self.shots is not None) != wants_shots:
            raise ValueError(
                f"task.setting is {self.setting} and task.shots is {self.shots}; few_shot (and "
                "additional in topv2) needs a number of shots, and no other setting has any."
            )
        if self.predict == "slots" and self.name not in ("jsonl", "nlupp"):
            raise ValueError(f"task.predict is slots, which jsonl and nlupp know; not {self.name}.")
        if self.predict == "label" and self.name != "jsonl":
            raise ValueError(f"task.predict is label, which jsonl knows; not {self.name}.")
        if "standard" not in self.metrics:
            raise ValueError("task.metrics leaves out standard, which a run is judged by; add it.")
        return self


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
        description="how attribute prompts start (the instruction prompt: from its text, or noise)",
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
    max_noise_score: PositiveFloat = Field(0.85, description="drop above this")
    novel_agreement: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description="keep a text of a new combination only where classifiers of the seed examples "
        "are as sure of its labels as of this share of real texts of held-out ones; none: no rule",
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
    generator_labels: dict[str, str] = Field(
        {}, description="labels of the nodes that generators run on, such as {gpu-type: l4}"
    )
    scorer_labels: dict[str, str] = Field({}, description="likewise, of scorers")
    tuner_labels: dict[str, str] = Field({}, description="likewise, of tuning's workers")
    student_labels: dict[str, str] = Field(
        {}, description="likewise, of the workers that finetune students"
    )
    dollars_per_head_hour: Price = Field(
        None, description="price of the head, or of the one machine without GPUs; none: not counted"
    )
    dollars_per_gpu_hour: Price = Field(
        None, description="price of a node with GPUs, divided by its GPUs; none: not counted"
    )
    dollars_per_cpu_hour: Price = Field(
        None, description="price of a node without GPUs, divided by its CPUs; none: not counted"
    )
    s3_endpoint_url: str | None = Field(
        None, description="for MinIO, Ceph, R2; none uses the AWS setting"
    )
    s3_timeout_seconds: PositiveFloat = Field(
        60.0, description="silence after which a request to S3 is sent again"
    )
    s3_sse: Literal["none", "AES256", "aws:kms"] = Field(
        "none", description="server-side encryption asked for with every write to S3"
    )
    s3_sse_kms_key_id: str | None = Field(
        None, description="of aws:kms; none uses the account's default key"
    )

    @model_validator(mode="after")
    def _check_encryption(self) -> ClusterConfig:
        if self.s3_sse_kms_key_id is not None and self.s3_sse != "aws:kms":
            raise ValueError(
                f"cluster.s3_sse_kms_key_id is set, but cluster.s3_sse is {self.s3_sse}; a key of "
                "KMS needs s3_sse: aws:kms."
            )
        return self
