"""DistributedSemaphore: slots that are added, slots that nobody owns, and counters that vanish."""

import asyncio
import math
from collections.abc import Callable

import pytest
from dsync import DistributedSemaphore
from redis.asyncio import Redis

from tests.fault import semaphore_nodes
from tests.integration.locks import NEVER, leftovers, soon
from tests.integration.semaphores import (
    Look,
    free_slots,
    look,
    permits_name,
    semaphore_name,
    start_waiters,
    take,
    until_idle,
    until_queued,
    until_used,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

VALUE = 3


# ---- a release without a permit ----


@pytest.mark.parametrize("lease", [30.0, None])
async def test_a_release_without_acquire_adds_a_slot(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=lease)
    await semaphore.release()
    assert look(server, key) == Look(VALUE + 1, 0, 0, 0)
    await take(semaphore, VALUE + 1)
    assert not await semaphore.try_acquire()
    assert free_slots(server, key) == 0


async def test_each_release_beyond_the_permits_adds_a_slot(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await take(semaphore, 2)
    for _ in range(2 + 4):
        await semaphore.release()
    await until_idle(server, key, VALUE + 4)


async def test_a_release_without_acquire_wakes_the_oldest_waiter_and_no_other(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphores = [DistributedSemaphore(redis, key, 0, NEVER) for _ in range(4)]
    waiters = await start_waiters(server, key, *semaphores)
    giver = DistributedSemaphore(redis, key, 0)
    for number, waiter in enumerate(waiters):
        await giver.release()
        assert await soon(waiter)
        assert [each.done() for each in waiters].count(True) == number + 1
        # The slot was never free, so nobody could take it between.
        assert look(server, key) == Look(0, number + 1, 3 - number, 0)
    for semaphore in semaphores:
        await semaphore.release()
    await until_idle(server, key, 4)


async def test_a_release_without_acquire_wakes_a_waiter_of_another_process(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(
        semaphore_nodes.hold, server.url, key, 0, {"lease": 30, "acquire_sleep_delay": NEVER}
    )
    await until_queued(server, key, 1)
    await DistributedSemaphore(redis, key, 0).release()
    await child.expect("held")
    assert look(server, key) == Look(0, 1, 0, 0)
    child.terminate()
    await child.expect("released")
    await until_idle(server, key, 1)


async def test_a_semaphore_of_no_slots_waits_for_a_release(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, 0, NEVER)
    assert await semaphore.locked()
    assert not await semaphore.try_acquire()
    with pytest.raises(TimeoutError):
        await semaphore.acquire(acquire_timeout=0.01)
    (waiter,) = await start_waiters(server, key, semaphore)
    await DistributedSemaphore(redis, key, 0).release()
    assert await soon(waiter)
    await semaphore.release()
    await until_idle(server, key, 1)


# ---- without a lease ----


async def test_without_a_lease_a_permit_is_nothing_but_the_counter(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = (DistributedSemaphore(redis, key, 2, lease=None) for _ in range(2))
    for semaphore in (first, second):
        await semaphore.acquire()
    await until_used(server, key, 0)
    assert leftovers(server)[semaphore_name(key)] == -1
    assert permits_name(key) not in leftovers(server)
    assert free_slots(server, key) == 0
    # Anybody may give back what another has taken.
    await first.release()
    await first.release()
    await until_idle(server, key, 2)


async def test_without_a_lease_a_hand_over_leaves_nothing_but_the_counter(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphores = [DistributedSemaphore(redis, key, 0, NEVER, lease=None) for _ in range(5)]
    waiters = await start_waiters(server, key, *semaphores)
    giver = DistributedSemaphore(redis, key, 0, lease=None)
    for _ in semaphores:
        await giver.release()
    await soon(asyncio.gather(*waiters))
    await until_idle(server, key, 0)
    assert permits_name(key) not in leftovers(server)


async def test_without_a_lease_the_object_owns_and_loses_nothing(redis: Redis, key: str) -> None:
    losses: list[DistributedSemaphore] = []
    semaphore = DistributedSemaphore(redis, key, 1, lease=None, on_lost=losses.append)
    async with semaphore:
        assert not await semaphore.owned()
        assert semaphore.valid_for() == 0
        assert not semaphore.lost.is_set()
        with pytest.raises(RuntimeError):
            await semaphore.extend(1)
    assert losses == []


async def test_objects_with_and_without_lease_share_the_slots(
    server: RedisServer, redis: Redis, key: str
) -> None:
    leased = DistributedSemaphore(redis, key, 2, NEVER)
    lasting = DistributedSemaphore(redis, key, 2, NEVER, lease=None)
    await leased.acquire()
    await lasting.acquire()
    await until_used(server, key, 1)
    assert leased.valid_for() < math.inf
    first, second = await start_waiters(
        server,
        key,
        DistributedSemaphore(redis, key, 2, NEVER, lease=None),
        DistributedSemaphore(redis, key, 2, NEVER, auto_renew=False),
    )
    await leased.release()
    assert await soon(first)
    await lasting.release()
    assert await soon(second)
    await until_used(server, key, 1)
    assert free_slots(server, key) == 0


async def test_one_process_produces_what_another_consumes(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    count = 200
    consumers = [spawn(semaphore_nodes.consume, server.url, key, count) for _ in range(2)]
    await until_queued(server, key, 2)
    producers = [spawn(semaphore_nodes.produce, server.url, key, count) for _ in range(2)]
    for child, end in zip(producers + consumers, ["produced"] * 2 + ["consumed"] * 2, strict=True):
        await child.expect(end)
    await until_idle(server, key, 0)
    assert permits_name(key) not in leftovers(server)


# ---- the counter ----


async def test_the_counter_of_another_process_goes_before_the_value(
    server: RedisServer, redis: Redis, key: str
) -> None:
    await redis.set(semaphore_name(key), 1)
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await semaphore.acquire()
    assert not await semaphore.try_acquire()
    assert await semaphore.locked()
    await semaphore.release()
    await until_idle(server, key, 1)


@pytest.mark.parametrize("held", [1, VALUE])
async def test_a_counter_that_is_deleted_while_permits_are_held_lets_no_more_than_value_in(
    server: RedisServer, redis: Redis, key: str, held: int
) -> None:
    semaphore, other = (DistributedSemaphore(redis, key, VALUE, 0.02) for _ in range(2))
    await take(semaphore, held)
    await redis.delete(semaphore_name(key))
    assert await other.locked() is (held == VALUE)
    for _ in range(VALUE - held):
        assert await other.try_acquire()
    assert not await other.try_acquire()
    waiters = await start_waiters(server, key, other)
    await redis.delete(semaphore_name(key))
    with pytest.raises(TimeoutError):
        await DistributedSemaphore(redis, key, VALUE, 0.01, 0.1).acquire()
    assert not waiters[0].done()
    assert look(server, key).permits == VALUE
    await semaphore.release()
    assert await soon(waiters[0])
    assert look(server, key).permits == VALUE


async def test_releases_after_the_counter_was_deleted_leave_all_slots_free(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await take(semaphore, 2)
    await redis.delete(semaphore_name(key))
    await semaphore.release()
    await semaphore.release()
    await take(semaphore, VALUE)
    assert look(server, key) == Look(0, VALUE, 0, 0)


async def test_a_slot_that_an_old_process_frees_silently_is_found(
    server: RedisServer, redis: Redis, key: str
) -> None:
    # Old processes decrement and increment the counter, and know of no permits.
    await redis.set(semaphore_name(key), 0)
    semaphores = [DistributedSemaphore(redis, key, 2, 0.02) for _ in range(2)]
    waiters = await start_waiters(server, key, *semaphores)
    await redis.incr(semaphore_name(key))
    assert await soon(waiters[0])
    assert not waiters[1].done()
    assert look(server, key) == Look(0, 1, 1, 0)
    await redis.incr(semaphore_name(key))
    assert await soon(waiters[1])
    assert look(server, key) == Look(0, 2, 0, 0)
