"""Semaphores: at whatever await they end, an acquire takes nothing, and a release gives back."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from dsync import DistributedBoundedSemaphore, DistributedSemaphore
from redis.asyncio import Redis

from tests.integration.locks import NEVER, soon
from tests.integration.semaphores import (
    free_slots,
    start_waiters,
    until_idle,
    until_queued,
    until_used,
)
from tests.integration.test_lock_cancellation import MANY, after_steps, cancelled_at
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.by_turns
VALUE = 2

Kind = type[DistributedSemaphore]

each_moment = pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
each_lease = pytest.mark.parametrize("lease", [30.0, None])
each_kind = pytest.mark.parametrize("kind", [DistributedSemaphore, DistributedBoundedSemaphore])


# ---- acquire ----


@each_moment
@each_lease
@each_kind
async def test_acquire_of_a_free_slot_cancelled_at_each_await_takes_nothing(
    server: RedisServer, redis: Redis, key: str, kind: Kind, lease: float | None, late: bool
) -> None:
    places = 0
    while await cancelled_at(kind(redis, key, VALUE, lease=lease).acquire(), places, late):
        places += 1
        await until_idle(server, key, free_slots(server, key))
        assert free_slots(server, key) in (None, VALUE)
    assert places > 0


@each_moment
async def test_acquire_that_confirms_a_doubtful_lease_cancelled_at_each_await_takes_nothing(
    server: RedisServer, redis: Redis, key: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every grant counts as one that took too long to arrive.
    monkeypatch.setattr("dsync._leased._DOUBTFUL", NEVER)
    places = 0
    while await cancelled_at(DistributedSemaphore(redis, key, VALUE).acquire(), places, late):
        places += 1
        await until_idle(server, key, free_slots(server, key))
        assert free_slots(server, key) in (None, VALUE)
    assert places > 1


@each_moment
@each_lease
async def test_acquire_by_hand_over_cancelled_at_each_await_passes_the_slot_on(
    server: RedisServer, redis: Redis, key: str, lease: float | None, late: bool
) -> None:
    first, behind = (DistributedSemaphore(redis, key, 1, NEVER) for _ in range(2))
    places, reached = 0, True
    while reached:
        await first.acquire()
        cancelled = DistributedSemaphore(redis, key, 1, NEVER, lease=lease)
        work = asyncio.create_task(cancelled_at(cancelled.acquire(), places, late))
        if late:
            await until_queued(server, key, 1)
        (waiter,) = await start_waiters(server, key, behind) if late else (None,)
        await first.release()
        reached = await soon(work)
        if not reached:
            await cancelled.release()
        if waiter is not None:
            assert await soon(waiter)
            await behind.release()
        places += 1
        await until_idle(server, key, 1)
    assert places > 1


async def test_the_first_acquire_cancelled_after_each_turn_of_the_loop_takes_nothing(
    server: RedisServer, key: str
) -> None:
    """Each with a session of its own, so cancelled while the connection is made."""
    for steps in range(0, MANY, 3):
        async with server.client(client_name=f"session-{steps}") as client:
            semaphore = DistributedSemaphore(client, key, VALUE)
            if not await after_steps(semaphore.acquire(), steps):
                await semaphore.release()
                break
            await until_idle(server, key, free_slots(server, key))
    else:
        pytest.fail("acquire never came to its end")
    await until_idle(server, key, VALUE)


@each_lease
async def test_waiters_cancelled_in_one_tick_with_the_releases_lose_no_slot(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, NEVER, lease=lease)
    for _ in range(20):
        for _ in range(VALUE):
            await semaphore.acquire()
        tasks = [asyncio.create_task(semaphore.acquire()) for _ in range(VALUE + 2)]
        await until_queued(server, key, VALUE + 2)
        releases = [asyncio.create_task(semaphore.release()) for _ in range(VALUE)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await soon(asyncio.wait([*tasks, *releases]))
        for task in tasks:
            if not task.cancelled():
                await semaphore.release()
        await until_idle(server, key, VALUE)


async def leave(semaphore: DistributedSemaphore, moment: float, how: int) -> bool:
    """Try to get a slot for a short time; return whether it was got."""
    match how:
        case 0:
            waiting: Coroutine[Any, Any, bool] = semaphore.acquire(acquire_timeout=moment)
        case 1:
            waiting = asyncio.wait_for(semaphore.acquire(), moment)
        case _:
            task = asyncio.create_task(semaphore.acquire())
            asyncio.get_running_loop().call_later(moment, task.cancel)
            await asyncio.wait([task])
            return not task.cancelled() and task.result()
    try:
        return await waiting
    except TimeoutError:
        return False


@each_lease
async def test_many_acquires_that_end_at_random_moments_take_nothing(
    server: RedisServer, redis: Redis, key: str, dice: random.Random, lease: float | None
) -> None:
    got = 0

    async def work(semaphore: DistributedSemaphore) -> None:
        nonlocal got
        for _ in range(200):
            # Most of them about as long as an answer of the server takes.
            moment = dice.random() ** 2 * dice.choice([0.002, 0.01])
            if await leave(semaphore, moment, dice.randrange(3)):
                got += 1
                await asyncio.sleep(dice.choice([0, 0.001]))
                await semaphore.release()

    shared = DistributedSemaphore(redis, key, VALUE, 0.05, lease=lease)
    own = [DistributedSemaphore(redis, key, VALUE, 0.05, lease=lease) for _ in range(4)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(work(each) for each in [shared, shared, shared, *own]))
    assert got > 0
    await until_idle(server, key, VALUE)


# ---- release ----


@each_moment
@each_lease
@each_kind
async def test_release_cancelled_at_each_await_gives_the_slot_back_once(
    server: RedisServer, redis: Redis, key: str, kind: Kind, lease: float | None, late: bool
) -> None:
    places, reached = 0, True
    while reached:
        semaphore = kind(redis, key, VALUE, lease=lease)
        await semaphore.acquire()
        reached = await cancelled_at(semaphore.release(), places, late)
        places += 1
        await until_idle(server, key, VALUE)
    assert places > 1


@each_moment
async def test_release_cancelled_at_each_await_hands_the_slot_over(
    server: RedisServer, redis: Redis, key: str, late: bool
) -> None:
    first, second = (DistributedSemaphore(redis, key, 1, NEVER) for _ in range(2))
    places, reached = 0, True
    while reached:
        await first.acquire()
        (waiter,) = await start_waiters(server, key, second)
        reached = await cancelled_at(first.release(), places, late)
        assert await soon(waiter)
        await second.release()
        places += 1
        await until_idle(server, key, 1)
    assert places > 1


@each_moment
@each_lease
async def test_async_with_cancelled_at_each_await_leaves_all_slots_free(
    server: RedisServer, redis: Redis, key: str, lease: float | None, late: bool
) -> None:
    async def block() -> None:
        async with DistributedSemaphore(redis, key, VALUE, lease=lease):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    places = 0
    while await cancelled_at(block(), places, late):
        places += 1
        await until_idle(server, key, free_slots(server, key))
        assert free_slots(server, key) in (None, VALUE)
    assert places > 3


# ---- while nothing comes through ----


@each_lease
@pytest.mark.parametrize("direction", ["requests", "replies"])
async def test_acquire_cancelled_while_nothing_comes_through_takes_nothing(
    server: RedisServer,
    make_proxy: Callable[[], Proxy],
    key: str,
    direction: Any,
    lease: float | None,
) -> None:
    proxy = make_proxy()
    semaphore = DistributedSemaphore(proxy.url, key, VALUE, lease=lease)
    # So that the connection stands.
    async with semaphore:
        pass
    proxy.blackhole(direction=direction)
    acquire = asyncio.create_task(semaphore.acquire())
    for _ in range(10):
        await asyncio.sleep(0)
    acquire.cancel()
    # It leaves at once, though the server cannot be heard.
    with pytest.raises(asyncio.CancelledError):
        await soon(acquire)
    proxy.blackhole(False)
    async with semaphore:
        assert free_slots(server, key) == VALUE - 1
    await until_idle(server, key, VALUE)


@each_lease
async def test_release_cancelled_while_its_reply_is_on_its_way_is_done_once(
    server: RedisServer, make_proxy: Callable[[], Proxy], key: str, lease: float | None
) -> None:
    proxy = make_proxy()
    semaphore = DistributedSemaphore(proxy.url, key, VALUE, lease=lease)
    await semaphore.acquire()
    await until_used(server, key, 1 if lease else 0)
    proxy.blackhole(direction="replies")
    release = asyncio.create_task(semaphore.release())
    await until_idle(server, key, VALUE)
    release.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(release)
    proxy.blackhole(False)
    async with semaphore:
        pass
    await until_idle(server, key, VALUE)
