"""Confidence intervals for pass rates: few trials, rates near 0 and 1."""

from __future__ import annotations

import math

Z95 = 1.959963984540054


def wilson_interval(passed: float, trials: int, z: float = Z95) -> tuple[float, float]:
    """Returns the interval of a rate (Wilson 1927), 95 % unless another `z` is given."""
    if trials == 0:
        return 0.0, 1.0
    rate = passed / trials
    scale = 1 + z * z / trials
    middle = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def difference_interval(
    passed: int, trials: int, passed_before: int, trials_before: int
) -> tuple[float, float]:
    """Returns the interval of a rate minus an earlier rate (Newcombe 1998, method 10)."""
    now, before = passed / max(trials, 1), passed_before / max(trials_before, 1)
    low, high = wilson_interval(passed, trials)
    low_before, high_before = wilson_interval(passed_before, trials_before)
    change = now - before
    return (
        change - math.hypot(now - low, high_before - before),
        change + math.hypot(high - now, before - low_before),
    )
