"""The autoencoder learns, keeps some of each text in z, and writes what is asked for."""

from __future__ import annotations

import pytest
import torch

from msp.models.cvae import ConditionalVAE, divergences

TEXTS = torch.tensor([[3, 4, 5, 1], [3, 6, 5, 1], [7, 8, 9, 1], [7, 2, 9, 1]] * 4)
LENGTHS = torch.full((16,), 4)
CONDITION = torch.eye(2).repeat_interleave(2, 0).repeat(4, 1)


@pytest.fixture(scope="module")
def learned() -> tuple[ConditionalVAE, list[float]]:
    torch.manual_seed(0)
    model = ConditionalVAE(vocab_size=10, num_conditions=2)
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for step in range(150):
        reconstruction, divergence = model.bound(
            TEXTS, LENGTHS, CONDITION, beta=min(1.0, step / 75)
        )
        adam.zero_grad()
        (reconstruction + divergence).backward()
        adam.step()
        losses.append(reconstruction.item() / LENGTHS.sum().item())
    return model, losses


def test_the_reconstruction_loss_falls_below_what_the_label_alone_can_tell(learned) -> None:
    model, losses = learned
    assert losses[0] > 1.5
    with torch.no_grad():
        reconstruction, _ = model.bound(TEXTS, LENGTHS, CONDITION, beta=1.0)
    # Two texts for each label: without z one token in four stays open, ln(2) / 4 nats a token.
    assert reconstruction.item() / LENGTHS.sum().item() < 0.1


def test_the_posterior_does_not_collapse(learned) -> None:
    model, _ = learned
    with torch.no_grad():
        mean, log_variance = model.read(TEXTS, LENGTHS, CONDITION)
    assert divergences(mean, log_variance).sum(dim=1).min() > 0.5


def test_labels_change_what_is_written_and_so_does_z(learned) -> None:
    model, _ = learned

    def first_words(condition: list[float], z: torch.Tensor) -> torch.Tensor:
        given = torch.cat([z, torch.tensor([condition]).expand(len(z), -1)], dim=1)
        start = torch.full((len(z), 1), model.start)
        return model.write(start, given, model.begin(given))[0][:, 0].softmax(dim=1)

    torch.manual_seed(1)
    z = torch.randn(8, 32)
    with torch.no_grad():
        assert (first_words([1.0, 0.0], z)[:, 3] > 0.8).all()
        assert (first_words([0.0, 1.0], z)[:, 7] > 0.8).all()
        same = first_words([1.0, 0.0], z)
    assert (same - same[0]).abs().max() > 1e-6


def test_padding_changes_no_loss(learned) -> None:
    model, _ = learned
    padded = torch.nn.functional.pad(TEXTS, (0, 3))
    with torch.no_grad():
        found = [model.bound(t, LENGTHS, CONDITION, beta=1.0) for t in (TEXTS, padded)]
    torch.testing.assert_close(found[0], found[1])
