"""The last word on a candidate: what the whole run adds to the verdict of its shard.

A shard is judged by itself and never changes. That a candidate says what an
earlier one says, or that enough better ones are there, only the whole run
knows; it is kept beside the shards and laid over them whenever they are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from msp.errors import StorageError
from msp.records import CANDIDATE_TYPE, as_of_today
from msp.storage import layout
from msp.storage.damage import read_json
from msp.storage.parquet import read_table
from msp.storage.store import ObjectStore

DUPLICATE = "duplicate"
SURPLUS = "surplus"
DUPLICATES_SCHEMA = pa.schema([("candidate_id", pa.int64()), ("duplicate_of", pa.int64())])

Cell = tuple[str, ...]
Cutoffs = Mapping[Cell, int]
Keys = npt.NDArray[np.uint64]

_NOISE_STEPS = 1 << 13
_NOISE_SHIFT = np.uint64(48)
_MIX = np.uint64(0x9E3779B97F4A7C15)


class FinalVerdicts:
    """The verdicts of a whole run on what its shards kept.

    Args:
        store: the run's store.
        cutoffs: combination -> the highest of :func:`ranks` that is in the finished set; a
            combination that is missing is left out whole. None: there is no limit.
    """

    def __init__(self, store: ObjectStore, cutoffs: Cutoffs | None = None) -> None:
        self.store, self.cutoffs = store, cutoffs
        # A block's ids are wanted again for the next shard.
        self._block: tuple[str, npt.NDArray[np.int64]] | None = None

    def read(self, round: int, shard: int) -> pa.Table:
        """Return a shard of ``candidates/`` with the final verdicts.

        Raises:
            StorageError: it is missing or damaged.
        """
        key = layout.candidates_key(round, shard)
        if not self.store.exists(key):
            raise StorageError(
                f"{self.store.uri}/{key} was committed, but it is gone; run again to make it anew."
            )
        return self.over(read_table(self.store, key), round, shard)

    def over(self, table: pa.Table, round: int, shard: int) -> pa.Table:
        """Return the shard's table with the final verdicts in place of its own."""
        table = as_of_today(table).combine_chunks()
        removed = self._removed(layout.duplicates_key(round, shard))
        if not len(removed) and self.cutoffs is None:
            return table
        position = table.schema.get_field_index("candidates")
        column = table.column(position).combine_chunks()
        flat = column.flatten()
        verdicts = _Verdicts(flat)
        verdicts.drop(np.isin(verdicts.ids, removed), DUPLICATE)
        if self.cutoffs is not None:
            limits = [self.cutoffs.get(cell, -1) for cell in cells(table)]
            over = _above(verdicts, limits, pc.list_parent_indices(column).to_numpy())
            verdicts.drop(over, SURPLUS)
        offsets = pa.array(
            np.concatenate([[0], np.cumsum(pc.list_value_length(column).to_numpy())]), pa.int32()
        )
        judged = pa.ListArray.from_arrays(offsets, verdicts.struct(flat))
        return table.set_column(position, table.schema.field(position), judged)

    def _removed(self, key: str) -> npt.NDArray[np.int64]:
        if self._block is None or self._block[0] != key:
            found = np.zeros(0, dtype=np.int64)
            if self.store.exists(key):
                found = read_table(self.store, key)["candidate_id"].to_numpy()
            self._block = key, found
        return self._block[1]


class _Verdicts:
    """The candidates of a shard, flat, and their verdicts as they change."""

    def __init__(self, flat: pa.StructArray) -> None:
        self.ids = flat.field("candidate_id").to_numpy()
        self.kept = flat.field("kept").to_numpy(zero_copy_only=False).astype(bool)
        self.noise = flat.field("noise_score").to_numpy(zero_copy_only=False)
        self._reasons = flat.field("reason").to_numpy(zero_copy_only=False).astype(object)

    def drop(self, which: npt.NDArray[np.bool_], reason: str) -> None:
        """Drop those of the candidates that were kept so far."""
        fresh = which & self.kept
        self.kept[fresh] = False
        self._reasons[fresh] = reason

    def struct(self, flat: pa.StructArray) -> pa.StructArray:
        """Return the candidates with these verdicts."""
        columns = {f.name: flat.field(f.name) for f in CANDIDATE_TYPE}
        columns["kept"] = pa.array(self.kept, pa.bool_())
        columns["reason"] = pa.array(self._reasons, pa.string())
        return pa.StructArray.from_arrays(list(columns.values()), fields=list(CANDIDATE_TYPE))


def cells(table: pa.Table) -> list[Cell]:
    """Return each unit's combination: its labels and filled slots, each once, labels first."""
    found = []
    for unit in table.select(["attributes", "values"]).to_pylist():
        slots = (slot for slot, texts in unit["values"] if texts)
        found.append(tuple(dict.fromkeys([*unit["attributes"], *slots])))
    return found


def ranks(noise_scores: npt.NDArray[np.floating], candidate_ids: npt.NDArray[np.int64]) -> Keys:
    """Return [N] numbers that order candidates: the least noisy first, like ones by lot.

    The lot is a hash of the id, so that no part of the plan comes first. Those without a
    noise score come in their own order: what is grown later is the first to be surplus.
    """
    noise = np.clip(np.nan_to_num(noise_scores, nan=2.0), 0.0, 2.0)
    steps = np.round(noise * (_NOISE_STEPS // 2)).astype(np.uint64)
    ids = candidate_ids.astype(np.uint64)
    lots = np.where(np.isnan(noise_scores), ids, (ids * _MIX) >> np.uint64(16))
    found: Keys = (steps << _NOISE_SHIFT) | lots
    return found


def read_cutoffs(store: ObjectStore) -> Cutoffs | None:
    """Return the cutoffs of a run that was asked for exactly N; None where it was not."""
    if not store.exists(layout.SELECTION_JSON):
        return None
    found = read_json(store, layout.SELECTION_JSON)["cutoffs"]
    return {tuple(cell): int(limit) for cell, limit in found}


def write_cutoffs(store: ObjectStore, cutoffs: Cutoffs) -> None:
    """Put the cutoffs into the store."""
    found = [[list(cell), str(limit)] for cell, limit in sorted(cutoffs.items())]
    store.write(layout.SELECTION_JSON, json.dumps({"cutoffs": found}).encode())


def _above(
    verdicts: _Verdicts, limits: list[int], parents: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    bounds = np.array([max(limit, 0) for limit in limits], dtype=np.uint64)[parents]
    none = np.array([limit < 0 for limit in limits], dtype=bool)[parents]
    above: npt.NDArray[np.bool_] = none | (ranks(verdicts.noise, verdicts.ids) > bounds)
    return above


def stream_final(store: ObjectStore, prefix: str = layout.CANDIDATES_PREFIX) -> Iterator[pa.Table]:
    """Yield every committed shard with the final verdicts, in key order."""
    verdicts = FinalVerdicts(store, read_cutoffs(store))
    for info in store.list(prefix):
        round_, shard = layout.parse_candidates_key(info.key)
        yield verdicts.over(read_table(store, info.key), round_, shard)
