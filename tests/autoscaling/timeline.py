"""The picture of an autoscaling run: nodes and units done over time, as an SVG of few lines."""

from __future__ import annotations

from collections.abc import Sequence

Sample = tuple[float, int, int]
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 150, 60, 30
_STYLE = "font: 13px sans-serif; fill: #555"


def svg(samples: Sequence[Sample], title: str) -> str:
    """Return a drawing of two curves above each other.

    Args:
        samples: (seconds, nodes with a GPU, units done), in order.
        title: said above.
    """
    end = samples[-1][0]
    width, height = _LEFT + _WIDTH + 20, _TOP + 2 * (_HEIGHT + 40) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{title}">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="18" style="{_STYLE}; font-weight: bold">{title}</text>',
    ]
    for row, (name, column, colour) in enumerate(
        (("GPU nodes", 1, "#0a6c74"), ("units done", 2, "#b3541e"))
    ):
        parts += _panel(samples, name, column, colour, _TOP + row * (_HEIGHT + 40))
    bottom = _TOP + 2 * (_HEIGHT + 40) - 8
    for seconds in range(0, int(end) + 1, max(20, int(end / 8) // 20 * 20)):
        x = _LEFT + seconds / end * _WIDTH
        parts.append(f'<text x="{x:.0f}" y="{bottom}" style="{_STYLE}">{seconds} s</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(samples: Sequence[Sample], name: str, column: int, colour: str, top: int) -> list[str]:
    end, most = samples[-1][0], max(1, *(sample[column] for sample in samples))

    def place(seconds: float, value: float) -> str:
        return f"{_LEFT + seconds / end * _WIDTH:.1f},{top + _HEIGHT * (1 - value / most) + 14:.1f}"

    points, before = [], samples[0][column]
    for sample in samples:
        points += [place(sample[0], before), place(sample[0], sample[column])]
        before = sample[column]
    base = top + _HEIGHT + 14
    return [
        f'<text x="{_LEFT}" y="{top + 8}" style="{_STYLE}">{name}</text>',
        f'<text x="{_LEFT - 8}" y="{top + 18}" text-anchor="end" style="{_STYLE}">{most}</text>',
        f'<text x="{_LEFT - 8}" y="{base}" text-anchor="end" style="{_STYLE}">0</text>',
        f'<line x1="{_LEFT}" y1="{base}" x2="{_LEFT + _WIDTH}" y2="{base}" stroke="#ccc"/>',
        f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"/>',
    ]
