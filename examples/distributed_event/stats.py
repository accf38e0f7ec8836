"""What the wake-ups of one run say about the event: did each set wake every waiter once?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from examples._statistics import WaitTimes, wait_times
from examples.distributed_event.wakes import Wake


class NodeStats(WaitTimes):
    """How the waiters of one node fared."""

    node: str
    wakes: int


@dataclass(frozen=True)
class Stats:
    """The answer of `/gather_stats`."""

    ok: bool
    sets: int
    waiters: int
    wakes_lost: int
    wakes_needless: int
    seconds: float
    wakes_per_second: float
    nodes: list[NodeStats]


def summarize(
    by_node: Mapping[str, Sequence[Wake]],
    set_times: Mapping[int, float],
    waiters: int,
    seconds: float,
) -> Stats:
    """Judge one run.

    :param by_node: the wake-ups of the waiters of each node.
    :param set_times: when the event was set, by the turn.
    :param waiters: how many waited in all.
    :param seconds: how long the run took.
    """
    woken = {
        (node, wake.waiter, wake.turn)
        for node, wakes in by_node.items()
        for wake in wakes
        if wake.turn in set_times
    }
    lost = len(set_times) * waiters - len(woken)
    needless = sum(map(len, by_node.values())) - len(woken)
    return Stats(
        ok=lost == 0 and needless == 0,
        sets=len(set_times),
        waiters=waiters,
        wakes_lost=lost,
        wakes_needless=needless,
        seconds=round(seconds, 3),
        wakes_per_second=round(len(woken) / seconds, 1),
        nodes=[_summarize_node(node, wakes, set_times) for node, wakes in by_node.items()],
    )


def _summarize_node(node: str, wakes: Sequence[Wake], set_times: Mapping[int, float]) -> NodeStats:
    waits = [wake.time - set_times[wake.turn] for wake in wakes if wake.turn in set_times]
    return {"node": node, "wakes": len(wakes), **wait_times(wait * 1e3 for wait in waits)}
