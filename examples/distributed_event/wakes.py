"""What the nodes and the monitor share: names in Redis, and what a waiter tells of a wake-up."""

from __future__ import annotations

from dataclasses import dataclass

from dsync import DistributedEvent
from redis.asyncio import Redis

SETS = "demo_sets"  # How often an event has been set.
WOKEN = "demo_woken"  # The list of wake-ups, for the monitor to follow.

# Longer than the monitor is patient: a wake-up that got lost is not found by a look at the flag.
_LOOK_SECONDS = 3600.0


@dataclass(frozen=True)
class Wake:
    """A wake-up of one waiter: for which set, and when, in seconds of the server's clock."""

    waiter: int
    turn: int
    time: float


def event_of_turn(redis: Redis, turn: int) -> DistributedEvent:
    """Give the event of the turn-th set: two take turns, so that one is cleared in time."""
    return DistributedEvent(redis, f"demo_{turn % 2}", _LOOK_SECONDS)
