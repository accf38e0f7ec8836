"""Threads, tasks and processes use one key: they exclude each other, and wait in one queue."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import dsync
from dsync import sync
from redis import Redis

from tests.integration.blocking import (
    all_ended,
    closed_afterwards,
    ended,
    patient,
    start,
)
from tests.integration.conditions import until_waiting
from tests.integration.locks import NEVER, queue_length, soon, until_queued
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

__all__ = ["closed_afterwards"]
Spawn = Callable[..., Child]


def take_in_turn(url: str, key: str) -> None:
    """Wait in a process of its own, and say when it is inside."""
    with sync.DistributedLock(url, key, NEVER) as lock:
        say("inside", fence=lock.fencing_token, at=time.monotonic())


def count_in_turn(url: str, key: str, threads: int, times: int) -> None:
    """Count in Redis, from threads, in a way that only a lock makes safe."""

    def work() -> None:
        lock = sync.DistributedLock(url, key, NEVER)
        with Redis.from_url(url) as client:
            for _ in range(times):
                with lock:
                    count = int(client.get(f"count-{key}") or 0)
                    client.set(f"count-{key}", count + 1)

    all_ended([start(work) for _ in range(threads)])
    say("done")


async def test_tasks_threads_and_processes_wait_in_one_queue(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    order: list[tuple[int, str]] = []

    def in_thread() -> None:
        with sync.DistributedLock(server.url, key, NEVER, fair="strict") as lock:
            order.append((lock.fencing_token, "thread"))

    async def in_task() -> None:
        async with dsync.DistributedLock(server.url, key, NEVER, fair="strict") as lock:
            order.append((lock.fencing_token, "task"))

    holder = dsync.DistributedLock(server.url, key)
    await holder.acquire()
    waiters, children = [], []
    for turn in range(3):
        waiters.append(asyncio.wrap_future(start(in_thread)))
        await until_queued(server, key, 3 * turn + 1)
        waiters.append(asyncio.create_task(in_task()))
        await until_queued(server, key, 3 * turn + 2)
        children.append(spawn(take_in_turn, server.url, key))
        await until_queued(server, key, 3 * turn + 3)
    await holder.release()
    await soon(asyncio.gather(*waiters))
    order.extend([((await child.expect("inside"))["fence"], "process") for child in children])
    # The numbers of the grants, which one server has given, tell the order.
    assert [kind for _, kind in sorted(order)] == ["thread", "task", "process"] * 3


async def test_tasks_threads_and_processes_exclude_each_other(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    children = [spawn(count_in_turn, server.url, key, 3, 20) for _ in range(2)]
    here = asyncio.to_thread(count_in_turn, server.url, key, 3, 20)

    async def count() -> None:
        for _ in range(20):
            async with dsync.DistributedLock(server.url, key, NEVER):
                seen = int(await client.get(f"count-{key}") or 0)
                await client.set(f"count-{key}", seen + 1)

    async with server.client() as client:
        await soon(asyncio.gather(here, count(), count()))
        for child in children:
            await child.expect("done")
        assert int(await client.get(f"count-{key}") or 0) == 3 * 3 * 20 + 2 * 20


async def test_a_blocking_call_in_a_task_waits_for_a_thread(server: RedisServer, key: str) -> None:
    # The loop stands still meanwhile, but the other thread does not.
    lock = patient(server, key)
    lock.acquire()
    mine = patient(server, key)

    def free() -> None:
        while queue_length(server, key) == 0:
            time.sleep(0.001)
        lock.release()

    freeing = start(free)
    assert mine.acquire()
    mine.release()
    ended(freeing)


async def test_a_semaphore_is_shared_by_both_faces(server: RedisServer, key: str) -> None:
    task_side = dsync.DistributedSemaphore(server.url, key, 2, NEVER)
    thread_side = sync.DistributedSemaphore(server.url, key, 2, NEVER)
    async with task_side:
        assert await asyncio.to_thread(thread_side.try_acquire)
        assert not await task_side.try_acquire()
        assert thread_side.locked()
        waiter = asyncio.create_task(task_side.acquire())
        await asyncio.to_thread(thread_side.release)
        assert await soon(waiter)


async def test_a_thread_notifies_a_task_and_a_task_a_thread(server: RedisServer, key: str) -> None:
    task_side = dsync.DistributedCondition(server.url, key, NEVER)
    thread_side = sync.DistributedCondition(server.url, key, NEVER)
    waiter: asyncio.Future[bool] = asyncio.create_task(task_side.wait())
    await until_waiting(server, key, 1)
    with thread_side:
        thread_side.notify()
    assert await soon(waiter)
    waiter = asyncio.wrap_future(start(thread_side.wait))
    await until_waiting(server, key, 1)
    async with task_side:
        await task_side.notify()
    assert await soon(waiter)


async def test_threads_and_tasks_meet_at_one_barrier(server: RedisServer, key: str) -> None:
    task_side = dsync.DistributedBarrier(server.url, key, 4)
    thread_side = sync.DistributedBarrier(server.url, key, 4)
    for _ in range(5):
        threads = [asyncio.wrap_future(start(thread_side.wait, timeout=20)) for _ in range(2)]
        await soon(asyncio.gather(task_side.wait(), task_side.wait(), *threads))


async def test_an_event_is_told_to_both_faces(server: RedisServer, key: str) -> None:
    task_side = dsync.DistributedEvent(server.url, key, NEVER)
    thread_side = sync.DistributedEvent(server.url, key, NEVER)
    waiter = asyncio.create_task(task_side.wait())
    thread = asyncio.wrap_future(start(partial(thread_side.wait, timeout=20)))
    await eventually(lambda: sum(int(each["sub"]) for each in server.connections()) >= 2)
    thread_side.set()
    assert all(await soon(asyncio.gather(waiter, thread)))
    assert await task_side.is_set()


async def test_a_task_that_owns_a_lock_is_no_thread_that_owns_it(
    server: RedisServer, key: str
) -> None:
    async with dsync.DistributedLock(server.url, key):
        thread_side = sync.DistributedLock(server.url, key)
        assert thread_side.locked()
        assert not thread_side.owned()
        assert not thread_side.try_acquire()
