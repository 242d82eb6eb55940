"""The student that labels words: entities, slots and, level by level, whole parses.

A tagger rather than a choice among the trees of the seed examples: with 25 samples
per intent and slot a fifth of TOPv2's test parses has a tree that no seed example
has, and levels of tags put trees together anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from msp.config import StudentConfig
from msp.models.encoder import SentenceEncoder
from msp.students.examples import Floats, TrainingSet, draw_batches
from msp.students.finetune import ALONE, Step, Workers
from msp.students.tag_scheme import OUTSIDE, Tags, TagScheme
from msp.students.words import NUM_SHAPES, WordVectors, pool_words, tokenize_words, word_shapes
from msp.tasks.brackets import Forest, read_brackets, words_in

_KERNEL_WORDS = 5
_IGNORED = -100
# Noise that helps one vector a text drowns one a word: 0.5 did best where texts take 2.
_NOISE_SHARE = 0.25
_WEIGHT_DECAY = 0.01
_BATCH_TEXTS = 64
_NEVER = -1e9


class TaggingStudent(nn.Module):
    """Words' vectors, one convolution over neighbours, and one layer of tags a level.

    Args:
        dimension: of a word's vector, its shape apart.
        scheme: what is said.
        config: hidden size, dropout and noise.
        body: the encoder's own module where it learns, too.
    """

    def __init__(
        self,
        dimension: int,
        scheme: TagScheme,
        config: StudentConfig,
        *,
        body: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.scheme = scheme
        self.noise = 0.0 if body is not None else _NOISE_SHARE * config.embedding_noise
        self.body = body
        self.output = nn.ModuleDict(
            {
                "words": nn.Linear(dimension + NUM_SHAPES, config.hidden_size),
                "around": nn.Conv1d(
                    config.hidden_size, config.hidden_size, _KERNEL_WORDS, padding="same"
                ),
                "tags": nn.Linear(config.hidden_size, sum(scheme.num_tags)),
                "root": nn.Linear(dimension + NUM_SHAPES, max(1, len(scheme.roots))),
            }
        )
        self.norm = nn.LayerNorm(dimension, elementwise_affine=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        shapes: Tensor,
        mask: Tensor,
        *,
        vectors: Tensor | None = None,
        tokens: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits of tags [B, W, all levels' tags] and of roots [B, R].

        Args:
            shapes: [B, W, 6].
            mask: [B, W], 1 where there is a word.
            vectors: [B, W, D] of a frozen encoder.
            tokens: instead, for the body: see :func:`msp.students.words.tokenize_words`.
        """
        if vectors is None:
            assert tokens is not None and self.body is not None
            inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
            hidden = self.body(**inputs).last_hidden_state
            vectors = pool_words(hidden, tokens["word_of"], mask.shape[1])
        vectors = self.norm(vectors)
        if self.training and self.noise:
            vectors = vectors + self.noise * torch.randn_like(vectors)
        known = torch.cat([vectors, shapes], dim=-1) * mask.unsqueeze(-1)
        hidden = self.output["words"](known) * mask.unsqueeze(-1)
        around = self.output["around"](hidden.transpose(1, 2)).transpose(1, 2)
        tags: Tensor = self.output["tags"](self.dropout(torch.relu(around)))
        mean = known.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1.0)
        root: Tensor = self.output["root"](self.dropout(mean))
        return tags, root


def train_tagger(
    config: StudentConfig,
    training: TrainingSet,
    scheme: TagScheme,
    features: Sequence[WordVectors],
    *,
    seed: int,
) -> TaggingStudent:
    """Return a tagger on frozen words' vectors, trained for ``num_steps``, in evaluation mode.

    The same seed gives the same initial weights, batches and noise; the caller's random
    state is left alone.

    Args:
        config: the student section.
        training: N texts with bracketed targets.
        scheme: what the tagger can say.
        features: of each text its words' vectors [W, D + 6], from ``embed_words``.
        seed: of this training.
    """
    batches = draw_batches(training, config, seed)
    targets = [scheme.tags(read_brackets(target)) for target in training.targets]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = TaggingStudent(features[0].shape[1] - NUM_SHAPES, scheme, config)
        optimizer = torch.optim.AdamW(
            student.parameters(), lr=config.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        inputs_of = _from_vectors(features)
        for rows in batches.tolist():
            loss = _loss(student(**inputs_of(rows)), [targets[row] for row in rows], scheme)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return student.eval()


def finetune_tagger(
    config: StudentConfig,
    training: TrainingSet,
    scheme: TagScheme,
    encoder: SentenceEncoder,
    *,
    seed: int,
    workers: Workers = ALONE,
) -> TaggingStudent:
    """Return a tagger whose body has learned with it, in evaluation mode.

    The encoder's body is trained in place; workers share every batch.
    """
    batches = draw_batches(training, config, seed)[:, workers.rank :: workers.world_size]
    forests = [read_brackets(target) for target in training.targets]
    sentences = [words_in(forest) for forest in forests]
    targets = [scheme.tags(forest) for forest in forests]
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        student = TaggingStudent(encoder.dimension, scheme, config, body=encoder.body)
        student.to(encoder.device).train()
        # Weights are alike everywhere, dropout is not.
        torch.manual_seed(seed + workers.rank)
        wrapped = workers.wrap(student)
        step = Step(config, student.output, encoder.body, len(batches))
        for rows in batches.tolist():
            texts = [sentences[row] for row in rows]
            step(_loss(wrapped(**_inputs(encoder, texts)), [targets[r] for r in rows], scheme))
    return student.eval()


def predict_forests(
    student: TaggingStudent, sentences: Sequence[Sequence[str]], features: Sequence[WordVectors]
) -> list[Forest]:
    """Return each sentence's forest, from its words' vectors."""
    return _predict(student, sentences, _from_vectors(features))


def predict_forests_finetuned(
    student: TaggingStudent, sentences: Sequence[Sequence[str]], encoder: SentenceEncoder
) -> list[Forest]:
    """Return each sentence's forest, from the student's own body."""
    return _predict(
        student, sentences, lambda rows: _inputs(encoder, [sentences[row] for row in rows])
    )


def _predict(
    student: TaggingStudent,
    sentences: Sequence[Sequence[str]],
    inputs: Callable[[list[int]], dict[str, Any]],
) -> list[Forest]:
    scheme = student.scheme
    order = sorted(range(len(sentences)), key=lambda i: (len(sentences[i]), i))
    forests: list[Forest] = [()] * len(sentences)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH_TEXTS):
            rows = order[start : start + _BATCH_TEXTS]
            logits, roots = student(**inputs(rows))
            lengths = [len(sentences[row]) for row in rows]
            tags = decode_levels(_levels(logits, scheme), lengths)
            for place, (row, root) in enumerate(zip(rows, roots.argmax(-1).tolist(), strict=True)):
                own = tags[:, place, : lengths[place]]
                forests[row] = scheme.forest(sentences[row], root, own)
    return forests


