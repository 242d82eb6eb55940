"""A task's answers as lines that an LM writes, and back into what a student's answers are.

So an LM that answers the task itself is scored by the very figures of the
students. A line that cannot be read counts as no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from msp.errors import TaskDataError
from msp.records import Constraint, Example
from msp.students.examples import Floats, LabelledTexts
from msp.students.kinds import Classifier, Learner
from msp.tasks.base import Kind
from msp.tasks.brackets import Forest, read_brackets, words_in
from msp.tasks.linearise import linearise, parse_target


def answer_line(example: Example, kind: Kind) -> str:
    """Return what is to be written for an example: its brackets, or its labels."""
    if kind in ("tagging", "parse"):
        return example.target or ""
    return linearise(Constraint(example.attributes, {}, example.domain))


def read_answers(lines: Sequence[str], split: LabelledTexts, learner: Learner) -> Any:
    """Return the answers that lines spell, for ``learner.score``.

    Args:
        lines: one for each text of the split.
        split: the texts; an answer in brackets must hold a text's own words.
        learner: the task's kind of student.

    Returns:
        for labels [N, A], 1 where a label is said; else each text's forest.
    """
    if isinstance(learner, Classifier):
        return _labels(lines, learner.labels, is_single=learner.is_single)
    return [_forest(line, gold) for line, gold in zip(lines, split.targets, strict=True)]


def _labels(lines: Sequence[str], labels: Sequence[str], *, is_single: bool) -> Floats:
    said = np.zeros((len(lines), len(labels)), dtype=np.float32)
    for row, line in enumerate(lines):
        try:
            names = parse_target(line)[0]
        except TaskDataError:
            continue
        known = [labels.index(name) for name in dict.fromkeys(names) if name in labels]
        if len(known) == 1 or not is_single:
            said[row, known] = 1.0
    return said


def _forest(line: str, gold: str) -> Forest:
    words = words_in(read_brackets(gold))
    try:
        forest = read_brackets(line)
    except TaskDataError:
        return tuple(words)
    return forest if words_in(forest) == words else tuple(words)
