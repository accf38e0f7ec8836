"""DistributedLock: first come, first served, between tasks, objects, sessions and processes."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from dsync import DistributedLock
from redis.asyncio import Redis

from tests.integration.children import count_in_turn, take_and_keep
from tests.integration.locks import (
    NEVER,
    calls,
    holder,
    lock_name,
    queue_length,
    soon,
    start_waiters,
    until_nothing_is_left,
    until_queued,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


async def enter(lock: DistributedLock, name: object, order: list[object]) -> None:
    async with lock:
        order.append(name)


async def test_objects_get_the_lock_in_the_order_they_asked(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    first = DistributedLock(redis, key)
    await first.acquire()
    tasks = []
    for number in range(20):
        lock = DistributedLock(redis, key, NEVER)
        tasks.append(asyncio.create_task(enter(lock, number, order)))
        await until_queued(server, key, number + 1)
    await first.release()
    await soon(asyncio.gather(*tasks))
    assert order == list(range(20))


async def test_tasks_that_ask_in_one_tick_get_the_lock_in_that_order(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    async with asyncio.timeout(20), DistributedLock(redis, key):
        locks = [DistributedLock(redis, key, NEVER) for _ in range(50)]
        tasks = [asyncio.create_task(enter(lock, n, order)) for n, lock in enumerate(locks)]
        await until_queued(server, key, 50)
    await soon(asyncio.gather(*tasks))
    assert order == list(range(50))


async def test_tasks_of_one_object_get_the_lock_in_the_order_they_asked(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    shared = DistributedLock(redis, key, NEVER)
    async with DistributedLock(redis, key):
        tasks = [asyncio.create_task(enter(shared, number, order)) for number in range(20)]
        await until_queued(server, key, 20)
    await soon(asyncio.gather(*tasks))
    assert order == list(range(20))


async def test_sessions_get_the_lock_in_the_order_they_asked(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(server.client(client_name=f"session-{number}"))
            for number in range(5)
        ]
        await redis.set(lock_name(key), "taken")
        tasks = []
        for number in range(20):
            lock = DistributedLock(clients[number * 3 % 5], key, 0.02, fair="strict")
            tasks.append(asyncio.create_task(enter(lock, number, order)))
            await until_queued(server, key, number + 1)
        await redis.delete(lock_name(key))
        await soon(asyncio.gather(*tasks))
    assert order == list(range(20))


async def test_processes_get_the_lock_in_the_order_they_asked(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    mine = DistributedLock(redis, key, NEVER)
    await mine.acquire()
    children = []
    for number in range(3):
        children.append(spawn(take_and_keep, server.url, key))
        await until_queued(server, key, number + 1)
    fences = [mine.fencing_token]
    await mine.release()
    for number, child in enumerate(children):
        told = await child.expect("holds")
        assert holder(server, key) == told["token"]
        assert queue_length(server, key) == 2 - number
        fences.append(told["fence"])
        # Its lease is not over: an administrator frees the lock of the dead.
        child.kill()
        with server.sync() as client:
            client.delete(lock_name(key))
        if number < 2:
            # Whoever asks next finds it free, and gives it to the first in the queue.
            assert not await DistributedLock(redis, key).try_acquire()
    assert fences == sorted(set(fences))


async def test_processes_that_compete_exclude_each_other(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    gate = DistributedLock(redis, key, NEVER)
    await gate.acquire()
    children = [spawn(count_in_turn, server.url, key, 20) for _ in range(3)]
    await until_queued(server, key, 3)
    await gate.release()
    for child in children:
        await child.expect("done")
    grants = [each for child in children for each in child.events if each["event"] == "inside"]
    grants.sort(key=lambda each: each["fence"])
    # Nobody has written over what another wrote, and the fencing tokens tell their order.
    assert [each["count"] for each in grants] == list(range(1, 61))
    await redis.delete(f"count-{key}")
    await until_nothing_is_left(server)


async def test_release_hands_the_lock_over_before_it_returns(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = DistributedLock(redis, key, NEVER), DistributedLock(redis, key, NEVER)
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    # Nobody who comes now can take it.
    assert holder(server, key) == second._token
    assert not await first.try_acquire()
    await soon(waiter)
    await second.release()


async def test_a_holder_that_asks_again_goes_behind_those_who_wait(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    first, second = DistributedLock(redis, key, NEVER), DistributedLock(redis, key, NEVER)
    await first.acquire()
    task = asyncio.create_task(enter(second, "waiting", order))
    await until_queued(server, key, 1)
    await first.release()
    async with first:
        order.append("again")
    await soon(task)
    assert order == ["waiting", "again"]


async def test_a_dead_waiter_is_skipped_at_once(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    mine, behind = DistributedLock(redis, key, NEVER), DistributedLock(redis, key, NEVER)
    await mine.acquire()
    children = []
    for number in range(3):
        children.append(spawn(take_and_keep, server.url, key))
        await until_queued(server, key, number + 1)
    (waiter,) = await start_waiters(server, key, behind)
    for child in children:
        child.kill()
    await eventually(lambda: len(server.connections()) <= 3, "the server sees that they are gone")
    await mine.release()
    # By the very release: nobody looks again, and no lease has to end.
    assert holder(server, key) == behind._token
    assert queue_length(server, key) == 0
    assert await soon(waiter)
    await behind.release()
    await until_nothing_is_left(server)


async def test_when_all_waiters_are_dead_the_release_frees_the_lock(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    mine = DistributedLock(redis, key, NEVER)
    await mine.acquire()
    child = spawn(take_and_keep, server.url, key)
    await until_queued(server, key, 1)
    child.kill()
    await eventually(lambda: len(server.connections()) <= 3, "the server sees that it is gone")
    await mine.release()
    assert holder(server, key) is None
    assert queue_length(server, key) == 0
    assert await mine.try_acquire()
    await mine.release()


async def test_the_lock_of_a_killed_process_is_free_after_its_lease(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(take_and_keep, server.url, key, 0.5)
    await child.expect("holds")
    lock = DistributedLock(redis, key, NEVER)
    (waiter,) = await start_waiters(server, key, lock)
    child.kill()
    assert await soon(waiter)
    await lock.release()


async def test_a_cancelled_waiter_keeps_nobodys_place(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    async with DistributedLock(redis, key):
        tasks = []
        for number in range(6):
            lock = DistributedLock(redis, key, NEVER)
            tasks.append(asyncio.create_task(enter(lock, number, order)))
            await until_queued(server, key, number + 1)
        for number in (0, 2, 5):
            tasks[number].cancel()
        await until_queued(server, key, 3)
    await soon(asyncio.gather(*tasks, return_exceptions=True))
    assert order == [1, 3, 4]


async def test_one_release_wakes_one_waiter(server: RedisServer, redis: Redis, key: str) -> None:
    first = DistributedLock(redis, key, NEVER, fair="strict")
    locks = [DistributedLock(redis, key, NEVER, fair="strict") for _ in range(20)]
    await first.acquire()
    waiters = await start_waiters(server, key, *locks)
    for number, lock in enumerate([first, *locks[:-1]]):
        before = calls(server, "publish")
        await lock.release()
        assert await soon(waiters[number])
        assert calls(server, "publish") - before == 1
        assert sum(waiter.done() for waiter in waiters) == number + 1
    before = calls(server, "publish")
    await locks[-1].release()
    assert calls(server, "publish") == before
