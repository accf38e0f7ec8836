"""DistributedLock: acquire_timeout, try_acquire, and what they leave behind."""

import asyncio

import pytest
from dsync import DistributedLock
from redis.asyncio import Redis

from tests.integration.locks import (
    NEVER,
    calls,
    holder,
    queue_length,
    script_calls,
    soon,
    start_waiters,
    until_nothing_is_left,
    until_queued,
)
from tests.support.redis_server import RedisServer

SHORT = 0.02


async def test_acquire_timeout_of_the_call_raises_timeout_error(redis: Redis, key: str) -> None:
    async with DistributedLock(redis, key):
        with pytest.raises(TimeoutError, match=key) as caught:
            await soon(DistributedLock(redis, key, NEVER).acquire(acquire_timeout=SHORT))
    assert isinstance(caught.value, asyncio.TimeoutError)


async def test_acquire_timeout_of_the_constructor_raises_timeout_error(
    redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key):
        with pytest.raises(TimeoutError, match=key):
            await soon(DistributedLock(redis, key, NEVER, SHORT).acquire())


async def test_acquire_timeout_of_the_call_goes_before_that_of_the_constructor(
    redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key):
        with pytest.raises(TimeoutError):
            await soon(DistributedLock(redis, key, NEVER, NEVER).acquire(acquire_timeout=SHORT))
        with pytest.raises(TimeoutError):
            await soon(DistributedLock(redis, key, NEVER, NEVER).acquire(NEVER, SHORT))


async def test_a_call_without_timeout_does_not_change_that_of_the_constructor(
    redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, NEVER, SHORT)
    async with DistributedLock(redis, key):
        with pytest.raises(TimeoutError):
            await lock.acquire(acquire_timeout=0)
        with pytest.raises(TimeoutError):
            await soon(lock.acquire())


async def test_acquire_sleep_delay_of_the_call_goes_before_that_of_the_constructor(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, NEVER)
    with server.sync() as other:
        # An old process: it frees the lock without telling anybody.
        other.set(f"distributed_lock_{key}", "old")
        waiter = asyncio.create_task(lock.acquire(SHORT))
        await until_queued(server, key, 1)
        other.delete(f"distributed_lock_{key}")
    assert await soon(waiter)
    await lock.release()


async def test_the_delay_of_the_constructor_finds_a_lock_that_was_freed_silently(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, SHORT)
    with server.sync() as other:
        other.set(f"distributed_lock_{key}", "old")
        (waiter,) = await start_waiters(server, key, lock)
        other.delete(f"distributed_lock_{key}")
    assert await soon(waiter)
    await lock.release()


async def test_a_delay_of_zero_is_allowed(server: RedisServer, redis: Redis, key: str) -> None:
    first, second = DistributedLock(redis, key, 0), DistributedLock(redis, key, 0)
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    await second.release()


async def test_an_infinite_timeout_waits(server: RedisServer, redis: Redis, key: str) -> None:
    first = DistributedLock(redis, key)
    second = DistributedLock(redis, key, NEVER, float("inf"))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    await second.release()


async def test_an_infinite_delay_waits_for_the_hand_over(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = DistributedLock(redis, key), DistributedLock(redis, key, float("inf"))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    await second.release()


async def test_acquire_timeout_zero_tries_once(server: RedisServer, redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    async with DistributedLock(redis, key):
        before, queued = script_calls(server), calls(server, "zadd")
        with pytest.raises(TimeoutError, match=key):
            await lock.acquire(acquire_timeout=0)
        assert script_calls(server) - before == 1
        assert calls(server, "zadd") == queued
    assert await lock.acquire(acquire_timeout=0) is True
    await lock.release()


async def test_acquire_timeout_zero_of_the_constructor_tries_once(redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key, acquire_timeout=0)
    async with DistributedLock(redis, key):
        with pytest.raises(TimeoutError):
            await lock.acquire()
    async with lock:
        pass


async def test_try_acquire_takes_a_free_lock(server: RedisServer, redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    assert await lock.try_acquire() is True
    assert holder(server, key) == lock._token
    await lock.release()


async def test_try_acquire_of_a_taken_lock_returns_false_after_one_try(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, acquire_timeout=NEVER)
    async with DistributedLock(redis, key):
        before = script_calls(server)
        assert await soon(lock.try_acquire()) is False
        assert script_calls(server) - before == 1
        assert queue_length(server, key) == 0
    with pytest.raises(RuntimeError):
        await lock.release()


async def test_try_acquire_does_not_overtake_those_who_wait(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second, third = (DistributedLock(redis, key, NEVER) for _ in range(3))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    with server.sync() as other:
        # Free, but somebody is queued.
        other.delete(f"distributed_lock_{key}")
    assert await third.try_acquire() is False
    assert await soon(waiter)
    assert holder(server, key) == second._token
    await second.release()


async def test_a_timeout_leaves_nothing_in_redis(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first = DistributedLock(redis, key)
    await first.acquire()
    with pytest.raises(TimeoutError):
        await soon(DistributedLock(redis, key, NEVER, SHORT).acquire())
    await until_queued(server, key, 0)
    await first.release()
    await until_nothing_is_left(server)


async def test_a_timeout_of_one_waiter_does_not_disturb_the_others(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, before, behind = (DistributedLock(redis, key, NEVER) for _ in range(3))
    await first.acquire()
    early = await start_waiters(server, key, before)
    impatient = asyncio.create_task(DistributedLock(redis, key, NEVER).acquire(None, 0.2))
    await until_queued(server, key, 2)
    late = await start_waiters(server, key, behind)
    with pytest.raises(TimeoutError):
        await soon(impatient)
    await until_queued(server, key, 2)
    await first.release()
    assert await soon(early[0])
    await before.release()
    assert await soon(late[0])
    await behind.release()
    await until_nothing_is_left(server)


async def test_an_object_can_be_acquired_after_its_timeout(redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key, NEVER, SHORT)
    async with DistributedLock(redis, key):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await soon(lock.acquire())
    assert await lock.acquire()
    await lock.release()


async def test_timeouts_and_hand_overs_at_the_same_moment_lose_no_grant(
    server: RedisServer, redis: Redis, key: str
) -> None:
    """Whoever times out leaves nothing, whoever does not times holds: never both, never neither."""
    granted = 0

    async def work(number: int) -> None:
        nonlocal granted
        lock = DistributedLock(redis, key, NEVER)
        for turn in range(20):
            try:
                await lock.acquire(acquire_timeout=0.0005 * 2 ** ((number + turn) % 9))
            except TimeoutError:
                continue
            granted += 1
            assert holder(server, key) == lock._token
            await lock.release()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(work(number))
    assert granted > 0
    await until_nothing_is_left(server)
