"""A forecast grows with the work, keeps what is fixed, and is in hours that somebody pays for."""

from __future__ import annotations

from typing import Any

import pytest

from msp.config import RunConfig
from msp.forecast import Forecast, Measured, Part, forecast, node_hours, num_waves, summary

MEASURED = Measured(
    start_seconds=10.0,
    tune=Part(20.0, 5.0),
    generate_fixed_seconds=12.0,
    generator_seconds=0.1,
    judge_seconds=0.02,
    tokens_per_unit=100.0,
    kept_per_unit=1.5,
    publish_seconds=1.0,
    train=Part(8.0, 2.0),
    evaluate=Part(10.0, 0.01),
    num_arms=4,
    num_cpus=2.0,
)


def config(**sections: Any) -> RunConfig:
    tree = {"output_uri": "x", "task": {"name": "jsonl", "path": "x.jsonl"}, **sections}
    return RunConfig.model_validate(tree)


def test_what_is_fixed_is_counted_once_and_pieces_as_often_as_there_are() -> None:
    found = forecast(config(), MEASURED, num_planned=1000)
    assert found.stages["start"] == 10.0
    assert found.stages["tune"] == 20.0 + (5 + 12) / 2 * 5.0  # patience 4 ends it from 5 on
    assert found.tune_slack_seconds == 3.5 * 5.0
    assert found.stages["generate"] == pytest.approx(12.0 + 1000 * 0.1)
    assert found.stages["train"] == 8.0 + 6 * 2.0  # twelve trainings on two CPUs
    assert found.stages["evaluate"] == pytest.approx(10.0 + 1000 * 0.01)  # of 1,500 kept
    assert (found.num_tokens, found.num_kept) == (100_000, 1500)
    assert found.wall_seconds == sum(found.stages.values())


def test_more_generators_are_faster_until_the_scorers_are_the_slower_ones() -> None:
    seconds = [
        forecast(config(cluster={"max_generators": number}), MEASURED, num_planned=10_000).stages[
            "generate"
        ]
        for number in (1, 4, 100)
    ]
    assert seconds == pytest.approx([12 + 1000, 12 + 250, 12 + 200])


def test_exactly_n_needs_as_many_units_as_keep_n() -> None:
    wanted = config(generate={"num_synthetic": 3000})
    found = forecast(wanted, MEASURED, num_planned=750)
    assert (found.num_units, found.num_kept) == (2000, 3000)


def test_fine_tuning_takes_one_student_after_the_other() -> None:
    assert num_waves(config(student={"kind": "finetune"}), 4, 64.0) == 12
    assert num_waves(config(), 4, 64.0) == 1


def test_a_cluster_is_paid_for_by_what_each_stage_asks_for() -> None:
    found = Forecast(1, 1, 1, {"tune": 3600.0, "generate": 7200.0, "train": 0.0})
    run = config(
        tune={"num_workers": 2, "gpus_per_worker": 1},
        cluster={
            "max_generators": 4,
            "gpus_per_generator": 1,
            "num_scorers": 2,
            "cpus_per_scorer": 2,
            "dollars_per_head_hour": 0.2,
            "dollars_per_gpu_hour": 0.5,
        },
    )
    assert node_hours(run, found, {}) == {"head": 3.0, "gpu": 2.0 + 8.0, "cpu": 8.0}
    assert summary(run, found, {})["dollars"] == 0.6 + 5.0


def test_one_machine_is_paid_for_from_start_to_end() -> None:
    found = Forecast(1, 1, 1, {"generate": 1800.0})
    assert node_hours(config(), found, {"head": 1.0}) == {"head": 0.5}
    assert summary(config(), found, {"head": 1.0})["dollars"] is None
