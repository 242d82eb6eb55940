"""Every mixture has the length it declares, masks its padding, and leaves absent prompts alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msp.errors import ConfigError, ConstraintError
from msp.prompts.mixtures import MIXTURES, make_mixture
from msp.prompts.soft import SoftPrompts

NUM_ATTRIBUTES, LENGTH, HIDDEN = 5, 3, 4
ROW = st.lists(st.booleans(), min_size=NUM_ATTRIBUTES, max_size=NUM_ATTRIBUTES).filter(any)
PRESENT = st.lists(ROW, min_size=1, max_size=6).map(torch.tensor)


def make_soft(mixture: str) -> SoftPrompts:
    torch.manual_seed(0)
    attributes = torch.randn(NUM_ATTRIBUTES, LENGTH, HIDDEN)
    return SoftPrompts(torch.randn(2, HIDDEN), attributes, mixture=mixture)


@pytest.mark.parametrize("name", MIXTURES)
@given(present=PRESENT)
def test_every_mixture_has_its_declared_length_and_masks_the_rest(
    name: str, present: torch.Tensor
) -> None:
    soft = make_soft(name)
    embeddings, mask = soft(present)
    lengths = [soft.length(int(num)) for num in present.sum(dim=1)]
    assert mask.sum(dim=1).tolist() == lengths
    assert embeddings.shape == (len(present), max(lengths), HIDDEN)
    assert all(row[:length].all() for row, length in zip(mask, lengths, strict=True))
    assert not embeddings[~mask].any()


@pytest.mark.parametrize("name", MIXTURES)
@given(present=PRESENT)
def test_gradients_reach_present_prompts_and_are_exactly_zero_for_absent_ones(
    name: str, present: torch.Tensor
) -> None:
    soft = make_soft(name)
    embeddings, mask = soft(present)
    (embeddings[mask] * torch.randn(int(mask.sum()), HIDDEN)).sum().backward()
    reached = soft.attributes.grad.abs().flatten(1).amax(dim=1) > 0
    assert reached.tolist() == present.any(dim=0).tolist()
    assert soft.instruction.grad.abs().amin() > 0


@pytest.mark.parametrize("name", MIXTURES)
@given(present=PRESENT)
def test_a_row_is_the_same_alone_and_in_a_batch(name: str, present: torch.Tensor) -> None:
    soft = make_soft(name)
    for row, together in zip(present, soft.unpadded(present), strict=True):
        torch.testing.assert_close(soft.unpadded(row[None])[0], together)


def test_concat_keeps_the_ontology_order_and_pooling_is_the_mean() -> None:
    present = torch.tensor([[False, True, False, True, False]])
    concat, pooling = make_soft("concat"), make_soft("pooling")
    prompts = concat.attributes.detach()
    assert torch.equal(concat.unpadded(present)[0][2:], torch.cat([prompts[1], prompts[3]]))
    mean = (prompts[1] + prompts[3]) / 2
    torch.testing.assert_close(pooling.unpadded(present)[0][2:], mean)


@pytest.mark.parametrize("name", MIXTURES)
def test_an_example_without_attribute_is_refused(name: str) -> None:
    present = torch.tensor([[True] * NUM_ATTRIBUTES, [False] * NUM_ATTRIBUTES])
    with pytest.raises(ConstraintError, match="example 1 of the batch"):
        make_soft(name)(present)


def test_an_unknown_mixture_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"there are concat, pooling; did you mean 'pooling'"):
        make_mixture("poolin")
