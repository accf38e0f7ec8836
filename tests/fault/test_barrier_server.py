"""Servers that forget, restart, freeze and refuse while parties wait at a barrier."""

import asyncio
from collections.abc import Callable

import pytest
from dsync import BrokenBarrierError, DistributedBarrier
from redis import exceptions

from tests.fault.lock_tools import MakeServer, client_for
from tests.integration.barriers import (
    OldParty,
    arrivals,
    channel_name,
    count_name,
    done,
    parties_name,
    start_parties,
    until_arrived,
    until_nothing_is_left,
)
from tests.integration.locks import peek, soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Damage = Callable[[RedisServer], None]


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def flush_all(server: RedisServer) -> None:
    with peek(server) as client:
        client.flushall()


def restart_empty(server: RedisServer) -> None:
    server.restart(keep_data=False)


def crash_empty(server: RedisServer) -> None:
    server.kill()
    server.start()


def restart_with_data(server: RedisServer) -> None:
    server.restart(keep_data=True)


def flush_scripts(server: RedisServer) -> None:
    with peek(server) as client:
        client.script_flush()


FORGETS: list[Damage] = [flush_all, restart_empty, crash_empty]
REMEMBERS: list[Damage] = [restart_with_data, flush_scripts]


def barrier_at(server: RedisServer, key: str, parties: int, name: str = "") -> DistributedBarrier:
    """Make a barrier whose session has connections of its own."""
    return DistributedBarrier(client_for(server.port, name, socket_timeout=0.5), key, parties)


def name_of(value: Damage) -> str:
    return value.__name__


@pytest.mark.parametrize("damage", FORGETS + REMEMBERS, ids=name_of)
async def test_parties_wait_on_and_the_round_completes(
    own: RedisServer, key: str, damage: Damage
) -> None:
    barriers = [barrier_at(own, key, 5, name) for name in ("one", "two")]
    waiting = await start_parties(own, key, *barriers, *barriers)
    damage(own)
    await until_arrived(own, key, 4)
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, barriers[0].wait()))
    assert arrivals(own, key) == 0
    await until_nothing_is_left(own, count_name(key))


@pytest.mark.parametrize("damage", FORGETS, ids=name_of)
async def test_a_newcomer_that_comes_before_the_forgotten_are_back_is_in_their_round(
    own: RedisServer, key: str, damage: Damage
) -> None:
    barrier, newcomer = barrier_at(own, key, 3, "old"), barrier_at(own, key, 3, "new")
    waiting = await start_parties(own, key, barrier, barrier)
    await newcomer.n_waiting()
    damage(own)
    await soon(asyncio.gather(*waiting, newcomer.wait()))
    assert arrivals(own, key) == 0


@pytest.mark.parametrize("damage", FORGETS, ids=name_of)
async def test_a_cancellation_after_the_server_has_forgotten_leaves_nothing(
    own: RedisServer, key: str, damage: Damage
) -> None:
    barrier = barrier_at(own, key, 3)
    waiting = await start_parties(own, key, barrier, barrier)
    damage(own)
    for task in waiting:
        task.cancel()
    await soon(asyncio.wait(waiting))
    assert await soon(barrier.n_waiting()) == 0
    await until_nothing_is_left(own, count_name(key))
    await soon(asyncio.gather(*(barrier.wait() for _ in range(3))))


async def test_a_break_after_the_server_has_forgotten_breaks_those_that_are_back(
    own: RedisServer, key: str
) -> None:
    barrier = barrier_at(own, key, 3)
    waiting = await start_parties(own, key, barrier, barrier)
    flush_all(own)
    await until_arrived(own, key, 2)
    await barrier.reset()
    for task in waiting:
        with pytest.raises(BrokenBarrierError):
            await soon(task)


async def test_rounds_complete_though_scripts_are_flushed_all_the_time(
    own: RedisServer, key: str
) -> None:
    barriers = [barrier_at(own, key, 3, name) for name in "abc"]
    for _ in range(20):
        waiting: list[asyncio.Task[None]] = []
        for number, barrier in enumerate(barriers, 1):
            flush_scripts(own)
            waiting.append(asyncio.create_task(barrier.wait()))
            await until_arrived(own, key, number % 3)
        await soon(asyncio.gather(*waiting))


async def test_a_frozen_server_delays_a_round_and_loses_nobody(own: RedisServer, key: str) -> None:
    barriers = [barrier_at(own, key, 3, name) for name in ("one", "two")]
    waiting = await start_parties(own, key, *barriers)
    own.pause()
    last = asyncio.create_task(barriers[0].wait())
    # Longer than anybody waits for a reply, so they all give their connections up.
    await asyncio.sleep(1.2)
    assert done([*waiting, last]) == 0
    own.resume()
    await soon(asyncio.gather(*waiting, last))
    assert arrivals(own, key) == 0


