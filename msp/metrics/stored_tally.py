"""A run's finished tally as one sealed object, so that no reader has to count the shards again."""

from __future__ import annotations

import json

from msp.metrics.tally import Tally
from msp.storage import layout
from msp.storage.seal import CHECKSUM_KEY, UNSEALED, check_seal, sealed
from msp.storage.store import ObjectStore


def write_tally(store: ObjectStore, tally: Tally) -> None:
    """Put the tally of all of a run's candidates into the store.

    Of its sample only the chosen rows stay: nothing will be merged with it,
    and drawing from the chosen ones chooses them all.
    """
    chosen = [row.as_json() for row in tally.sample.rows()]
    state = {CHECKSUM_KEY: UNSEALED, **tally.state(), "sample": chosen}
    store.write(layout.SUMMARY_JSON, sealed(json.dumps(state, allow_nan=False).encode()))


def read_tally(store: ObjectStore, sample_size: int, *, seed: int) -> Tally | None:
    """Return the tally of a published run; None where there is none of this sample.

    Raises:
        DamagedError: it is not as it was written.
    """
    if not store.exists(layout.SUMMARY_JSON):
        return None
    data = store.read(layout.SUMMARY_JSON)
    check_seal(data, f"{store.uri}/{layout.SUMMARY_JSON}")
    state = json.loads(data)
    if (state["sample_size"], state["seed"]) != (sample_size, seed):
        return None
    tally = Tally(sample_size, seed=seed)
    tally.merge(state)
    return tally
