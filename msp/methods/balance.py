"""How many synthetic examples of each attribute combination a balance asks for.

A quota is a number for each combination (a *cell*), because cells divide the
examples among them and attributes do not: an example that carries two
attributes counts for both. A balance over attributes is therefore turned into
the cells whose sums come nearest to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from msp.config import GenerateConfig
from msp.errors import ConfigError, did_you_mean

Cell = tuple[str, ...]
Floats = npt.NDArray[np.float64]

# Raking converges in a few dozen sweeps where the shares can be met, and stops improving
# where they cannot (an attribute that never comes alone has its companions' share).
_SWEEPS = 200


def targets(
    config: GenerateConfig, weights: Mapping[Cell, float], counts: Mapping[str, int]
) -> dict[Cell, int]:
    """Return how many examples each cell should have; they sum to ``config.num_synthetic``.

    Args:
        config: ``num_synthetic``, ``balance`` and ``balance_over``.
        weights: the cells that can be asked for -> how common each is, above 0.
        counts: attribute -> seed examples that carry it.

    Raises:
        ConfigError: the balance names what no cell has.
    """
    assert config.num_synthetic is not None
    cells = sorted(weights)
    base = np.array([weights[cell] for cell in cells], dtype=np.float64)
    base /= base.sum()
    if config.balance_over == "combinations":
        numbers = whole_numbers(_combination_shares(config, cells, base), config.num_synthetic)
    else:
        wanted = _attribute_shares(config, cells, counts)
        shares = _raked(cells, base, wanted)
        numbers = whole_numbers_by_attribute(shares, config.num_synthetic, _carries(cells, wanted))
    return dict(zip(cells, numbers, strict=True))


def whole_numbers(shares: Floats, total: int) -> list[int]:
    """Return whole numbers that sum to ``total`` and lie nearest to the shares of it.

    The largest remainders are rounded up; equal ones in order.

    Args:
        shares: [C], none negative, not all zero.
        total: what the numbers sum to.
    """
    exact = shares / shares.sum() * total
    numbers = np.floor(exact).astype(np.int64)
    left = total - int(numbers.sum())
    for place in np.argsort(-(exact - numbers), kind="stable")[:left]:
        numbers[place] += 1
    return [int(number) for number in numbers]


def whole_numbers_by_attribute(shares: Floats, total: int, carries: Floats) -> list[int]:
    """Return whole numbers that sum to ``total``, whose sums by attribute lie near the shares'.

    Few examples over many cells leave each cell a fraction, and rounding cell by
    cell would give all of them to the attribute of the larger fractions. Here
    the cell is rounded up, one at a time, that brings the attributes' sums nearest
    to what they should be, by least squares.

    Args:
        shares: [C], none negative, not all zero.
        total: what the numbers sum to.
        carries: [C, A], 1 where a cell carries an attribute that the balance is about.
    """
    exact = shares / shares.sum() * total
    numbers = np.floor(exact).astype(np.int64)
    fractions = exact - numbers
    # What the sum of squares falls by where a cell is rounded up; fractions decide like ones.
    lacking = carries.T @ fractions
    gains = carries @ (2 * lacking - 1) + fractions * 1e-6
    gains[fractions <= 0] = -np.inf
    for _ in range(total - int(numbers.sum())):
        best = int(np.argmax(gains))
        numbers[best] += 1
        gains[best] = -np.inf
        gains -= 2 * carries[:, carries[best] > 0].sum(axis=1)
    return [int(number) for number in numbers]


def _carries(cells: Sequence[Cell], wanted: Mapping[str, float]) -> Floats:
    names = sorted(wanted)
    return np.array([[name in cell for name in names] for cell in cells], dtype=np.float64)


def _combination_shares(config: GenerateConfig, cells: Sequence[Cell], base: Floats) -> Floats:
    balance = config.balance
    if isinstance(balance, dict):
        asked = {frozenset(name.split("+")): share for name, share in balance.items()}
        unknown = set(asked) - {frozenset(cell) for cell in cells}
        if unknown:
            name = "+".join(sorted(min(unknown, key=sorted)))
            known = ["+".join(cell) for cell in cells]
            raise ConfigError(
                f"generate.balance names the combination {name!r}, which cannot be asked for"
                f"{did_you_mean(name, known)}; combinations are written label+label, and "
                "generate.combinations says which ones there are."
            )
        return np.array([asked.get(frozenset(cell), 0.0) for cell in cells])
    return base if balance == "seed" else np.ones_like(base) if balance == "uniform" else 1 / base


def _attribute_shares(
    config: GenerateConfig, cells: Sequence[Cell], counts: Mapping[str, int]
) -> dict[str, float]:
    """Return attribute -> relative weight among those that the balance is about."""
    names = sorted({name for cell in cells for name in cell})
    balance = config.balance
    if isinstance(balance, dict):
        for name in balance:
            if name not in names:
                raise ConfigError(
                    f"generate.balance names {name!r}, which no combination that can be asked for "
                    f"carries{did_you_mean(name, names)}"
                )
        return dict(balance)
    if balance == "uniform":
        return dict.fromkeys(names, 1.0)
    seen = {name: max(counts.get(name, 0), 1) for name in names}
    return {name: seen[name] if balance == "seed" else 1 / seen[name] for name in names}


def _raked(cells: Sequence[Cell], base: Floats, wanted: Mapping[str, float]) -> Floats:
    """Return cell shares near ``base`` whose attribute sums are in the wanted proportions.

    Iterative proportional fitting: each sweep scales the cells of every
    attribute by what the attribute lacks. Where the proportions cannot be met
    exactly it settles near the least distortion. Cells without any of the
    wanted attributes get nothing; other attributes come as their companions.
    """
    names = sorted(wanted)
    carries = _carries(cells, wanted)
    sizes = carries.sum(axis=1)
    shares = np.where(sizes > 0, base, 0.0)
    proportions = np.array([wanted[name] for name in names])
    proportions = proportions / proportions.sum()
    for _ in range(_SWEEPS):
        sums = carries.T @ shares
        lack = np.log(np.maximum(proportions * sums.sum() / np.maximum(sums, 1e-300), 1e-12))
        # The geometric mean over a cell's attributes, so that those of one and of four settle.
        shares = shares * np.exp((carries @ lack) / np.maximum(sizes, 1.0))
        shares = shares / shares.sum()
    return shares


def attribute_sums(numbers: Mapping[Cell, Any]) -> dict[str, int]:
    """Return attribute -> examples that carry it, of numbers by cell."""
    sums: dict[str, int] = {}
    for cell, number in numbers.items():
        for name in cell:
            sums[name] = sums.get(name, 0) + int(number)
    return dict(sorted(sums.items()))
