"""A hundred thousand operations of all primitives, by tasks and threads: nothing is left behind."""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dsync
import dsync.sync
from dsync import _portal
from dsync.key_value import (
    CreateKeyValueDistributedLockFailedException,
    KeyValueDistributedLock,
)
from redis.asyncio import Redis

from tests.fault.lock_tools import client_for
from tests.integration.key_values import using
from tests.support.inventory import Inventory, resident
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

TASKS, THREADS = 256, 8
BY_TASKS, BY_THREADS = 80_000, 20_000
KEYS = 7
LEASE = 5.0

Work = Callable[[], Awaitable[Any]]


async def given_up(work: Work, turns: int) -> None:
    """Begin, and be cancelled after so many turns of the loop."""
    task = asyncio.ensure_future(work())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def hold(leased: Any) -> None:
    async with leased:
        assert await leased.owned()


async def try_to_hold(leased: Any) -> None:
    if await leased.try_acquire():
        await leased.release()


async def hold_soon(leased: Any) -> None:
    with contextlib.suppress(TimeoutError):
        await leased.acquire(acquire_timeout=0.001)
        await leased.release()


async def notify(condition: dsync.DistributedCondition) -> None:
    async with condition:
        await condition.notify()


async def wait_with_lock(condition: dsync.DistributedCondition) -> None:
    async with condition:
        await condition.wait()


async def pulse(event: dsync.DistributedEvent) -> None:
    await event.set()
    await event.is_set()
    await event.clear()


def operations(redis: Redis, key: str) -> list[Work]:
    """Give one of everything that tasks do with one key, each to be called again and again."""
    lock = dsync.DistributedLock(redis, key, lease=LEASE)
    semaphore = dsync.DistributedSemaphore(redis, key, 3, lease=LEASE)
    bounded = dsync.DistributedBoundedSemaphore(redis, f"{key}-b", 3, lease=LEASE)
    # Who has no hold of his own speaks for another task of the object, so each has an object.
    condition, inside, notifier = (
        dsync.DistributedCondition(redis, f"{key}-c", lease=LEASE) for _ in range(3)
    )
    one, two = (dsync.DistributedBarrier(redis, f"{key}-{n}", n) for n in (1, 2))
    event = dsync.DistributedEvent(redis, key)
    result: list[Work] = []
    for leased in (lock, semaphore, bounded):
        result += [functools.partial(each, leased) for each in (hold, try_to_hold, hold_soon)]
        result += [functools.partial(given_up, functools.partial(hold, leased), n) for n in (1, 3)]
        result += [leased.locked]
    for wait in (condition.wait, functools.partial(wait_with_lock, inside), two.wait):
        result += [functools.partial(given_up, wait, turns) for turns in (1, 4)]
    result += [functools.partial(notify, notifier), one.wait, two.n_waiting, two.reset]
    result += [functools.partial(pulse, event), functools.partial(given_up, event.wait, 3)]
    return result


async def test_eighty_thousand_operations_of_tasks_leave_nothing(
    server: RedisServer, key: str
) -> None:
    redis = client_for(server.port, "worker")
    work = [each for n in range(KEYS) for each in operations(redis, f"{key}-{n}")]

    async def do(count: int) -> None:
        numbers = iter(range(count))

        async def one_after_another() -> None:
            for number in numbers:
                await work[number % len(work)]()

        await asyncio.gather(*(one_after_another() for _ in range(TASKS)))

    loop = asyncio.get_running_loop()
    await do(BY_TASKS // 5)
    # Channels are listened to a while longer; what a cancelled task takes back arrives after it.
    before = await settled(server, loop)
    memory = resident()
    await do(BY_TASKS)
    await as_before(server, loop, before)
    # Less than a leak of 100 bytes each.
    assert resident() - memory < BY_TASKS * 100
    await dsync.close()


async def settled(server: RedisServer, loop: asyncio.AbstractEventLoop) -> Inventory:
    """Wait until nothing is held or waited for, and tell what there is."""
    await eventually(lambda: is_at_rest(server), "nothing is held", 30)
    return Inventory(server, loop)


async def as_before(
    server: RedisServer, loop: asyncio.AbstractEventLoop, before: Inventory
) -> None:
    """Wait until as much is there as before."""
    now = before

    def is_as_before() -> bool:
        nonlocal now
        now = Inventory(server, loop)
        return now == before

    try:
        await eventually(is_as_before, within=30)
    except AssertionError:
        raise AssertionError(f"before and now: {before.difference(now)}") from None


def is_at_rest(server: RedisServer) -> bool:
    passing = ("queue", "permits", "waiting", "told", "parties", "reserved", "ended")
    with server.sync() as client:
        names = list(client.scan_iter(count=10_000))
        channels = client.pubsub_channels("*")
    rests = not any(name.endswith(f":dsync:{each}") for name in names for each in passing)
    held = any(name.startswith("distributed_lock_") for name in names)
    return rests and not held and all(name.startswith("dsync:inbox:") for name in channels)


def blocking_operations(redis: Redis, key: str) -> list[Callable[[], Any]]:
    """Give one of everything that threads do with one key."""
    lock = dsync.sync.DistributedLock(redis, key, lease=LEASE)
    semaphore = dsync.sync.DistributedSemaphore(redis, key, 3, lease=LEASE)
    condition, notifier = (
        dsync.sync.DistributedCondition(redis, f"{key}-c", lease=LEASE) for _ in range(2)
    )
    one, two = (dsync.sync.DistributedBarrier(redis, f"{key}-{n}", n) for n in (1, 2))
    event = dsync.sync.DistributedEvent(redis, key)

    def inside(leased: Any) -> None:
        with leased:
            assert leased.owned()

    def soon(leased: Any) -> None:
        with contextlib.suppress(TimeoutError):
            leased.acquire(acquire_timeout=0.0005)
            leased.release()

    def notify_in_thread() -> None:
        with notifier:
            notifier.notify()

    def meet_nobody() -> None:
        with contextlib.suppress(TimeoutError, dsync.BrokenBarrierError):
            two.wait(timeout=0.0005)

    def key_value() -> None:
        with (
            contextlib.suppress(CreateKeyValueDistributedLockFailedException),
            KeyValueDistributedLock("ns", key=key),
        ):
            pass

    result: list[Callable[[], Any]] = [key_value, notify_in_thread, meet_nobody, one.wait]
    for leased in (lock, semaphore):
        result += [functools.partial(each, leased) for each in (inside, soon)]
        result += [leased.locked]
    result += [event.set, event.is_set, event.clear]
    result += [functools.partial(each.wait, timeout=0.0005) for each in (condition, event)]
    return result


def test_twenty_thousand_operations_of_threads_leave_nothing(server: RedisServer, key: str) -> None:
    redis = client_for(server.port, "worker")
    work = [each for n in range(KEYS) for each in blocking_operations(redis, f"{key}-{n}")]

    def do(pool: ThreadPoolExecutor, count: int) -> None:
        numbers = iter(range(count))

        def one_after_another(_: int) -> None:
            for number in numbers:
                work[number % len(work)]()

        list(pool.map(one_after_another, range(THREADS)))

    with using(redis), ThreadPoolExecutor(THREADS) as pool:
        do(pool, BY_THREADS // 2)
        assert _portal._portal is not None
        loop = _portal._portal._loop
        before = asyncio.run(settled(server, loop))
        memory = resident()
        do(pool, BY_THREADS)
        asyncio.run(as_before(server, loop, before))
        # What threads allocate at the same time makes it less exact.
        assert resident() - memory < BY_THREADS * 500
