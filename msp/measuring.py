"""How good the synthetic set is beside the student's score: what measures it, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

import numpy as np

from msp.config import ModelConfig, RunConfig
from msp.denoise.agreement import NOT_AGREED
from msp.denoise.contamination import EvaluationTexts
from msp.denoise.final import stream_final
from msp.judging import evaluation_texts, make_relabeller
from msp.metrics.correctness import attribute_f1, decisions, presence_matrix
from msp.metrics.mauve import FEW_TEXTS, mauve
from msp.metrics.memorisation import memorisation
from msp.metrics.sample import draw_keys
from msp.metrics.stream import stream_batches
from msp.models.encoder import SentenceEncoder, load_encoder
from msp.models.frozen_lm import load_frozen_lm
from msp.models.perplexity import perplexity
from msp.records import Example, example_from_synthetic
from msp.storage import layout
from msp.storage.store import ObjectStore
from msp.students.ensemble import try_on_held_out
from msp.students.labeller import SeedLabeller
from msp.tasks.base import TaskData


def measure_quality(config: RunConfig, task: TaskData, store: ObjectStore) -> dict[str, Any]:
    """Return correctness, closeness to real data, memorisation and perplexity of the synthetic set.

    All are measured on the same uniform sample of at most ``metrics.max_texts``.

    Args:
        config: the run's config; ``metrics`` says what is measured.
        task: its dev and test examples are the real data that the generator never saw.
        store: holds the published synthetic examples.

    Returns:
        figures by name; one that cannot be had is left out, and ``notes`` says why or what to mind.
    """
    sample = _sample(store, config.metrics.max_texts, seed=config.seed)
    real = (*task.dev, *task.test)
    if not sample or not config.metrics.max_texts:
        return {}
    encoder = load_encoder(config.denoise.encoder)
    vectors = encoder.encode([example.text for example in sample])
    figures: dict[str, Any] = {"num_measured": len(sample)}
    figures |= _memorisation(task, sample, vectors, encoder, evaluation_texts(config, task))
    if real:
        figures |= _correctness(config, task, sample, vectors, encoder)
        figures |= _mauve(config, real, vectors, encoder)
    if config.denoise.novel_agreement is not None and task.kind == "multilabel":
        figures["novel_agreement"] = _novel_agreement(config, task, store, encoder)
    if config.metrics.teacher and task.test:
        figures |= _teacher(config, task, encoder)
    if config.metrics.perplexity_model is not None:
        figures |= _perplexities(config, task, sample)
    return figures


def _sample(store: ObjectStore, size: int, *, seed: int) -> list[Example]:
    """Return a uniform sample that does not depend on shards, by candidate id."""
    best: list[tuple[int, Example]] = []
    for key, example in _keyed(store, seed=seed):
        best.append((key, example))
        if len(best) > 2 * size:
            best = sorted(best, key=lambda item: item[0])[:size]
    best = sorted(best, key=lambda item: item[0])[:size]
    return [example for _, example in sorted(best, key=lambda item: item[1].uid)]


def _keyed(store: ObjectStore, *, seed: int) -> Iterator[tuple[int, Example]]:
    columns = ["candidate_id", "text", "target", "attributes", "values", "domain"]
    for batch in stream_batches(store, layout.SYNTHETIC_PREFIX, columns=columns):
        keys = draw_keys(batch.column("candidate_id").to_numpy(), seed=seed)
        for key, row in zip(keys.tolist(), batch.to_pylist(), strict=True):
            yield key, example_from_synthetic(row)


def _memorisation(
    task: TaskData,
    sample: Sequence[Example],
    vectors: Any,
    encoder: SentenceEncoder,
    evaluation: EvaluationTexts,
) -> dict[str, Any]:
    seeds = [seed.text for seed in task.seeds]
    texts = [example.text for example in sample]
    found = memorisation(
        texts, vectors, seeds=(seeds, encoder.encode(seeds)), evaluation=evaluation
    )
    return {"memorisation": found}


def _correctness(
    config: RunConfig,
    task: TaskData,
    sample: Sequence[Example],
    vectors: Any,
    encoder: SentenceEncoder,
) -> dict[str, Any]:
    """Return what a classifier of dev and test finds in the sample and in the seeds."""
    labels = [attribute.name for attribute in task.ontology.attributes]
    # Which answer is right, a question does not say.
    if not labels or task.kind == "choice":
        return {}
    real = (*task.dev, *task.test)
    judge = SeedLabeller(real, labels, encoder, seed=config.seed, is_single=_is_single(task))

    def agreed(examples: Sequence[Example], embedded: Any) -> float:
        asked = presence_matrix([example.attributes for example in examples], labels)
        said = decisions(judge.probabilities(embedded), is_single=_is_single(task))
        return attribute_f1(asked, said)

    seeds = [seed for seed in task.seeds if seed.attributes]
    return {
        "correctness": {
            "attribute_f1": agreed(sample, vectors),
            "attribute_f1_of_seeds": agreed(seeds, encoder.encode([s.text for s in seeds])),
        }
    }


def _mauve(
    config: RunConfig, real: Sequence[Example], vectors: Any, encoder: SentenceEncoder
) -> dict[str, Any]:
    rng = np.random.default_rng(config.seed)
    chosen = sorted(rng.permutation(len(real))[: config.metrics.max_texts].tolist())
    score = mauve(encoder.encode([real[i].text for i in chosen]), vectors, seed=config.seed)
    if score is None:
        return {"notes": ["MAUVE needs at least 20 synthetic and 20 dev and test examples."]}
    smaller = min(len(chosen), len(vectors))
    notes = (
        [f"MAUVE is measured on {smaller} texts of each kind; below {FEW_TEXTS} it is noisy."]
        if smaller < FEW_TEXTS
        else []
    )
    return {"mauve": score, "notes": notes}


def _teacher(config: RunConfig, task: TaskData, encoder: SentenceEncoder) -> dict[str, Any]:
    """Return how the frozen LM that relabels does on the test examples (PromptMix's baseline).

    Beside its accuracy stands the share of examples whose class is in the shortlist at all.
    """
    relabeller = make_relabeller(config, task, encoder)
    texts = [example.text for example in task.test]
    gold = [example.attributes[0] for example in task.test]
    vectors = encoder.encode(texts)
    said = relabeller.labels(texts, vectors)
    listed = relabeller.shortlists(texts, vectors)
    names = [attribute.name for attribute in task.ontology.attributes]
    hits = sum(a == b for a, b in zip(said, gold, strict=True))
    inside = sum(names.index(a) in row for a, row in zip(gold, listed, strict=True))
    return {
        "teacher": {
            "accuracy": 100 * hits / len(gold),
            "shortlist_recall": 100 * inside / len(gold),
        }
    }


def _novel_agreement(
    config: RunConfig, task: TaskData, store: ObjectStore, encoder: SentenceEncoder
) -> dict[str, Any]:
    """Return how often texts of new combinations were agreed on, and how often rightly so.

    The second is an estimate: from real texts whose combinations were held out.
    """
    share = config.denoise.novel_agreement
    assert share is not None
    labels = [attribute.name for attribute in task.ontology.attributes]
    vectors = encoder.encode([seed.text for seed in task.seeds])
    trial = try_on_held_out(task.seeds, vectors, labels, share=share, seed=config.seed)
    num_judged, num_agreed = _novel_counts(task, store)
    accepted = num_agreed / num_judged if num_judged else 0.0
    return {
        **asdict(trial),
        "num_judged": num_judged,
        "num_agreed": num_agreed,
        "accepted_share": accepted,
        "precision": trial.precision(accepted),
    }


def _novel_counts(task: TaskData, store: ObjectStore) -> tuple[int, int]:
    """Return how many candidates of new combinations were judged by the rule, and passed it."""
    known = {frozenset(seed.attributes) for seed in task.seeds}
    num_judged = num_agreed = 0
    for table in stream_final(store):
        for unit in table.select(["attributes", "candidates"]).to_pylist():
            if frozenset(unit["attributes"]) in known:
                continue
            # What a cheaper rule has dropped has no noise score.
            reasons = [c["reason"] for c in unit["candidates"] if not isnan(c["noise_score"])]
            num_judged += len(reasons)
            num_agreed += sum(reason != NOT_AGREED for reason in reasons)
    return num_judged, num_agreed


def _perplexities(config: RunConfig, task: TaskData, sample: Sequence[Example]) -> dict[str, Any]:
    name = config.metrics.perplexity_model
    assert name is not None
    lm = load_frozen_lm(ModelConfig(name=name))
    return {
        "perplexity": {
            "model": name,
            "synthetic": perplexity(lm, [example.text for example in sample]),
            "seed": perplexity(lm, [example.text for example in task.seeds]),
        }
    }


def _is_single(task: TaskData) -> bool:
    return task.kind == "single_label"
