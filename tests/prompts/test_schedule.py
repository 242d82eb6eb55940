"""The learning rate rises, falls along half a cosine, and depends on the step alone."""

from __future__ import annotations

import pytest

from msp.prompts.schedule import learning_rate


def test_the_rate_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    rates = [
        learning_rate(step, peak=0.3, num_steps=100, warmup_fraction=0.1) for step in range(100)
    ]
    assert rates[:10] == pytest.approx([0.03 * (step + 1) for step in range(10)])
    assert rates[10] == 0.3 and rates[55] == pytest.approx(0.15)
    assert rates[10:] == sorted(rates[10:], reverse=True) and 0 < rates[-1] < 0.001


@pytest.mark.parametrize("warmup_fraction", [0.0, 1.0])
def test_no_warm_up_and_nothing_but_warm_up_both_work(warmup_fraction: float) -> None:
    rates = [
        learning_rate(s, peak=1.0, num_steps=4, warmup_fraction=warmup_fraction) for s in range(4)
    ]
    assert max(rates) == 1.0 and min(rates) > 0
