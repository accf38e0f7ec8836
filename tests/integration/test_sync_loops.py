"""A thread that runs an event loop may call too: its loop stands still, and goes on as it was."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import dsync
import pytest
import uvloop
from dsync import sync

from tests.integration.blocking import (
    closed_afterwards,
    ended,
    patient,
    start,
    until_queued,
    until_the_keeper_leads,
)
from tests.integration.locks import NEVER, holder
from tests.support.redis_server import RedisServer

__all__ = ["closed_afterwards"]
Main = Callable[[str, str], Coroutine[Any, Any, None]]


async def call_everything(url: str, key: str) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    with sync.DistributedLock(url, key) as lock:
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is task
        assert lock.owned()
    with sync.DistributedSemaphore(url, key, 1) as semaphore:
        assert semaphore.locked()
    with sync.DistributedCondition(url, key) as condition:
        assert not condition.wait(timeout=0.01)
    sync.DistributedBarrier(url, key, 1).wait()
    assert not sync.DistributedEvent(url, key).wait(timeout=0.01)
    with pytest.raises(TimeoutError):
        sync.DistributedBarrier(url, key, 2).wait(timeout=0.01)
    assert asyncio.get_running_loop() is loop
    assert asyncio.current_task() is task


async def call_and_go_on(url: str, key: str) -> None:
    """Use what the caller's loop has: timers, threads, connections, and the asynchronous face."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    lock = sync.DistributedLock(url, key)
    for _ in range(5):
        before = ticks
        with lock:
            # Nothing else of this loop has run meanwhile.
            assert ticks == before
            other = dsync.DistributedLock(url, key, NEVER)
            assert not await other.try_acquire()
            assert await asyncio.to_thread(lock.locked)
        await asyncio.sleep(0.001)
        assert ticks > before
        async with asyncio.timeout(20), other:
            assert not lock.try_acquire()
    ticking.cancel()


async def call_after_an_error(url: str, key: str) -> None:
    loop = asyncio.get_running_loop()
    async with dsync.DistributedLock(url, key):
        with pytest.raises(TimeoutError):
            sync.DistributedLock(url, key, NEVER, 0.01).acquire()
        with pytest.raises(RuntimeError, match="does not hold it"):
            sync.DistributedLock(url, key).release()
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)


async def call_beside_the_keeper(url: str, key: str) -> None:
    loop = asyncio.get_running_loop()
    with sync.DistributedLock(url, key) as lock:
        until_the_keeper_leads()
        assert lock.owned()
    assert asyncio.get_running_loop() is loop


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    "main", [call_everything, call_and_go_on, call_after_an_error, call_beside_the_keeper]
)
def test_a_coroutine_may_call(
    server: RedisServer,
    key: str,
    main: Main,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=new_loop, debug=False) as runner:
        runner.run(main(server.url, key))
        # The loop ends as others do.
    assert asyncio._get_running_loop() is None


def test_two_loops_in_two_threads_call_at_once(server: RedisServer, key: str) -> None:
    async def work() -> int:
        loop, count = asyncio.get_running_loop(), 0
        for _ in range(20):
            with patient(server, key):
                assert asyncio.get_running_loop() is loop
                count += 1
            await asyncio.sleep(0)
        return count

    running = [start(asyncio.run, work()) for _ in range(2)]
    assert [ended(each) for each in running] == [20, 20]


def test_a_coroutine_that_follows_another_thread_goes_on(server: RedisServer, key: str) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        with patient(server, f"{key}-mine"):
            assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)

    lock = patient(server, key)
    lock.acquire()
    leader = start(lock.acquire)
    until_queued(server, key, 1)
    asyncio.run(work())
    lock.release()
    assert ended(leader)


async def test_a_lock_outlives_the_loop_in_which_it_was_acquired(
    server: RedisServer, key: str
) -> None:
    lock = sync.DistributedLock(server.url, key)

    async def acquire() -> None:
        lock.acquire()

    await asyncio.to_thread(asyncio.run, acquire())
    assert lock.owned()
    lock.release()
    assert holder(server, key) is None


async def test_the_end_of_a_loop_with_both_faces_frees_only_its_own(
    server: RedisServer, key: str
) -> None:
    task_side = dsync.DistributedLock(server.url, f"{key}-task")
    thread_side = sync.DistributedLock(server.url, f"{key}-thread")

    async def work() -> None:
        await task_side.acquire()
        thread_side.acquire()
        await dsync.close()

    await asyncio.to_thread(asyncio.run, work())
    assert holder(server, f"{key}-task") is None
    assert thread_side.owned()
    thread_side.release()
