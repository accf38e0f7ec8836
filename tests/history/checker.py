"""Decides over a history: which properties each workload promises."""

from collections.abc import Callable, Iterable

from tests.history.check_locks import (
    check_elements,
    check_order,
    check_permits,
    check_refusals,
    check_tokens,
)
from tests.history.check_meetings import check_barrier, check_notifications
from tests.history.events import Event, Violation

PERMITS = 3
PARTIES = 4

Check = Callable[[list[Event]], Iterable[Violation]]


def check_end(events: list[Event]) -> Iterable[Violation]:
    """When the faults are over, everybody comes to an end."""
    for event in events:
        if event.kind == "stuck":
            text = "a process did not come to an end after the last fault"
            open_operations = [each for each in _unfinished(events) if each.process == event.key]
            yield Violation("end", text, (event, *open_operations))


def _unfinished(events: list[Event]) -> list[Event]:
    begun = {}
    for event in events:
        if event.kind == "invoke":
            begun[event.process, event.number] = event
        elif event.kind in ("ok", "fail", "info"):
            begun.pop((event.process, event.number), None)
    return list(begun.values())


_FENCED: list[Check] = [check_tokens, lambda events: check_elements(events, guarded=True)]
_EXCLUSIVE: list[Check] = [check_permits, check_tokens, check_refusals]

CHECKS: dict[str, list[Check]] = {
    "lock": [*_EXCLUSIVE, lambda events: check_elements(events, guarded=True)],
    "set": [*_EXCLUSIVE, lambda events: check_elements(events, guarded=False)],
    "semaphore": [lambda events: check_permits(events, PERMITS)],
    "condition": [check_notifications],
    "barrier": [lambda events: check_barrier(events, PARTIES)],
    "order": [*_EXCLUSIVE, check_order],
    # A server that forgets who holds grants again at once, while the old holder learns of it with
    # its next renewal. So only the store can tell who is late.
    "loss": _FENCED,
}


def check(workload: str, events: list[Event]) -> list[Violation]:
    """Return all violations of what a workload promises."""
    return [violation for rule in (*CHECKS[workload], check_end) for violation in rule(events)]
