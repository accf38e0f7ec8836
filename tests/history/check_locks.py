"""What must hold of locks and semaphores, whatever the faults were."""

from collections import defaultdict
from collections.abc import Iterator

from tests.history.events import Event, Hold, Operation, Violation, by_key, holds, operations


def _by_key(found: list[Hold]) -> dict[str, list[Hold]]:
    groups: dict[str, list[Hold]] = defaultdict(list)
    for hold in found:
        if hold.end > hold.start:
            groups[hold.acquire.begin.key].append(hold)
    return groups


def check_permits(events: list[Event], value: int = 1) -> Iterator[Violation]:
    """At no time more than `value` are sure that they hold; with 1 that is mutual exclusion."""
    rule = "exclusion" if value == 1 else "permits"
    for key, found in _by_key(holds(events)).items():
        current: list[Hold] = []
        for hold in sorted(found, key=lambda hold: hold.start):
            current = [other for other in current if other.end > hold.start]
            current.append(hold)
            if len(current) > value:
                text = f"{len(current)} hold {key!r} at once, {value} may"
                yield Violation(rule, text, tuple(e for each in current for e in each.events))


def check_tokens(events: list[Event]) -> Iterator[Violation]:
    """Who asked after another had been granted has a greater fencing token; none is given twice."""
    for key, found in by_key(operations(events, "acquire")).items():
        granted = [operation for operation in found if operation.outcome == "ok"]
        returned = sorted(granted, key=lambda operation: operation.ended)
        greatest: Operation | None = None
        place = 0
        owners: dict[int, Operation] = {}
        for operation in granted:
            token = operation.get("fence")
            if token in owners:
                text = f"two grants of {key!r} have the token {token}"
                yield Violation("tokens", text, owners[token].events + operation.events)
            owners[token] = operation
            while place < len(returned) and returned[place].ended < operation.started:
                if greatest is None or returned[place].get("fence") > greatest.get("fence"):
                    greatest = returned[place]
                place += 1
            if greatest is not None and greatest.get("fence") > token:
                text = f"the token of {key!r} is smaller than one that was given before"
                yield Violation("tokens", text, greatest.events + operation.events)


def check_refusals(events: list[Event]) -> Iterator[Violation]:
    """The guarded store refuses nobody who surely held the lock until after the refusal."""
    sure = {(hold.acquire.begin.process, hold.acquire.begin.number): hold for hold in holds(events)}
    for op in ("read", "write"):
        for operation in operations(events, op):
            if operation.outcome != "fail":
                continue
            hold = sure.get((operation.begin.process, operation.begin.value["hold"]))
            if hold is not None and hold.end > operation.ended:
                text = f"the holder of {operation.begin.key!r} was overtaken while it was sure"
                yield Violation("refusals", text, hold.events + operation.events)


def check_elements(events: list[Event], guarded: bool) -> Iterator[Violation]:
    """Each element that was acknowledged is in the list at the end, once; no refused one is.

    An unguarded store takes a write of a holder that was stopped between its last look at
    `valid_for()` and the write, for longer than the rest of the lease. No lock can prevent that, so
    there an element may be missing whose write falls between the read and the end of such a write.
    """
    writes = by_key(operations(events, "write"))
    late = {} if guarded else _late_writes(events)
    for final in (event for event in events if event.kind == "final" and event.op == "elements"):
        elements = final.value["elements"]
        here, count = set(elements), len(elements)
        if len(here) != count:
            yield Violation("elements", f"{final.key!r} has an element twice", (_short(final),))
        for operation in writes.get(final.key, []):
            element = operation.get("element")
            if operation.outcome == "ok" and element not in here:
                hidden = late.get(final.key, [])
                if any(a < operation.ended and operation.started < b for a, b in hidden):
                    continue
                text = f"{element!r} was acknowledged and is lost"
                yield Violation("elements", text, (*operation.events, _short(final)))
            if operation.outcome == "fail" and element in here:
                text = f"{element!r} was refused and is there"
                yield Violation("elements", text, (*operation.events, _short(final)))


def _late_writes(events: list[Event]) -> dict[str, list[tuple[float, float]]]:
    """Find the writes that ended when their holder was not sure any more that it held.

    :returns: for each key, from when (the read) to when they may have hidden what others wrote
    """
    sure = {(hold.acquire.begin.process, hold.acquire.begin.number): hold for hold in holds(events)}
    reads = {(each.begin.process, each.begin.number): each for each in operations(events, "read")}
    late: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for operation in operations(events, "write"):
        process = operation.begin.process
        hold = sure.get((process, operation.begin.value["hold"]))
        if hold is None or operation.ended > hold.end:
            read = reads[process, operation.begin.value["read"]]
            late[operation.begin.key].append((read.started, operation.ended))
    return late


def _short(final: Event) -> Event:
    value = {"elements": f"{len(final.value['elements'])} of them"}
    return Event(final.at, final.process, final.kind, 0, final.task, final.op, final.key, value)


def check_order(events: list[Event]) -> Iterator[Violation]:
    """Who was in the queue before another asked is granted before that one.

    When a waiter came into the queue is known only from the watcher, who has seen its token there:
    it was there before the answer to that look. So two waiters have an order if the second one
    asked after that. The first must be of a process that meets no fault at all: one whose
    connection broke may come too late for its turn, and queues again. The second may be anybody,
    since no fault may bring one forward. Grants are ordered by their fencing tokens.
    """
    calm = {event.key for event in events if event.kind == "calm"}
    for key, found in by_key(operations(events, "acquire")).items():
        granted = [operation for operation in found if operation.outcome == "ok"]
        undisturbed = [each for each in granted if each.begin.process in calm]
        queued = _queued_since(events, key, undisturbed)
        newest: Operation | None = None
        place = 0
        for operation in granted:
            while place < len(queued) and queued[place][0] < operation.started:
                waiter = queued[place][1]
                if newest is None or waiter.get("fence") > newest.get("fence"):
                    newest = waiter
                place += 1
            if newest is not None and newest.get("fence") > operation.get("fence"):
                text = f"granted {key!r} before one that was queued when it asked"
                yield Violation("order", text, newest.events + operation.events)


def _queued_since(
    events: list[Event], key: str, found: list[Operation]
) -> list[tuple[int, Operation]]:
    """Pair operations with the time when the watcher had seen them, where it has, in that order."""
    by_token: dict[str, list[Operation]] = defaultdict(list)
    for operation in found:
        by_token[operation.get("token")].append(operation)
    since: dict[tuple[str, int], tuple[int, Operation]] = {}
    for event in events:
        if event.kind != "seen" or event.key != key:
            continue
        for token in event.value["tokens"]:
            for operation in by_token.get(token, []):
                who = (operation.begin.process, operation.begin.number)
                asked = event.value["asked"]
                if who not in since and operation.started < asked and event.at < operation.ended:
                    since[who] = (event.at, operation)
    return sorted(since.values(), key=lambda each: each[0])
