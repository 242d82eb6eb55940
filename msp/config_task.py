"""The section ``task``: whose data is read, and which examples are seed, dev and test."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from msp.config_sections import Fraction, NonNegativeInt, PositiveInt, Section

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
    "winogrande": ("full", "few_shot"),
    "csqa": ("full", "few_shot"),
    "strategyqa": ("full", "few_shot"),
    "pubmedqa": ("full", "few_shot"),
    "boolq": ("full", "few_shot"),
    "gsm8k": ("full",),
    "mbpp": ("full",),
}
# Their answers are written out; nothing is labelled.
WRITTEN_TASKS = ("gsm8k", "mbpp")
QUESTION_TASKS = ("winogrande", "csqa", "strategyqa", "pubmedqa", "boolq")
_NEEDS_DOMAIN = {
    "nlupp": "banking and hotels",
    "crossner": "the folders of task.path, such as music",
    "topv2": "the files of task.path, such as reminder",
}


class TaskConfig(Section):
    """What is labelled, and which examples are seed, dev and test."""

    name: Literal[
        "jsonl",
        "nlupp",
        "crossner",
        "topv2",
        "banking77",
        "actdial",
        "trec",
        "subj",
        "winogrande",
        "csqa",
        "strategyqa",
        "pubmedqa",
        "boolq",
        "gsm8k",
        "mbpp",
    ] = Field(description="the task's reader")
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
    max_text_chars: PositiveInt | None = Field(
        None,
        description="leave longer seed and dev examples out (what a small LM's context holds)",
    )
    max_test_examples: PositiveInt | None = Field(
        None, description="score on this many test examples, drawn by seed; none: on all"
    )
    also_test: list[Literal["winogrande", "csqa", "strategyqa", "pubmedqa", "boolq"]] = Field(
        [],
        description="of questions with options: sets beside this one, in the same folder, on whose "
        "test questions the students are scored, too",
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
        if self.also_test and self.name not in QUESTION_TASKS:
            raise ValueError(
                f"task.also_test is set, but {self.name} is no set of questions with options; "
                f"these are {', '.join(QUESTION_TASKS)}."
            )
        if "standard" not in self.metrics:
            raise ValueError("task.metrics leaves out standard, which a run is judged by; add it.")
        return self
