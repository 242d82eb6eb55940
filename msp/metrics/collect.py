"""One pass over a run's candidates: everything that metrics.json, the card and the report count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from msp.denoise.rules import UnitTexts, has_missing_value, normalise_value
from msp.metrics.diversity import Labelled, measure_diversity
from msp.metrics.sample import EVERYTHING, SampledCandidate, StratifiedSample, draw_keys
from msp.metrics.stream import stream_batches
from msp.records import UNIT_FIELDS, Example
from msp.storage.store import ObjectStore

SAMPLE_SIZE = 3_000
MAX_COMBINATIONS = 10_000
# Noise scores lie in [0, 2]: a frequency in [0, 1] averaged with 1 - cosine in [0, 2].
NOISE_EDGES = tuple(round(0.02 * step, 2) for step in range(101))


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What one pass over ``candidates/`` counts; bounded however many there are.

    Args:
        num_units: committed units.
        num_candidates: kept and dropped.
        num_kept: of these.
        num_dropped_by_reason: reason -> candidates, most frequent first.
        num_tokens: generated tokens, of kept and dropped.
        noise_kept: kept candidates per bin of :data:`NOISE_EDGES`; any beyond counts at the end.
        noise_dropped: dropped candidates likewise; those without a noise score are in no bin.
        num_values_asked: slot values that candidates were asked for, over all candidates.
        num_values_found: of these, how many occur in the candidate's text, as denoise sees it.
        kept_per_attribute: label or slot -> kept candidates.
        kept_per_combination: labels and slots together -> kept candidates; the first
            :data:`MAX_COMBINATIONS` that occur.
        seeds_per_attribute: label or slot -> seed examples.
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


def summarise_run(
    store: ObjectStore, seeds: Sequence[Example], *, seed: int, sample_size: int = SAMPLE_SIZE
) -> RunSummary:
    """Return the counts and the sample of everything committed so far, shard by shard.

    Raises:
        StorageError: an object under ``candidates/`` is damaged.
    """
    tally = _Tally(sample_size, seed=seed)
    columns = [*(name for name, _ in UNIT_FIELDS), "candidates"]
    for batch in stream_batches(store, "candidates/", columns=columns):
        tally.add(batch)
    return tally.summary(seeds)


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


def combination(attributes: Sequence[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels and slots that are carried together, each once, labels first."""
    return tuple(dict.fromkeys([*attributes, *(slot for slot, texts in values.items() if texts)]))


def _synthetic_texts(store: ObjectStore) -> Iterator[Labelled]:
    for batch in stream_batches(store, "synthetic/", columns=["attributes", "values", "text"]):
        for row in batch.to_pylist():
            yield combination(row["attributes"], dict(row["values"])), row["text"]


class _Tally:
    """The running counts. Whole columns are counted by Arrow and NumPy, only units in Python."""

    def __init__(self, sample_size: int, *, seed: int) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._attributes: Counter[str] = Counter()
        self._combinations: Counter[tuple[str, ...]] = Counter()
        self._noise = np.zeros((2, len(NOISE_EDGES) - 1), np.int64)
        self._sample = StratifiedSample(sample_size)

    def add(self, batch: pa.RecordBatch) -> None:
        nested = batch.column(batch.schema.get_field_index("candidates"))
        flat, parents = nested.flatten(), pc.list_parent_indices(nested).to_numpy()
        kept = flat.field("kept").to_numpy(zero_copy_only=False).astype(bool)
        self._counts["units"] += batch.num_rows
        self._counts["candidates"] += len(flat)
        self._counts["kept"] += int(kept.sum())
        self._counts["tokens"] += pc.sum(flat.field("num_tokens")).as_py() or 0
        reasons = flat.field("reason")
        for count in pc.value_counts(reasons.drop_null()).to_pylist():
            self._reasons[count["values"]] += count["counts"]
        self._add_noise(flat.field("noise_score").to_numpy(zero_copy_only=False), kept)
        units = batch.drop_columns(["candidates"]).to_pylist()
        self._add_units(units, np.bincount(parents[kept], minlength=batch.num_rows))
        self._add_values(units, parents, flat.field("text"))
        self._add_sample(units, parents, flat)

    def _add_noise(self, scores: Any, kept: Any) -> None:
        for row, chosen in enumerate((kept, ~kept)):
            known = scores[chosen & ~np.isnan(scores)]
            inside = np.clip(known, NOISE_EDGES[0], NOISE_EDGES[-1])
            self._noise[row] += np.histogram(inside, NOISE_EDGES)[0]

    def _add_units(self, units: list[dict[str, Any]], num_kept: Any) -> None:
        for unit, kept in zip(units, num_kept.tolist(), strict=True):
            unit["values"] = {slot: tuple(texts) for slot, texts in unit["values"]}
            unit["names"] = combination(unit["attributes"], unit["values"])
            for name in unit["names"]:
                self._attributes[name] += kept
            if unit["names"] in self._combinations or len(self._combinations) < MAX_COMBINATIONS:
                self._combinations[unit["names"]] += kept

    def _add_values(self, units: list[dict[str, Any]], parents: Any, texts: pa.Array) -> None:
        for position, parent in enumerate(parents.tolist()):
            asked = [value for values in units[parent]["values"].values() for value in values]
            if asked:
                text = texts[position].as_py()
                self._counts["asked"] += len(asked)
                self._counts["found"] += sum(_occurs(value, text) for value in asked)

    def _add_sample(self, units: list[dict[str, Any]], parents: Any, flat: pa.Array) -> None:
        keys = draw_keys(flat.field("candidate_id").to_numpy(), seed=self._seed).tolist()
        reasons = flat.field("reason").to_pylist()
        for position, (key, parent) in enumerate(zip(keys, parents.tolist(), strict=True)):
            unit = units[parent]
            verdict = f"reason {reasons[position]}" if reasons[position] else "kept"
            strata = [EVERYTHING, verdict, *(f"{name} {verdict}" for name in unit["names"])]
            for stratum in strata:
                if key < self._sample.threshold(stratum):
                    self._sample.offer(stratum, key, partial(_sampled, unit, flat[position]))

    def summary(self, seeds: Sequence[Example]) -> RunSummary:
        carried = Counter(name for s in seeds for name in combination(s.attributes, s.values))
        return RunSummary(
            num_units=self._counts["units"],
            num_candidates=self._counts["candidates"],
            num_kept=self._counts["kept"],
            num_dropped_by_reason=dict(self._reasons.most_common()),
            num_tokens=self._counts["tokens"],
            noise_kept=tuple(self._noise[0].tolist()),
            noise_dropped=tuple(self._noise[1].tolist()),
            num_values_asked=self._counts["asked"],
            num_values_found=self._counts["found"],
            kept_per_attribute=dict(self._attributes),
            kept_per_combination=dict(self._combinations.most_common()),
            seeds_per_attribute=dict(carried),
            sample=self._sample.rows(),
        )


def _occurs(value: str, text: str) -> bool:
    return not has_missing_value(text, UnitTexts((), (), (normalise_value(value),)))


def _sampled(unit: Mapping[str, Any], row: pa.StructScalar) -> SampledCandidate:
    candidate = row.as_py()
    return SampledCandidate(
        candidate_id=candidate["candidate_id"],
        unit_id=unit["id"],
        round=unit["round"],
        seed_uid=unit["seed_uid"],
        attributes=tuple(unit["attributes"]),
        values=unit["values"],
        text=candidate["text"],
        kept=candidate["kept"],
        reason=candidate["reason"],
        noise_score=candidate["noise_score"],
        similarity=candidate["similarity"],
    )
