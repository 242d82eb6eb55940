"""Every mixture has the length it declares, masks its padding, and leaves absent prompts alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msp.errors import ConfigError, ConstraintError
from msp.prompts.mixtures import MIXTURES, find_mixture, text_summary
from msp.prompts.soft import SoftPrompts

NUM_ATTRIBUTES, LENGTH, HIDDEN = 5, 3, 4
ROW = st.lists(st.booleans(), min_size=NUM_ATTRIBUTES, max_size=NUM_ATTRIBUTES).filter(any)
PRESENT = st.lists(ROW, min_size=1, max_size=6).map(torch.tensor)


def make_soft(mixture: str) -> SoftPrompts:
    torch.manual_seed(0)
    attributes = torch.randn(NUM_ATTRIBUTES, LENGTH, HIDDEN)
    return SoftPrompts(torch.randn(2, HIDDEN), attributes, mixture=mixture)


def texts(present: torch.Tensor) -> torch.Tensor:
    """[B, H]: a text for each row, the same for the same number of the row."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, HIDDEN, generator=generator)[: len(present)]


@pytest.mark.parametrize("name", MIXTURES)
@given(present=PRESENT)
def test_every_mixture_has_its_declared_length_and_masks_the_rest(
    name: str, present: torch.Tensor
) -> None:
    soft = make_soft(name)
    embeddings, mask = soft(present, texts(present))
    declared = find_mixture(name).length
    lengths = [2 + declared(LENGTH, int(num)) for num in present.sum(dim=1)]
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
    embeddings, mask = soft(present, texts(present))
    (embeddings[mask] * torch.randn(int(mask.sum()), HIDDEN)).sum().backward()
    reached = soft.attributes.grad.abs().flatten(1).amax(dim=1) > 0
    assert reached.tolist() == present.any(dim=0).tolist()
    assert soft.instruction.grad.abs().amin() > 0


@pytest.mark.parametrize("name", MIXTURES)
@given(present=PRESENT)
def test_a_row_is_the_same_alone_and_in_a_batch(name: str, present: torch.Tensor) -> None:
    soft = make_soft(name)
    text = texts(present)
    together = soft.unpadded(present, text)
    for row, of, expected in zip(present, text, together, strict=True):
        torch.testing.assert_close(soft.unpadded(row[None], of[None])[0], expected)


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
        make_soft(name)(present, texts(present))


def test_an_unknown_mixture_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"there are attention, .*; did you mean 'pooling'"):
        find_mixture("poolin")


LEARNED = ("attention", "bottleneck", "convolution")


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_reach_every_parameter_of_a_mixture(name: str) -> None:
    soft = make_soft(name)
    present = torch.tensor([[True, True, False, True, True]] * 3)
    embeddings, _ = soft(present, texts(present))
    (embeddings * torch.randn(embeddings.shape)).sum().backward()
    for parameter, tensor in soft.named_parameters():
        assert tensor.grad is not None and tensor.grad.abs().max() > 0, parameter


@pytest.mark.parametrize("name", LEARNED)
def test_once_trained_a_mixture_is_no_plain_average(name: str) -> None:
    """Two attributes together are to give what neither their mean nor any weight alone gives."""
    soft = make_soft(name)
    present = torch.tensor([[True, True, False, False, False], [True, False, True, False, False]])
    text, aim = texts(present), torch.randn(2, LENGTH, HIDDEN)
    optimizer = torch.optim.Adam(soft.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss = (soft(present, text).embeddings[:, 2:] - aim).square().mean()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        mixed = soft(present, text).embeddings[:, 2:]
        weights = present.float() / present.sum(dim=1, keepdim=True)
        average = torch.einsum("ba,aph->bph", weights, soft.attributes)
    assert (mixed - average).abs().max() > 0.1


@pytest.mark.parametrize("name", ["attention", "bottleneck"])
def test_the_weights_are_a_softmax_over_attributes_and_follow_the_text(name: str) -> None:
    """With all prompts alike the sum of weights shows: it is 1, not the number of attributes."""
    alike = torch.randn(1, LENGTH, HIDDEN).expand(NUM_ATTRIBUTES, -1, -1)
    soft = SoftPrompts(torch.randn(2, HIDDEN), alike, mixture=name)
    present = torch.tensor([[True, True, True, False, False]])
    mixed = soft.unpadded(present, texts(present))[0][2:]
    torch.testing.assert_close(mixed, alike[0])
    other = make_soft(name)
    same = torch.tensor([[True, True, True, False, False]] * 2)
    one, two = other.unpadded(same, torch.stack([torch.ones(HIDDEN), -torch.ones(HIDDEN)]))
    assert not torch.allclose(one, two)


@given(present=PRESENT)
def test_convolution_starts_as_the_mean_of_the_present_prompts(present: torch.Tensor) -> None:
    convolution, pooling = make_soft("convolution"), make_soft("pooling")
    for mixed, mean in zip(convolution.unpadded(present), pooling.unpadded(present), strict=True):
        torch.testing.assert_close(mixed, mean, atol=0.15, rtol=0)


def test_a_text_summary_is_the_maximum_over_real_tokens() -> None:
    embeddings = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [9.0, 9.0]]] * 2)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert text_summary(embeddings, mask).tolist() == [[3.0, -2.0], [0.0, 0.0]]


@pytest.mark.parametrize("name", MIXTURES)
def test_a_blend_that_is_all_of_one_attribute_is_that_attribute_alone(name: str) -> None:
    soft = make_soft(name)
    present = torch.eye(NUM_ATTRIBUTES, dtype=torch.bool)
    alone = soft.unpadded(present, texts(present))
    for one, blended in zip(alone, soft.blended(present.float()), strict=True):
        torch.testing.assert_close(blended, one)
        assert not blended.requires_grad


@pytest.mark.parametrize("name", [name for name in MIXTURES if name != "convolution"])
def test_a_blend_is_the_sum_of_the_prompts_by_their_shares(name: str) -> None:
    soft = make_soft(name)
    (blended,) = soft.blended(torch.tensor([[0.7, 0.0, 0.3, 0.0, 0.0]]))
    expected = 0.7 * soft.attributes[0] + 0.3 * soft.attributes[2]
    torch.testing.assert_close(blended, torch.cat([soft.instruction, expected]))


def test_a_convolution_folds_each_prompt_as_strongly_as_its_share() -> None:
    soft = make_soft("convolution")
    halves = torch.tensor([[0.5, 0.0, 0.5, 0.0, 0.0]])
    torch.testing.assert_close(soft.blended(halves)[0], soft.unpadded(halves > 0)[0])
