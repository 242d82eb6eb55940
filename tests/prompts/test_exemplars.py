"""Exemplars resemble the seed example, never are it, and are drawn by the given chance alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msp.prompts.exemplars import ExemplarPools, choose_exemplars
from msp.records import Example

LABELS = st.sets(st.sampled_from("abcd"), max_size=3).map(lambda names: tuple(sorted(names)))
EXAMPLES = st.lists(st.tuples(LABELS, st.sampled_from(["x", "y"])), min_size=1, max_size=12).map(
    lambda rows: [Example(f"u{i}", f"t{i}", a, {}, d) for i, (a, d) in enumerate(rows)]
)


@given(EXAMPLES, st.integers(0, 5), st.integers(1, 4), st.integers(0, 3))
def test_each_exemplar_shares_domain_and_label_and_overlap_rises(
    seeds: list[Example], num: int, pool_size: int, chance: int
) -> None:
    chosen = choose_exemplars(
        seeds[0], seeds, num=num, pool_size=pool_size, rng=np.random.default_rng(chance)
    )
    wanted = set(seeds[0].attributes)
    overlaps = [len(wanted & set(example.attributes)) for example in chosen]
    assert seeds[0] not in chosen and len(set(map(id, chosen))) == len(chosen)
    assert all(overlaps) and overlaps == sorted(overlaps)
    assert {example.domain for example in chosen} <= {seeds[0].domain}
    assert len(chosen) <= min(num, pool_size)


@given(EXAMPLES, st.randoms())
def test_the_draw_does_not_depend_on_the_order_of_the_seed_examples(
    seeds: list[Example], random: object
) -> None:
    shuffled = list(seeds)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = (
        choose_exemplars(seeds[0], order, num=2, pool_size=3, rng=np.random.default_rng(5))
        for order in (seeds, shuffled)
    )
    assert one == two


def test_the_pool_holds_the_best_by_overlap(seeds: tuple[Example, ...]) -> None:
    pool = ExemplarPools(seeds, pool_size=3).pool(seeds[0])
    assert [example.uid for example in pool] == ["e1", "e6", "e2"]


def test_a_copy_of_the_text_under_another_uid_is_no_exemplar() -> None:
    twins = [Example("a", "same", ("x",)), Example("b", "same", ("x",))]
    rng = np.random.default_rng(0)
    assert choose_exemplars(twins[0], twins, num=2, pool_size=2, rng=rng) == ()
