"""Lines that an LM writes count as what they spell, and as nothing where they spell nothing."""

from __future__ import annotations

import numpy as np

from msp.records import Example
from msp.students.examples import labelled_texts
from msp.students.kinds import Classifier, Tagger
from msp.students.tag_scheme import make_scheme
from msp.students.written import answer_line, read_answers
from msp.tasks.brackets import read_brackets, write_brackets

LABELS = ("check, in", "how", "spa")


def test_labels_are_read_back_and_unknown_ones_are_not_counted() -> None:
    examples = [
        Example("a", "x", ("check, in", "spa"), {"time": ("noon",)}),
        Example("b", "y", ()),
    ]
    split = labelled_texts(examples, LABELS)
    lines = [answer_line(example, "multilabel") for example in examples]
    assert lines == [r"check\, in, spa", ""]
    said = read_answers(lines, split, Classifier(LABELS))
    assert np.array_equal(said.astype(bool), split.gold)
    odd = read_answers(["spa, nonsense", "spa : : ; |"], split, Classifier(LABELS))
    assert odd.tolist() == [[0, 0, 1], [0, 0, 0]]


def test_of_a_single_label_a_line_with_two_or_none_says_nothing_and_is_wrong() -> None:
    examples = [Example(uid, uid, ("how",)) for uid in "abc"]
    split = labelled_texts(examples, ("how", "spa"), "single_label")
    learner = Classifier(("how", "spa"), is_single=True)
    said = read_answers(["how", "", "how, spa"], split, learner)
    nothing = (said[:0], split)
    assert learner.score(nothing, (said, split))["metrics"]["accuracy"] == 100 / 3


def test_brackets_must_hold_the_texts_own_words() -> None:
    gold = ["go to [city Rome ]", "hello there", "to [city Oslo ]"]
    examples = [Example(str(i), "", (), {}, target=line) for i, line in enumerate(gold)]
    split = labelled_texts(examples, (), "tagging")
    scheme = make_scheme([read_brackets(line) for line in gold], has_root=False)
    learner = Tagger(scheme, ("city",), "tagging")
    assert [answer_line(example, "tagging") for example in examples] == gold
    lines = ["go to [city Rome ]", "hello [city there", "to [city Rome ]"]
    found = [write_brackets(f) for f in read_answers(lines, split, learner)]
    assert found == [gold[0], "hello there", "to Oslo"]
    assert (
        learner.score(([], split), (read_answers(gold, split, learner), split))["metrics"][
            "entity_f1"
        ]
        == 100.0
    )
