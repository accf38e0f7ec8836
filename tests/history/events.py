"""A history: what clients did and what was done to them, and how it is read.

Each line of a history is an event. An operation is an `invoke` and what ended it: `ok`, `fail` (it
has surely not happened) or `info` (nobody knows). An operation without an end is unknown too: its
process was killed, or still waited when the run was over.

Times are those of CLOCK_MONOTONIC, which all processes of a machine share. An `invoke` is stamped
before the call and an `ok` after it, so what happened lies between the two however the process was
delayed meanwhile.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Time = float  # nanoseconds; infinite where there was no end


@dataclass(frozen=True)
class Event:
    """One line of a history.

    :param at: nanoseconds
    :param process: who has written it; a process that was started anew has another name
    :param kind: invoke, ok, fail, info; claim (something is held until `value["until"]`); seen (by
        the watcher of a queue); fault; final (what the store has at the end)
    :param number: of the operation within its process; that of the acquire for a claim
    """

    at: int
    process: str
    kind: str
    number: int
    task: str
    op: str
    key: str
    value: dict[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> str:
        """Write it as one line."""
        return json.dumps(vars(self))

    def __str__(self) -> str:
        value = " ".join(f"{name}={value}" for name, value in self.value.items())
        who = f"{self.at / 1e9:.6f} {self.process}/{self.task} #{self.number}"
        return f"{who} {self.kind} {self.op} {self.key} {value}"


@dataclass(frozen=True)
class Violation:
    """A property that did not hold, and the events that show it."""

    rule: str
    text: str
    events: tuple[Event, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.rule}: {self.text}", *(f"  {event}" for event in self.events)])


@dataclass(frozen=True)
class Operation:
    """An invoke with its end, if it has one."""

    begin: Event
    end: Event | None

    @property
    def outcome(self) -> str:
        """How it ended: ok, fail or info."""
        return self.end.kind if self.end else "info"

    @property
    def started(self) -> Time:
        """When it was called."""
        return self.begin.at

    @property
    def ended(self) -> Time:
        """When it returned."""
        return self.end.at if self.end else math.inf

    @property
    def events(self) -> tuple[Event, ...]:
        """The invoke and the end."""
        return (self.begin, self.end) if self.end else (self.begin,)

    def get(self, name: str) -> Any:
        """Return a value that the invoke or the end has; None where it has not."""
        end = self.end.value if self.end else {}
        return end.get(name, self.begin.value.get(name))


@dataclass(frozen=True)
class Hold:
    """A grant, for the time in which its holder was told that it surely has it."""

    acquire: Operation
    start: Time
    end: Time
    release: Operation | None

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened to it."""
        return (*self.acquire.events, *(self.release.events if self.release else ()))


def read(paths: Iterable[Path]) -> list[Event]:
    """Merge the histories of all processes by time."""
    events = []
    for path in paths:
        for line in path.read_text().splitlines():
            try:
                events.append(Event(**json.loads(line)))
            except ValueError:
                continue  # The last line of a process that was killed.
    return sorted(events, key=lambda event: event.at)


def operations(events: Iterable[Event], op: str) -> list[Operation]:
    """Pair the events of one kind of operation, ordered by the call."""
    begins: dict[tuple[str, int], Event] = {}
    ends: dict[tuple[str, int], Event] = {}
    for event in events:
        if event.op == op and event.kind in ("invoke", "ok", "fail", "info"):
            kind = begins if event.kind == "invoke" else ends
            kind[event.process, event.number] = event
    found = [Operation(begin, ends.get(who)) for who, begin in begins.items()]
    return sorted(found, key=lambda operation: operation.started)


def by_key(found: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Group operations by their key."""
    groups: dict[str, list[Operation]] = defaultdict(list)
    for operation in found:
        groups[operation.begin.key].append(operation)
    return groups


def holds(events: list[Event]) -> list[Hold]:
    """Find what was held, and for how long that is sure.

    `valid_for()` promises a time, so each claim is worth `asked at + valid_for()`. A release that
    succeeded says that it was held until then. What nobody was told is not counted.
    """
    claims: dict[tuple[str, int], Time] = defaultdict(float)
    for event in events:
        if event.kind == "claim":
            until = event.value["until"]
            who = (event.process, event.number)
            claims[who] = max(claims[who], math.inf if until is None else until)
    releases = {
        (operation.begin.process, operation.begin.value["hold"]): operation
        for operation in operations(events, "release")
    }
    found = []
    for acquire in operations(events, "acquire"):
        if acquire.outcome != "ok":
            continue
        who = (acquire.begin.process, acquire.begin.number)
        release = releases.get(who)
        end = claims[who]
        if release:
            end = release.started if release.outcome == "ok" else min(end, release.started)
        found.append(Hold(acquire, acquire.ended, end, release))
    return found
