"""Runs under seeded schedules of faults end with the ids, texts and verdicts of an unbroken one.

``pytest tests/chaos`` plays seeds 0 to 4 over ``msp`` and one each over
``promptmix`` and ``data_creation``, ``pytest tests/chaos -m slow`` plays 5 to 104,
``pytest tests/chaos --chaos-method promptmix --chaos-seed 17`` replays one;
``--chaos-table FILE`` writes the table that is printed at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from outcomes import OUTCOMES, Record
from play import play
from schedule import KINDS, NUM_OBJECTS, NUM_SHARDS, schedule_of
from servers import S3Server
from stage import Stage

pytestmark = pytest.mark.ray


def test_a_schedule_follows_from_its_seed_and_the_first_five_have_every_fault() -> None:
    assert [schedule_of(seed) for seed in range(50)] == [schedule_of(seed) for seed in range(50)]
    kinds = {fault.kind for seed in range(5) for fault in schedule_of(seed).faults}
    assert kinds == set(KINDS)
    moments = Counter(fault.moment for seed in range(200) for fault in schedule_of(seed).faults)
    assert set(moments) <= set(range(1, NUM_OBJECTS)) and len(moments) > NUM_OBJECTS // 2


def test_the_unbroken_run_has_as_many_objects_as_schedules_count_on(
    unbroken: Callable[[str], Record],
) -> None:
    record = unbroken("msp")
    num_units = len(record.units)
    assert num_units in (177, 180) and -(-num_units // 4) == NUM_SHARDS
    assert len(record.published) > num_units and not record.num_doubled


def test_a_run_under_faults_ends_as_if_nothing_had_happened(
    chaos_case: tuple[str, int],
    stage: Stage,
    unbroken: Callable[[str], Record],
    moto_server: S3Server,
    templates: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    method, seed = chaos_case
    outcome, _ = play(
        schedule_of(seed),
        stage=stage,
        folder=tmp_path,
        server=moto_server,
        unbroken=unbroken(method),
        config=templates[method],
    )
    request.config.stash[OUTCOMES].append(replace(outcome, method=method))
    replay = f"replay: pytest tests/chaos --chaos-method {method} --chaos-seed {seed}"
    assert outcome.is_whole, f"seed {seed} broke the run ({replay}): {outcome}"
    happened = set(outcome.injected)
    assert happened, f"seed {seed}: no fault came ({replay})"
