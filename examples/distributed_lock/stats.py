"""What the grants of one run say about the lock: was it exclusive, in order, fair and fast?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from examples._statistics import RequestStats, summarize_turns

COUNTER = "demo_counter"


@dataclass(frozen=True)
class Grant:
    """One turn with the lock: its fencing token, and the number that was written under it."""

    token: int
    value: int
    wait_ms: float
    hold_ms: float


@dataclass(frozen=True)
class Stats:
    """The answer of `/gather_stats`."""

    ok: bool
    requests: int
    lost_updates: int
    in_order: bool
    seconds: float
    hand_overs_per_second: float
    nodes: list[RequestStats]


def summarize(by_node: Mapping[str, Sequence[Grant]], counted: int, seconds: float) -> Stats:
    """Judge one run.

    :param by_node: the grants that each node reported.
    :param counted: by how much the counter grew meanwhile.
    :param seconds: how long the run took.
    """
    grants = [grant for grants in by_node.values() for grant in grants]
    lost = len(grants) - counted
    in_order = grow_together(grants)
    return Stats(
        ok=lost == 0 and in_order,
        requests=len(grants),
        lost_updates=lost,
        in_order=in_order,
        seconds=round(seconds, 3),
        hand_overs_per_second=round(len(grants) / seconds, 1),
        nodes=[summarize_turns(node, grants) for node, grants in by_node.items()],
    )


def grow_together(grants: Sequence[Grant]) -> bool:
    """Tell whether a later number was always written under a greater fencing token."""
    by_value = sorted(grants, key=lambda grant: grant.value)
    return all(
        earlier.value < later.value and earlier.token < later.token
        for earlier, later in pairwise(by_value)
    )
