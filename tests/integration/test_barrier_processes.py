"""DistributedBarrier between processes, threads and loops, and the ends of these."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import dsync
import pytest
from dsync import DistributedBarrier
from redis import exceptions
from redis.asyncio import Redis

from tests.fault import barrier_nodes
from tests.integration.barriers import (
    arrivals,
    count_name,
    done,
    let_end,
    start_parties,
    until_arrived,
    until_nothing_is_left,
)
from tests.integration.locks import soon
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]

# As `python -X dev -W error`.
STRICT = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}


def told(children: list[Child], event: str) -> int:
    """Count what children have told so far."""
    return sum(each["event"] == event for child in children for each in child.events)


# ---- rounds ----


@pytest.mark.parametrize(
    ("processes", "tasks", "rounds"), [(3, 1, 1000), (2, 4, 250)], ids=["processes", "tasks"]
)
async def test_nobody_leaves_a_round_before_all_have_come_a_thousand_times_in_a_row(
    server: RedisServer, spawn: Spawn, key: str, processes: int, tasks: int, rounds: int
) -> None:
    parties = processes * tasks
    arguments = (server.port, server.url, key, parties, tasks, rounds, 1)
    children = [spawn(barrier_nodes.go_round, *arguments) for _ in range(processes)]
    for child in children:
        await child.expect("done", within=60)
    let_end(server, key, processes)
    for child in children:
        assert await child.wait() == 0, child.errors
        assert not [event for event in child.events if event["event"] == "wrong"]
    assert arrivals(server, key) == 0
    await until_nothing_is_left(server, count_name(key), f"{key}-total")


async def test_seven_tasks_of_three_processes_open_a_barrier_of_three_twice_and_one_waits(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str
) -> None:
    children = [spawn(barrier_nodes.wait, server.url, key, 3, tasks) for tasks in (3, 2, 2)]
    await eventually(lambda: told(children, "passed") == 6, "two rounds")
    barrier = DistributedBarrier(redis, key, 3)
    assert await barrier.n_waiting() == 1
    assert told(children, "passed") == 6
    await soon(asyncio.gather(barrier.wait(), barrier.wait()))
    for child in children:
        assert await child.wait() == 0, child.errors
    assert told(children, "passed") == 7


@pytest.mark.parametrize("word", ["reset", "abort"])
async def test_a_break_breaks_the_parties_of_all_processes(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str, word: str
) -> None:
    children = [spawn(barrier_nodes.wait, server.url, key, 9, 2) for _ in range(2)]
    await until_arrived(server, key, 4)
    await getattr(DistributedBarrier(redis, key, 9), word)()
    for child in children:
        assert await child.wait() == 0, child.errors
    assert (told(children, "broken"), told(children, "passed")) == (4, 0)


# ---- processes that do not go on ----


@pytest.fixture
async def patient(server: RedisServer) -> AsyncIterator[Redis]:
    """A client whose session is not that of the test."""
    async with server.client(client_name="patient") as client:
        yield client


async def test_killed_parties_do_not_count(
    server: RedisServer, redis: Redis, patient: Redis, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.wait, server.url, key, 3, 2)
    await until_arrived(server, key, 2)
    child.kill()
    await eventually(lambda: len(server.connections()) == 0, "the server has seen the end")
    barriers = [DistributedBarrier(client, key, 3) for client in (redis, patient)]
    waiting: list[asyncio.Task[None]] = []
    for number, barrier in enumerate(barriers, 1):
        waiting.append(asyncio.create_task(barrier.wait()))
        # The first one makes three, finds that two of them are gone, and waits.
        await until_arrived(server, key, number)
    assert await barriers[0].n_waiting() == 2
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, barriers[0].wait()))
    await until_nothing_is_left(server, count_name(key))


async def test_n_waiting_does_not_count_the_killed(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str
) -> None:
    barrier = DistributedBarrier(redis, key, 5)
    waiting = await start_parties(server, key, barrier)
    child = spawn(barrier_nodes.wait, server.url, key, 5, 3)
    await until_arrived(server, key, 4)
    child.kill()
    await eventually(lambda: len(server.connections()) == 2, "the server has seen the end")
    assert await barrier.n_waiting() == arrivals(server, key) == 1
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, *(barrier.wait() for _ in range(4))))


async def test_a_round_of_killed_parties_binds_nobody_to_their_number(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.wait, server.url, key, 7, 3)
    await until_arrived(server, key, 3)
    child.kill()
    await eventually(lambda: len(server.connections()) == 0, "the server has seen the end")
    barrier = DistributedBarrier(redis, key, 2)
    await soon(asyncio.gather(barrier.wait(), barrier.wait()))
    assert arrivals(server, key) == 0


async def test_what_killed_parties_leave_expires(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.wait, server.url, key, 7, 3)
    await until_arrived(server, key, 3)
    child.kill()
    with server.sync() as client:
        assert all(client.ttl(name) >= 0 for name in client.scan_iter())


async def test_a_party_that_is_stopped_counts_and_passes_when_it_goes_on(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.wait, server.url, key, 2)
    await until_arrived(server, key, 1)
    child.pause()
    barrier = DistributedBarrier(redis, key, 2)
    await soon(barrier.wait())
    # The next round is none of its business.
    (waiting,) = await start_parties(server, key, barrier)
    child.resume()
    await child.expect("passed")
    assert await child.wait() == 0, child.errors
    assert await barrier.n_waiting() == 1
    assert not waiting.done()
    await soon(asyncio.gather(waiting, barrier.wait()))


# ---- loops and threads ----


async def test_a_party_whose_loop_has_ended_does_not_count(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.end_and_live_on, server.url, key, 2, environment=STRICT)
    await until_arrived(server, key, 1)
    with server.sync() as client:
        client.rpush(f"{key}-end", 1)
    assert (await child.expect("ended"))["waiting"]
    await child.expect("outside")
    assert arrivals(server, key) == 0
    assert child.errors == ""
    await until_nothing_is_left(server, count_name(key))


async def test_a_party_that_is_interrupted_does_not_count(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.wait, server.url, key, 2)
    await until_arrived(server, key, 1)
    os.kill(child.pid, signal.SIGINT)
    assert await child.wait() == -signal.SIGINT
    assert arrivals(server, key) == 0
    await until_nothing_is_left(server, count_name(key))


async def test_threads_with_loops_of_their_own_meet_at_one_object(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.meet_in_threads, server.url, key, 6, 50, environment=STRICT)
    await child.expect("done", within=60)
    assert await child.wait() == 0
    assert child.errors == ""
    assert told([child], "wrong") == 0


async def test_one_object_serves_one_loop_after_another(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(barrier_nodes.meet_in_loops, server.url, key, environment=STRICT)
    await child.expect("done")
    assert await child.wait() == 0
    assert child.errors == ""
    await until_nothing_is_left(server, count_name(key))


async def test_close_ends_parties_with_connection_error_and_they_do_not_count(
    server: RedisServer, redis: Redis, key: str
) -> None:
    barrier = DistributedBarrier(redis, key, 4)
    waiting = await start_parties(server, key, barrier, barrier, barrier)
    await soon(dsync.close())
    for task in waiting:
        with pytest.raises(exceptions.ConnectionError, match="closed"):
            await soon(task)
    assert arrivals(server, key) == 0
    await until_nothing_is_left(server, count_name(key))
    await soon(asyncio.gather(*(barrier.wait() for _ in range(4))))


@pytest.mark.parametrize("work", ["exit", "wait"])
async def test_a_fork_neither_counts_nor_ends_the_party_of_its_parent(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str, work: str
) -> None:
    child = spawn(barrier_nodes.fork_while_waiting, server.url, key, work)
    forked = await child.expect("forked")
    assert (forked["code"], forked["waiting"]) == (0, 1), child.errors
    await soon(DistributedBarrier(redis, key, 2).wait())
    await child.expect("passed")
    assert await child.wait() == 0, child.errors
