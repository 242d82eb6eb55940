"""The keep rule: of a unit's candidates that pass, the least noisy ones stay."""

from __future__ import annotations

from collections.abc import Mapping

from msp.config import DenoiseConfig

OFF_TOPIC = "off_topic"
OVER_QUOTA = "over_quota"


def keep_reasons(noise_scores: Mapping[int, float], config: DenoiseConfig) -> dict[int, str | None]:
    """Return why each candidate is dropped, or None where it is kept.

    A function of the scores alone: the order in which candidates arrive does not
    matter, and equal scores go to the lower id.

    Args:
        noise_scores: candidate id -> noise score, of those that no lexical rule dropped.
        config: ``max_noise_score`` is the cut (the cut itself passes) and
            ``num_kept_per_unit`` the quota.
    """
    # Written so that a NaN score fails, as it would pass every "greater than".
    passing = [(s, i) for i, s in noise_scores.items() if s <= config.max_noise_score]
    best = {candidate_id for _, candidate_id in sorted(passing)[: config.num_kept_per_unit]}
    over_quota = {candidate_id for _, candidate_id in passing} - best
    return {
        i: None if i in best else OVER_QUOTA if i in over_quota else OFF_TOPIC for i in noise_scores
    }
