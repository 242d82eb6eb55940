"""Where a run's time went: its stages, and how busy its generators and judges were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# In the order of a run.
_ORDER = ("start", "tune", "generate", "publish", "train", "evaluate")


def profile(
    stage_seconds: Mapping[str, float],
    *,
    train_seconds: float | None,
    generated: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the part ``profile`` of metrics.json.

    Args:
        stage_seconds: stage -> wall seconds over all starts.
        train_seconds: of the students' trainings.
        generated: the content of ``state/progress/generate.json``.

    Returns:
        stage -> wall seconds (None where it was not at work); ``generators`` with
        ``tokens_per_second`` of one while it wrote, ``busy_share`` of the time they were up,
        ``padding_share`` of the prompt positions that were computed, ``prefix_cache_hit_rate``
        of those that were looked up (engine vllm), and ``judges_busy_seconds``; None for what
        was not counted.
    """
    seconds = {**stage_seconds, "train": train_seconds}
    work = generated.get("work") or {}
    positions = work.get("prompt_positions")
    return {
        **{stage: seconds.get(stage) for stage in _ORDER},
        "generators": {
            "tokens_per_second": _share(generated.get("num_tokens"), work.get("generator_seconds")),
            "busy_share": _share(work.get("generator_seconds"), work.get("generators_up_seconds")),
            "padding_share": _share(work.get("padding_positions"), positions),
            "prefix_cache_hit_rate": _share(work.get("cached_positions"), positions),
            "judges_busy_seconds": work.get("judge_seconds"),
        },
    }


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 4)
