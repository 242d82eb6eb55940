"""Relabelling: the shortlist, what is asked of the LM, and what comes of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from msp.config import DenoiseConfig, RunConfig
from msp.denoise.relabel import Relabeller, Relabelling, Shortlist, check_relabel
from msp.denoise.scorer import UnitScorer
from msp.engines.base import Question
from msp.engines.scripted_choice import ScriptedChooser, WordVectors
from msp.errors import ConfigError
from msp.records import Candidate, Constraint, Generated, Unit
from msp.tasks import load_task
from msp.tasks.base import TaskData
from msp.tasks.linearise import parse_target

CONFIG = DenoiseConfig(frequency_weight=1, distance_weight=0, disagreement_weight=0)
TEXTS = ["about the oak and its acorn", "cider and apple pie", "", "the oak in the shade", "moss"]


class SaysMoss:
    """A chooser that says moss wherever it may, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def choose(self, questions: Sequence[Question]) -> list[int]:
        self.asked += questions
        return [q.options.index("moss") if "moss" in q.options else 0 for q in questions]


def run_config(path: Path, *, predict: str = "label", **sections: object) -> RunConfig:
    task = {"name": "jsonl", "path": str(path), "predict": predict}
    return RunConfig.model_validate({"output_uri": "x", "task": task, **sections})


@pytest.fixture
def task(plants_path: Path) -> TaskData:
    return load_task(run_config(plants_path).task, seed=13)


def judged(
    task: TaskData, policy: str, config: DenoiseConfig = CONFIG, size: int = 6
) -> tuple[list[Candidate], SaysMoss]:
    chooser = SaysMoss()
    relabeller = Relabeller(task, WordVectors(), chooser, size=size)
    scorer = UnitScorer(config, None, task.seeds, relabelling=Relabelling(relabeller, policy))
    seed = next(seed for seed in task.seeds if seed.attributes == ("oak",))
    asked = Unit(0, 0, "m", seed.uid, Constraint(("oak",), {}, "general"), (), len(TEXTS), 1)
    (candidates,) = scorer.judge([asked], [[Generated(text, 3, -1.0) for text in TEXTS]])
    return candidates, chooser


def test_the_shortlist_is_the_nearest_means_of_seed_examples_and_name(task: TaskData) -> None:
    encoder = WordVectors()
    shortlist = Shortlist(task, encoder, 3)
    texts = ["acorn of the oak", "a thorn of the rose", "fern"]
    places = shortlist.nearest(encoder.encode(texts))
    names = [attribute.name for attribute in task.ontology.attributes]
    assert [names[row[0]] for row in places] == ["oak", "rose", "fern"]
    for text, row in zip(texts, places, strict=True):
        nearness = {}
        for name in names:
            own = [seed.text for seed in task.seeds if seed.attributes == (name,)]
            mean = encoder.encode([*own, name]).mean(axis=0)
            nearness[name] = float(encoder.encode([text])[0] @ mean / np.linalg.norm(mean))
        expected = sorted(names, key=lambda name: -nearness[name])[:3]
        assert [round(nearness[names[k]], 5) for k in row] == [
            round(nearness[name], 5) for name in expected
        ]


def test_a_shortlist_is_never_longer_than_the_classes(task: TaskData) -> None:
    assert Shortlist(task, WordVectors(), 50).nearest(np.zeros((2, 512), np.float32)).shape == (
        2,
        6,
    )


def test_the_lm_is_asked_for_exactly_the_shortlist_and_only_of_what_may_stay(
    task: TaskData,
) -> None:
    candidates, chooser = judged(task, "keep", size=3)
    assert sorted(q.text for q in chooser.asked) == sorted(text for text in TEXTS if text)
    assert all(len(set(question.options)) == 3 for question in chooser.asked)
    assert [c.relabelled is None for c in candidates] == [text == "" for text in TEXTS]


def test_the_most_typical_seed_examples_of_the_shortlist_are_shown_the_nearest_class_last(
    task: TaskData,
) -> None:
    chooser = SaysMoss()
    relabeller = Relabeller(task, WordVectors(), chooser, size=3, exemplars=2)
    relabeller.labels(["the oak in the shade"])
    (question,) = chooser.asked
    assert [label for _, label in question.shown] == [
        label for label in reversed(question.options) for _ in range(2)
    ]
    labels = {seed.text: seed.attributes[0] for seed in task.seeds}
    assert all(labels[text] == label for text, label in question.shown)
    assert len(set(question.shown)) == 6


