"""What the parties of one run say about the barrier: did they always leave together?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from examples._statistics import WaitTimes, wait_times

BARRIER = "demo"
ARRIVED = "demo_arrived"  # How often anybody has arrived; only INCR changes it.


@dataclass(frozen=True)
class Passage:
    """One party's way through one round, and how many had arrived when it left."""

    round: int
    arrived: int
    wait_ms: float


class NodeStats(WaitTimes):
    """How the parties of one node fared."""

    node: str
    passages: int


@dataclass(frozen=True)
class Stats:
    """The answer of `/gather_stats`."""

    ok: bool
    rounds: int
    parties: int
    passages_missing: int
    out_of_step: int
    seconds: float
    rounds_per_second: float
    nodes: list[NodeStats]


def summarize(
    by_node: Mapping[str, Sequence[Passage]], rounds: int, parties: int, seconds: float
) -> Stats:
    """Judge one run.

    :param by_node: the passages of the parties of each node; the monitor is a party without one.
    :param rounds: how many there were.
    :param parties: how many open the barrier.
    :param seconds: how long the run took.
    """
    all_passages = [passage for passages in by_node.values() for passage in passages]
    missing = rounds * (parties - 1) - len(all_passages)
    out_of_step = sum(not in_step(passage, parties) for passage in all_passages)
    return Stats(
        ok=missing == 0 and out_of_step == 0,
        rounds=rounds,
        parties=parties,
        passages_missing=missing,
        out_of_step=out_of_step,
        seconds=round(seconds, 3),
        rounds_per_second=round(rounds / seconds, 1),
        nodes=[
            {
                "node": node,
                "passages": len(passages),
                **wait_times(passage.wait_ms for passage in passages),
            }
            for node, passages in by_node.items()
        ],
    )


def in_step(passage: Passage, parties: int) -> bool:
    """Tell whether all had arrived for that round, and not yet all for the next.

    This party itself had not come again when it looked, so without it the next round is not full.
    """
    return passage.arrived // parties == passage.round + 1