def decode_levels(logprobs: Sequence[Floats], lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the best tags [L, B, W] that spell spans, each level's inside those of the one above.

    Args:
        logprobs: of each level [B, W, 1 + 2 chains]: O, then B and I of each chain.
        lengths: words of each of the B sentences; tags beyond them are O.
    """
    num, width = logprobs[0].shape[:2]
    open_ = np.arange(width) < np.array(lengths)[:, None]
    begins = np.zeros((num, width), dtype=np.bool_)
    decoded = []
    for level in logprobs:
        scores = level.astype(np.float64)
        scores[~open_, 1:] = _NEVER
        scores[begins, 2::2] = _NEVER
        tags = _viterbi(scores)
        decoded.append(tags)
        open_, begins = tags != OUTSIDE, tags % 2 == 1
    return np.stack(decoded)


def _viterbi(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the best path [B, W] on which an I follows only its own B or I."""
    num, width, num_tags = scores.shape
    total = scores[:, 0].copy() if width else np.zeros((num, num_tags))
    total[:, 2::2] = _NEVER
    b_tags = np.arange(1, num_tags, 2)
    back = np.zeros((num, width, num_tags), dtype=np.int64)
    for word in range(1, width):
        best = total.argmax(axis=1)
        begun, inside = total[:, 1::2], total[:, 2::2]
        back[:, word] = best[:, None]
        back[:, word, 2::2] = b_tags + (inside > begun)
        total = np.take_along_axis(total, back[:, word], axis=1) + scores[:, word]
    tags = np.zeros((num, width), dtype=np.int64)
    last = total.argmax(axis=1)
    for word in reversed(range(width)):
        tags[:, word] = last
        last = back[np.arange(num), word, last]
    return tags


def _levels(logits: Tensor, scheme: TagScheme) -> list[Floats]:
    parts = torch.split(logits.float(), list(scheme.num_tags), dim=-1)
    return [nn.functional.log_softmax(part, dim=-1).cpu().numpy() for part in parts]


def _loss(
    logits: tuple[Tensor, Tensor], targets: Sequence[tuple[int, Tags]], scheme: TagScheme
) -> Tensor:
    """Return the sum over levels, and the root, of the mean cross-entropy of a word."""
    tags, root = logits
    width = tags.shape[1]
    gold = torch.full((len(targets), len(scheme.levels), width), _IGNORED)
    for row, (_, own) in enumerate(targets):
        gold[row, :, : own.shape[1]] = torch.from_numpy(own)[:, :width]
    gold = gold.to(tags.device)
    losses = [
        nn.functional.cross_entropy(part.flatten(0, 1), gold[:, level].flatten())
        for level, part in enumerate(torch.split(tags, list(scheme.num_tags), dim=-1))
    ]
    if scheme.roots:
        roots = torch.tensor([number for number, _ in targets], device=root.device)
        losses.append(nn.functional.cross_entropy(root, roots.where(roots >= 0, _IGNORED)))
    return torch.stack(losses).sum()


def _padded(features: Sequence[WordVectors]) -> tuple[Tensor, Tensor]:
    """Return words' vectors [B, W, D + 6] and their mask [B, W]."""
    width = max(1, *map(len, features))
    inputs = torch.zeros(len(features), width, features[0].shape[1])
    mask = torch.zeros(len(features), width)
    for row, vectors in enumerate(features):
        # A copy: shared memory is read-only, which torch cannot express.
        inputs[row, : len(vectors)] = torch.tensor(vectors, dtype=torch.float32)
        mask[row, : len(vectors)] = 1.0
    return inputs, mask


def _from_vectors(features: Sequence[WordVectors]) -> Callable[[list[int]], dict[str, Any]]:
    def inputs(rows: list[int]) -> dict[str, Any]:
        vectors, mask = _padded([features[row] for row in rows])
        shapes = vectors[..., -NUM_SHAPES:]
        return {"shapes": shapes, "mask": mask, "vectors": vectors[..., :-NUM_SHAPES]}

    return inputs


def _inputs(encoder: SentenceEncoder, sentences: Sequence[Sequence[str]]) -> dict[str, Any]:
    shapes, mask = _padded([word_shapes(words) for words in sentences])
    device = encoder.device
    return {
        "shapes": shapes.to(device),
        "mask": mask.to(device),
        "tokens": tokenize_words(encoder, sentences),
    }
