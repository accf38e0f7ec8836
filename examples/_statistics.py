"""How long those waited that one node served."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TypedDict


class WaitTimes(TypedDict):
    """Milliseconds; None if nobody waited."""

    wait_mean_ms: float | None
    wait_p50_ms: float | None
    wait_p99_ms: float | None
    wait_max_ms: float | None


def wait_times(waits_ms: Iterable[float]) -> WaitTimes:
    """Summarize the waits of one node."""
    ordered = sorted(waits_ms)
    if not ordered:
        return WaitTimes(wait_mean_ms=None, wait_p50_ms=None, wait_p99_ms=None, wait_max_ms=None)
    return WaitTimes(
        wait_mean_ms=round(fmean(ordered), 3),
        wait_p50_ms=round(percentile(ordered, 50), 3),
        wait_p99_ms=round(percentile(ordered, 99), 3),
        wait_max_ms=round(ordered[-1], 3),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of numbers that are sorted already."""
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]
