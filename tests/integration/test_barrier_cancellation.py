"""DistributedBarrier: a party that is cancelled or timed out at any await does not count."""

import asyncio
import random

import pytest
from dsync import DistributedBarrier
from redis.asyncio import Redis

from tests.fault.lock_tools import MakeProxy
from tests.integration.barriers import (
    arrivals,
    count_name,
    done,
    start_parties,
    until_arrived,
    until_done,
    until_nothing_is_left,
)
from tests.integration.locks import soon
from tests.integration.test_lock_cancellation import after_steps, cancelled_at
from tests.support.proxy_link import Direction
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


async def assert_two_open_it(server: RedisServer, barrier: DistributedBarrier, key: str) -> None:
    """Check that nobody else counts at a barrier of two."""
    await until_nothing_is_left(server, count_name(key))
    assert await barrier.n_waiting() == 0
    (waiting,) = await start_parties(server, key, barrier)
    assert not waiting.done()
    await soon(asyncio.gather(waiting, barrier.wait()))


async def cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await soon(asyncio.wait(tasks))


@pytest.mark.parametrize("how", ["cancelled", "timeout", "wait_for"])
async def test_a_party_that_leaves_does_not_count(
    server: RedisServer, redis: Redis, key: str, how: str
) -> None:
    barrier = DistributedBarrier(redis, key, 3)
    waiting = await start_parties(server, key, barrier)
    if how == "cancelled":
        await cancel(*await start_parties(server, key, barrier))
    elif how == "timeout":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await barrier.wait()
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(barrier.wait(), 0.05)
    assert await barrier.n_waiting() == arrivals(server, key) == 1
    waiting += await start_parties(server, key, barrier)
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, barrier.wait()))


async def test_every_party_may_leave(server: RedisServer, redis: Redis, key: str) -> None:
    barrier = DistributedBarrier(redis, key, 50)
    tasks = [asyncio.create_task(barrier.wait()) for _ in range(49)]
    await until_arrived(server, key, 49)
    await cancel(*tasks)
    assert all(task.cancelled() for task in tasks)
    await until_nothing_is_left(server, count_name(key))
    assert await barrier.n_waiting() == arrivals(server, key) == 0


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_wait_cancelled_at_each_await(
    server: RedisServer, redis: Redis, key: str, late: bool
) -> None:
    barrier = DistributedBarrier(redis, key, 2)
    places = 0
    while True:
        # After what it waits for: so there must be somebody who opens it.
        other = await start_parties(server, key, barrier) if late else []
        reached = await cancelled_at(
            DistributedBarrier(redis, key, 2 if late else 1).wait(), places, late
        )
        await soon(asyncio.gather(*other))
        if not reached:
            break
        places += 1
        await assert_two_open_it(server, barrier, key)
    assert places > 0


@pytest.mark.parametrize("fresh", [False, True], ids=["connected", "connecting"])
async def test_wait_cancelled_after_each_turn_of_the_loop(
    server: RedisServer, redis: Redis, key: str, fresh: bool
) -> None:
    barrier = DistributedBarrier(redis, key, 2)
    for steps in range(12 if not fresh else 25):
        if fresh:
            async with server.client(client_name=f"fresh-{steps}") as client:
                work = DistributedBarrier(client, key, 2).wait()
                assert await after_steps(work, steps)
        else:
            assert await after_steps(barrier.wait(), steps)
        await assert_two_open_it(server, barrier, key)


async def test_an_opening_and_a_cancellation_at_the_same_time_lose_no_party(
    server: RedisServer, redis: Redis, key: str
) -> None:
    """Either the cancelled one was in the round, or the other one still waits."""
    barrier = DistributedBarrier(redis, key, 2)
    async with server.client(client_name="other") as client:
        rival = DistributedBarrier(client, key, 2)
        for steps in range(30):
            (waiting,) = await start_parties(server, key, barrier)
            other = asyncio.create_task(rival.wait())
            await after_steps(waiting, steps)
            # Its leave and this question take the same way, so it has left.
            await barrier.n_waiting()
            await until_waiting_or_done(server, key, other)
            if not other.done():
                await soon(barrier.wait())
            await soon(other)
            assert arrivals(server, key) == 0


async def until_waiting_or_done(server: RedisServer, key: str, task: asyncio.Task[None]) -> None:
    await eventually(lambda: task.done() or arrivals(server, key) == 1, "it passes or waits")


async def test_cancellations_at_random_moments_leave_the_count_right(
    server: RedisServer, redis: Redis, key: str, dice: random.Random
) -> None:
    parties = 3
    async with server.client(client_name="other") as client:
        barriers = [DistributedBarrier(each, key, parties) for each in (redis, client)]
        tasks: list[asyncio.Task[None]] = []
        for _ in range(600):
            tasks.append(asyncio.create_task(dice.choice(barriers).wait()))
            await asyncio.sleep(dice.choice([0, 0, 0.0005]))
            dice.choice(tasks[-6:]).cancel()
        # The cancelled tasks end; then these questions go behind all that their sessions have sent.
        await asyncio.sleep(0)
        for barrier in barriers:
            await barrier.n_waiting()
        await until_done(tasks, len(tasks) - arrivals(server, key))
        waiting = [task for task in tasks if not task.done()]
        assert len(waiting) < parties
        assert await barriers[0].n_waiting() == arrivals(server, key) == len(waiting)
        missing = [barriers[1].wait() for _ in range(parties - len(waiting))]
        await soon(asyncio.gather(*waiting, *missing))
        assert any(not task.cancelled() for task in tasks)
        assert any(task.cancelled() for task in tasks)


async def test_a_party_cancelled_while_its_arrival_is_on_its_way_does_not_count(
    server: RedisServer, make_proxy: MakeProxy, key: str
) -> None:
    proxy = make_proxy()
    barrier = DistributedBarrier(proxy.url, key, 2)
    await barrier.n_waiting()
    directions: list[Direction] = ["requests", "replies"]
    for direction in directions:
        (idle,) = await start_parties(server, key, barrier)
        await cancel(idle)
        await until_arrived(server, key, 0)
        proxy.blackhole(True, direction)
        task = asyncio.create_task(barrier.wait())
        await asyncio.sleep(0)
        await cancel(task)
        proxy.blackhole(False)
        await assert_two_open_it(server, barrier, key)


async def test_tasks_that_are_cancelled_after_the_opening_do_not_hold_the_others_up(
    server: RedisServer, redis: Redis, key: str
) -> None:
    barrier = DistributedBarrier(redis, key, 20)
    tasks = await start_parties(server, key, *[barrier] * 19)
    tasks.append(asyncio.create_task(barrier.wait()))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await until_done(tasks, 20)
    await until_nothing_is_left(server, count_name(key))
    assert await barrier.n_waiting() == 0
