"""What all of a run's candidates come to: what metrics.json, the card and the report count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msp.denoise.final import stream_final
from msp.metrics.diversity import Labelled, measure_diversity
from msp.metrics.sample import SampledCandidate
from msp.metrics.stored_tally import read_tally, write_tally
from msp.metrics.stream import stream_batches
from msp.metrics.tally import Tally, combination
from msp.records import Example, example_from_synthetic
from msp.storage import layout
from msp.storage.store import ObjectStore

SAMPLE_SIZE = 3_000
# Pairs of classes that are named as confused, the most frequent ones.
NUM_CONFUSED = 20

Name = TypeVar("Name", str, tuple[str, ...])


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What one pass over ``candidates/`` counts; bounded however many there are.

    Args:
        num_units: committed units.
        num_candidates: kept and dropped.
        num_kept: of these.
        num_dropped_by_reason: reason -> candidates, most frequent first.
        num_tokens: generated tokens, of kept and dropped.
        noise_kept: kept candidates per bin of :data:`~msp.metrics.tally.NOISE_EDGES`.
        noise_dropped: dropped candidates likewise; those without a noise score are in no bin.
        num_values_asked: slot values that candidates were asked for, over all candidates.
        num_values_found: of these, how many occur in the candidate's text, as denoise sees it.
        kept_per_attribute: label or slot -> kept candidates.
        kept_per_combination: labels and slots together -> kept candidates; the first
            :data:`~msp.metrics.tally.MAX_COMBINATIONS` in sorted order.
        seeds_per_attribute: label or slot -> seed examples.
        num_relabelled: candidates whose class the frozen LM was asked for again.
        num_agreed: of these, how many it gave the class that they were asked for.
        relabels: (class asked for, class given) -> candidates, most frequent first.
        sample: candidates to read, all of them where they are few.
    """

    num_units: int
    num_candidates: int
    num_kept: int
    num_dropped_by_reason: Mapping[str, int]
    num_tokens: int
    noise_kept: tuple[int, ...]
    noise_dropped: tuple[int, ...]
    num_values_asked: int
    num_values_found: int
    kept_per_attribute: Mapping[str, int]
    kept_per_combination: Mapping[tuple[str, ...], int]
    seeds_per_attribute: Mapping[str, int]
    sample: tuple[SampledCandidate, ...]
    num_relabelled: int = 0
    num_agreed: int = 0
    relabels: Mapping[tuple[str, ...], int] = field(default_factory=dict)


def summarise_run(
    store: ObjectStore, seeds: Sequence[Example], *, seed: int, sample_size: int = SAMPLE_SIZE
) -> RunSummary:
    """Return the counts and the sample of everything committed so far.

    Publishing leaves them in the store. Where it has not (a run under way, one
    that is older than this, one whose counts were damaged), every shard is
    read here, and a published run keeps what came of it.

    Raises:
        StorageError: an object that is read is damaged.
    """
    tally = read_tally(store, sample_size, seed=seed)
    if tally is None:
        tally = Tally(sample_size, seed=seed)
        for table in stream_final(store):
            tally.add_table(table)
        if store.exists(layout.MANIFEST) and not store.exists(layout.SUMMARY_JSON):
            write_tally(store, tally)
    return _summary(tally, seeds)


def generate_metrics(
    summary: RunSummary, *, tokens_per_second: float | None, wall_seconds: float | None
) -> dict[str, Any]:
    """Return the part ``generate`` of metrics.json; the clock's figures come from the caller."""
    return {
        "num_candidates": summary.num_candidates,
        "num_kept": summary.num_kept,
        "num_dropped_by_reason": dict(summary.num_dropped_by_reason),
        "num_tokens": summary.num_tokens,
        "tokens_per_second": tokens_per_second,
        "wall_seconds": wall_seconds,
        "relabel": _relabel_metrics(summary),
    }


def _relabel_metrics(summary: RunSummary) -> dict[str, Any] | None:
    """Return how often the frozen LM agrees with what was asked, and what it says instead."""
    if not summary.num_relabelled:
        return None
    wrong = [(pair, num) for pair, num in summary.relabels.items() if pair[0] != pair[1]]
    return {
        "num_relabelled": summary.num_relabelled,
        "num_agreed": summary.num_agreed,
        "agreement": summary.num_agreed / summary.num_relabelled,
        "confusion": [
            {"asked": asked, "given": given, "num": num}
            for (asked, given), num in wrong[:NUM_CONFUSED]
        ],
    }


def diversity_metrics(
    store: ObjectStore, seeds: Sequence[Example], *, seed: int
) -> dict[str, dict[str, float | int | None]]:
    """Return the part ``diversity`` of metrics.json: the seed examples beside ``synthetic/``."""
    real = ((combination(s.attributes, s.values), s.text) for s in seeds)
    return {
        "seed": measure_diversity(real, seed=seed),
        "synthetic": measure_diversity(
            _synthetic_texts(store), seed=seed, matched_size=len(seeds) or None
        ),
    }


def _synthetic_texts(store: ObjectStore) -> Iterator[Labelled]:
    columns = ["candidate_id", "text", "target", "attributes", "values", "domain"]
    for batch in stream_batches(store, "synthetic/", columns=columns):
        for example in map(example_from_synthetic, batch.to_pylist()):
            yield combination(example.attributes, example.values), example.text


def _summary(tally: Tally, seeds: Sequence[Example]) -> RunSummary:
    carried = Counter(name for s in seeds for name in combination(s.attributes, s.values))
    return RunSummary(
        num_units=tally.counts["units"],
        num_candidates=tally.counts["candidates"],
        num_kept=tally.counts["kept"],
        num_dropped_by_reason=_by_count(tally.reasons),
        num_tokens=tally.counts["tokens"],
        noise_kept=tuple(tally.noise[0].tolist()),
        noise_dropped=tuple(tally.noise[1].tolist()),
        num_values_asked=tally.counts["asked"],
        num_values_found=tally.counts["found"],
        kept_per_attribute=dict(sorted(tally.attributes.items())),
        kept_per_combination=_by_count(tally.combinations),
        seeds_per_attribute=dict(carried),
        sample=tally.sample.rows(),
        num_relabelled=tally.counts["relabelled"],
        num_agreed=tally.counts["agreed"],
        relabels=_by_count(tally.relabels),
    )


def _by_count(counter: Counter[Name]) -> dict[Name, int]:
    """Return the counts, the highest first and like ones by name, in whatever order they came."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
