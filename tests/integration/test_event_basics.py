"""DistributedEvent: the documented methods."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dsync import DistributedEvent
from redis.asyncio import Redis

from tests.integration.barriers import Listener, done, until_done, until_nothing_is_left
from tests.integration.events import (
    channel_name,
    event_name,
    listeners,
    pulse_by_old,
    start_waiters,
    until_listened,
)
from tests.integration.locks import NEVER, soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
async def other(server: RedisServer) -> AsyncIterator[Redis]:
    """A client whose name gives it a session of its own."""
    async with server.client(client_name="other") as client:
        yield client


# ---- is_set, set, clear ----


async def test_an_event_is_not_set_at_first(redis: Redis, key: str) -> None:
    assert await DistributedEvent(redis, key).is_set() is False


async def test_set_and_clear_are_seen_by_all_sessions(redis: Redis, other: Redis, key: str) -> None:
    mine, theirs = DistributedEvent(redis, key), DistributedEvent(other, key)
    for _ in range(3):
        # What the old package promises is that a call gives None.
        assert await mine.set() is None  # type: ignore[func-returns-value]
        assert await mine.is_set() is await theirs.is_set() is True
        assert await theirs.clear() is None  # type: ignore[func-returns-value]
        assert await mine.is_set() is await theirs.is_set() is False


async def test_set_and_clear_twice_are_like_once(redis: Redis, key: str) -> None:
    event = DistributedEvent(redis, key)
    await event.set()
    await event.set()
    assert await event.is_set()
    await event.clear()
    await event.clear()
    assert not await event.is_set()


async def test_the_flag_is_one_or_zero_in_redis(redis: Redis, key: str) -> None:
    event = DistributedEvent(redis, key)
    await event.set()
    assert await redis.get(event_name(key)) == b"1"
    assert await redis.ttl(event_name(key)) == -1
    await event.clear()
    assert await redis.get(event_name(key)) == b"0"


@pytest.mark.parametrize("value", ["0", "", "2", "10", "1 ", "true", "-1"])
async def test_nothing_but_one_is_set(redis: Redis, key: str, value: str) -> None:
    await redis.set(event_name(key), value)
    assert not await DistributedEvent(redis, key).is_set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(DistributedEvent(redis, key, 0.01).wait(), 0.1)


async def test_set_tells_the_channel_once_and_clear_tells_nobody(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key)
    with Listener(server, channel=channel_name(key)) as listener:
        for number in range(1, 4):
            await event.set()
            await event.clear()
            assert listener.words() == ["1"] * number


# ---- wait ----


async def test_wait_returns_true_at_once_where_it_is_set(
    redis: Redis, other: Redis, key: str
) -> None:
    await DistributedEvent(other, key).set()
    event = DistributedEvent(redis, key, NEVER)
    for _ in range(3):
        assert await soon(event.wait()) is True


async def test_set_wakes_all_tasks_of_one_object_once(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    woken = 0

    async def waiter() -> None:
        nonlocal woken
        assert await event.wait() is True
        woken += 1

    tasks = [asyncio.create_task(waiter()) for _ in range(1000)]
    await until_listened(server, key)
    assert not await event.is_set()
    assert woken == 0
    await DistributedEvent(other, key).set()
    await soon(asyncio.gather(*tasks))
    assert woken == 1000


async def test_set_wakes_all_objects_and_sessions(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    tasks: list[asyncio.Task[bool]] = []
    for client in (redis, other):
        events = [DistributedEvent(client, key, NEVER) for _ in range(3)]
        tasks += [asyncio.create_task(event.wait()) for event in events]
    await until_listened(server, key, 2)
    for client in (redis, other):
        assert not await DistributedEvent(client, key).is_set()
    assert done(tasks) == 0
    await DistributedEvent(redis, key).set()
    assert await soon(asyncio.gather(*tasks)) == [True] * 6


async def test_wait_after_clear_waits_for_the_next_set(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    for _ in range(5):
        (waiting,) = await start_waiters(server, event)
        assert not waiting.done()
        await event.set()
        assert await soon(waiting)
        await event.clear()


async def test_a_set_with_a_clear_at_once_wakes_those_that_waited(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    mine, theirs = DistributedEvent(redis, key, NEVER), DistributedEvent(other, key)
    for _ in range(20):
        tasks = await start_waiters(server, *[mine] * 10)
        await asyncio.gather(theirs.set(), theirs.clear())
        await until_done(tasks, 10)
        assert not await mine.is_set()


async def test_a_pulse_wakes_each_waiter_once(server: RedisServer, redis: Redis, key: str) -> None:
    event = DistributedEvent(redis, key, NEVER)
    woken = [0] * 10

    async def waiter(number: int) -> None:
        while True:
            await event.wait()
            woken[number] += 1

    tasks = [asyncio.create_task(waiter(number)) for number in range(10)]
    await until_listened(server, key)
    for pulse in range(1, 31):
        # Behind the looks of those that have come back.
        await event.is_set()
        pulse_by_old(server, key)
        await eventually(lambda pulse=pulse: min(woken) >= pulse, "all wake")  # type: ignore[misc]
        assert woken == [pulse] * 10
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_events_of_different_names_do_not_disturb_each_other(
    server: RedisServer, redis: Redis, key: str
) -> None:
    names = [key, f"{key}2", f"{{{key}}}", f"{key}_channel", key.upper()]
    events = [DistributedEvent(redis, name, NEVER) for name in names]
    tasks = [asyncio.create_task(event.wait()) for event in events]
    for number, name in enumerate(names):
        await until_listened(server, name)
        assert done(tasks) == number
        await events[number].set()
        await until_done(tasks, number + 1)


@pytest.mark.parametrize("name", ["{tag}:rest", "{}", "a}b", "a\0\r\nb", "*?[a-z]", "событие-🔔"])
async def test_any_text_is_a_name(server: RedisServer, redis: Redis, name: str) -> None:
    event = DistributedEvent(redis, name, NEVER)
    (waiting,) = await start_waiters(server, event)
    await event.set()
    assert await soon(waiting)
    assert await event.is_set()
    await event.clear()
    await until_nothing_is_left(server, event_name(name))


# ---- other clients, other traces ----


@pytest.mark.parametrize("decode_responses", [True, False])
async def test_decode_responses_makes_no_difference(
    server: RedisServer, key: str, decode_responses: bool
) -> None:
    async with server.client(decode_responses=decode_responses) as client:
        event = DistributedEvent(client, key, NEVER)
        (waiting,) = await start_waiters(server, event)
        await event.set()
        assert await soon(waiting) is True
        assert await event.is_set() is True
        await event.clear()
        assert await event.is_set() is False


async def test_the_clients_own_pool_is_never_used(server: RedisServer, key: str) -> None:
    async with server.client(max_connections=1) as client, client.pipeline() as pipe:
        # Holds the only connection of the pool.
        await pipe.watch("something")
        event = DistributedEvent(client, key, NEVER)
        tasks = await start_waiters(server, *[event] * 10)
        await event.set()
        await soon(asyncio.gather(*tasks))


async def test_waiting_leaves_nothing_and_setting_leaves_only_the_flag(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    tasks = await start_waiters(server, event, event)
    await until_nothing_is_left(server)
    await event.set()
    await soon(asyncio.gather(*tasks))
    await until_nothing_is_left(server, event_name(key))
    # Those that wait again soon need not subscribe again; the others are forgotten.
    await eventually(lambda: listeners(server, key) == 0, "nobody listens", 10)


async def test_repr_tells_the_name(redis: Redis, key: str) -> None:
    assert key in repr(DistributedEvent(redis, key))
