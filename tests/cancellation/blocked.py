"""For each primitive, somebody who waits until the test lets it go on."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from dsync import (
    DistributedBarrier,
    DistributedBoundedSemaphore,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)

from tests.cancellation.stage import Stage
from tests.integration import barriers, conditions, locks, semaphores
from tests.support.waiting import eventually


class Blocked(NamedTuple):
    """A call that waits, and how it ends."""

    # Waits until `let_go`; each call is one more that waits.
    wait: Callable[[], Coroutine[Any, Any, Any]]
    # Tells how many the server knows to wait.
    waiting: Callable[[], int]
    # Ends the wait of the oldest.
    let_go: Callable[[], Awaitable[Any]]
    # Gives back what the wait has given; to be called after `let_go`.
    leave: Callable[[], Awaitable[Any]]
    # Whether it holds the lock after its end, however that came.
    keeps_lock: bool = False


async def nothing() -> None:
    """Do nothing."""


@contextlib.asynccontextmanager
async def taken(stage: Stage, kind: type[Any]) -> AsyncGenerator[Blocked, None]:
    first, subject = stage.make(kind, "other"), stage.make(kind)
    await first.acquire()

    def count() -> int:
        if kind is DistributedLock:
            return locks.queue_length(stage.server, stage.key)
        return semaphores.look(stage.server, stage.key).waiting

    yield Blocked(subject.acquire, count, first.release, subject.release)
    if first._holds:
        await first.release()


@contextlib.asynccontextmanager
async def notified(stage: Stage, with_lock: bool) -> AsyncGenerator[Blocked, None]:
    subject, other = stage.make(DistributedCondition), stage.make(DistributedCondition, "other")
    if with_lock:
        await subject.acquire()
    leave = subject.release if with_lock else nothing
    yield Blocked(
        subject.wait,
        lambda: conditions.count_waiting(stage.server, stage.key),
        lambda: conditions.notify(other),
        leave,
        with_lock,
    )


@contextlib.asynccontextmanager
async def met(stage: Stage) -> AsyncGenerator[Blocked, None]:
    subject, other = (stage.make(DistributedBarrier, name, parties=3) for name in ("main", "other"))

    async def come() -> None:
        missing = 3 - barriers.arrivals(stage.server, stage.key)
        await asyncio.gather(*(other.wait() for _ in range(missing)))

    yield Blocked(subject.wait, lambda: barriers.arrivals(stage.server, stage.key), come, nothing)


@contextlib.asynccontextmanager
async def flagged(stage: Stage) -> AsyncGenerator[Blocked, None]:
    subject = stage.make(DistributedEvent, consumer_timeout=locks.NEVER)
    other = stage.make(DistributedEvent, "other")
    looks = locks.calls(stage.server, "get")
    yield Blocked(
        subject.wait, lambda: locks.calls(stage.server, "get") - looks, other.set, nothing
    )


Situation = Callable[[Stage], contextlib.AbstractAsyncContextManager[Blocked]]

SITUATIONS: dict[str, Situation] = {
    "lock": lambda stage: taken(stage, DistributedLock),
    "semaphore": lambda stage: taken(stage, DistributedSemaphore),
    "bounded semaphore": lambda stage: taken(stage, DistributedBoundedSemaphore),
    "condition with lock": lambda stage: notified(stage, True),
    "condition without lock": lambda stage: notified(stage, False),
    "barrier": met,
    "event": flagged,
}


async def until_waiting(blocked: Blocked, count: int = 1) -> None:
    """Wait until the server knows that so many wait."""
    await eventually(lambda: blocked.waiting() >= count, f"{count} wait")
