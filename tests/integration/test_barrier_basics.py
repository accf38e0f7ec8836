"""DistributedBarrier: the documented methods."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dsync import BrokenBarrierError, DistributedBarrier
from redis.asyncio import Redis

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
from tests.support.redis_server import RedisServer


@pytest.fixture
async def other(server: RedisServer) -> AsyncIterator[Redis]:
    """A client whose name gives it a session of its own."""
    async with server.client(client_name="other") as client:
        yield client


async def meet(*barriers: DistributedBarrier) -> None:
    """Let one party come to each of these."""
    await soon(asyncio.gather(*(barrier.wait() for barrier in barriers)))


# ---- wait ----


async def test_wait_returns_nothing_when_all_parties_are_there(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    waiting = await start_parties(
        server, key, DistributedBarrier(redis, key, 3), DistributedBarrier(other, key, 3)
    )
    assert done(waiting) == 0
    # What the old package promises is that a call gives None.
    assert await soon(DistributedBarrier(redis, key, 3).wait()) is None  # type: ignore[func-returns-value]
    assert await soon(asyncio.gather(*waiting)) == [None, None]


async def test_one_party_fewer_does_not_open_the_barrier(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    barriers = [DistributedBarrier(client, key, 5) for client in (redis, other)]
    waiting = await start_parties(server, key, *barriers, *barriers)
    # Counted, and with that answered: so the server has decided.
    assert await barriers[0].n_waiting() == 4
    assert done(waiting) == 0
    await meet(barriers[1])
    await soon(asyncio.gather(*waiting))


async def test_seven_arrivals_at_a_barrier_of_three_open_it_twice_and_one_waits(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    barriers = [DistributedBarrier(client, key, 3) for client in (redis, other)]
    waiting = [asyncio.create_task(barriers[number % 2].wait()) for number in range(7)]
    await until_done(waiting, 6)
    assert await barriers[0].n_waiting() == 1
    assert done(waiting) == 6
    waiting += await start_parties(server, key, barriers[0])
    await meet(barriers[1])
    await soon(asyncio.gather(*waiting))
    assert arrivals(server, key) == 0


async def test_a_barrier_of_one_party_is_open(redis: Redis, key: str) -> None:
    barrier = DistributedBarrier(redis, key, 1)
    for _ in range(10):
        await soon(barrier.wait())
        assert await barrier.n_waiting() == 0


async def test_many_tasks_may_wait_at_one_object(
    server: RedisServer, redis: Redis, key: str
) -> None:
    barrier = DistributedBarrier(redis, key, 100)
    waiting = [asyncio.create_task(barrier.wait()) for _ in range(99)]
    await until_arrived(server, key, 99)
    assert done(waiting) == 0
    await meet(barrier)
    await soon(asyncio.gather(*waiting))


async def test_barriers_of_different_keys_do_not_count_each_other(
    server: RedisServer, redis: Redis, key: str
) -> None:
    keys = [key, f"{key}2", f"{{{key}}}", key.upper()]
    barriers = [DistributedBarrier(redis, each, 2) for each in keys]
    waiting = [asyncio.create_task(barrier.wait()) for barrier in barriers]
    for each in keys:
        await until_arrived(server, each, 1)
    assert done(waiting) == 0
    await meet(barriers[2])
    await soon(waiting[2])
    assert done(waiting) == 1
    await meet(barriers[0], barriers[1], barriers[3])
    await soon(asyncio.gather(*waiting))


@pytest.mark.parametrize("name", ["{tag}:rest", "{}", "a}b", "a\0\r\nb", "*?[a-z]", "барьер-🚧"])
async def test_any_text_is_a_key(server: RedisServer, redis: Redis, name: str) -> None:
    barrier = DistributedBarrier(redis, name, 2)
    (waiting,) = await start_parties(server, name, barrier)
    await barrier.reset()
    with pytest.raises(BrokenBarrierError):
        await soon(waiting)
    await meet(barrier, barrier)
    await until_nothing_is_left(server, count_name(name))


# ---- parties and n_waiting ----


async def test_parties_is_the_number_that_opens_it(redis: Redis, key: str) -> None:
    assert DistributedBarrier(redis, key, 7).parties == 7


async def test_n_waiting_counts_the_parties_of_all_sessions(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    mine, theirs = DistributedBarrier(redis, key, 4), DistributedBarrier(other, key, 4)
    assert await mine.n_waiting() == 0
    waiting: list[asyncio.Task[None]] = []
    for number, barrier in enumerate((mine, theirs, mine), 1):
        waiting += await start_parties(server, key, barrier)
        assert await mine.n_waiting() == await theirs.n_waiting() == number
    await meet(theirs)
    assert await mine.n_waiting() == await theirs.n_waiting() == 0
    await soon(asyncio.gather(*waiting))


async def test_the_count_key_counts_the_arrivals_and_is_zero_after_each_round(
    server: RedisServer, redis: Redis, key: str
) -> None:
    barrier = DistributedBarrier(redis, key, 3)
    assert barrier._count_key == count_name(key)
    for _ in range(3):
        waiting: list[asyncio.Task[None]] = []
        for number in (1, 2):
            waiting += await start_parties(server, key, barrier)
            assert await redis.get(barrier._count_key) == str(number).encode()
        await meet(barrier)
        assert await redis.get(barrier._count_key) in (b"0", None)
        await soon(asyncio.gather(*waiting))


# ---- different numbers of parties ----


@pytest.mark.parametrize("number", [1, 2, 4])
async def test_a_newcomer_that_wants_another_number_of_parties_gets_value_error(
    server: RedisServer, redis: Redis, other: Redis, key: str, number: int
) -> None:
    barrier = DistributedBarrier(redis, key, 3)
    waiting = await start_parties(server, key, barrier, barrier)
    for client in (redis, other):
        with pytest.raises(ValueError, match=key) as caught:
            await soon(DistributedBarrier(client, key, number).wait())
        assert not isinstance(caught.value, BrokenBarrierError)
        assert str(number) in str(caught.value)
    # It neither counts nor disturbs the others.
    assert await barrier.n_waiting() == arrivals(server, key) == 2
    assert done(waiting) == 0
    await meet(barrier)
    await soon(asyncio.gather(*waiting))


async def test_the_next_round_may_have_another_number_of_parties(
    server: RedisServer, redis: Redis, key: str
) -> None:
    for number in (3, 1, 4, 2):
        await meet(*[DistributedBarrier(redis, key, number)] * number)
    (cancelled,) = await start_parties(server, key, DistributedBarrier(redis, key, 3))
    cancelled.cancel()
    await asyncio.wait([cancelled])
    await meet(*[DistributedBarrier(redis, key, 2)] * 2)
    assert arrivals(server, key) == 0


# ---- other clients, other traces ----


@pytest.mark.parametrize("decode_responses", [True, False])
async def test_decode_responses_makes_no_difference(
    server: RedisServer, key: str, decode_responses: bool
) -> None:
    async with server.client(decode_responses=decode_responses) as client:
        barrier = DistributedBarrier(client, key, 2)
        (waiting,) = await start_parties(server, key, barrier)
        assert await barrier.n_waiting() == 1
        await barrier.abort()
        with pytest.raises(BrokenBarrierError):
            await soon(waiting)
        await meet(barrier, barrier)


async def test_the_clients_own_pool_is_never_used(server: RedisServer, key: str) -> None:
    async with server.client(max_connections=1) as client, client.pipeline() as pipe:
        # Holds the only connection of the pool.
        await pipe.watch("something")
        await meet(*[DistributedBarrier(client, key, 3)] * 3)


async def test_rounds_and_breaks_leave_only_the_count_in_redis(
    server: RedisServer, redis: Redis, other: Redis, key: str
) -> None:
    barriers = [DistributedBarrier(client, key, 2) for client in (redis, other)]
    for _ in range(5):
        await meet(*barriers)
        waiting = await start_parties(server, key, barriers[0])
        await barriers[1].reset()
        await asyncio.wait(waiting)
        assert isinstance(waiting[0].exception(), BrokenBarrierError)
    await until_nothing_is_left(server, count_name(key))
    assert arrivals(server, key) == 0


async def test_repr_tells_the_key_and_the_parties(redis: Redis, key: str) -> None:
    text = repr(DistributedBarrier(redis, key, 12))
    assert key in text
    assert "12" in text
