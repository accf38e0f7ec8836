"""DistributedBarrier: `reset` and `abort` break the round for all its parties, everywhere."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dsync import BrokenBarrierError, DistributedBarrier
from redis.asyncio import Redis

from tests.integration.barriers import (
    arrivals,
    channel_name,
    done,
    start_parties,
    until_arrived,
    until_done,
)
from tests.integration.locks import soon
from tests.support.redis_server import RedisServer

each_word = pytest.mark.parametrize("word", ["reset", "abort"])


@pytest.fixture
async def barriers(server: RedisServer, key: str) -> AsyncIterator[list[DistributedBarrier]]:
    """Barriers of three parties, each in a session of its own."""
    async with server.client(client_name="one") as one, server.client(client_name="two") as two:
        yield [DistributedBarrier(client, key, 3) for client in (one, two)]


async def assert_broken(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        with pytest.raises(BrokenBarrierError):
            await soon(task)


async def assert_works(server: RedisServer, key: str, barriers: list[DistributedBarrier]) -> None:
    """Check that a round needs exactly three parties."""
    waiting = await start_parties(server, key, barriers[0], barriers[1])
    assert await barriers[0].n_waiting() == 2
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, barriers[1].wait()))
    assert arrivals(server, key) == 0


def test_broken_barrier_error_is_a_value_error_and_that_of_asyncio() -> None:
    assert issubclass(BrokenBarrierError, ValueError)
    assert issubclass(BrokenBarrierError, asyncio.BrokenBarrierError)


@each_word
async def test_it_breaks_all_parties_in_all_sessions(
    server: RedisServer, barriers: list[DistributedBarrier], key: str, word: str
) -> None:
    for breaker in barriers:
        waiting = await start_parties(server, key, *barriers)
        assert await getattr(breaker, word)() is None
        for task in waiting:
            with pytest.raises(BrokenBarrierError, match=key):
                await soon(task)
        assert arrivals(server, key) == 0
    await assert_works(server, key, barriers)


@each_word
async def test_it_breaks_every_task_of_one_object(
    server: RedisServer, redis: Redis, key: str, word: str
) -> None:
    barrier = DistributedBarrier(redis, key, 1000)
    waiting = [asyncio.create_task(barrier.wait()) for _ in range(300)]
    await until_arrived(server, key, 300)
    await getattr(barrier, word)()
    await until_done(waiting, 300)
    await assert_broken(*waiting)


@each_word
async def test_a_late_arrival_starts_the_next_round(
    server: RedisServer, barriers: list[DistributedBarrier], key: str, word: str
) -> None:
    broken = await start_parties(server, key, *barriers)
    await getattr(barriers[0], word)()
    late = await start_parties(server, key, *barriers)
    await assert_broken(*broken)
    assert done(late) == 0
    await soon(asyncio.gather(*late, barriers[0].wait()))


@each_word
async def test_without_parties_it_breaks_nobody(
    server: RedisServer, barriers: list[DistributedBarrier], key: str, word: str
) -> None:
    for barrier in barriers:
        await getattr(barrier, word)()
    await assert_works(server, key, barriers)


@each_word
async def test_parties_that_come_back_at_once_are_in_the_next_round(
    barriers: list[DistributedBarrier], word: str
) -> None:
    """A party tries again whenever its round is broken, and in the end all of them meet."""
    breaks = 0

    async def insist(barrier: DistributedBarrier) -> None:
        nonlocal breaks
        while True:
            try:
                return await barrier.wait()
            except BrokenBarrierError:
                breaks += 1

    insisting = [asyncio.create_task(insist(barrier)) for barrier in barriers]
    for _ in range(50):
        await getattr(barriers[0], word)()
    assert done(insisting) == 0
    await soon(asyncio.gather(*insisting, insist(barriers[1])))
    assert breaks > 0


async def test_a_break_of_one_key_does_not_break_another(
    server: RedisServer, redis: Redis, key: str
) -> None:
    barrier = DistributedBarrier(redis, f"{key}2", 2)
    (waiting,) = await start_parties(server, f"{key}2", barrier)
    await DistributedBarrier(redis, key, 2).reset()
    assert await barrier.n_waiting() == 1
    await soon(asyncio.gather(waiting, barrier.wait()))


# ---- the documented helpers of the old package ----


async def test_channel_name_is_the_channel_of_the_contract(redis: Redis, key: str) -> None:
    assert DistributedBarrier(redis, key, 3)._channel_name == channel_name(key)


async def test_reset_count_and_publish_release_let_the_parties_go(
    server: RedisServer, barriers: list[DistributedBarrier], key: str
) -> None:
    waiting = await start_parties(server, key, *barriers)
    await barriers[0]._reset_count()
    assert arrivals(server, key) == 0
    await barriers[0]._publish_release()
    await soon(asyncio.gather(*waiting))
    await assert_works(server, key, barriers)


async def test_publish_release_alone_lets_the_parties_go_and_they_count_no_more(
    server: RedisServer, barriers: list[DistributedBarrier], key: str
) -> None:
    waiting = await start_parties(server, key, *barriers)
    await barriers[1]._publish_release()
    await soon(asyncio.gather(*waiting))
    assert await barriers[0].n_waiting() == 0
    await assert_works(server, key, barriers)


async def test_reset_count_that_nobody_explains_breaks_the_round_soon(
    server: RedisServer, barriers: list[DistributedBarrier], key: str
) -> None:
    waiting = await start_parties(server, key, *barriers)
    await barriers[0]._reset_count()
    late = await start_parties(server, key, barriers[0])
    await assert_broken(*waiting)
    assert done(late) == 0
    await soon(asyncio.gather(*late, *(barrier.wait() for barrier in barriers)))


async def test_the_helpers_do_no_harm_without_parties(
    server: RedisServer, barriers: list[DistributedBarrier], key: str
) -> None:
    await barriers[0]._reset_count()
    await barriers[0]._publish_release()
    await assert_works(server, key, barriers)
