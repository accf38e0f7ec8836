"""Semaphores that old processes (`aiodistributor` 0.0.3.3) and new ones share."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from tests.fleet import nodes
from tests.fleet.remote import Remote
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]
Start = Callable[..., Awaitable[Remote]]

FLEET = ["old", "new", "old", "new"]
SEMAPHORES = ["DistributedSemaphore", "DistributedBoundedSemaphore"]
VALUE = 3
DELAY = 0.02

each_semaphore = pytest.mark.parametrize("name", SEMAPHORES)
both_ways = pytest.mark.parametrize(("first", "second"), [("old", "new"), ("new", "old")])


def free_slots(server: RedisServer, key: str, value: int = VALUE) -> int:
    """Read how many slots are free; where nothing stands in Redis, all are."""
    with server.sync() as client:
        return int(client.get(f"distributed_semaphore_{key}") or value)


async def has_free_slots(server: RedisServer, key: str, count: int, value: int = VALUE) -> None:
    """Wait until so many slots are free."""
    await eventually(lambda: free_slots(server, key, value) == count, f"{count} free slots")


@each_semaphore
@pytest.mark.parametrize("value", [1, VALUE])
async def test_old_and_new_processes_never_have_more_than_the_slots(
    server: RedisServer,
    spawn: Spawn,
    redis: Redis,
    dice: random.Random,
    key: str,
    name: str,
    value: int,
) -> None:
    rounds, tasks = 500, value + 1
    options = {"value": value, "acquire_sleep_delay": 0.002}
    fleet = [
        spawn(nodes.share, kind, name, server.url, key, options, rounds, tasks, dice.random())
        for kind in FLEET
    ]
    # Each comes to its end. How long new ones may keep old ones waiting is another test, that of
    # the migration window.
    for node in fleet:
        await node.expect("done", within=60)
        assert await node.wait() == 0, node.errors
    assert int(await redis.get(f"{key}-most") or 0) == value
    assert await redis.get(f"{key}-inside") == b"0"
    done = await redis.hgetall(f"{key}-rounds")
    assert done == {b"old": b"%d" % (2 * rounds), b"new": b"%d" % (2 * rounds)}
    await has_free_slots(server, key, value, value)
    if name == "DistributedBoundedSemaphore":
        assert await redis.get(f"distributed_semaphore_{key}_max_value") == b"%d" % value


@each_semaphore
@both_ways
async def test_a_slot_that_one_gives_back_goes_to_the_other_that_waits(
    server: RedisServer, start: Start, key: str, name: str, first: str, second: str
) -> None:
    options = {"value": 1, "acquire_sleep_delay": DELAY}
    holder = await start(first, name, key, **options)
    waiter = await start(second, name, key, **options)
    await holder.call("acquire")
    for _ in range(20):
        waiter.order("acquire")
        await waiter.child.expect("acquire called")
        assert await holder.call("locked")
        assert waiter.count("acquire done") < waiter.count("acquire called")
        await holder.call("release")
        await waiter.done("acquire")
        assert free_slots(server, key, 1) == 0
        holder, waiter = waiter, holder
    await holder.call("release")
    await has_free_slots(server, key, 1, 1)


@each_semaphore
async def test_old_and_new_processes_count_the_same_slots(
    server: RedisServer, start: Start, key: str, name: str
) -> None:
    fleet = [await start(kind, name, key, value=len(FLEET)) for kind in FLEET]
    for left, node in zip(reversed(range(len(FLEET))), fleet, strict=True):
        for each in fleet:
            assert not await each.call("locked")
        await node.call("acquire")
        assert free_slots(server, key) == left
    for each in fleet:
        assert await each.call("locked")
    for left, node in enumerate(fleet, 1):
        await node.call("release")
        await has_free_slots(server, key, left)


@both_ways
async def test_a_bounded_semaphore_has_one_limit_for_both(
    redis: Redis, start: Start, key: str, first: str, second: str
) -> None:
    name = "DistributedBoundedSemaphore"
    early = await start(first, name, key, value=VALUE)
    late = await start(second, name, key, value=VALUE)
    await early.call("acquire")
    await early.call("release")
    assert await redis.get(f"distributed_semaphore_{key}_max_value") == b"%d" % VALUE
    for node in (late, early):
        node.order("release")
        assert "ValueError" in (await node.child.expect("release failed"))["classes"]
    assert await redis.get(f"distributed_semaphore_{key}") == b"%d" % VALUE


@both_ways
async def test_a_slot_that_one_adds_can_be_taken_by_the_other(
    server: RedisServer, start: Start, key: str, first: str, second: str
) -> None:
    name = "DistributedSemaphore"
    giver = await start(first, name, key, value=1)
    taker = await start(second, name, key, value=1, acquire_sleep_delay=DELAY)
    await taker.call("acquire")
    taker.order("acquire")
    await giver.call("release")
    await taker.done("acquire")
    assert free_slots(server, key, 1) == 0
    await taker.call("release")
    await taker.call("release")
    await has_free_slots(server, key, 2, 1)


@each_semaphore
async def test_slots_of_a_killed_new_process_come_back_to_old_ones(
    server: RedisServer, start: Start, key: str, name: str
) -> None:
    options = {"value": 1, "acquire_sleep_delay": DELAY}
    killed = await start("new", name, key, lease=0.6, **options)
    old = await start("old", name, key, **options)
    new = await start("new", name, key, **options)
    await killed.call("acquire")
    killed.child.kill()

    async def take_turn(node: Remote) -> None:
        await node.call("acquire")
        await node.call("release")

    # Old processes only read the counter: a new one has to look for what is over.
    await asyncio.gather(take_turn(old), take_turn(new))
    await has_free_slots(server, key, 1, 1)
