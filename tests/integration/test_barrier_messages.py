"""DistributedBarrier: a round costs one command a party and one message a session."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from dsync import BrokenBarrierError, DistributedBarrier
from redis.asyncio import Redis

from tests.integration.barriers import (
    Listener,
    arrivals,
    channel_name,
    count_name,
    done,
    until_arrived,
    until_done,
    until_nothing_is_left,
)
from tests.integration.locks import calls, script_calls, soon
from tests.support.redis_server import RedisServer

THOUSAND = 1000


async def thousand(server: RedisServer, redis: Redis, key: str) -> list[asyncio.Task[None]]:
    """Let a thousand tasks of one session wait at a barrier that wants one more."""
    barrier = DistributedBarrier(redis, key, THOUSAND + 1)
    tasks = [asyncio.create_task(barrier.wait()) for _ in range(THOUSAND)]
    await until_arrived(server, key, THOUSAND)
    assert done(tasks) == 0
    return tasks


def inboxes(listener: Listener) -> list[str]:
    """Return the inboxes to which something was sent, once for each message."""
    return [channel for channel, _ in listener.messages()]


async def test_the_opening_is_one_message_to_a_session_of_a_thousand_parties(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with Listener(server, pattern="dsync:inbox:*") as listener:
        tasks = await thousand(server, redis, key)
        assert inboxes(listener) == []
        async with server.client(client_name="last") as client:
            await soon(DistributedBarrier(client, key, THOUSAND + 1).wait())
            await until_done(tasks, THOUSAND)
        assert len(inboxes(listener)) == 1
    await soon(asyncio.gather(*tasks))
    await until_nothing_is_left(server, count_name(key))


async def test_the_opening_by_one_of_a_thousand_is_one_message_too(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with Listener(server, pattern="dsync:inbox:*") as listener:
        tasks = await thousand(server, redis, key)
        await soon(DistributedBarrier(redis, key, THOUSAND + 1).wait())
        await until_done(tasks, THOUSAND)
        assert len(inboxes(listener)) == 1


@pytest.mark.parametrize("word", ["reset", "abort"])
async def test_a_break_is_one_message_to_a_session_of_a_thousand_parties(
    server: RedisServer, redis: Redis, key: str, word: str
) -> None:
    inbox = Listener(server, pattern="dsync:inbox:*")
    with inbox, Listener(server, channel=channel_name(key)) as channel:
        tasks = await thousand(server, redis, key)
        await getattr(DistributedBarrier(redis, key, 2), word)()
        await until_done(tasks, THOUSAND)
        assert len(inboxes(inbox)) == 1
        assert channel.words() == [word]
    assert all(isinstance(task.exception(), BrokenBarrierError) for task in tasks)


async def test_a_thousand_parties_arrive_with_one_command_each_and_confirm_with_one(
    server: RedisServer, redis: Redis, key: str
) -> None:
    await DistributedBarrier(redis, key, 1).wait()
    before = script_calls(server)
    tasks = await thousand(server, redis, key)
    await soon(DistributedBarrier(redis, key, THOUSAND + 1).wait())
    await soon(asyncio.gather(*tasks))
    await until_nothing_is_left(server, count_name(key))
    # And a question now and then, whether the server still knows of them.
    assert script_calls(server) - before <= 2 * (THOUSAND + 1) + 20


async def test_sessions_of_many_parties_hear_one_message_each(
    server: RedisServer, key: str
) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(listener := Listener(server, pattern="dsync:inbox:*"))
        clients = [
            await stack.enter_async_context(server.client(client_name=f"session-{number}"))
            for number in range(5)
        ]
        barriers = [DistributedBarrier(client, key, 101) for client in clients]
        for _ in range(3):
            tasks = [asyncio.create_task(barriers[number % 5].wait()) for number in range(100)]
            await until_arrived(server, key, 100)
            before = Counter(inboxes(listener))
            await soon(barriers[0].wait())
            await soon(asyncio.gather(*tasks))
            assert set((Counter(inboxes(listener)) - before).values()) == {1}
            assert len(Counter(inboxes(listener))) == 5
    assert arrivals(server, key) == 0


async def test_parties_listen_to_the_channel_once_for_a_session(
    server: RedisServer, redis: Redis, key: str
) -> None:
    before = calls(server, "subscribe")
    tasks = await thousand(server, redis, key)
    with server.sync() as client:
        assert client.pubsub_numsub(channel_name(key))[0][1] == 1
    # The inbox, and the channel.
    assert calls(server, "subscribe") - before == 2
    await soon(DistributedBarrier(redis, key, THOUSAND + 1).wait())
    await soon(asyncio.gather(*tasks))
