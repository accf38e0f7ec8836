"""What the records of several processes say about one lock.

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
    def merge(cls, reports: list[dict[str, Any]], start: int, end: int) -> Contest:
        """Put the reports of the processes together, and check that the lock was one."""
        holds = [
            Hold(process, *record)
            for process, report in enumerate(reports)
            for record in report["records"]
        ]
        holds.sort(key=lambda hold: hold.granted)
        for before, after in pairwise(holds):
            if after.granted < before.released:
                raise BenchError("two tasks held the lock at once")
            if after.fence and after.fence <= before.fence:
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
        values = sorted(
            (after.granted - before.released) / MICROSECOND
            for before, after in pairwise(self.holds)
            if before.process != after.process and after.requested < before.released
        )
        if not values:
            raise BenchError("the lock never went from one process to another")
        return {"p50": quantile(values, 0.5), "p99": quantile(values, 0.99), "samples": len(values)}

    def unfairness(self) -> float:
        """Return the longest wait over the mean wait, with the waits that were still going on."""
        waits = [
            hold.granted - hold.requested for hold in self.holds if hold.requested > self.start
        ]
        if not waits:
            raise BenchError("no wait began and ended in the measured time")
        longest = max(waits + [self.end - asked for asked in self.pending])
        return longest / (sum(waits) / len(waits))
