"""What the records of several processes say about one lock, condition or barrier.

All stamps are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. A holder
stamps after its grant and before its release, so the holds of a lock that keeps its promise never
overlap, and the order of the grants is the order of the holders.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.errors import BenchError
from bench.stats import quantile

NANOSECONDS = 1e9
MICROSECOND = 1e3


def _quantiles(values: list[int]) -> dict[str, float]:
    """Return microseconds."""
    ordered = sorted(value / MICROSECOND for value in values)
    return {"p50": quantile(ordered, 0.5), "p99": quantile(ordered, 0.99), "samples": len(ordered)}


@dataclass(frozen=True, slots=True)
class Hold:
    """One stay of one task in the lock."""

    process: int
    task: int
    requested: int
    granted: int
    released: int
    fence: int

    @property
    def holder(self) -> tuple[int, int]:
        return self.process, self.task


@dataclass(frozen=True)
class Contest:
    """The holds of all processes in order, from `start` (after the warm-up) to `end`."""

    holds: list[Hold]
    pending: list[int]
    start: int
    end: int

    @classmethod
    def merge(cls, reports: list[dict[str, Any]], start: int, end: int, keys: int = 1) -> Contest:
        """Put the reports of the processes together, and check that each lock was one.

        Task number i wanted lock number i % keys.
        """
        holds = [
            Hold(process, *record)
            for process, report in enumerate(reports)
            for record in report["records"]
        ]
        holds.sort(key=lambda hold: hold.granted)
        last: dict[int, Hold] = {}
        for hold in holds:
            before = last.get(hold.task % keys)
            last[hold.task % keys] = hold
            if before and hold.granted < before.released:
                raise BenchError("two tasks held the lock at once")
            if before and hold.fence and hold.fence <= before.fence:
                raise BenchError("a fencing token did not grow")
        pending = [asked for report in reports for _, asked in report["pending"]]
        holds = [hold for hold in holds if start <= hold.granted <= end]
        return cls(holds, pending, start, end)

    def handovers_a_second(self) -> float:
        """Count the grants to another task than the holder before."""
        count = sum(1 for before, after in pairwise(self.holds) if before.holder != after.holder)
        return count / ((self.end - self.start) / NANOSECONDS)

    def grants_a_second(self) -> float:
        """Count all grants, those to the very task that has just released too."""
        return len(self.holds) / ((self.end - self.start) / NANOSECONDS)

    def latencies(self) -> dict[str, float]:
        """Return microseconds from a release to the grant of one who waited in another process."""
        values = [
            after.granted - before.released
            for before, after in pairwise(self.holds)
            if before.process != after.process and after.requested < before.released
        ]
        if not values:
            raise BenchError("the lock never went from one process to another")
        return _quantiles(values)

    def unfairness(self) -> float:
        """Return the longest wait over the mean wait, with the waits that were still going on."""
        waits = [
            hold.granted - hold.requested for hold in self.holds if hold.requested > self.start
        ]
        if not waits:
            raise BenchError("no wait began and ended in the measured time")
        longest = max(waits + [self.end - asked for asked in self.pending])
        return longest / (sum(waits) / len(waits))


def wakings(notified: list[int], woken: list[int], start: int) -> dict[str, float]:
    """Return microseconds from a notification to the end of the waiting that it ended."""
    events = sorted([(at, False) for at in notified] + [(at, True) for at in woken])
    # One that came too early, and was given again, is followed by another.
    values = [
        after - before
        for (before, was_woken), (after, is_woken) in pairwise(events)
        if is_woken and not was_woken and before >= start
    ]
    if not values:
        raise BenchError("no notification ended a waiting")
    return _quantiles(values)


def round_time(rounds: list[list[int]], start: int) -> float:
    """Return the microseconds of a round, from the ends of the rounds as each process saw them."""
    counts = [len(ends) for ends in rounds]
    # The last end may have come to some of them only when the time was up.
    if max(counts) - min(counts) > 1:
        raise BenchError("the processes were not in the same rounds")
    ends = [end for end in rounds[0] if end >= start]
    if len(ends) < 2:
        raise BenchError("not one round began and ended in the measured time")
    return (ends[-1] - ends[0]) / (len(ends) - 1) / MICROSECOND
