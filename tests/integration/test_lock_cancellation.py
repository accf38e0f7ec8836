"""DistributedLock: cancelled at any await of acquire or release, nothing is left behind."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest
from dsync import DistributedLock
from redis.asyncio import Redis

from tests.integration.locks import (
    NEVER,
    holder,
    queue_length,
    soon,
    start_waiters,
    until_nothing_is_left,
    until_queued,
)
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.by_turns

# More turns of the loop than any operation takes; see that each test meets its end.
MANY = 400


class CancelledAt:
    """Runs a coroutine and cancels it at one of its awaits, before or after what it waits for."""

    def __init__(self, work: Coroutine[Any, Any, Any], place: int, *, late: bool) -> None:
        self._work = work
        self._place = place
        self._late = late
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        count = 0
        error: BaseException | None = None
        while True:
            try:
                future = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration as end:
                return end.value
            error = None
            here = count == self._place
            count += 1
            if here:
                self.reached = True
                task = asyncio.current_task()
                assert task is not None
                if not self._late:
                    task.cancel()
            try:
                yield future
            except BaseException as thrown:
                error = thrown
            if here and self._late and error is None:
                # What it waited for is there, and at that very moment it is cancelled.
                error = asyncio.CancelledError()


async def cancelled_at(work: Coroutine[Any, Any, Any], place: int, late: bool) -> bool:
    """Run something cancelled at its await number `place`; return whether there was such a one."""
    run = CancelledAt(work, place, late=late)

    async def task() -> None:
        await run

    try:
        await soon(asyncio.create_task(task()))
    except asyncio.CancelledError:
        assert run.reached
    return run.reached


async def assert_free(server: RedisServer, redis: Redis, key: str) -> None:
    await until_nothing_is_left(server)
    other = DistributedLock(redis, key)
    assert await other.try_acquire()
    await other.release()


async def after_steps(work: Awaitable[Any], steps: int) -> bool:
    """Cancel after so many turns of the loop; return whether it was still running."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    running = not task.done()
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.done()
    if not task.cancelled():
        task.result()
    return running and task.cancelled()


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lease", [30.0, None])
async def test_acquire_of_a_free_lock_cancelled_at_each_await(
    server: RedisServer, redis: Redis, key: str, late: bool, lease: float | None
) -> None:
    places = 0
    while await cancelled_at(DistributedLock(redis, key, lease=lease).acquire(), places, late):
        places += 1
        await assert_free(server, redis, key)
    assert places > 0


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_acquire_that_asks_again_for_a_doubtful_lease_cancelled_at_each_await(
    server: RedisServer, redis: Redis, key: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every grant counts as one that took too long to arrive.
    monkeypatch.setattr("dsync._leased._DOUBTFUL", NEVER)
    places = 0
    while await cancelled_at(DistributedLock(redis, key).acquire(), places, late):
        places += 1
        await assert_free(server, redis, key)
    assert places > 1


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_acquire_by_hand_over_cancelled_at_each_await(
    server: RedisServer, redis: Redis, key: str, late: bool
) -> None:
    places, reached = 0, True
    while reached:
        first, behind = DistributedLock(redis, key, NEVER), DistributedLock(redis, key, NEVER)
        await first.acquire()
        work = asyncio.create_task(
            cancelled_at(DistributedLock(redis, key, NEVER).acquire(), places, late)
        )
        if late:
            await until_queued(server, key, 1)
        (waiter,) = await start_waiters(server, key, behind) if late else (None,)
        await first.release()
        reached = await soon(work)
        if not reached:
            break
        if waiter is not None:
            # The grant that nobody took goes on to the next.
            assert await soon(waiter)
            await behind.release()
        places += 1
        await assert_free(server, redis, key)
    assert places > 0


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lease", [30.0, None])
async def test_release_cancelled_at_each_await_frees_the_lock(
    server: RedisServer, redis: Redis, key: str, late: bool, lease: float | None
) -> None:
    places, reached = 0, True
    while reached:
        lock = DistributedLock(redis, key, lease=lease)
        await lock.acquire()
        reached = await cancelled_at(lock.release(), places, late)
        with pytest.raises(RuntimeError):
            await lock.release()
        places += 1
        await assert_free(server, redis, key)
    assert places > 1


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_release_cancelled_at_each_await_hands_the_lock_over(
    server: RedisServer, redis: Redis, key: str, late: bool
) -> None:
    places, reached = 0, True
    while reached:
        lock, next_lock = DistributedLock(redis, key, NEVER), DistributedLock(redis, key, NEVER)
        await lock.acquire()
        (waiter,) = await start_waiters(server, key, next_lock)
        reached = await cancelled_at(lock.release(), places, late)
        assert await soon(waiter)
        await next_lock.release()
        places += 1
        await assert_free(server, redis, key)
    assert places > 1


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_async_with_cancelled_at_each_await(
    server: RedisServer, redis: Redis, key: str, late: bool
) -> None:
    async def block() -> None:
        async with DistributedLock(redis, key):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    places = 0
    while await cancelled_at(block(), places, late):
        places += 1
        await assert_free(server, redis, key)
    assert places > 3


async def test_acquire_of_a_free_lock_cancelled_after_each_turn_of_the_loop(
    server: RedisServer, redis: Redis, key: str
) -> None:
    for steps in range(MANY):
        running = await after_steps(DistributedLock(redis, key).acquire(), steps)
        if not running:
            break
        await assert_free(server, redis, key)
    else:
        pytest.fail("acquire never came to its end")


async def test_the_first_acquire_cancelled_after_each_turn_of_the_loop(
    server: RedisServer, key: str
) -> None:
    """Each with a session of its own, so cancelled while the connection is made."""
    for steps in range(MANY):
        async with server.client(client_name=f"session-{steps}") as client:
            if not await after_steps(DistributedLock(client, key).acquire(), steps):
                break
            await assert_free(server, client, key)
    else:
        pytest.fail("acquire never came to its end")


async def test_acquire_by_hand_over_cancelled_after_each_turn_of_the_loop(
    server: RedisServer, redis: Redis, key: str
) -> None:
    for steps in range(MANY):
        first, second, third = (DistributedLock(redis, key, NEVER) for _ in range(3))
        await first.acquire()
        waiter, behind = await start_waiters(server, key, second, third)
        release = asyncio.create_task(first.release())
        running = await after_steps(waiter, steps)
        await soon(release)
        if not running:
            await second.release()
        assert await soon(behind)
        await third.release()
        await assert_free(server, redis, key)
        if not running:
            break
    else:
        pytest.fail("the hand-over never came")


async def test_release_cancelled_after_each_turn_of_the_loop(
    server: RedisServer, redis: Redis, key: str
) -> None:
    for steps in range(MANY):
        lock = DistributedLock(redis, key)
        await lock.acquire()
        running = await after_steps(lock.release(), steps)
        if steps == 0:
            # It never began, so the lock is held as before.
            assert holder(server, key) == lock._token
            await lock.release()
        await assert_free(server, redis, key)
        if not running:
            break
    else:
        pytest.fail("release never came to its end")


@pytest.mark.parametrize("direction", ["requests", "replies"])
async def test_acquire_cancelled_while_its_command_is_on_its_way(
    server: RedisServer, make_proxy: Callable[[], Proxy], redis: Redis, key: str, direction: Any
) -> None:
    proxy = make_proxy()
    first, second = DistributedLock(proxy.url, key), DistributedLock(proxy.url, key)
    # So that the connection stands.
    assert not await first.locked()
    proxy.blackhole(direction=direction)
    acquire = asyncio.create_task(first.acquire())
    for _ in range(10):
        await asyncio.sleep(0)
    acquire.cancel()
    # It leaves at once, though the server cannot be heard.
    with pytest.raises(asyncio.CancelledError):
        await soon(acquire)
    proxy.blackhole(False)
    assert await soon(second.acquire())
    await second.release()
    await assert_free(server, redis, key)


async def test_release_cancelled_while_its_reply_is_on_its_way(
    server: RedisServer, make_proxy: Callable[[], Proxy], redis: Redis, key: str
) -> None:
    proxy = make_proxy()
    lock = DistributedLock(proxy.url, key)
    await lock.acquire()
    proxy.blackhole(direction="replies")
    release = asyncio.create_task(lock.release())
    await until_nothing_is_left(server)
    release.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(release)
    proxy.blackhole(False)
    await lock.acquire()
    await lock.release()
    await assert_free(server, redis, key)


async def test_waiters_cancelled_in_one_tick_leave_nothing(
    server: RedisServer, redis: Redis, key: str
) -> None:
    shared = DistributedLock(redis, key, NEVER)
    async with DistributedLock(redis, key) as first:
        tasks = [asyncio.create_task(shared.acquire()) for _ in range(30)]
        tasks += [asyncio.create_task(DistributedLock(redis, key).acquire()) for _ in range(30)]
        await until_queued(server, key, 60)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await until_queued(server, key, 0)
        assert holder(server, key) == first._token
    assert queue_length(server, key) == 0
    await assert_free(server, redis, key)


async def test_a_timeout_around_acquire_leaves_nothing(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await DistributedLock(redis, key, NEVER).acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(DistributedLock(redis, key, NEVER).acquire(), 0.02)
    await assert_free(server, redis, key)
