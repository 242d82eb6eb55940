"""An epoch's batches hold every example once, alike in every process, and pad little."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from msp.prompts.batches import plan_batches, share

LENGTHS = st.lists(st.integers(1, 500), max_size=200)


@given(LENGTHS, st.integers(1, 32), st.integers(0, 2**63), st.integers(0, 50))
def test_every_example_is_in_one_batch(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    batches = plan_batches(lengths, batch_size, seed=seed, epoch=epoch)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    sizes = {len(batch) for batch in batches}
    assert not sizes or (max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1)
    assert batches == plan_batches(lengths, batch_size, seed=seed, epoch=epoch)


@given(st.lists(st.integers(), unique=True), st.integers(1, 5))
def test_the_workers_shares_are_the_batch(batch: list[int], num_workers: int) -> None:
    shares = [share(batch, rank=rank, num_workers=num_workers) for rank in range(num_workers)]
    assert sorted(place for part in shares for place in part) == sorted(batch)


def test_batches_of_like_lengths_pad_less_than_a_shuffle_would() -> None:
    lengths = [10 + 7 * (i * 37 % 61) for i in range(160)]
    batches = plan_batches(lengths, 16, seed=3, epoch=1)
    padded = sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)
    assert padded < 1.3 * sum(lengths)


def test_epochs_differ() -> None:
    one, two = (plan_batches([5] * 40, 8, seed=3, epoch=epoch) for epoch in (1, 2))
    assert one != two
