"""Cases of waiting for notifications and of giving them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from dsync import DistributedCondition, LockLostError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.cancellation.registry import add
from tests.cancellation.stage import Stage
from tests.integration import conditions, locks

Wait = str


def wait(condition: DistributedCondition, how: Wait) -> Coroutine[Any, Any, Any]:
    """Wait in one of the two ways; the predicate gets true with the first notification."""
    if how == "wait":
        return condition.wait()
    asked = iter([False, True])
    return condition.wait_for(lambda: next(asked))


async def notify_one(condition: DistributedCondition) -> None:
    """Take the lock as soon as it is free, and notify."""
    async with condition:
        await condition.notify()


# ---- wait ----


async def with_the_lock(stage: Stage, how: Wait) -> None:
    """Waits, is notified, and has the lock again, also when it is cancelled."""
    subject, other = stage.make(DistributedCondition), stage.make(DistributedCondition, "other")
    await subject.acquire()
    await stage.run(wait(subject, how), notify_one(other))
    assert await subject._lock.owned()
    await subject.release()


async def with_the_lock_which_others_keep(stage: Stage, how: Wait) -> None:
    """The notified has to wait for the lock; the cancelled too."""
    subject, other = stage.make(DistributedCondition), stage.make(DistributedCondition, "other")

    async def notify_and_keep() -> None:
        async with other:
            await other.notify()
            await stage.until(lambda: locks.queue_length(stage.server, stage.key) == 1)

    await subject.acquire()
    await stage.run(wait(subject, how), notify_and_keep())
    assert await subject._lock.owned()
    await subject.release()


async def with_somebody_behind(stage: Stage, how: Wait) -> None:
    """One notification wakes one of the two, whenever the first is cancelled."""
    subject, behind = stage.make(DistributedCondition), stage.make(DistributedCondition, "behind")
    other = stage.make(DistributedCondition, "other")

    async def wait_behind() -> None:
        async with behind:
            await behind.wait()

    await subject.acquire()
    task = asyncio.create_task(wait_behind())
    await stage.until(lambda: locks.queue_length(stage.server, stage.key) == 1)

    async def notify_when_both_wait() -> None:
        await stage.until(lambda: conditions.count_waiting(stage.server, stage.key) == 2)
        await notify_one(other)

    outcome = await stage.run(wait(subject, how), notify_when_both_wait())
    assert await subject._lock.owned()
    await subject.release()
    if not (outcome.cancelled and task.done()):
        # It is for whoever has not been woken; one that is too many wakes nobody.
        await notify_one(other)
    await locks.soon(task)


async def without_the_lock(stage: Stage, how: Wait) -> None:
    subject, other = stage.make(DistributedCondition), stage.make(DistributedCondition, "other")
    await subject.locked()

    async def notify_when_it_waits() -> None:
        await stage.until(lambda: conditions.count_waiting(stage.server, stage.key) == 1)
        await notify_one(other)

    await stage.run(wait(subject, how), notify_when_it_waits())


async def first_wait(stage: Stage, how: Wait) -> None:
    subject = stage.make(DistributedCondition, "first")
    other = stage.make(DistributedCondition, "other")

    async def notify_when_it_waits() -> None:
        await stage.until(lambda: conditions.count_waiting(stage.server, stage.key) == 1)
        await notify_one(other)

    await stage.run(wait(subject, how), notify_when_it_waits())


async def with_the_lock_while_away(stage: Stage, how: Wait) -> None:
    """It comes back, so the lock is had again, cancelled or not."""
    subject, other = stage.make(DistributedCondition, "proxied"), stage.make(DistributedCondition)
    await subject.acquire()
    stage.go_away()

    async def come_back_and_notify() -> None:
        await stage.come_back()
        await notify_one(other)

    await stage.run(wait(subject, how), come_back_and_notify())
    assert await subject._lock.owned()
    await subject.release()


async def with_a_lock_that_was_lost(stage: Stage, how: Wait) -> None:
    subject = stage.make(DistributedCondition)
    await subject.acquire()
    with locks.peek(stage.server) as client:
        client.delete(locks.lock_name(stage.key))
    outcome = await stage.run(
        wait(subject, how), raises=LockLostError, instead=(LockLostError, asyncio.CancelledError)
    )
    assert outcome.error is not None or outcome.cancelled
    if subject._lock._holds:
        try:
            await subject.release()
        except LockLostError:
            assert subject._lock.lost.is_set()


# ---- notify ----


async def nobody_waits(stage: Stage, method: str) -> None:
    subject = stage.make(DistributedCondition)
    await subject.acquire()
    await stage.run(getattr(subject, method)())
    assert await subject._lock.owned()
    await subject.release()


async def somebody_waits(stage: Stage, method: str) -> None:
    subject, waiter = stage.make(DistributedCondition), stage.make(DistributedCondition, "other")
    waiting = asyncio.create_task(waiter.wait())
    await stage.until(lambda: conditions.count_waiting(stage.server, stage.key) == 1)
    await subject.acquire()
    outcome = await stage.run(getattr(subject, method)())
    if outcome.cancelled:
        # It has notified or not; in both cases this wakes the one that waits.
        await subject.notify()
    await subject.release()
    assert await locks.soon(waiting)


async def notify_while_away(stage: Stage, method: str) -> None:
    subject = stage.make(DistributedCondition, "proxied")
    await subject.acquire()
    stage.go_away()
    await stage.run(getattr(subject, method)(), stage.come_back(), raises=RedisConnectionError)
    assert await subject._lock.owned()
    await subject.release()


for each in ("wait", "wait_for"):
    name = f"DistributedCondition.{each}"
    for situation in (
        with_the_lock,
        with_the_lock_which_others_keep,
        with_somebody_behind,
        without_the_lock,
        first_wait,
        with_a_lock_that_was_lost,
    ):
        add(name, situation, each, by_turns=each == "wait" or situation == with_the_lock)
    add(name, with_the_lock_while_away, each, by_turns=each == "wait")
for each in ("notify", "notify_all"):
    add(f"DistributedCondition.{each}", nobody_waits, each)
    add(f"DistributedCondition.{each}", somebody_waits, each)
    add(f"DistributedCondition.{each}", notify_while_away, each, by_turns=False)
