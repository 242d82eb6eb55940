"""What each training learns from: every arm whole, and the parts of it that curves are drawn of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from msp.config import RunConfig
from msp.records import Example
from msp.storage import layout
from msp.students.examples import TrainingSet, nested_subsets, training_set_of
from msp.students.label_texts import label_texts
from msp.tasks.base import TaskData

Source = Callable[[], Iterable[Example]]

# Of an arm's examples, where a learning curve is asked for; 100 is the whole arm.
PERCENTS = tuple(range(10, 100, 10))


class SetName(NamedTuple):
    """What a training set is called.

    Args:
        arm: whose it is.
        part: which part of it; empty for all of it.
    """

    arm: layout.Arm
    part: str = ""


def of_size(size: int) -> SetName:
    """Return the name of augmented's part with so many synthetic examples."""
    return SetName("augmented", f"size-{size}")


def of_percent(arm: layout.Arm, percent: int) -> SetName:
    """Return the name of an arm's part with so many percent of its examples."""
    return SetName(arm, f"first-{percent}")


def learns_from_real(config: RunConfig, arm: layout.Arm) -> bool:
    """Tell whether seed examples are among what an arm learns from."""
    return arm in ("seed_only", "label_texts") or config.student.learns_from == "both"


def training_sets(
    config: RunConfig,
    task: TaskData,
    synthetic: Source | None,
    before_relabel: Source | None,
) -> dict[SetName, TrainingSet]:
    """Return what every training of a run learns from, the whole arms first.

    Args:
        config: the run's.
        task: its seed examples and ontology.
        synthetic: returns the synthetic examples, in the same order every time; None where
            nothing is generated.
        before_relabel: likewise, with the labels that were asked for at first.

    Raises:
        TaskDataError: an example carries a label that the ontology does not know.
    """
    texts = label_texts(task.ontology, task.kind) if config.student.label_text_weight else ()

    def learned(arm: layout.Arm, examples: Iterable[Example]) -> TrainingSet:
        return training_set_of(
            task,
            examples,
            config=config.student,
            seed=config.seed,
            label_texts=() if arm in ("seed_only", "synthetic") else texts,
            with_real=learns_from_real(config, arm),
        )

    sets = {SetName("seed_only"): learned("seed_only", ())}
    if texts:
        sets[SetName("label_texts")] = learned("label_texts", ())
    if synthetic is not None:
        if texts:
            sets[SetName("synthetic")] = learned("synthetic", synthetic())
        sets[SetName("augmented")] = learned("augmented", synthetic())
    if before_relabel is not None:
        sets[SetName("before_relabel")] = learned("before_relabel", before_relabel())
    if config.student.curve:
        sets |= {
            of_percent(name.arm, percent): found.first(percent, config.seed)
            for name, found in sets.items()
            for percent in PERCENTS
        }
    if synthetic is not None:
        whole = sets[SetName("augmented")].num_synthetic
        sizes = sorted(size for size in {*config.student.sizes} if size < whole)
        parts = nested_subsets(synthetic(), sizes, seed=config.seed) if sizes else {}
        sets |= {of_size(size): learned("augmented", part) for size, part in parts.items()}
    return sets
