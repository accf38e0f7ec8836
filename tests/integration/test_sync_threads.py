"""Threads share one event loop, which one of them runs: nobody waits because others do.

What they wait for is held by tasks, so that only the threads of a test call the blocking face.
"""

import asyncio
import contextlib
import random
import sys
import threading
from collections.abc import Iterator

import dsync
import pytest
from dsync.sync import DistributedBarrier, DistributedEvent, DistributedLock
from redis.exceptions import RedisError

from tests.integration.blocking import (
    all_ended,
    closed_afterwards,
    ended,
    patient,
    start,
    until_the_keeper_leads,
)
from tests.integration.locks import (
    NEVER,
    holder,
    lock_name,
    peek,
    soon,
    until_nothing_is_left,
    until_queued,
)
from tests.support.redis_server import RedisServer

__all__ = ["closed_afterwards"]


@pytest.fixture
def rare_switches() -> Iterator[None]:
    """Let a thread keep the GIL until it gives it up by itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(100.0)
    yield
    sys.setswitchinterval(before)


def use(server: RedisServer, key: str, times: int = 1) -> None:
    for _ in range(times):
        with patient(server, key) as lock:
            assert lock.owned()


async def start_users(server: RedisServer, *keys: str) -> list[asyncio.Future[None]]:
    """Let a thread wait for each key; the first leads, where nobody else has called before."""
    users = []
    for key in keys:
        users.append(asyncio.wrap_future(start(use, server, key)))
        await until_queued(server, key, 1)
    return users


async def test_a_call_that_waits_releases_the_gil(
    server: RedisServer, key: str, rare_switches: None
) -> None:
    async with dsync.DistributedLock(server.url, key):
        # This loop would not go on if the thread kept the GIL.
        users = await start_users(server, key)
        assert not users[0].done()
    await soon(users[0])


async def test_others_go_on_while_a_leader_waits(server: RedisServer, key: str) -> None:
    async with dsync.DistributedLock(server.url, key):
        (leader,) = await start_users(server, key)
        others = [start(use, server, f"{key}-{number}", 20) for number in range(5)]
        await soon(asyncio.gather(*map(asyncio.wrap_future, others)))
        assert not leader.done()
    await soon(leader)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)], ids=str)
async def test_leader_and_followers_end_in_any_order(
    server: RedisServer, key: str, order: tuple[int, ...]
) -> None:
    keys = [f"{key}-{number}" for number in range(3)]
    locks = [dsync.DistributedLock(server.url, each) for each in keys]
    for lock in locks:
        await lock.acquire()
    users = await start_users(server, *keys)
    for place in order:
        await locks[place].release()
        # Whether it had run the loop or not, those that are left go on.
        await soon(users[place])
    await until_nothing_is_left(server)


async def test_the_work_passes_from_leader_to_leader(server: RedisServer, key: str) -> None:
    async with dsync.DistributedLock(server.url, key):
        waiting = []
        for number in range(20):
            waiting.append(asyncio.wrap_future(start(use, server, key)))
            await until_queued(server, key, number + 1)
    await soon(asyncio.gather(*waiting))


async def test_a_leader_whose_time_is_over_leaves_the_loop_to_others(
    server: RedisServer, key: str
) -> None:
    event = DistributedEvent(server.url, key, NEVER)
    async with dsync.DistributedLock(server.url, key):
        leader = asyncio.wrap_future(start(patient(server, key).acquire, None, 0.2))
        await until_queued(server, key, 1)
        waiting = [asyncio.wrap_future(start(event.wait, timeout=20)) for _ in range(5)]
        with pytest.raises(TimeoutError):
            await soon(leader)
        await dsync.DistributedEvent(server.url, key).set()
        assert await soon(asyncio.gather(*waiting)) == [True] * 5


def test_a_call_finds_the_keeper_at_work(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key)
    for _ in range(5):
        with lock:
            until_the_keeper_leads()
            assert lock.owned()
        until_the_keeper_leads()


def test_many_threads_call_at_once_while_the_keeper_is_at_work(
    server: RedisServer, key: str
) -> None:
    use(server, key)
    gate = threading.Barrier(20)

    def visit(number: int) -> None:
        for _ in range(5):
            if gate.wait(20) == 0:
                until_the_keeper_leads()
            gate.wait(20)
            use(server, f"{key}-{number}")

    all_ended([start(visit, number) for number in range(20)])


async def test_the_keeper_passes_on_a_grant_that_comes_too_late(
    server: RedisServer, key: str
) -> None:
    async with dsync.DistributedLock(server.url, key):
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(patient(server, key).acquire, None, 0.05)
        waiter = asyncio.create_task(dsync.DistributedLock(server.url, key, NEVER).acquire())
        await until_queued(server, key, 1)
    assert await soon(waiter)


def test_fifty_threads_at_once(server: RedisServer, key: str) -> None:
    gate = threading.Barrier(50)

    def visit(number: int) -> None:
        gate.wait(20)
        for turn in range(10):
            use(server, f"{key}-{(number + turn) % 5}")

    all_ended([start(visit, number) for number in range(50)])


async def test_all_threads_share_two_connections(server: RedisServer, key: str) -> None:
    held = [DistributedLock(server.url, f"{key}-{number}") for number in range(25)]
    for future in [asyncio.wrap_future(start(lock.acquire)) for lock in held]:
        assert await soon(future)
    waiting = [asyncio.wrap_future(start(patient(server, f"{key}-0").acquire)) for _ in range(25)]
    await until_queued(server, f"{key}-0", 25)
    connections = server.connections()
    # The third renews the leases.
    assert len(connections) <= 3
    assert sum(int(each["sub"]) for each in connections) == 1
    await asyncio.to_thread(dsync.sync.close)
    await asyncio.wait(waiting)
    for future in waiting:
        assert isinstance(future.exception(), Exception)


def test_a_lock_that_is_made_and_not_used_connects_nowhere(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key)
    assert lock.valid_for() == 0
    assert not lock.lost.is_set()
    assert not lock.owned()
    assert server.connections() == []


def test_threads_that_wait_and_give_up_do_not_disturb_each_other(
    server: RedisServer, key: str, dice: random.Random
) -> None:
    seeds = [dice.random() for _ in range(12)]
    inside: list[int] = []

    def visit(number: int) -> int:
        mine, entered = random.Random(seeds[number]), 0
        lock = patient(server, f"{key}-{number % 2}")
        event = DistributedEvent(server.url, key, NEVER)
        barrier = DistributedBarrier(server.url, key, 2)
        for _ in range(30):
            if mine.random() < 0.2:
                event.wait(timeout=mine.uniform(0, 0.003))
            if mine.random() < 0.2:
                with contextlib.suppress(TimeoutError):
                    barrier.wait(timeout=mine.uniform(0, 0.003))
            try:
                lock.acquire(acquire_timeout=mine.choice([0, 0.001, 0.01, NEVER]))
            except TimeoutError:
                continue
            assert number % 2 not in inside
            inside.append(number % 2)
            entered += 1
            inside.remove(number % 2)
            lock.release()
        return entered

    assert all(all_ended([start(visit, number) for number in range(12)]))
    assert holder(server, f"{key}-0") is None


def test_threads_that_come_and_go_get_their_answers(server: RedisServer, key: str) -> None:
    for number in range(100):
        assert ended(start(use, server, f"{key}-{number % 3}")) is None


def test_threads_get_the_errors_of_their_own_calls(server: RedisServer, key: str) -> None:
    with peek(server) as client:
        client.hset(f"{lock_name(key)}-2", "not", "a lock")
    calls = [start(use, server, f"{key}-{number}", 5) for number in range(5)]
    for number, call in enumerate(calls):
        if number == 2:
            with pytest.raises(RedisError, match="WRONGTYPE"):
                ended(call)
        else:
            ended(call)
