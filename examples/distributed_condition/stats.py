"""What the jobs of one run say about the condition: did each find one consumer, and how soon?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from examples._statistics import WaitTimes, wait_times
from examples.distributed_condition.jobs import Done


class NodeStats(WaitTimes):
    """What the consumers of one node did."""

    node: str
    jobs: int


@dataclass(frozen=True)
class Stats:
    """The answer of `/gather_stats`."""

    ok: bool
    jobs: int
    jobs_lost: int
    jobs_done_twice: int
    seconds: float
    jobs_per_second: float
    nodes: list[NodeStats]


def summarize(
    by_node: Mapping[str, Sequence[Done]], notified: Sequence[float], seconds: float
) -> Stats:
    """Judge one run.

    :param by_node: what the consumers of each node did.
    :param notified: when each job was notified of, by its number.
    :param seconds: how long the run took.
    """
    times_done = Counter(done.job for jobs in by_node.values() for done in jobs)
    lost = len(notified) - len(times_done)
    twice = sum(times > 1 for times in times_done.values())
    return Stats(
        ok=lost == 0 and twice == 0,
        jobs=len(notified),
        jobs_lost=lost,
        jobs_done_twice=twice,
        seconds=round(seconds, 3),
        jobs_per_second=round(len(times_done) / seconds, 1),
        nodes=[_summarize_node(node, jobs, notified) for node, jobs in by_node.items()],
    )


def _summarize_node(node: str, jobs: Sequence[Done], notified: Sequence[float]) -> NodeStats:
    waits = wait_times((done.taken - notified[done.job]) * 1e3 for done in jobs)
    return {"node": node, "jobs": len(jobs), **waits}
