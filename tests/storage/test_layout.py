"""The run layout is a contract: these keys must not drift."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msp.errors import StorageError
from msp.storage import layout


def test_the_places_that_others_read_do_not_move() -> None:
    assert layout.RUN_JSON == "run.json"
    assert layout.PROMPTS_TENSORS == "prompts/prompts.safetensors"
    assert layout.PROMPTS_JSON == "prompts/prompts.json"
    assert layout.SYNTHETIC_README == "synthetic/README.md"
    assert layout.MANIFEST == "synthetic/manifest.json"
    assert (layout.METRICS_JSON, layout.REPORT_HTML) == ("metrics.json", "report.html")
    assert layout.candidates_key(0, 12) == "candidates/round-000-shard-0000012.parquet"
    assert layout.synthetic_key(1, 0) == "synthetic/round-001-shard-0000000.parquet"
    assert layout.student_key("seed_only", "scores.json") == "student/seed_only/scores.json"
    assert layout.tune_state_key("last.pt") == "state/tune/last.pt"
    assert layout.progress_key("tune") == "state/progress/tune.json"


@settings(deadline=None)
@given(st.integers(0, 10**4), st.integers(0, 10**9))
def test_a_shards_key_is_read_back(round: int, shard: int) -> None:
    key = layout.candidates_key(round, shard)
    assert layout.parse_candidates_key(key) == (round, shard)
    assert fnmatchcase(key, "candidates/*.parquet") and key.count("/") == 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**7 - 1), min_size=2, max_size=2, unique=True))
def test_keys_sort_as_their_shards_do(shards: list[int]) -> None:
    keys = [layout.candidates_key(0, shard) for shard in shards]
    assert (keys[0] < keys[1]) == (shards[0] < shards[1])


def test_a_stray_object_among_the_candidates_is_named() -> None:
    for key in (
        "candidates/.DS_Store",
        "candidates/round-000-shard-0000012.parquet.bak",
        "candidates/round-0000-shard-0000012.parquet",
        "synthetic/round-000-shard-0000012.parquet",
        "candidates/round-000-shard-٠٠٠٠٠١٢.parquet",
    ):
        with pytest.raises(StorageError, match=r"is no shard of a run \(such as candidates/"):
            layout.parse_candidates_key(key)


def test_numbers_below_zero_are_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="start at 0"):
        layout.candidates_key(0, -1)
