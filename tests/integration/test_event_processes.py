"""DistributedEvent between processes, threads and loops, and the ends of these."""

import asyncio
import random
from collections.abc import Callable

import dsync
import pytest
from dsync import DistributedEvent
from redis import exceptions
from redis.asyncio import Redis

from tests.integration import events
from tests.integration.barriers import until_nothing_is_left
from tests.integration.events import (
    event_name,
    pulse_by_old,
    start_waiters,
    until_listened,
)
from tests.integration.locks import NEVER, script_calls, soon
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]

# As `python -X dev -W error`.
STRICT = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}


def told(children: list[Child], event: str) -> int:
    """Count what children have told so far."""
    return sum(each["event"] == event for child in children for each in child.events)


async def spawn_waiters(server: RedisServer, spawn: Spawn, key: str) -> list[Child]:
    """Let six tasks wait in three processes, and return when all will hear of a `set`."""
    before = script_calls(server)
    children = [spawn(events.wait, server.url, key, 2, NEVER) for _ in range(3)]
    await until_listened(server, key, 3)
    await eventually(lambda: script_calls(server) >= before + 6, "the first looks")
    return children


@pytest.mark.parametrize("pulse", [False, True], ids=["set", "set and clear"])
async def test_set_wakes_every_waiter_in_every_process_once(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str, pulse: bool
) -> None:
    children = await spawn_waiters(server, spawn, key)
    assert told(children, "woken") == 0
    if pulse:
        pulse_by_old(server, key)
    else:
        await DistributedEvent(redis, key).set()
    for child in children:
        assert await child.wait() == 0, child.errors
    woken = [event["value"] for child in children for event in child.events if "value" in event]
    assert woken == [True] * 6


async def test_a_stopped_process_wakes_when_it_goes_on(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str
) -> None:
    children = await spawn_waiters(server, spawn, key)
    event = DistributedEvent(redis, key)
    children[0].pause()
    await event.set()
    await event.clear()
    for child in children[1:]:
        assert await child.wait() == 0, child.errors
    children[0].resume()
    assert await children[0].wait() == 0, children[0].errors
    assert told(children, "woken") == 6


async def test_a_killed_waiter_leaves_nothing_and_disturbs_nobody(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str
) -> None:
    children = await spawn_waiters(server, spawn, key)
    children[0].kill()
    await until_listened(server, key, 2)
    await until_nothing_is_left(server)
    await DistributedEvent(redis, key).set()
    for child in children[1:]:
        assert await child.wait() == 0, child.errors


async def test_no_set_is_missed_that_comes_while_others_begin_to_wait(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    """A ball goes round between processes: one `set` that is missed, and it lies still."""
    players, rounds = 3, 300
    children = [
        spawn(events.play, server.port, key, number, players, rounds, {})
        for number in range(players)
    ]
    for child in children:
        await child.expect("ready")
    await DistributedEvent(server.url, f"{key}-0").set()
    for child in children:
        await child.expect("done", within=60)
        assert await child.wait() == 0, child.errors


async def test_no_set_is_missed_by_waits_that_begin_at_random_moments_around_it(
    server: RedisServer, redis: Redis, key: str, dice: random.Random
) -> None:
    async with server.client(client_name="other") as client:
        event, setter = DistributedEvent(redis, key, NEVER), DistributedEvent(client, key)

        async def late(seconds: float) -> bool:
            await asyncio.sleep(seconds)
            return await event.wait()

        for _ in range(100):
            tasks = [asyncio.create_task(late(dice.uniform(0, 0.003))) for _ in range(10)]
            await asyncio.sleep(dice.uniform(0, 0.003))
            await setter.set()
            await soon(asyncio.gather(*tasks))
            await setter.clear()


# ---- loops and threads ----


async def test_the_end_of_a_loop_leaves_no_warning_and_no_subscription(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(events.end_and_live_on, server.url, key, environment=STRICT)
    await until_listened(server, key)
    with server.sync() as client:
        client.rpush(f"{key}-end", 1)
    assert (await child.expect("ended"))["waiting"]
    await child.expect("outside")
    await until_listened(server, key, 0)
    await eventually(lambda: server.connections() == [], "no connection is left")
    assert child.errors == ""
    await until_nothing_is_left(server)


async def test_threads_with_loops_of_their_own_wake_each_other_with_the_same_objects(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(events.play_in_threads, server.url, key, 100, environment=STRICT)
    await child.expect("done", within=60)
    assert await child.wait() == 0
    assert child.errors == ""


async def test_one_object_serves_one_loop_after_another_and_after_close(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(events.use_in_loops, server.url, key, environment=STRICT)
    counts = (await child.expect("done"))["counts"]
    assert await child.wait() == 0
    assert child.errors == ""
    assert counts == counts[:1] * len(counts)
    await until_nothing_is_left(server, event_name(key))


async def test_close_ends_those_who_wait_with_connection_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    event = DistributedEvent(redis, key, NEVER)
    tasks = await start_waiters(server, *[event] * 5)
    await soon(dsync.close())
    for task in tasks:
        with pytest.raises(exceptions.ConnectionError, match="closed"):
            await soon(task)
    await eventually(lambda: server.connections() == [], "no connection is left")
    tasks = await start_waiters(server, event)
    await event.set()
    assert await soon(tasks[0])


async def test_a_fork_neither_wakes_nor_ends_the_waiters_of_its_parent(
    server: RedisServer, redis: Redis, spawn: Spawn, key: str
) -> None:
    child = spawn(events.fork_while_waiting, server.url, key)
    assert (await child.expect("forked"))["code"] == 0, child.errors
    assert told([child], "woken") == 0
    await DistributedEvent(redis, key).set()
    await child.expect("woken")
    assert await child.wait() == 0, child.errors