def test_what_is_too_noisy_is_not_asked_about(task: TaskData) -> None:
    config = CONFIG.model_copy(update={"max_noise_score": 0.01})
    candidates, chooser = judged(task, "replace", config)
    assert not chooser.asked and {c.reason for c in candidates} == {"off_topic", "empty"}


def test_replace_gives_the_new_label_and_keeps_the_text(task: TaskData) -> None:
    candidates, _ = judged(task, "replace")
    assert [c.kept for c in candidates] == [True, True, False, True, True]
    for candidate in candidates:
        replaced = candidate.relabelled == "moss"
        assert candidate.replaced == replaced
        assert parse_target(candidate.target)[0] == (("moss",) if replaced else ("oak",))


def test_drop_disagreeing_drops_with_a_reason_and_makes_room_for_those_that_agree(
    task: TaskData,
) -> None:
    agreeing = DenoiseConfig(**{**CONFIG.model_dump(), "num_kept_per_unit": 1})
    candidates, _ = judged(task, "drop_disagreeing", agreeing)
    assert [c.reason for c in candidates] == [*["disagreed"] * 2, "empty", *["disagreed"] * 2]
    assert not any(c.replaced for c in candidates)

    class SaysOak(SaysMoss):
        def choose(self, questions: Sequence[Question]) -> list[int]:
            return [q.options.index("oak" if "oak" in q.text else "moss") for q in questions]

    relabeller = Relabeller(task, WordVectors(), SaysOak(), size=6)
    relabelling = Relabelling(relabeller, "drop_disagreeing")
    scorer = UnitScorer(agreeing, None, task.seeds, relabelling=relabelling)
    seed = task.seeds[0]
    unit = Unit(0, 0, "m", seed.uid, Constraint(("oak",), {}, "general"), (), 2, 1)
    made = [Generated("cider", 3, -1.0), Generated("the oak", 3, -1.0)]
    (candidates,) = scorer.judge([unit], [made])
    assert [c.reason for c in candidates] == ["disagreed", None]


def test_keep_notes_what_the_lm_says_and_changes_nothing(task: TaskData) -> None:
    candidates, _ = judged(task, "keep")
    assert any(c.relabelled == "moss" for c in candidates)
    assert {c.target for c in candidates} == {"oak"} and not any(c.replaced for c in candidates)
    assert [c.kept for c in candidates] == [True, True, False, True, True]


def test_an_answer_of_the_scripted_chooser_depends_on_its_own_text_alone(task: TaskData) -> None:
    relabeller = Relabeller(task, WordVectors(), ScriptedChooser(), size=5)
    texts = [f"{seed.text} {number}" for seed in task.seeds for number in range(10)]
    labels = relabeller.labels(texts)
    assert labels[::-1] == relabeller.labels(texts[::-1])
    right = [s.attributes[0] for s in task.seeds for _ in range(10)]
    assert 0.6 < np.mean([a == b for a, b in zip(labels, right, strict=True)]) < 0.9


@pytest.mark.parametrize(
    "sections", [{"denoise": {"relabel": "keep"}}, {"metrics": {"teacher": True}}]
)
def test_a_task_with_several_labels_a_text_is_refused(
    plants_path: Path, sections: dict[str, object]
) -> None:
    config = run_config(plants_path, predict="labels", **sections)
    with pytest.raises(ConfigError, match=r"(relabel is keep|teacher is true).*multilabel"):
        check_relabel(config, load_task(config.task, seed=13))


@pytest.mark.parametrize(("method", "policy"), [("promptmix", "replace"), ("msp", "none")])
def test_relabelling_is_on_where_texts_lie_between_classes(
    plants_path: Path, method: str, policy: str
) -> None:
    assert run_config(plants_path, generate={"method": method}).relabel == policy
    kept = run_config(plants_path, generate={"method": method}, denoise={"relabel": "keep"})
    assert kept.relabel == "keep" and not kept.changes_labels
