"""The tuning curve as panels of points that the template draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msp.report.wording import number


def curve_panels(curve: object) -> list[dict[str, Any]]:
    """Return the tuning curve as panels: the two losses together, then BLEU.

    Each panel has its title, its largest and smallest value, and lines of
    (epoch, x percent, y percent, value); an epoch without the value is left out.
    """
    entries = curve if isinstance(curve, list | tuple) else []
    entries = [entry for entry in entries if isinstance(entry, Mapping)]
    epochs = [epoch for entry in entries if (epoch := number(entry.get("epoch"))) is not None]
    if not epochs:
        return []
    panels = [
        _panel("Loss", {"train_loss": "train", "dev_loss": "dev"}, entries, epochs),
        _panel("Dev BLEU", {"dev_bleu": "dev BLEU"}, entries, epochs),
    ]
    return [panel for panel in panels if panel["lines"]]


def _panel(
    title: str, keys: Mapping[str, str], entries: list[Mapping[str, Any]], epochs: list[float]
) -> dict[str, Any]:
    found = {
        key: [
            (epoch, value)
            for entry in entries
            if (epoch := number(entry.get("epoch"))) is not None
            and (value := number(entry.get(key))) is not None
        ]
        for key in keys
    }
    values = [value for points in found.values() for _, value in points]
    low, high = min(values, default=0.0), max(values, default=0.0)
    lines = [
        {
            "key": key,
            "label": label,
            "points": [
                (epoch, x_percent(epoch, epochs), _y_percent(value, low, high), value)
                for epoch, value in found[key]
            ],
        }
        for key, label in keys.items()
        if found[key]
    ]
    return {"title": title, "low": low, "high": high, "lines": lines, "epochs": epochs}


def x_percent(epoch: float, epochs: Sequence[float]) -> float:
    """Return an epoch's place in percent of the width, leaving room for the y labels."""
    first, last = min(epochs), max(epochs)
    return 50.0 if first == last else 10 + 87 * (epoch - first) / (last - first)


def _y_percent(value: float, low: float, high: float) -> float:
    return 50.0 if low == high else 90 - 78 * (value - low) / (high - low)
