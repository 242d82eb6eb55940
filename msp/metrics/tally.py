"""The running counts behind a run's summary: whole columns at once, only units one by one.

Counts are sums and the sample is of the smallest keys, so the tally of a whole
is that of its parts, however it was split and in whatever order they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from msp.denoise.rules import UnitTexts, has_missing_value, normalise_value
from msp.metrics.sample import EVERYTHING, SampledCandidate, StratifiedSample, draw_keys
from msp.metrics.stream import BATCH_ROWS

MAX_COMBINATIONS = 10_000
# Noise scores lie in [0, 2]: a frequency in [0, 1] averaged with 1 - cosine in [0, 2].
NOISE_EDGES = tuple(round(0.02 * step, 2) for step in range(101))


def combination(attributes: Sequence[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels and slots that are carried together, each once, labels first."""
    return tuple(dict.fromkeys([*attributes, *(slot for slot, texts in values.items() if texts)]))


class Tally:
    """Counts ``candidates/``; what it holds is bounded by the ontology and the sample.

    Args:
        sample_size: candidates that :attr:`sample` gives at most.
        seed: of the sample.
    """

    def __init__(self, sample_size: int, *, seed: int) -> None:
        self._drawn = {"sample_size": sample_size, "seed": seed}
        self._seed = seed
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self._combinations: Counter[tuple[str, ...]] = Counter()
        self._relabels: Counter[tuple[str, ...]] = Counter()
        self.noise = np.zeros((2, len(NOISE_EDGES) - 1), np.int64)
        self.sample = StratifiedSample(sample_size)

    @property
    def combinations(self) -> Counter[tuple[str, ...]]:
        """Kept candidates of the first :data:`MAX_COMBINATIONS` combinations in sorted order.

        They are exact: one that is among the first of all is so wherever it
        occurs, and is nowhere left out.
        """
        return Counter(dict(sorted(self._combinations.items())[:MAX_COMBINATIONS]))

    @property
    def relabels(self) -> Counter[tuple[str, ...]]:
        """Candidates that the LM was asked about again, by (class asked for, class it gave).

        The first :data:`MAX_COMBINATIONS` in sorted order, exact as :attr:`combinations`.
        """
        return Counter(dict(sorted(self._relabels.items())[:MAX_COMBINATIONS]))

    def add_table(self, table: pa.Table) -> None:
        """Count the units of a shard of ``candidates/``, with all its columns."""
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            self.add(batch)

    def state(self) -> dict[str, Any]:
        """Return what was counted as JSON values: the same for the same candidates."""
        return {
            **self._drawn,
            **{name: dict(sorted(counter.items())) for name, counter in self._counters().items()},
            "combinations": [[list(names), kept] for names, kept in self.combinations.items()],
            "relabels": [[list(pair), num] for pair, num in self.relabels.items()],
            "noise": self.noise.tolist(),
            "sample": [row.as_json() for row in self.sample.held()],
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Count what another tally counted, given its :meth:`state`; no candidate is in both."""
        assert {name: state[name] for name in self._drawn} == self._drawn
        for name, counter in self._counters().items():
            counter.update(state[name])
        self._combinations.update({tuple(names): kept for names, kept in state["combinations"]})
        # Runs of an earlier version relabelled nothing.
        self._relabels.update({tuple(pair): num for pair, num in state.get("relabels", [])})
        self._bound_combinations()
        self.noise += np.array(state["noise"], np.int64)
        rows = state["sample"]
        ids = np.array([row["candidate_id"] for row in rows], np.int64)
        for key, row in zip(draw_keys(ids, seed=self._seed).tolist(), rows, strict=True):
            names = combination(row["attributes"], dict(row["values"]))
            make = partial(SampledCandidate.from_json, row)
            self.sample.offer(_strata(names, row["reason"]), key, make)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the units of a batch of ``candidates/``, with all its columns."""
        nested = batch.column(batch.schema.get_field_index("candidates"))
        flat, parents = nested.flatten(), pc.list_parent_indices(nested).to_numpy()
        kept = flat.field("kept").to_numpy(zero_copy_only=False).astype(bool)
        self.counts["units"] += batch.num_rows
        self.counts["candidates"] += len(flat)
        self.counts["kept"] += int(kept.sum())
        self.counts["tokens"] += pc.sum(flat.field("num_tokens")).as_py() or 0
        reasons = flat.field("reason")
        for count in pc.value_counts(reasons.drop_null()).to_pylist():
            self.reasons[count["values"]] += count["counts"]
        self._add_noise(flat.field("noise_score").to_numpy(zero_copy_only=False), kept)
        units = batch.drop_columns(["candidates"]).to_pylist()
        self._add_units(units, np.bincount(parents[kept], minlength=batch.num_rows))
        self._add_relabels(units, parents, flat)
        self._add_values(units, parents, flat.field("text"))
        self._add_sample(units, parents, flat)

    def _add_noise(self, scores: Any, kept: Any) -> None:
        for row, chosen in enumerate((kept, ~kept)):
            known = scores[chosen & ~np.isnan(scores)]
            inside = np.clip(known, NOISE_EDGES[0], NOISE_EDGES[-1])
            self.noise[row] += np.histogram(inside, NOISE_EDGES)[0]

    def _add_units(self, units: list[dict[str, Any]], num_kept: Any) -> None:
        for unit, kept in zip(units, num_kept.tolist(), strict=True):
            unit["values"] = {slot: tuple(texts) for slot, texts in unit["values"]}
            unit["names"] = combination(unit["attributes"], unit["values"])
            for name in unit["names"]:
                self.attributes[name] += kept
            self._combinations[unit["names"]] += kept
        self._bound_combinations()

    def _add_relabels(self, units: list[dict[str, Any]], parents: Any, flat: pa.Array) -> None:
        """Count what the LM said again; where it is a kept text's label now, count that one."""
        labels = flat.field("relabelled").to_pylist()
        moved = pc.and_(flat.field("kept"), flat.field("replaced")).fill_null(False).to_pylist()
        for parent, label, is_moved in zip(parents.tolist(), labels, moved, strict=True):
            if label is None:
                continue
            (asked,) = units[parent]["attributes"]
            self.counts["relabelled"] += 1
            self.counts["agreed"] += label == asked
            self._relabels[asked, label] += 1
            if is_moved:
                self.attributes.update({label: 1, asked: -1})
                self._combinations.update({(label,): 1, units[parent]["names"]: -1})
        self._bound_combinations()

    def _counters(self) -> dict[str, Counter[str]]:
        return {"counts": self.counts, "reasons": self.reasons, "attributes": self.attributes}

    def _bound_combinations(self) -> None:
        # Sorted once for as many new ones.
        if len(self._combinations) > 2 * MAX_COMBINATIONS:
            self._combinations = self.combinations
        if len(self._relabels) > 2 * MAX_COMBINATIONS:
            self._relabels = self.relabels

    def _add_values(self, units: list[dict[str, Any]], parents: Any, texts: pa.Array) -> None:
        wanted = [
            [normalise_value(value) for values in unit["values"].values() for value in values]
            for unit in units
        ]
        for position, parent in enumerate(parents.tolist()):
            if asked := wanted[parent]:
                self.counts["asked"] += len(asked)
                self.counts["found"] += _num_occurring(asked, texts[position].as_py())

    def _add_sample(self, units: list[dict[str, Any]], parents: Any, flat: pa.Array) -> None:
        keys = draw_keys(flat.field("candidate_id").to_numpy(), seed=self._seed).tolist()
        reasons = flat.field("reason").to_pylist()
        for position, (key, parent) in enumerate(zip(keys, parents.tolist(), strict=True)):
            unit = units[parent]
            strata = _strata(unit["names"], reasons[position])
            self.sample.offer(strata, key, partial(_sampled, unit, flat, position))


@lru_cache(maxsize=MAX_COMBINATIONS)
def _strata(names: tuple[str, ...], reason: str | None) -> tuple[str, ...]:
    verdict = "kept" if reason is None else f"dropped {reason}"
    return (EVERYTHING, verdict, *(f"{name} {verdict}" for name in names))


def _num_occurring(values: Sequence[str], text: str) -> int:
    if not has_missing_value(text, UnitTexts((), (), values)):
        return len(values)
    return sum(not has_missing_value(text, UnitTexts((), (), (value,))) for value in values)


def _sampled(unit: Mapping[str, Any], flat: pa.StructArray, position: int) -> SampledCandidate:
    candidate = flat[position].as_py()
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
        mix=_mix_of(unit),
        relabelled=candidate["relabelled"],
    )


def _mix_of(unit: Mapping[str, Any]) -> tuple[str, float] | None:
    mix = unit["mix"]
    return (mix["attribute"], round(mix["alpha"], 4)) if mix and mix["attribute"] else None
