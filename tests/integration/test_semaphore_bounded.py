"""DistributedBoundedSemaphore: a release that would exceed the limit fails and changes nothing."""

import asyncio

import pytest
from dsync import DistributedBoundedSemaphore, DistributedSemaphore, LockLostError
from redis.asyncio import Redis

from tests.integration.locks import NEVER, leftovers, soon
from tests.integration.semaphores import (
    Look,
    Room,
    free_slots,
    limit,
    limit_name,
    look,
    lose,
    semaphore_name,
    start_waiters,
    take,
    until_idle,
)
from tests.support.redis_server import RedisServer

VALUE = 3
each_lease = pytest.mark.parametrize("lease", [30.0, None])


@each_lease
@pytest.mark.parametrize("value", [0, 1, VALUE])
async def test_a_release_before_the_first_acquire_raises_value_error_and_changes_nothing(
    server: RedisServer, redis: Redis, key: str, value: int, lease: float | None
) -> None:
    semaphore = DistributedBoundedSemaphore(redis, key, value, lease=lease)
    for _ in range(2):
        with pytest.raises(ValueError, match=key):
            await semaphore.release()
    assert leftovers(server) == {}


@each_lease
async def test_a_release_too_many_raises_value_error_and_changes_nothing(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    semaphore = DistributedBoundedSemaphore(redis, key, VALUE, lease=lease)
    for _ in range(3):
        await take(semaphore, 2)
        await semaphore.release()
        await semaphore.release()
        before = leftovers(server).keys()
        for _ in range(2):
            with pytest.raises(ValueError, match=key):
                await semaphore.release()
        await until_idle(server, key, VALUE)
        assert leftovers(server).keys() == before
        assert limit(server, key) == str(VALUE)


async def test_a_release_without_a_permit_below_the_limit_adds_a_slot(
    server: RedisServer, redis: Redis, key: str
) -> None:
    holder, other = (DistributedBoundedSemaphore(redis, key, VALUE) for _ in range(2))
    await take(holder, 2)
    await other.release()
    assert look(server, key) == Look(VALUE - 1, 2, 0, 0)


async def test_a_release_of_a_permit_beyond_the_limit_leaves_the_permit_in_use(
    server: RedisServer, redis: Redis, key: str
) -> None:
    holder = DistributedBoundedSemaphore(redis, key, 1, lease=0.5)
    await holder.acquire()
    other = DistributedBoundedSemaphore(redis, key, 1)
    await other.release()
    for _ in range(2):
        with pytest.raises(ValueError, match=key):
            await holder.release()
        assert look(server, key) == Look(1, 1, 0, 0)
        assert await holder.owned()
    await other.acquire()
    await holder.release()
    assert look(server, key) == Look(1, 1, 0, 0)
    assert not await holder.owned()


async def test_the_end_of_a_block_beyond_the_limit_raises_value_error(
    redis: Redis, key: str
) -> None:
    with pytest.raises(ValueError, match=key):
        async with DistributedBoundedSemaphore(redis, key, 1):
            await DistributedSemaphore(redis, key, 1).release()


@each_lease
async def test_of_many_releases_at_once_just_those_within_the_limit_succeed(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    holder = DistributedBoundedSemaphore(redis, key, VALUE, lease=None)
    await take(holder, 2)
    others = [DistributedBoundedSemaphore(redis, key, VALUE, lease=lease) for _ in range(20)]
    results = await soon(
        asyncio.gather(*(each.release() for each in others), return_exceptions=True)
    )
    assert results.count(None) == 2
    assert all(isinstance(each, ValueError) for each in results if each is not None)
    await until_idle(server, key, VALUE)


@each_lease
async def test_slots_go_to_those_who_wait_whatever_the_limit(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    semaphores = [DistributedBoundedSemaphore(redis, key, 1, NEVER, lease=lease) for _ in range(5)]
    await semaphores[0].acquire()
    waiters = await start_waiters(server, key, *semaphores[1:])
    for semaphore, waiter in zip(semaphores, waiters, strict=False):
        await semaphore.release()
        assert await soon(waiter)
    await semaphores[-1].release()
    await until_idle(server, key, 1)
    with pytest.raises(ValueError, match=key):
        await semaphores[0].release()


async def test_no_more_than_value_tasks_are_inside(
    server: RedisServer, redis: Redis, key: str
) -> None:
    room, semaphore = Room(VALUE), DistributedBoundedSemaphore(redis, key, VALUE, NEVER)
    await soon(asyncio.gather(*(room.enter(semaphore, 0.001) for _ in range(40))))
    assert (room.visits, room.most) == (40, VALUE)
    await until_idle(server, key, VALUE)


async def test_the_release_of_a_lost_permit_adds_no_slot(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedBoundedSemaphore(redis, key, VALUE)
    await take(semaphore, 2)
    await lose(server, key, semaphore)
    for _ in range(2):
        with pytest.raises(LockLostError):
            await semaphore.release()
    await until_idle(server, key, VALUE)


# ---- the key of the limit ----


@each_lease
async def test_the_first_release_that_succeeds_sets_the_limit(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    semaphore = DistributedBoundedSemaphore(redis, key, VALUE, lease=lease)
    await semaphore.acquire()
    assert limit(server, key) is None
    await semaphore.release()
    assert limit(server, key) == str(VALUE)
    assert leftovers(server)[limit_name(key)] == -1


async def test_the_limit_is_set_once(server: RedisServer, redis: Redis, key: str) -> None:
    async with DistributedBoundedSemaphore(redis, key, VALUE):
        pass
    bigger = DistributedBoundedSemaphore(redis, key, VALUE + 2)
    async with bigger:
        pass
    assert limit(server, key) == str(VALUE)
    with pytest.raises(ValueError, match=key):
        await bigger.release()
    await until_idle(server, key, VALUE)


async def test_the_limit_of_another_process_goes_before_the_value(
    server: RedisServer, redis: Redis, key: str
) -> None:
    await redis.set(limit_name(key), VALUE + 1)
    semaphore = DistributedBoundedSemaphore(redis, key, VALUE)
    await semaphore.release()
    assert free_slots(server, key) == VALUE + 1
    with pytest.raises(ValueError, match=key):
        await semaphore.release()
    assert limit(server, key) == str(VALUE + 1)
    await redis.set(semaphore_name(key), 0)
    for _ in range(VALUE + 1):
        await semaphore.release()
    with pytest.raises(ValueError, match=key):
        await semaphore.release()
    await until_idle(server, key, VALUE + 1)


async def test_a_plain_semaphore_of_the_same_key_has_no_limit_and_sets_none(
    server: RedisServer, redis: Redis, key: str
) -> None:
    plain = DistributedSemaphore(redis, key, VALUE)
    async with plain:
        pass
    assert limit(server, key) is None
    async with DistributedBoundedSemaphore(redis, key, VALUE):
        pass
    await plain.release()
    assert free_slots(server, key) == VALUE + 1
    assert limit(server, key) == str(VALUE)


async def test_a_limit_that_is_no_number_is_an_error_and_changes_nothing(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedBoundedSemaphore(redis, key, VALUE)
    await redis.rpush(limit_name(key), "a list")
    await semaphore.acquire()
    with pytest.raises(Exception, match="WRONGTYPE") as caught:
        await semaphore.release()
    assert type(caught.value).__module__ == "redis.exceptions"
    assert free_slots(server, key) == VALUE - 1
