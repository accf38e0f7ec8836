"""Faults by a seed: the schedule is made before the run, and carried out beside it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

LEASE = 2.0  # seconds; of all workloads whose faults may last longer
LONG_LEASE = 10.0  # of those whose faults may not

GAP = 0.2  # seconds between two faults, on average but for those that would be
LONGEST_GAP = 0.4  # further apart: no run is without faults
QUIET = 0.3  # seconds at the start, in which clients connect

LINKS = ("all", "command", "subscription")
DIRECTIONS = ("both", "requests", "replies")

LINK_FAULTS = ("cut", "half_close", "drop_reply", "delay", "blackhole", "byte_by_byte")
SERVER_FAULTS = ("kill_connection", "script_flush", "pause_server")
# Each is chosen as often as it stands here.
MILD = (*LINK_FAULTS, *SERVER_FAULTS, "stop_briefly")
HARSH = (*LINK_FAULTS, *MILD, "stop_briefly", "stop_long", "kill")
# What hits all processes would leave nobody undisturbed.
ON_OTHERS = tuple(fault for fault in HARSH if fault not in ("kill_connection", "pause_server"))
LOSING = (*HARSH, "flush_data", "delete_keys", "delete_keys", "restart_empty", "fail_over")


@dataclass(frozen=True, order=True)
class Step:
    """One action of the schedule.

    :param at: seconds after the start
    :param slot: of the process that it is about; of a server's fault it means nothing
    :param argument: which links, or which direction
    :param amount: from 0 to 1; what it means is the action's
    """

    at: float
    action: str
    slot: int = 0
    argument: Any = ""
    amount: float = 0.0
    begins: bool = True


def schedule(seed: int, seconds: float, faults: Sequence[str], slots: Sequence[int]) -> list[Step]:
    """Return the steps of a run; the same arguments give the same steps."""
    dice = random.Random(f"faults {seed}")
    steps: list[Step] = []
    at = QUIET
    while at < seconds:
        fault, slot = dice.choice(faults), dice.choice(slots)
        steps += _MAKERS.get(fault, _once)(fault, at, slot, dice)
        at += min(dice.expovariate(1 / GAP), LONGEST_GAP)
    return sorted(steps)


def _once(action: str, at: float, slot: int, dice: random.Random) -> list[Step]:
    return [Step(at, action, slot, dice.choice(LINKS), dice.random())]


def _lasting(low: float, high: float) -> Callable[[str, float, int, random.Random], list[Step]]:
    """Make two steps: a fault that begins and one that ends."""

    def make(action: str, at: float, slot: int, dice: random.Random) -> list[Step]:
        argument, amount = dice.choice(DIRECTIONS), dice.random()
        end = at + dice.uniform(low, high)
        begin = Step(at, action, slot, argument, amount)
        return [begin, Step(end, action, slot, argument, amount, begins=False)]

    return make


_MAKERS = {
    "delay": _lasting(0.1, 1.0),
    "blackhole": _lasting(0.1, 1.5),
    "byte_by_byte": _lasting(0.1, 1.0),
    "stop_briefly": _lasting(0.05, LEASE / 3),
    "stop_long": _lasting(LEASE * 1.1, LEASE * 2),
    "pause_server": _lasting(0.05, 1.0),
    "fail_over": _lasting(0.0, 0.5),
}
