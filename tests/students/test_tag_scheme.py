"""Trees become levels of tags and come back; what tags spell is always a forest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msp.students.tag_scheme import TagScheme, make_scheme
from msp.tasks.brackets import Forest, Node, read_brackets, spans_in, words_in

PARSE = read_brackets(
    "[IN:CREATE remind [SL:WHO me ] to [SL:TODO [IN:CALL call [SL:NAME Ann ] now ] ] ]"
)

word = st.sampled_from(["a", "b", "c"])
nodes = st.recursive(
    word,
    lambda parts: st.builds(
        Node, st.sampled_from(["X", "Y"]), st.lists(parts, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=8,
)
forests = st.lists(nodes, min_size=1, max_size=4).map(tuple)


def test_a_parse_has_two_levels_where_a_slot_is_one_with_its_intent() -> None:
    scheme = make_scheme([PARSE], has_root=True)
    assert scheme.roots == ("IN:CREATE",)
    assert scheme.levels == (("SL:TODO\x1fIN:CALL", "SL:WHO"), ("SL:NAME",))
    root, tags = scheme.tags(PARSE)
    assert (root, tags.tolist()) == (0, [[0, 3, 0, 1, 2, 2], [0, 0, 0, 0, 1, 0]])


@given(forests)
def test_a_forest_comes_back_from_its_tags(forest: Forest) -> None:
    for has_root in (False, True):
        whole: Forest = (Node("IN:R", forest),) if has_root else forest
        scheme = make_scheme([whole], has_root=has_root)
        assert scheme.forest(words_in(whole), *scheme.tags(whole)) == whole


@given(st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=2, max_size=2))
def test_any_tags_spell_some_forest_over_the_same_words(rows: list[list[int]]) -> None:
    scheme = TagScheme((), (("X", "Y"), ("X", "Z")))
    words = list("abcdef")
    forest = scheme.forest(words, 0, np.array(rows))
    assert words_in(forest) == words


def test_what_the_scheme_does_not_know_is_outside() -> None:
    scheme = make_scheme([read_brackets("a [X b ]")], has_root=False)
    _, tags = scheme.tags(read_brackets("[Y a ] [X b [Y c ] ]"))
    assert tags.tolist() == [[0, 1, 2]]
    assert spans_in(scheme.forest(["a", "b", "c"], 0, tags))[0].label == "X"
