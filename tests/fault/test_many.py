"""Many locks, many waiters, and what is left of them in Redis."""

import asyncio

import pytest
from dsync import DistributedLock

from tests.fault.lock_tools import client_for, fence_name, free, queue_name, queued, running
from tests.support.redis_server import RedisServer

MANY = 10_000


def script_calls(server: RedisServer) -> float:
    """Count the calls of scripts since the last flush."""
    stats = server.commandstats()
    return sum(stats.get(name, {}).get("calls", 0) for name in ("evalsha", "eval"))


async def test_ten_thousand_locks_stay_held_and_are_renewed_in_few_commands(
    server: RedisServer, key: str
) -> None:
    lease, leases = 6.0, 2
    losses: list[DistributedLock] = []
    client = server.client()
    locks = [
        DistributedLock(client, f"{key}-{number}", lease=lease, on_lost=losses.append)
        for number in range(MANY)
    ]
    await asyncio.gather(*(lock.acquire() for lock in locks))
    before = script_calls(server)
    await asyncio.sleep(leases * lease)
    calls = script_calls(server) - before
    assert not losses
    assert min(lock.valid_for() for lock in locks) > 0
    # At a third of the lease each, one by one they would take 60 000 calls.
    assert calls < MANY * 3 * leases / 30
    with server.sync() as admin:
        assert admin.dbsize() == 2 * MANY
        await asyncio.gather(*(lock.release() for lock in locks))
        # The fences stay for a while; nothing else does.
        assert admin.dbsize() == MANY


async def polls(server: RedisServer, seconds: float) -> float:
    """Count the script calls of the next seconds."""
    before = script_calls(server)
    await asyncio.sleep(seconds)
    return script_calls(server) - before


async def test_ten_thousand_waiters_poll_no_more_than_ten(server: RedisServer, key: str) -> None:
    holder = DistributedLock(client_for(server.port, "holder"), key)
    client = client_for(server.port, "waiters")
    await holder.acquire()
    order: list[int] = []

    async def wait(number: int) -> None:
        async with DistributedLock(client, key, acquire_sleep_delay=0.1):
            order.append(number)

    async with running() as tasks:
        counts = {}
        for total in (10, MANY):
            tasks += [asyncio.create_task(wait(number)) for number in range(len(tasks), total)]
            await queued(server, key, total)
            counts[total] = await polls(server, 2)
            # Two connections of the waiters' session, and at most three of the holder's.
            names = [each["name"] for each in server.connections()]
            assert names.count("waiters") == 2
            assert len(names) <= 5
        # One question in each 80 to 100 ms; a little more for the start and a renewal.
        assert counts[10] <= 2 / 0.08 + 5
        assert counts[MANY] <= 2 / 0.08 + 5
        await holder.release()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
    assert order == list(range(MANY))
    await free(server, key)


async def test_ten_thousand_waiters_that_give_up_leave_nothing(
    server: RedisServer, key: str
) -> None:
    client = client_for(server.port, "waiters")
    holder = DistributedLock(client, key)
    await holder.acquire()
    tasks = [asyncio.create_task(DistributedLock(client, key).acquire()) for _ in range(MANY)]
    await queued(server, key, MANY)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await queued(server, key, 0)
    await holder.release()
    await free(server, key)


@pytest.mark.parametrize("lease", [5.0, None])
@pytest.mark.parametrize("how", ["acquire", "try_acquire", "hand-over"])
async def test_no_key_outlives_its_lock_for_ever(
    server: RedisServer, key: str, how: str, lease: float | None
) -> None:
    lock = DistributedLock(server.client(), key, lease=lease)
    if how == "try_acquire":
        assert await lock.try_acquire()
    elif how == "acquire":
        await lock.acquire()
    else:
        first = DistributedLock(server.client(), key, lease=lease)
        await first.acquire()
        async with running(lock.acquire()) as (acquiring,):
            await queued(server, key, 1)
            await first.release()
            await acquiring
    await lock.release()
    with server.sync() as client:
        assert client.keys(f"*{key}*") == [fence_name(key)]
        assert client.pttl(fence_name(key)) > 0


async def test_a_queue_of_dead_waiters_expires(server: RedisServer, key: str) -> None:
    holder = DistributedLock(server.client(), key)
    await holder.acquire()
    async with running(DistributedLock(server.client(), key).acquire()):
        await queued(server, key, 1)
        with server.sync() as client:
            assert client.pttl(queue_name(key)) > 0
    await holder.release()
