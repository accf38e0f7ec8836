"""Uses objects as their owners would: first a stranger in another session, then the object."""

import asyncio
from typing import Any

from dsync import (
    DistributedBarrier,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)

from tests.integration import semaphores
from tests.support.redis_server import RedisServer


async def use(stranger: Any, subject: Any) -> None:
    """Use a primitive from both sides; whoever is left over would be in the way."""
    if isinstance(subject, DistributedCondition):
        await _wake_each_other(stranger, subject)
    elif isinstance(subject, DistributedBarrier):
        await _meet(stranger, subject)
    elif isinstance(subject, DistributedEvent):
        await _set_and_clear(stranger, subject)
    else:
        await _enter(stranger, subject)


def assert_slots(server: RedisServer, key: str, slots: int) -> None:
    """Check that all slots are free; Redis knows nothing of them before the first use."""
    look = semaphores.look(server, key)
    assert look.free in (slots, None)
    assert (look.permits, look.waiting) == (0, 0)


async def _enter(
    stranger: DistributedLock | DistributedSemaphore,
    subject: DistributedLock | DistributedSemaphore,
) -> None:
    slots = stranger._value if isinstance(stranger, DistributedSemaphore) else 1
    for _ in range(slots):
        assert await stranger.try_acquire(), "it is not free"
    for _ in range(slots):
        await stranger.release()
    assert subject.valid_for() == 0
    belongs_to_it = subject._lease is not None or isinstance(subject, DistributedLock)
    async with subject:
        assert (subject.valid_for() > 0) is belongs_to_it
        assert await subject.owned() is belongs_to_it


async def _wake_each_other(stranger: DistributedCondition, subject: DistributedCondition) -> None:
    for waiter, notifier in ((stranger, subject), (subject, stranger)):
        assert await waiter.acquire(acquire_timeout=0), "the lock is not free"
        waiting = asyncio.create_task(waiter.wait())
        async with notifier:
            assert not waiting.done(), "an old notification woke it"
            # If one were left over that waits before it, that one would be woken.
            await notifier.notify()
        assert await waiting
        await waiter.release()


async def _meet(stranger: DistributedBarrier, subject: DistributedBarrier) -> None:
    assert await stranger.n_waiting() == 0
    parties = [stranger] * (subject.parties - 1) + [subject]
    await asyncio.gather(*(party.wait() for party in parties))
    assert await subject.n_waiting() == 0


async def _set_and_clear(stranger: DistributedEvent, subject: DistributedEvent) -> None:
    for waiter, setter in ((stranger, subject), (subject, stranger)):
        await setter.clear()
        waiting = asyncio.create_task(waiter.wait())
        assert not await waiter.is_set()
        await setter.set()
        assert await waiting
        assert await waiter.is_set()
