"""Medians and spreads over interleaved rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Summary:
    """The middle of some rounds, and how far apart they were."""

    median: float
    low: float
    high: float
    rounds: int


def summarize(values: Sequence[float]) -> Summary | None:
    """Return the summary of the rounds; nothing when there was none."""
    if not values:
        return None
    return Summary(median(values), min(values), max(values), len(values))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of the ordered values do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
