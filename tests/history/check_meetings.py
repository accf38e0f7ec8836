"""What must hold of conditions and barriers, whatever the faults were."""

import math
from collections.abc import Iterator
from heapq import heappop, heappush

from tests.history.events import Event, Operation, Violation, by_key, operations
from tests.history.matching import match

ALL = 10**9  # the units of a `notify_all`

# All waits and notifications happen with the lock, so their fencing tokens tell the order in which
# the server executed them, exactly.


def check_notifications(events: list[Event]) -> Iterator[Violation]:
    """Each notification that was acknowledged wakes exactly one waiter that waited then."""
    notifications = by_key(operations(events, "notify"))
    for key, waits in by_key(operations(events, "wait")).items():
        notified = sorted(notifications.get(key, []), key=lambda each: each.get("fence"))
        notified = [each for each in notified if each.outcome != "fail"]
        yield from _check_wakes(waits, notified)
        yield from _check_losses(waits, notified)
        yield from _check_notify_all(waits, notified)


def _woke(wait: Operation) -> float:
    """Return the token of the grant with which it woke."""
    token = wait.get("woke")
    return math.inf if token is None else token


def _may_wake(notification: Operation, wait: Operation) -> bool:
    """Whether the order allows it; nobody who came later gets a notification."""
    return (
        wait.get("fence") < notification.get("fence") < _woke(wait)
        and notification.started < wait.ended
        and notification.ended > wait.started
    )


def _check_wakes(waits: list[Operation], notified: list[Operation]) -> Iterator[Violation]:
    """Nobody wakes without a notification of its own."""
    units = [each for each in notified for _ in range(min(each.get("n"), len(waits)))]
    woken = sorted((each for each in waits if each.outcome == "ok"), key=lambda each: each.ended)
    edges = [
        [place for place in range(len(units) - 1, -1, -1) if _may_wake(units[place], wait)]
        for wait in woken
    ]
    for wait, partner in zip(woken, match(edges), strict=True):
        if partner is None:
            text = "a waiter woke, and no notification is left that it can have been"
            yield Violation("wakes", text, wait.events)


def _check_losses(waits: list[Operation], notified: list[Operation]) -> Iterator[Violation]:
    """A notification for which somebody surely waited has woken somebody.

    One that was cancelled has passed it on. One that was killed, or whose session failed, may have
    consumed it before it could say so.
    """
    units = []
    for notification in notified:
        if notification.outcome == "ok" and notification.get("n") < ALL:
            count = min(notification.get("n"), _surely_waiting(notification, waits, notified))
            units += [notification] * count
    consumers = [each for each in waits if each.outcome != "fail" and not _is_open(each)]
    # Those that woke first: who may have been woken explains only what nobody else does.
    consumers.sort(key=lambda each: (each.outcome != "ok", each.ended, each.started))
    edges = [
        [place for place, wait in enumerate(consumers) if _may_wake(unit, wait)] for unit in units
    ]
    for unit, partner in zip(units, match(edges), strict=True):
        if partner is None:
            text = "a notification was acknowledged, somebody waited, and nobody woke"
            yield Violation("losses", text, unit.events)


def _is_open(wait: Operation) -> bool:
    """Whether it still waited when the run was over."""
    return wait.end is not None and wait.end.value.get("why") == "end"


def _surely_waiting(
    notification: Operation, waits: list[Operation], notified: list[Operation]
) -> int:
    """Count those who surely waited at a notification, and were surely not notified before it.

    As many as can be are taken to have been notified: by a notification that came after them, and
    that is not needed to explain why somebody else woke before.
    """
    fence = notification.get("fence")
    happened: list[tuple[float, int, float]] = []
    waiting, still_waiting = 0, 0
    for wait in waits:
        if wait.outcome != "ok" and not _is_open(wait):
            continue
        if wait.get("fence") < fence < _woke(wait) and wait.ended > notification.ended:
            happened.append((wait.get("fence"), 0, math.inf))
            waiting += 1
            still_waiting += _is_open(wait)
        elif wait.outcome == "ok":
            happened.append((wait.get("fence"), 0, _woke(wait)))
    for each in notified:
        if each.get("fence") <= fence and each is not notification:
            happened.append((each.get("fence"), 1, each.get("n")))
    # Who never woke was not notified, or that was the loss.
    return max(waiting - _most_told(sorted(happened)), still_waiting)


def _most_told(happened: list[tuple[float, int, float]]) -> int:
    """Give notifications to those that have to wake soonest; count what the endless ones get.

    :param happened: (token, 0, token by which it woke) and (token, 1, number of notifications)
    """
    told = 0
    heap: list[float] = []
    for at, is_notification, value in happened:
        if not is_notification:
            heappush(heap, value)
            continue
        for _ in range(min(int(value), len(heap))):
            while heap and heap[0] < at:
                heappop(heap)
            if heap:
                told += math.isinf(heappop(heap))
    return told


def _check_notify_all(waits: list[Operation], notified: list[Operation]) -> Iterator[Violation]:
    """Nobody who waited at a `notify_all` still waits at the end."""
    everybody = [each for each in notified if each.outcome == "ok" and each.get("n") >= ALL]
    for wait in filter(_is_open, waits):
        for notification in everybody:
            if wait.get("fence") < notification.get("fence"):
                text = "all were notified, and one still waits"
                yield Violation("losses", text, wait.events + notification.events)
                break


def check_barrier(events: list[Event], parties: int) -> Iterator[Violation]:
    """Nobody leaves before all parties of its round have come, and no full round is left waiting.

    A round has `parties` parties, and opens at one moment, when all of them have come and none has
    left. Which party is of which round is not known; so it is a violation if there is no way to
    divide them. Parties that were killed or cancelled may have counted, once.
    """
    for key, waits in by_key(operations(events, "meet")).items():
        left = sorted((each for each in waits if each.outcome == "ok"), key=lambda each: each.ended)
        maybe = [each for each in waits if each.outcome != "ok" and not _is_open(each)]
        arriving = sorted([*left, *maybe], key=lambda each: -each.started)
        present: list[Operation] = []
        gone: set[int] = set()
        for first in left:
            if id(first) in gone:
                continue
            while arriving and arriving[-1].started < first.ended:
                present.append(arriving.pop())
            # Those that leave next must open soonest, and who may have left fills what is missing.
            present.sort(key=lambda each: (each.outcome != "ok", each.ended))
            here, present = present[:parties], present[parties:]
            gone.update(map(id, here))
            if len(here) < parties:
                text = f"a party left {key!r} when only {len(here)} of {parties} had come"
                yield Violation("barrier", text, tuple(e for each in here for e in each.events))
        pending = [each for each in waits if _is_open(each)]
        if len(pending) >= parties:
            text = f"{len(pending)} parties are at {key!r}, and it does not open for {parties}"
            yield Violation("barrier", text, tuple(e for each in pending for e in each.events))
