"""A queue between processes while everything around them breaks: nothing is lost, nobody hangs."""

import asyncio
import random

from tests.fault import condition_nodes
from tests.fault.lock_tools import MakeProxy, MakeServer, Spawn
from tests.fault.test_counting import break_links
from tests.integration.conditions import until_nothing_is_left
from tests.integration.locks import peek
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

OPTIONS = {"lease": 5.0, "acquire_sleep_delay": 0.05}


async def until_done(*children: Child) -> list[Child]:
    """Wait for the ends of processes that end by themselves, and without an error."""
    for child in children:
        await child.expect("done", within=100)
        assert await child.wait() == 0, child.errors
    return list(children)


async def test_no_item_is_lost_and_none_taken_twice_while_links_break_at_random(
    make_server: MakeServer,
    make_proxy: MakeProxy,
    server: RedisServer,
    spawn: Spawn,
    key: str,
    dice: random.Random,
) -> None:
    locks, count = make_server(), 60
    proxies = [make_proxy(locks.port) for _ in range(4)]
    ports = [(proxy.port, server.port, key) for proxy in proxies]
    consumers = [spawn(condition_nodes.consume, *ports[n], f"c{n}", OPTIONS) for n in range(2)]
    for child in consumers:
        await child.expect("started")
    producers = [
        spawn(condition_nodes.produce, *ports[n], f"p{n}", first, first + count, OPTIONS)
        for n, first in ((2, 0), (3, count))
    ]
    for child in producers:
        await child.expect("started")
    breaking = asyncio.create_task(break_links(proxies, locks, dice))
    await until_done(*producers)
    # Faults go on while the last items are taken.
    ends = [spawn(condition_nodes.produce, *ports[2], f"e{n}", -1, 0, OPTIONS) for n in range(2)]
    await until_done(*ends, *consumers)
    breaking.cancel()
    with peek(server) as client:
        numbers = [int(number) for number in client.lrange(f"{key}-taken", 0, -1)]
    assert sorted(numbers) == list(range(2 * count))
    await until_nothing_is_left(locks)


async def test_no_item_stays_while_consumers_are_killed_and_stopped(
    server: RedisServer, spawn: Spawn, key: str, dice: random.Random
) -> None:
    """Who is killed with the lock keeps it for a lease, and leaves the item where it was."""
    options, ports, count = {**OPTIONS, "lease": 0.5}, (server.port, server.port, key), 150
    consumers = [spawn(condition_nodes.consume, *ports, f"c{n}", options) for n in range(4)]
    for child in consumers:
        await child.expect("started")
    producer = spawn(condition_nodes.produce, *ports, "p", 0, count, OPTIONS)
    await producer.expect("started")
    for child in consumers[:3]:
        await asyncio.sleep(dice.uniform(0, 0.1))
        child.pause()
        await asyncio.sleep(dice.uniform(0, 0.1))
        child.kill()
    await until_done(producer)
    await until_done(spawn(condition_nodes.produce, *ports, "e", -1, 0, OPTIONS), consumers[3])
    with peek(server) as client:
        numbers = [int(number) for number in client.lrange(f"{key}-taken", 0, -1)]
        assert client.llen(f"{key}-items") == 0
    # Each of the killed may have taken one away, or one only half.
    assert len(set(range(count)) - set(numbers)) <= 3
    assert len(numbers) == len(set(numbers))
