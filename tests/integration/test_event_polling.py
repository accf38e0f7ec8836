"""DistributedEvent: what messages tell is heard at once, all else within `consumer_timeout`."""

import asyncio

import pytest
from dsync import DistributedEvent
from redis.asyncio import Redis

from tests.integration.barriers import done, until_done
from tests.integration.events import (
    channel_name,
    event_name,
    listeners,
    pulse_by_old,
    set_by_old,
    start_waiters,
    until_listened,
)
from tests.integration.locks import NEVER, calls, peek, script_calls, soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

THOUSAND = 1000


def say(server: RedisServer, key: str, word: str) -> None:
    with peek(server) as client:
        client.publish(channel_name(key), word)


# ---- told by messages ----


async def test_a_set_of_the_old_package_wakes_at_once(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    tasks = await start_waiters(server, *[event] * 10)
    set_by_old(server, key)
    assert await soon(asyncio.gather(*tasks)) == [True] * 10
    assert await event.is_set()


async def test_a_set_and_clear_of_the_old_package_wakes_those_that_waited(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    for _ in range(5):
        tasks = await start_waiters(server, *[event] * 10)
        pulse_by_old(server, key)
        await soon(asyncio.gather(*tasks))
        assert not await event.is_set()


@pytest.mark.parametrize("word", ["0", "", "11", "1 ", "release"])
async def test_other_words_on_the_channel_wake_nobody(
    server: RedisServer, redis: Redis, key: str, word: str
) -> None:
    event, probe = DistributedEvent(redis, key, NEVER), DistributedEvent(redis, f"{key}2", NEVER)
    tasks = await start_waiters(server, event)
    (probing,) = await start_waiters(server, probe)
    say(server, key, word)
    set_by_old(server, f"{key}2")
    # Came behind the word, on the same connection.
    await soon(probing)
    assert done(tasks) == 0
    set_by_old(server, key)
    await soon(asyncio.gather(*tasks))


async def test_a_set_at_any_moment_of_the_beginning_of_a_wait_is_not_missed(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with server.client(client_name="other") as client:
        event, setter = DistributedEvent(redis, key, NEVER), DistributedEvent(client, key)
        for step in range(40):
            waiting = asyncio.create_task(event.wait())
            for _ in range(step % 20):
                await asyncio.sleep(0)
            await setter.set()
            assert await soon(waiting)
            await setter.clear()
            if step == 19:
                # The next ones have to listen anew.
                await eventually(lambda: listeners(server, key) == 0, "nobody listens", 10)


async def test_waiters_that_come_while_it_is_set_and_cleared_all_wake_in_the_end(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    async with server.client(client_name="other") as client:
        setter = DistributedEvent(client, key)
        tasks: list[asyncio.Task[bool]] = []
        for number in range(300):
            tasks.append(asyncio.create_task(event.wait()))
            if number % 7 == 0:
                await setter.set()
            elif number % 7 == 3:
                await setter.clear()
            else:
                await asyncio.sleep(0)
        await setter.set()
        assert await soon(asyncio.gather(*tasks)) == [True] * 300


# ---- found by looking ----


async def test_a_flag_that_was_set_without_a_word_is_found_within_consumer_timeout(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, 0.1)
    tasks = await start_waiters(server, *[event] * 10)
    await redis.set(event_name(key), 1)
    # One look finds it for all of them.
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


@pytest.mark.parametrize("order", [(0.05, NEVER), (NEVER, 0.05)], ids=["first", "last"])
async def test_the_shortest_consumer_timeout_of_a_process_is_kept(
    server: RedisServer, redis: Redis, key: str, order: tuple[float, float]
) -> None:
    tasks = await start_waiters(server, *(DistributedEvent(redis, key, each) for each in order))
    before = script_calls(server)
    await eventually(lambda: script_calls(server) >= before + 5, "looks", 5)
    await redis.set(event_name(key), 1)
    await asyncio.wait_for(tasks[order.index(0.05)], 5)
    await soon(asyncio.gather(*tasks))


async def test_no_more_looks_are_made_than_consumer_timeout_wants(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    await event.is_set()
    before, plain = script_calls(server), calls(server, "get")
    tasks = await start_waiters(server, *[event] * THOUSAND)
    # The first look of each task.
    assert script_calls(server) - before == THOUSAND
    await event.set()
    await soon(asyncio.gather(*tasks))
    assert script_calls(server) - before == THOUSAND + 1
    assert calls(server, "get") - plain == THOUSAND


async def test_a_thousand_waiters_look_no_more_often_than_one(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, 0.1)
    tasks = await start_waiters(server, *[event] * THOUSAND)
    before = script_calls(server)
    await asyncio.sleep(0.5)
    # One in each 80 to 100 ms, and some slack for a busy machine.
    assert script_calls(server) - before <= 10
    await event.set()
    await until_done(tasks, THOUSAND)


async def test_a_consumer_timeout_of_zero_looks_again_and_again(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, 0)
    tasks = await start_waiters(server, event)
    before = script_calls(server)
    await eventually(lambda: script_calls(server) >= before + 20, "looks")
    await redis.set(event_name(key), 1)
    assert await soon(tasks[0])


# ---- subscriptions ----


async def test_a_thousand_waiters_listen_once(server: RedisServer, redis: Redis, key: str) -> None:
    before = calls(server, "subscribe")
    tasks = await start_waiters(server, *[DistributedEvent(redis, key, NEVER)] * THOUSAND)
    # The inbox, and the channel.
    assert calls(server, "subscribe") - before == 2
    assert listeners(server, key) == 1
    await DistributedEvent(redis, key).set()
    await soon(asyncio.gather(*tasks))


async def test_who_waits_again_soon_goes_on_listening(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    before = calls(server, "subscribe")
    for _ in range(50):
        waiting = asyncio.create_task(event.wait())
        await event.set()
        await soon(waiting)
        await event.clear()
    assert calls(server, "subscribe") - before == 2


async def test_who_waits_again_later_listens_again(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    (cancelled,) = await start_waiters(server, event)
    cancelled.cancel()
    await until_listened(server, key, 0)
    (waiting,) = await start_waiters(server, event)
    assert listeners(server, key) == 1
    set_by_old(server, key)
    assert await soon(waiting)
