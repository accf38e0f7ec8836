"""How long those waited, and held what they waited for, that one node served."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Protocol, TypedDict


class WaitTimes(TypedDict):
    """Milliseconds; None if nobody waited."""

    wait_mean_ms: float | None
    wait_p50_ms: float | None
    wait_p99_ms: float | None
    wait_max_ms: float | None


class RequestStats(WaitTimes):
    """How the requests of one node fared; each waited for something, and held it."""

    node: str
    requests: int
    hold_mean_ms: float


class Turn(Protocol):
    """One request's turn with a lock or a slot."""

    @property
    def wait_ms(self) -> float:
        """How long it waited."""
        ...

    @property
    def hold_ms(self) -> float:
        """How long it held what it waited for."""
        ...


def summarize_turns(node: str, turns: Sequence[Turn]) -> RequestStats:
    """Summarize the requests of one node."""
    return {
        "node": node,
        "requests": len(turns),
        **wait_times(turn.wait_ms for turn in turns),
        "hold_mean_ms": round(fmean(turn.hold_ms for turn in turns), 3),
    }


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
