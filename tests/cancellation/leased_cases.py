"""Cases of what is acquired and released: locks, semaphores, and conditions as locks."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from dsync import (
    DistributedBoundedSemaphore,
    DistributedCondition,
    DistributedLock,
    DistributedSemaphore,
    LockLostError,
)

from tests.cancellation.registry import add
from tests.cancellation.stage import Stage
from tests.integration import locks, semaphores

KINDS: list[type[Any]] = [
    DistributedLock,
    DistributedSemaphore,
    DistributedBoundedSemaphore,
    DistributedCondition,
]
SEMAPHORES = KINDS[1:3]
ENTERING = ("acquire", "try_acquire", "__aenter__")
LEAVING = ("release", "__aexit__")
ASKING = ("locked", "owned", "extend")

Kind = type[Any]


def queued(stage: Stage, kind: Kind) -> int:
    """Return how many wait to be let in."""
    if issubclass(kind, DistributedSemaphore):
        return semaphores.look(stage.server, stage.key).waiting
    return locks.queue_length(stage.server, stage.key)


def leased(subject: Any) -> Any:
    """Return what holds: the lock of a condition, or the object itself."""
    return subject._lock if isinstance(subject, DistributedCondition) else subject


def call(subject: Any, method: str) -> Coroutine[Any, Any, Any]:
    """Call a method, with the arguments that it needs."""
    arguments = {"__aexit__": (None, None, None), "extend": (40.0,)}.get(method, ())
    work: Coroutine[Any, Any, Any] = getattr(subject, method)(*arguments)
    return work


def holds(subject: Any) -> bool:
    """Tell whether the object believes to hold something."""
    return bool(leased(subject)._holds)


def owns(subject: Any) -> bool:
    """Tell whether what it takes is its own: a permit without a lease is anybody's."""
    return isinstance(leased(subject), DistributedLock) or leased(subject)._lease is not None


async def lose(stage: Stage, subject: Any) -> None:
    """Let the server end the lease, which the object does not know yet."""
    if isinstance(subject, DistributedSemaphore):
        semaphores.expire(stage.server, stage.key)
    else:
        with locks.peek(stage.server) as client:
            client.delete(locks.lock_name(stage.key))


# ---- to enter ----


async def enter(stage: Stage, subject: Any, method: str, *beside: Any) -> None:
    """Enter, which succeeds unless it is cancelled, and leave."""
    outcome = await stage.run(call(subject, method), *beside)
    if owns(subject):
        assert holds(subject) is not outcome.cancelled
    if not outcome.cancelled:
        await subject.release()


