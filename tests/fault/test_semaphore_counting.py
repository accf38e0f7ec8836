"""Processes that go in and out of one semaphore while everything around them breaks."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from dsync import DistributedSemaphore

from tests.fault import semaphore_nodes, test_counting
from tests.fault.lock_tools import MakeProxy, MakeServer, Spawn, running
from tests.integration.semaphores import Look, inside_name, look, permits_name, until_idle
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

PROCESSES = 4
VALUE = 3


async def sample(server: RedisServer, key: str, looks: list[Look]) -> None:
    """Look again and again: no slot may be missing, and none may be there twice."""
    while True:
        seen = look(server, key)
        looks.append(seen)
        if seen.free is not None:
            assert seen.free >= 0, seen
            assert seen.free + seen.permits == VALUE, seen
        assert seen.inside <= seen.permits, seen
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def sampled(server: RedisServer, key: str) -> AsyncIterator[None]:
    """Sample while the block lasts; the block ends at once when something is wrong."""
    looks: list[Look] = []
    async with asyncio.TaskGroup() as group:
        sampler = group.create_task(sample(server, key, looks))
        yield
        sampler.cancel()
    # Otherwise it has proved nothing.
    assert any(each.permits > 0 for each in looks)


async def worked(nodes: list[Child]) -> dict[str, int]:
    """Wait for all, and return what was told in sum."""
    sums = {"visits": 0, "refused": 0, "lost": 0}
    for node in nodes:
        told = await node.expect("worked", within=120)
        for name in sums:
            sums[name] += told[name]
    return sums


def assert_never_too_many(nodes: list[Child]) -> None:
    assert [each for node in nodes for each in node.events if each["event"] == "too many"] == []


async def test_four_processes_never_exceed_the_slots(
    server: RedisServer, spawn: Spawn, key: str, dice: random.Random
) -> None:
    rounds, seed = 100, dice.randrange(1 << 30)
    async with sampled(server, key):
        nodes = [
            spawn(
                semaphore_nodes.work, server.port, server.url, key, name, VALUE, rounds, 5.0, seed
            )
            for name in "abcd"
        ]
        sums = await worked(nodes)
        await until_idle(server, key, VALUE)
    assert_never_too_many(nodes)
    assert sums["visits"] + sums["refused"] == PROCESSES * 3 * rounds
    assert sums["lost"] == 0


async def forget(server: RedisServer, key: str, name: str) -> None:
    """Wait until the server has seen the end of a process, and note that it is not inside."""
    await eventually(lambda: all(each["name"] != name for each in server.connections()))
    with server.sync() as client:
        client.srem(inside_name(key), *(f"{name}:{number}" for number in range(3)))


async def test_processes_that_are_killed_at_random_moments_cost_no_slot(
    server: RedisServer, spawn: Spawn, key: str, dice: random.Random
) -> None:
    lease, rounds = 1.5, 100
    nodes: dict[str, Child] = {}
    dead: list[Child] = []

    def start(name: str) -> None:
        seed = dice.randrange(1 << 30)
        arguments = (server.port, server.url, key, name, VALUE, rounds, lease, seed)
        nodes[name] = spawn(semaphore_nodes.work, *arguments)

    async with sampled(server, key):
        for number in range(PROCESSES):
            start(f"node{number}")
        for number in range(PROCESSES, PROCESSES + 5):
            name = dice.choice(sorted(nodes))
            await nodes[name].expect("started")
            await asyncio.sleep(dice.uniform(0, 0.1))
            dead.append(nodes.pop(name))
            dead[-1].kill()
            await forget(server, key, name)
            start(f"node{number}")
        sums = await worked(list(nodes.values()))
        # The last permits of the dead end with their leases.
        await until_idle_again(server, key)
    assert_never_too_many([*nodes.values(), *dead])
    assert sums["lost"] == 0


async def until_idle_again(server: RedisServer, key: str) -> None:
    """Wait until all slots are free; who asks sees the leases that are over, as in any fleet."""
    semaphore = DistributedSemaphore(server.url, key, VALUE)

    async def ask() -> None:
        while True:
            await semaphore.locked()
            await asyncio.sleep(0.02)

    async with running(ask()):
        await until_idle(server, key, VALUE)


async def test_links_that_break_at_random_moments_cost_and_add_no_slot(
    make_server: MakeServer,
    make_proxy: MakeProxy,
    server: RedisServer,
    spawn: Spawn,
    key: str,
    dice: random.Random,
) -> None:
    slots, rounds = make_server(), 60
    proxies = [make_proxy(slots.port) for _ in range(PROCESSES)]
    nodes = []
    for number, proxy in enumerate(proxies):
        arguments = (f"node{number}", VALUE, rounds, 10.0, dice.randrange(1 << 30))
        nodes.append(spawn(semaphore_nodes.work, proxy.port, server.url, key, *arguments))
    for node in nodes:
        await node.expect("started")
    async with sampled(slots, key), running(test_counting.break_links(proxies, slots, dice)):
        sums = await worked(nodes)
    assert_never_too_many(nodes)
    assert sums["visits"] + sums["refused"] == PROCESSES * 3 * rounds
    # No fault was as long as a lease, so nobody may have lost a permit.
    assert sums["lost"] == 0
    for proxy in proxies:
        proxy.blackhole(False)
        proxy.byte_by_byte(False)
        proxy.delay(0)
    await until_idle_again(slots, key)


async def test_processes_that_are_stopped_past_their_leases_add_no_slot(
    server: RedisServer, spawn: Spawn, key: str, dice: random.Random
) -> None:
    lease, rounds = 0.5, 100
    nodes = []
    for number in range(PROCESSES):
        arguments = (f"node{number}", VALUE, rounds, lease, dice.randrange(1 << 30))
        # Who is stopped inside stays there, so nobody is counted.
        nodes.append(spawn(semaphore_nodes.work, server.port, server.url, key, *arguments, False))
    for node in nodes:
        await node.expect("started")
    async with sampled(server, key):
        for _ in range(6):
            victim = dice.choice(nodes)
            with contextlib.suppress(ProcessLookupError):
                victim.pause()
                await asyncio.sleep(dice.choice([0.1, 0.3, 0.7]))
                victim.resume()
            await asyncio.sleep(dice.uniform(0, 0.1))
        await worked(nodes)
        await until_idle(server, key, VALUE)
    with server.sync() as client:
        assert not client.exists(permits_name(key))
