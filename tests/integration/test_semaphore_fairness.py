"""DistributedSemaphore: first come, first served, between tasks, sessions and processes."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from dsync import DistributedSemaphore
from redis.asyncio import Redis

from tests.fault import semaphore_nodes
from tests.integration.locks import NEVER, calls, soon
from tests.integration.semaphores import (
    Look,
    look,
    semaphore_name,
    start_waiters,
    take,
    until_idle,
    until_queued,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VALUE = 2


async def enter(semaphore: DistributedSemaphore, name: object, order: list[object]) -> None:
    async with semaphore:
        order.append(name)


@pytest.mark.parametrize("shared", [False, True], ids=["objects", "tasks of one object"])
async def test_slots_are_given_in_the_order_in_which_they_were_asked_for(
    server: RedisServer, redis: Redis, key: str, shared: bool
) -> None:
    order: list[object] = []
    first, one = (DistributedSemaphore(redis, key, VALUE, NEVER) for _ in range(2))
    await take(first, VALUE)
    tasks = []
    for number in range(20):
        semaphore = one if shared else DistributedSemaphore(redis, key, VALUE, NEVER)
        tasks.append(asyncio.create_task(enter(semaphore, number, order)))
        await until_queued(server, key, number + 1)
    await first.release()
    await soon(asyncio.gather(*tasks))
    assert order == list(range(20))


async def test_tasks_that_ask_in_one_tick_get_slots_in_that_order(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    async with asyncio.timeout(20), DistributedSemaphore(redis, key, 1):
        semaphores = [DistributedSemaphore(redis, key, 1, NEVER) for _ in range(50)]
        tasks = [asyncio.create_task(enter(each, n, order)) for n, each in enumerate(semaphores)]
        await until_queued(server, key, 50)
    await soon(asyncio.gather(*tasks))
    assert order == list(range(50))


async def test_sessions_get_slots_in_the_order_they_asked(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    await redis.set(semaphore_name(key), 0)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(server.client(client_name=f"session-{number}"))
            for number in range(5)
        ]
        tasks = []
        for number in range(20):
            semaphore = DistributedSemaphore(clients[number * 3 % 5], key, VALUE, 0.02)
            tasks.append(asyncio.create_task(enter(semaphore, number, order)))
            await until_queued(server, key, number + 1)
        # As an old process frees it: whoever looks first must still not be the first to get it.
        await redis.set(semaphore_name(key), 1)
        await soon(asyncio.gather(*tasks))
    assert order == list(range(20))


async def test_processes_get_slots_in_the_order_they_asked(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    mine = DistributedSemaphore(redis, key, VALUE, NEVER)
    await take(mine, VALUE)
    options = {"lease": 30, "acquire_sleep_delay": NEVER}
    children = []
    for number in range(5):
        children.append(spawn(semaphore_nodes.hold, server.url, key, VALUE, options))
        await until_queued(server, key, number + 1)
    # Slots come from this process, and from those that got one before.
    givers = [mine.release, mine.release, *(child.terminate for child in children)]
    for number, child in enumerate(children):
        given = givers[number]()
        if given is not None:
            await given
        await child.expect("held")
        assert look(server, key) == Look(0, VALUE, 4 - number, 0)
        assert not any(each.events for each in children[number + 1 :])
    for child in children[3:]:
        child.terminate()
    for child in children:
        await child.expect("released")
    await until_idle(server, key, VALUE)


async def test_an_object_that_asks_again_goes_behind_those_who_wait(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    first, second = (DistributedSemaphore(redis, key, 1, NEVER) for _ in range(2))
    await first.acquire()
    task = asyncio.create_task(enter(second, "waiting", order))
    await until_queued(server, key, 1)
    await first.release()
    async with first:
        order.append("again")
    await soon(task)
    assert order == ["waiting", "again"]


async def test_a_cancelled_waiter_keeps_nobodys_place(
    server: RedisServer, redis: Redis, key: str
) -> None:
    order: list[object] = []
    async with DistributedSemaphore(redis, key, 1):
        tasks = []
        for number in range(6):
            semaphore = DistributedSemaphore(redis, key, 1, NEVER)
            tasks.append(asyncio.create_task(enter(semaphore, number, order)))
            await until_queued(server, key, number + 1)
        for number in (0, 2, 5):
            tasks[number].cancel()
        await until_queued(server, key, 3)
    await soon(asyncio.gather(*tasks, return_exceptions=True))
    assert order == [1, 3, 4]


@pytest.mark.parametrize("lease", [30.0, None])
async def test_dead_waiters_are_skipped_at_once(
    server: RedisServer,
    redis: Redis,
    key: str,
    spawn: Callable[..., Child],
    lease: float | None,
) -> None:
    mine, behind = (DistributedSemaphore(redis, key, 1, NEVER) for _ in range(2))
    await mine.acquire()
    options = {"lease": lease, "acquire_sleep_delay": NEVER}
    children = []
    for number in range(2):
        children.append(spawn(semaphore_nodes.hold, server.url, key, 1, options))
        await until_queued(server, key, number + 1)
    (waiter,) = await start_waiters(server, key, behind)
    for child in children:
        child.kill()
    await eventually(lambda: len(server.connections()) <= 3, "the server sees that they are gone")
    await mine.release()
    # By the very release: nobody looks again, and no lease has to end.
    assert look(server, key) == Look(0, 1, 0, 0)
    assert await soon(waiter)
    await behind.release()
    await until_idle(server, key, 1)


async def test_when_all_waiters_are_dead_the_slot_is_free(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    mine = DistributedSemaphore(redis, key, 1, NEVER)
    await mine.acquire()
    child = spawn(semaphore_nodes.hold, server.url, key, 1, {"acquire_sleep_delay": NEVER})
    await until_queued(server, key, 1)
    child.kill()
    await eventually(lambda: len(server.connections()) <= 3, "the server sees that it is gone")
    await mine.release()
    assert look(server, key) == Look(1, 0, 0, 0)


async def test_one_release_wakes_one_waiter(server: RedisServer, redis: Redis, key: str) -> None:
    semaphores = [DistributedSemaphore(redis, key, VALUE, NEVER) for _ in range(VALUE + 10)]
    for semaphore in semaphores[:VALUE]:
        await semaphore.acquire()
    waiters = await start_waiters(server, key, *semaphores[VALUE:])
    for number, waiter in enumerate(waiters):
        before = calls(server, "publish")
        await semaphores[number].release()
        assert await soon(waiter)
        assert calls(server, "publish") - before == 1
        assert sum(each.done() for each in waiters) == number + 1
    before = calls(server, "publish")
    for semaphore in semaphores[-VALUE:]:
        await semaphore.release()
    assert calls(server, "publish") == before
    await until_idle(server, key, VALUE)
