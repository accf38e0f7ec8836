"""Interleaved rounds: in each one every contender has its turn at every work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.contenders import BARE_FLOOR, CONTENDERS, DSYNC, DSYNC_UVLOOP, FLOOR
from bench.errors import BenchError
from bench.model import Bench, Case, Settings, Values

OURS = (FLOOR, BARE_FLOOR, DSYNC, DSYNC_UVLOOP)


@dataclass
class Results:
    """The values of each round, and what failed and why."""

    samples: dict[tuple[str, str], dict[int, Values]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def values(self, case: Case, contender: str, key: str) -> list[float]:
        """Return one number of a contender, a value for each round."""
        rounds = self.samples.get((case.title, contender), {})
        return [values[key] for values in rounds.values() if key in values]

    def ratios(self, case: Case, contender: str, reference: str, key: str) -> list[float]:
        """Return a contender's number over that of another, for each round that has both.

        Two measurements of one round are seconds apart, so what else the machine does in an hour
        does not come between them.
        """
        ours = self.samples.get((case.title, contender), {})
        theirs = self.samples.get((case.title, reference), {})
        return [
            values[key] / theirs[number][key] if theirs[number][key] else math.inf
            for number, values in ours.items()
            if number in theirs and key in values and key in theirs[number]
        ]


@dataclass(frozen=True)
class Turn:
    """One measurement; those of a case with the same number are compared."""

    number: int
    case: Case
    contender: str


def available(case: Case) -> Iterator[str]:
    """Yield the contenders of a case that this machine has."""
    for name in case.contenders:
        if name not in CONTENDERS or CONTENDERS[name].installed():
            yield name


def plan(cases: list[Case], settings: Settings) -> list[Turn]:
    """Return all measurements in their order."""
    turns = []
    for number in range(settings.rounds):
        for case in cases:
            names = [name for name in available(case) if number < _rounds(case, name, settings)]
            for repeat in range(number * case.repeats, (number + 1) * case.repeats):
                # Back and forth, so that nobody always runs after the same neighbour.
                order = names if repeat % 2 == 0 else reversed(names)
                turns += [Turn(repeat, case, name) for name in order]
    return turns


def _rounds(case: Case, name: str, settings: Settings) -> int:
    if not case.steady and not case.brief:
        return settings.rounds if name in OURS else settings.peer_rounds
    most, of_peers = (
        (settings.steady_rounds, 1)
        if case.steady
        else (settings.brief_rounds, settings.brief_peer_rounds)
    )
    return min(settings.rounds, most) if name in OURS else of_peers


def run(bench: Bench, turns: list[Turn], announce: Callable[[Turn], None]) -> Results:
    """Carry out all measurements; one that failed is not tried again."""
    results = Results()
    for turn in turns:
        announce(turn)
        place = turn.case.title, turn.contender
        if place in results.failures:
            continue
        bench.server.reset()
        try:
            values = turn.case.measure(bench, turn.contender)
        except BenchError as error:
            results.failures[place] = str(error)
        else:
            results.samples.setdefault(place, {})[turn.number] = values
    return results
