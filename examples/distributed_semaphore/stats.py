"""What the visits of one run say about the semaphore: were there ever too many inside?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from examples._statistics import RequestStats, summarize_turns

SEMAPHORE = "demo"
SLOTS = 3
INSIDE = "demo_inside"  # How many are inside; only INCR and DECR change it.


@dataclass(frozen=True)
class Visit:
    """One turn with a slot, and how many were inside when it began, this one included."""

    inside: int
    wait_ms: float
    hold_ms: float


@dataclass(frozen=True)
class Stats:
    """The answer of `/gather_stats`."""

    ok: bool
    requests: int
    requests_done: int
    slots: int
    most_inside: int
    slots_free: int
    seconds: float
    visits_per_second: float
    nodes: list[RequestStats]


def summarize(
    by_node: Mapping[str, Sequence[Visit]], requests: int, slots_free: int, seconds: float
) -> Stats:
    """Judge one run.

    :param by_node: the visits that each node reported.
    :param requests: how many there should be.
    :param slots_free: how many slots were free afterwards.
    :param seconds: how long the run took.
    """
    visits = [visit for visits in by_node.values() for visit in visits]
    most = max((visit.inside for visit in visits), default=0)
    return Stats(
        ok=most <= SLOTS == slots_free and len(visits) == requests,
        requests=requests,
        requests_done=len(visits),
        slots=SLOTS,
        most_inside=most,
        slots_free=slots_free,
        seconds=round(seconds, 3),
        visits_per_second=round(len(visits) / seconds, 1),
        nodes=[summarize_turns(node, visits) for node, visits in by_node.items()],
    )