async def free(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    await subject.locked()
    await enter(stage, subject, method)


async def first_use(stage: Stage, kind: Kind, method: str) -> None:
    await enter(stage, stage.make(kind, "first"), method)


async def without_lease(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind, lease=None)
    await enter(stage, subject, method)


async def grant_that_came_late(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    # So every grant is asked about again.
    leased(subject)._doubtful = locks.NEVER
    await enter(stage, subject, method)
    leased(subject)._doubtful = 0.0


async def away_and_back(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind, "proxied")
    await subject.locked()
    stage.go_away()
    await enter(stage, subject, method, stage.come_back())


async def taken(stage: Stage, kind: Kind, method: str) -> None:
    first, subject = stage.make(kind), stage.make(kind, acquire_timeout=0.02)
    await first.acquire()
    outcome = await stage.run(call(subject, method), raises=TimeoutError)
    assert not outcome.value
    assert not holds(subject)
    await first.release()


async def handed_over(stage: Stage, kind: Kind, method: str) -> None:
    """By another process, with somebody behind, who gets what a cancelled one does not take."""
    first, subject, last = stage.make(kind, "other"), stage.make(kind), stage.make(kind, "other")
    await first.acquire()
    behind = asyncio.create_task(get_in_behind(stage, kind, last))

    outcome = await stage.run(call(subject, method), hand_over(stage, kind, first))
    assert holds(subject) is not outcome.cancelled
    if not outcome.cancelled:
        await subject.release()
    await locks.soon(behind)


async def get_in_behind(stage: Stage, kind: Kind, last: Any) -> None:
    """Enter when somebody waits already, and leave."""
    await stage.until(lambda: queued(stage, kind) == 1)
    async with last:
        pass


async def hand_over(stage: Stage, kind: Kind, first: Any) -> None:
    """Release when two wait."""
    await stage.until(lambda: queued(stage, kind) == 2)
    await first.release()


async def again_after_a_loss(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    await subject.acquire()
    await lose(stage, subject)
    assert not await leased(subject).owned()

    outcome = await stage.run(call(subject, method))
    assert not (outcome.cancelled and holds(subject) and not leased(subject)._holds[-1].lost)
    for _ in leased(subject)._holds:
        with contextlib.suppress(LockLostError):
            await subject.release()


# ---- to leave ----


async def held(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    await subject.acquire()
    await stage.run(call(subject, method))
    assert not holds(subject)


async def held_without_lease(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind, lease=None)
    await subject.acquire()
    await stage.run(call(subject, method))
    assert not holds(subject)


async def wanted_by_another(stage: Stage, kind: Kind, method: str) -> None:
    subject, other = stage.make(kind), stage.make(kind, "other")
    await subject.acquire()

    async def wait() -> None:
        await other.acquire()
        await other.release()

    waiting = asyncio.create_task(wait())
    await stage.until(lambda: queued(stage, kind) == 1)
    await stage.run(call(subject, method))
    await locks.soon(waiting)


async def held_while_away(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind, "proxied")
    await subject.acquire()
    stage.go_away()
    await stage.run(call(subject, method), stage.come_back())
    assert not holds(subject)


async def lost_unnoticed(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    await subject.acquire()
    await lose(stage, subject)
    await stage.run(call(subject, method), raises=LockLostError)
    assert not holds(subject)


async def lost(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    await subject.acquire()
    await lose(stage, subject)
    assert not await leased(subject).owned()
    await stage.run(call(subject, method), raises=LockLostError)
    assert not holds(subject)


async def without_permit(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    await subject.locked()
    outcome = await stage.run(call(subject, method), raises=ValueError)
    if issubclass(kind, DistributedBoundedSemaphore):
        assert outcome.cancelled or isinstance(outcome.error, ValueError)
    else:
        # It adds a slot once, cancelled or not.
        stage.extra_slots = 1


# ---- to ask ----


async def while_held(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind)
    await subject.acquire()
    await stage.run(call(subject, method))
    assert holds(subject)
    assert await leased(subject).owned()
    await subject.release()


async def while_held_and_away(stage: Stage, kind: Kind, method: str) -> None:
    subject = stage.make(kind, "proxied")
    await subject.acquire()
    stage.go_away()
    await stage.run(call(subject, method), stage.come_back())
    assert holds(subject)
    await subject.release()


async def first_question(stage: Stage, kind: Kind, method: str) -> None:
    await stage.run(call(stage.make(kind, "first"), method))


# ---- which of them concern what ----

Situation = Callable[[Stage, Kind, str], Coroutine[Any, Any, None]]


def is_by_turns(kind: Kind, method: str, situation: Situation) -> bool:
    """Tell whether it is worth the time: connecting takes many turns, many methods are alike."""
    slow: dict[Any, str] = {
        away_and_back: "acquire",
        held_while_away: "release",
        while_held_and_away: "locked",
    }
    if kind is DistributedLock:
        return method == slow.get(situation, method)
    return kind is DistributedSemaphore and method in ("acquire", "release")


def enter_all(kind: Kind, methods: tuple[str, ...], *situations: Situation) -> None:
    """Enter cases for those of the methods that the class has."""
    for method in filter(lambda name: hasattr(kind, name), methods):
        for situation in situations:
            by_turns = is_by_turns(kind, method, situation)
            add(f"{kind.__name__}.{method}", situation, kind, method, by_turns=by_turns)


for each in KINDS:
    enter_all(
        each,
        ENTERING,
        free,
        first_use,
        without_lease,
        grant_that_came_late,
        away_and_back,
        taken,
        again_after_a_loss,
    )
    enter_all(each, ("acquire", "__aenter__"), handed_over)
    enter_all(each, LEAVING, held, held_without_lease, wanted_by_another, held_while_away)
    enter_all(each, LEAVING, lost_unnoticed)
    for leaving in LEAVING:
        add(f"{each.__name__}.{leaving}", lost, each, leaving, at_once=True)
    enter_all(each, ASKING, while_held, while_held_and_away)
    enter_all(each, ("locked",), first_question)
for each in SEMAPHORES:
    enter_all(each, LEAVING, without_permit)
