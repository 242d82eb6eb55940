"""Runs under seeded schedules of faults end with the ids, texts and verdicts of an unbroken one.

``pytest tests/chaos`` plays seeds 0 to 4, ``pytest tests/chaos -m slow`` plays 5
to 104, ``pytest tests/chaos --chaos-seed 17`` replays one; ``--chaos-method
promptmix`` or ``data_creation`` hits runs of that method; ``--chaos-table FILE``
writes the table that is printed at the end.
"""

from __future__ import annotations

from collections import Counter
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


def test_the_unbroken_run_has_as_many_objects_as_schedules_count_on(unbroken: Record) -> None:
    num_units = len(unbroken.units)
    assert num_units in (177, 180) and -(-num_units // 4) == NUM_SHARDS
    assert len(unbroken.published) > num_units and not unbroken.num_doubled


def test_a_run_under_faults_ends_as_if_nothing_had_happened(
    chaos_seed: int,
    stage: Stage,
    unbroken: Record,
    moto_server: S3Server,
    template: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    schedule = schedule_of(chaos_seed)
    outcome, _ = play(
        schedule,
        stage=stage,
        folder=tmp_path,
        server=moto_server,
        unbroken=unbroken,
        config=template,
    )
    request.config.stash[OUTCOMES].append(outcome)
    replay = f"replay: pytest tests/chaos --chaos-seed {chaos_seed}"
    assert outcome.is_whole, f"seed {chaos_seed} broke the run ({replay}): {outcome}"
    happened = set(outcome.injected)
    assert happened, f"seed {chaos_seed}: no fault came ({replay})"