async def test_parties_learn_that_the_server_stays_away_and_do_not_count(
    own: RedisServer, key: str
) -> None:
    barrier = DistributedBarrier(client_for(own.port, retries=3), key, 2)
    (waiting,) = await start_parties(own, key, barrier)
    own.restart(keep_data=True)
    await eventually(lambda: len(own.connections()) == 2, "it is back")
    with peek(own) as client:
        client.save()
    own.stop()
    with pytest.raises(exceptions.ConnectionError, match=key):
        await soon(waiting)
    for method in (barrier.wait, barrier.n_waiting, barrier.reset, barrier.abort):
        with pytest.raises(exceptions.ConnectionError, match=key):
            await soon(method())
    own.start()
    # The data say that one waits, but it does not.
    assert arrivals(own, key) == 1
    assert await soon(barrier.n_waiting()) == 0
    (waiting,) = await start_parties(own, key, barrier)
    assert not waiting.done()
    await soon(asyncio.gather(waiting, barrier.wait()))


async def test_a_server_out_of_memory_refuses_newcomers_and_lets_parties_leave(
    own: RedisServer, key: str
) -> None:
    barrier = barrier_at(own, key, 3)
    first, second = await start_parties(own, key, barrier, barrier)
    with peek(own) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(exceptions.OutOfMemoryError, match=key):
            await soon(barrier.wait())
        with pytest.raises(exceptions.OutOfMemoryError, match=key):
            await soon(barrier.reset())
        assert await barrier.n_waiting() == arrivals(own, key) == 2
        first.cancel()
        await until_arrived(own, key, 1)
        assert not second.done()
        client.config_set("maxmemory", 0)
    await soon(asyncio.gather(second, barrier.wait(), barrier.wait()))
    assert arrivals(own, key) == 0


@pytest.mark.parametrize("name", [count_name, parties_name])
async def test_a_key_of_another_type_raises_response_error(
    server: RedisServer, key: str, name: Callable[[str], str]
) -> None:
    barrier = barrier_at(server, key, 3)
    with peek(server) as client:
        client.rpush(name(key), "a list")
        for method in (barrier.wait, barrier.n_waiting):
            with pytest.raises(exceptions.ResponseError, match=key):
                await soon(method())
        assert client.keys(f"*{key}*") == [name(key)]
        client.delete(name(key))
    await soon(asyncio.gather(*(barrier.wait() for _ in range(3))))


async def test_a_count_that_is_no_number_raises_response_error(
    server: RedisServer, key: str
) -> None:
    barrier = barrier_at(server, key, 3)
    with peek(server) as client:
        client.set(count_name(key), "a text")
        with pytest.raises(exceptions.ResponseError, match=key):
            await soon(barrier.wait())
        assert client.keys(f"*{key}*") == [count_name(key)]
        client.delete(count_name(key))
    await soon(asyncio.gather(*(barrier.wait() for _ in range(3))))


NO_CHANNEL = "small on >secret ~* &dsync:inbox:* +@all"


async def test_without_the_right_to_the_channel_no_permission_error_is_raised(
    make_server: MakeServer, key: str
) -> None:
    server = make_server(users=[NO_CHANNEL])
    async with server.client(username="small", password="secret") as client:
        barrier = DistributedBarrier(client, key, 2)
        for _ in range(2):
            with pytest.raises(exceptions.NoPermissionError, match=key):
                await soon(barrier.wait())
            assert await barrier.n_waiting() == 0
        with pytest.raises(exceptions.NoPermissionError, match=key):
            await soon(barrier.reset())
        with peek(server) as admin:
            rule = f"&{channel_name(key)}"
            admin.execute_command("ACL", "SETUSER", "small", rule)  # type: ignore[no-untyped-call]
        # Rights are looked up with each command, so the same connection will do.
        await soon(asyncio.gather(barrier.wait(), barrier.wait()))


async def test_an_old_party_that_waits_alone_survives_the_end_of_the_others(
    server: RedisServer, key: str
) -> None:
    """Its place is not bound to a time to live, for it has nobody who would renew that."""
    barrier = barrier_at(server, key, 3)
    with OldParty(server, key, 3) as old:
        waiting = await start_parties(server, key, barrier)
        old.arrive()
        waiting[0].cancel()
        await until_arrived(server, key, 1)
        with peek(server) as client:
            assert client.ttl(count_name(key)) == -1
        await soon(asyncio.gather(barrier.wait(), barrier.wait()))
        assert old.words() == ["release"]
