"""Typical user code: mypy --strict and pyright strict accept it, and refuse what is wrong.

Nothing runs it. Where an error is expected stands an `ignore`, itself an error when needless.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, assert_type

import dsync
from dsync import (
    BrokenBarrierError,
    DistributedBarrier,
    DistributedBoundedSemaphore,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
    LockLostError,
)
from redis.asyncio import Redis


async def with_a_url() -> None:
    async with DistributedLock("redis://localhost", "reports") as lock:
        assert_type(lock, DistributedLock)


async def with_a_client() -> None:
    async with Redis(host="localhost", decode_responses=True) as redis:
        lock = DistributedLock(redis, "reports", 0.1, 5.0)
        assert_type(await lock.acquire(), bool)
        assert_type(await lock.acquire(0.5, 10), bool)
        assert_type(await lock.acquire(acquire_sleep_delay=None, acquire_timeout=0), bool)
        await lock.release()


async def with_a_client_of_unknown_type(redis: Any) -> None:
    async with DistributedLock(redis, "reports"):
        pass


async def in_a_fleet(lock: DistributedLock, store: Callable[[int], Awaitable[None]]) -> None:
    if not await lock.try_acquire():
        return
    try:
        token = lock.fencing_token
        assert_type(token, int)
        assert_type(lock.valid_for(), float)
        assert_type(await lock.locked(), bool)
        assert_type(await lock.owned(), bool)
        await lock.extend(60)
        await store(token)
    finally:
        await lock.release()


def on_lost(lock: DistributedLock) -> None:
    print(lock, "was lost")


async def on_lost_async(lock: DistributedLock) -> None:
    await asyncio.sleep(0)


async def with_options(redis: Redis) -> None:
    DistributedLock(redis, "a", lease=None)
    DistributedLock(redis, "a", lease=5, auto_renew=False)
    DistributedLock(redis, "a", on_lost=on_lost, cancel_on_lost=True)
    DistributedLock(redis, "a", on_lost=on_lost_async)
    DistributedLock(redis, "a", on_lost=lambda lock: print(lock.valid_for()))


async def told_of_the_loss(lock: DistributedLock) -> None:
    assert_type(await lock.lost, bool)
    await lock.lost.wait()
    assert_type(lock.lost.is_set(), bool)
    try:
        await lock.release()
    except LockLostError as error:
        runtime_error: RuntimeError = error
        print(runtime_error)


async def with_permits(redis: Redis) -> None:
    async with DistributedSemaphore(redis, "pool", 10, acquire_timeout=1) as semaphore:
        assert_type(semaphore, DistributedSemaphore)
        assert_type(await semaphore.locked(), bool)
    async with DistributedBoundedSemaphore(redis, "pool", 10, lease=None) as bounded:
        assert_type(bounded, DistributedBoundedSemaphore)


async def with_notifications(redis: Redis, jobs: list[str]) -> None:
    async with DistributedCondition(redis, "jobs") as condition:
        assert_type(condition, DistributedCondition)
        assert_type(await condition.wait(), bool)
        assert_type(await condition.wait_for(lambda: jobs), list[str])
        await condition.notify(2)
        await condition.notify_all()


async def with_rounds_and_flags(redis: Redis) -> None:
    barrier = DistributedBarrier(redis, "start", parties=5)
    assert_type(barrier.parties, int)
    assert_type(await barrier.n_waiting(), int)
    try:
        await barrier.wait()
    except BrokenBarrierError as error:
        both: tuple[ValueError, asyncio.BrokenBarrierError] = (error, error)
        print(both)
    event = DistributedEvent(redis, "ready", consumer_timeout=1)
    assert_type(await event.wait(), bool)
    assert_type(await event.is_set(), bool)


class Worker:
    """Keeps a lock as an attribute."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._lock = DistributedLock(redis, f"worker:{name}", acquire_timeout=1)

    async def work(self) -> str:
        async with asyncio.timeout(5), self._lock:
            return "done"


async def at_the_end() -> None:
    await dsync.close()


async def refused(redis: Redis) -> None:
    DistributedLock(redis)  # type: ignore[call-arg]
    DistributedLock(redis, b"bytes")  # type: ignore[arg-type]
    DistributedLock(redis, "a", None)  # type: ignore[arg-type]
    DistributedLock(redis, "a", 0.1, None, 30.0)  # type: ignore[call-arg]
    DistributedLock(redis, "a", lease="long")  # type: ignore[arg-type]
    DistributedLock(redis, "a", on_lost=lambda: None)  # type: ignore[misc,arg-type]
    DistributedSemaphore(redis, "a")  # type: ignore[call-arg]
    DistributedBarrier(redis, "a", "5")  # type: ignore[arg-type]
    lock = DistributedLock(redis, "a")
    lock.fencing_token = 1  # type: ignore[misc]
    with lock:  # type: ignore[attr-defined]
        pass
