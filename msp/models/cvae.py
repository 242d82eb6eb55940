"""A conditional variational autoencoder of short texts, small enough to learn from a few hundred.

Training maximises a bound on log p(x | c) for a text x and its condition c
(Sohn et al., NeurIPS 2015), in the form that keeps a strong decoder from
ignoring z (Bowman et al., arXiv 1511.06349; Kingma et al., arXiv 1606.04934):

    E over q(z | x, c) of [ log p(x | z, c) ]  -  beta * sum over d of max(lambda, KL_d)

with KL_d the divergence of q's dimension d from N(0, 1), averaged over the
batch: beta rises from 0 to 1 over the first half of the steps, dimensions below
lambda nats are not pressed further, and words that the decoder reads are hidden
at random, so that it must ask z for them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EMBEDDING_SIZE = 128
HIDDEN_SIZE = 256
LATENT_SIZE = 32
FREE_NATS = 0.05
"""lambda: over all dimensions 1.6 nats that nothing presses away."""
WORD_DROPOUT = 0.3
ANNEALED_SHARE = 0.5
"""Share of the steps over which beta rises."""


class ConditionalVAE(nn.Module):
    """A GRU that reads a text into z, and one that writes a text from z; both see the condition.

    Args:
        vocab_size: V, tokens of the tokenizer.
        num_conditions: C, numbers that say what is asked.
    """

    def __init__(self, vocab_size: int, num_conditions: int) -> None:
        super().__init__()
        # Two rows more: where a text starts, and what a hidden word is read as.
        self.start, self.hidden_word = vocab_size, vocab_size + 1
        self.embedding = nn.Embedding(vocab_size + 2, EMBEDDING_SIZE)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_SIZE**-0.5)
        self.reader = nn.GRU(EMBEDDING_SIZE + num_conditions, HIDDEN_SIZE, batch_first=True)
        self.latent = nn.Linear(HIDDEN_SIZE + num_conditions, 2 * LATENT_SIZE)
        given = LATENT_SIZE + num_conditions
        self.first = nn.Linear(given, HIDDEN_SIZE)
        self.writer = nn.GRU(EMBEDDING_SIZE + given, HIDDEN_SIZE, batch_first=True)
        self.output = nn.Linear(HIDDEN_SIZE, EMBEDDING_SIZE)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def read(self, tokens: Tensor, lengths: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance [B, Z] of q(z | x, c).

        Args:
            tokens: [B, T] of texts that are padded at the end.
            lengths: [B], of each text.
            condition: [B, C].
        """
        beside = condition[:, None].expand(-1, tokens.shape[1], -1)
        states, _ = self.reader(torch.cat([self.embedding(tokens), beside], dim=2))
        last = states[torch.arange(len(tokens), device=tokens.device), lengths - 1]
        mean, log_variance = self.latent(torch.cat([last, condition], dim=1)).chunk(2, dim=1)
        return mean, log_variance

    def begin(self, given: Tensor) -> Tensor:
        """Return the writer's first state [1, B, H] for z and condition [B, Z + C]."""
        return torch.tanh(self.first(given))[None]

    def write(self, tokens: Tensor, given: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits [B, T, V] of what follows each token, and the state after the last.

        Args:
            tokens: [B, T], what is written before.
            given: [B, Z + C], z and condition.
            state: [1, B, H].
        """
        beside = given[:, None].expand(-1, tokens.shape[1], -1)
        states, state = self.writer(torch.cat([self.embedding(tokens), beside], dim=2), state)
        logits = self.output(states) @ self.embedding.weight[: self.start].T + self.bias
        return logits, state

    def bound(
        self, tokens: Tensor, lengths: Tensor, condition: Tensor, *, beta: float
    ) -> tuple[Tensor, Tensor]:
        """Return the summed reconstruction loss and beta times the KL term, in nats.

        Without gradients z is q's mean and no word is hidden, so that a
        measurement is the same each time.

        Args:
            tokens: [B, T] of texts with their end token, padded at the end.
            lengths: [B].
            condition: [B, C].
            beta: weight of the KL term.
        """
        learns = torch.is_grad_enabled()
        mean, log_variance = self.read(tokens, lengths, condition)
        noise = torch.randn_like(mean) if learns else torch.zeros_like(mean)
        given = torch.cat([mean + noise * (log_variance / 2).exp(), condition], dim=1)
        before = torch.cat([torch.full_like(tokens[:, :1], self.start), tokens[:, :-1]], dim=1)
        if learns:
            before = before.masked_fill(
                torch.rand(before.shape, device=before.device) < WORD_DROPOUT, self.hidden_word
            )
        logits, _ = self.write(before, given, self.begin(given))
        mask = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        reconstruction = nn.functional.cross_entropy(logits[mask], tokens[mask], reduction="sum")
        divergence = divergences(mean, log_variance).mean(dim=0).clamp(min=FREE_NATS).sum()
        return reconstruction, beta * len(tokens) * divergence


def divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, 1)) of each dimension, in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
