"""DistributedEvent: a task that is cancelled or timed out while it waits leaves nothing behind."""

import asyncio

import pytest
from dsync import DistributedEvent
from redis.asyncio import Redis

from tests.integration.barriers import done, until_nothing_is_left
from tests.integration.events import event_name, start_waiters, until_listened
from tests.integration.locks import NEVER, peek, script_calls, soon
from tests.integration.test_lock_cancellation import after_steps, cancelled_at
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


async def assert_nothing_is_left(server: RedisServer, key: str) -> None:
    """Check that no key but the flag is there, and that soon nobody listens to an event."""
    await until_nothing_is_left(server, event_name(key))
    with peek(server) as client:
        await eventually(lambda: client.pubsub_channels("event_*") == [], "nobody listens", 10)


async def cancel(*tasks: asyncio.Task[bool]) -> None:
    for task in tasks:
        task.cancel()
    await soon(asyncio.wait(tasks))
    assert all(task.cancelled() for task in tasks)


async def test_a_cancelled_wait_leaves_no_subscription_no_key_and_no_looks(
    server: RedisServer, redis: Redis, key: str
) -> None:
    tasks = await start_waiters(server, *[DistributedEvent(redis, key, 0.01)] * 20)
    await cancel(*tasks)
    await assert_nothing_is_left(server, key)
    before = script_calls(server)
    # Many times as long as between two looks.
    await asyncio.sleep(0.1)
    assert script_calls(server) == before
    with peek(server) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("how", ["timeout", "wait_for"])
async def test_a_timeout_around_wait_leaves_nothing(
    server: RedisServer, redis: Redis, key: str, how: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    if how == "timeout":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await event.wait()
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(event.wait(), 0.05)
    await until_nothing_is_left(server)
    await event.set()
    assert await soon(event.wait())


async def test_a_cancelled_task_does_not_disturb_the_others(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    tasks = await start_waiters(server, *[event] * 10)
    await cancel(*tasks[::2])
    # Longer than anybody listens for nothing.
    await asyncio.sleep(1.2)
    assert done(tasks[1::2]) == 0
    await event.set()
    assert await soon(asyncio.gather(*tasks[1::2])) == [True] * 5


async def test_the_oldest_is_cancelled_and_the_others_still_look(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, 0.05)
    tasks = await start_waiters(server, *[event] * 3)
    await cancel(tasks[0])
    await redis.set(event_name(key), 1)
    await asyncio.wait_for(asyncio.gather(*tasks[1:]), 5)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_wait_cancelled_at_each_await(
    server: RedisServer, redis: Redis, key: str, late: bool
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    await event.set()
    places = 0
    while await cancelled_at(event.wait(), places, late):
        places += 1
        assert await soon(event.wait())
    assert places > 0
    await until_nothing_is_left(server, event_name(key))


@pytest.mark.parametrize("fresh", [False, True], ids=["connected", "connecting"])
async def test_wait_cancelled_after_each_turn_of_the_loop(
    server: RedisServer, redis: Redis, key: str, fresh: bool
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    for steps in range(25):
        if fresh:
            async with server.client(client_name=f"fresh-{steps}") as client:
                assert await after_steps(DistributedEvent(client, key, NEVER).wait(), steps)
        else:
            assert await after_steps(event.wait(), steps)
            waiting = asyncio.create_task(event.wait())
            await event.set()
            assert await soon(waiting)
            await event.clear()
    if fresh:
        await assert_nothing_is_left(server, key)


async def test_a_set_and_a_cancellation_at_the_same_time_wake_the_others(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    async with server.client(client_name="other") as client:
        setter = DistributedEvent(client, key)
        for steps in range(20):
            first, second = await start_waiters(server, event, event)
            setting = asyncio.create_task(setter.set())
            await after_steps(first, steps)
            assert await soon(second)
            await setting
            await setter.clear()


@pytest.mark.parametrize("method", ["set", "clear"])
async def test_set_and_clear_that_are_cancelled_do_all_or_nothing(
    server: RedisServer, redis: Redis, key: str, method: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    other = DistributedEvent(redis, f"{key}2")
    for steps in range(12):
        await (event.clear() if method == "set" else event.set())
        waiting = asyncio.create_task(event.wait())
        await event.is_set()
        await after_steps(getattr(event, method)(), steps)
        # What was sent is executed by then, for this takes the same way.
        await other.is_set()
        is_set = await event.is_set()
        if method == "set" and is_set:
            assert await soon(waiting)
        await event.set()
        assert await soon(waiting)


async def test_the_listening_ends_when_the_last_one_leaves(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    first, second = await start_waiters(server, event, event)
    await cancel(first)
    await event.is_set()
    await until_listened(server, key, 1)
    await cancel(second)
    await assert_nothing_is_left(server, key)
