"""What a row of the benchmark is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.server import Server

Values = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """How long and how often things are measured."""

    rounds: int
    peer_rounds: int
    steady_rounds: int
    brief_rounds: int
    brief_peer_rounds: int
    warmup: float
    seconds: float
    contest_seconds: float
    brief_seconds: float
    settle: float
    window: float
    peer_waiters: tuple[int, ...]


FULL = Settings(
    rounds=5,
    peer_rounds=2,
    steady_rounds=2,
    brief_rounds=3,
    brief_peer_rounds=1,
    warmup=0.2,
    seconds=1.0,
    contest_seconds=1.5,
    brief_seconds=0.5,
    settle=1.0,
    window=2.0,
    peer_waiters=(1, 100, 1000),
)
QUICK = Settings(
    rounds=2,
    peer_rounds=1,
    steady_rounds=1,
    brief_rounds=1,
    brief_peer_rounds=0,
    warmup=0.1,
    seconds=0.4,
    contest_seconds=0.6,
    brief_seconds=0.4,
    settle=0.5,
    window=1.0,
    peer_waiters=(100,),
)


@dataclass(frozen=True)
class Bench:
    """What a measurement needs."""

    server: Server
    floor: Path
    settings: Settings


class Bound(StrEnum):
    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True)
class Target:
    """A promise about dsync: its value, its ratio to another contender, or a share of a ratio."""

    bound: Bound
    limit: float
    against: str | None = None
    # The row whose ratio is the unit of this one's.
    share_of: str | None = None

    def met(self, value: float) -> bool:
        """Tell whether the value keeps the promise."""
        return value <= self.limit if self.bound is Bound.AT_MOST else value >= self.limit


@dataclass(frozen=True)
class Metric:
    """One number of a case. Ratios are to `reference`, where there is one."""

    row: str
    key: str
    title: str
    unit: str
    reference: str | None = None
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Case:
    """One work as one contender after the other does it, and the numbers that come out."""

    title: str
    metrics: tuple[Metric, ...]
    contenders: tuple[str, ...]
    measure: Callable[[Bench, str], Values]
    # What the processor time is given for each of, where it is measured.
    unit: str = "cycle"
    # Counts and sizes: the same in each round, so a peer needs one only, and dsync few.
    steady: bool = False
    # One of many, or hardly different between rounds: dsync needs some, a peer one or none.
    brief: bool = False
    # How often in each round: short works differ much with where the kernel puts the processes.
    repeats: int = 1
