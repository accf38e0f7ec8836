"""Processes that count together under one lock while everything around them breaks."""

import asyncio
import contextlib
import random

import redis

from tests.fault import lock_nodes
from tests.fault.lock_tools import MakeProxy, MakeServer, Spawn, free
from tests.support.processes import Child
from tests.support.proxy import Proxy, Which
from tests.support.redis_server import RedisServer

PROCESSES = 4
LINKS: list[Which] = ["all", "command", "subscription"]


async def break_links(proxies: list[Proxy], server: RedisServer, dice: random.Random) -> None:
    """Break something, again and again; nothing lasts as long as a lease."""
    while True:
        proxy = dice.choice(proxies)
        only: Which = dice.choice(LINKS)
        match dice.randrange(9):
            case 0:
                proxy.cut(only)
            case 1:
                proxy.half_close(only)
            case 2:
                proxy.drop_replies(dice.randrange(5), only)
            case 3:
                # Begins as no reply does: nobody can tell a forged reply from a true one.
                proxy.inject(b"\xff" + dice.randbytes(dice.randrange(30)), only)
            case 4:
                proxy.byte_by_byte(dice.random() < 0.5)
            case 5:
                proxy.delay(dice.choice([0, 0, 0.02]))
            case 6:
                proxy.blackhole(True, dice.choice(["both", "requests", "replies"]))
                await asyncio.sleep(dice.uniform(0, 0.8))
                proxy.blackhole(False)
            case 7:
                kill_one(server, dice)
            case 8:
                with server.sync() as client:
                    client.script_flush()
        await asyncio.sleep(dice.uniform(0, 0.1))


def kill_one(server: RedisServer, dice: random.Random) -> None:
    connections = server.connections()
    if connections:
        with server.sync() as client, contextlib.suppress(redis.ResponseError):
            client.client_kill_filter(_id=dice.choice(connections)["id"])


async def verdict(nodes: list[Child], data: RedisServer, key: str) -> dict[str, int]:
    """Wait for all, check the count and the order, and return what was told in sum."""
    sums = {"written": 0, "refused": 0, "lost": 0}
    for node in nodes:
        told = await node.expect("counted", within=120)
        for name in sums:
            sums[name] += told[name]
    with data.sync() as client:
        fences = [int(fence) for fence in client.lrange(f"{key}-fences", 0, -1)]
        assert int(client.get(f"{key}-number") or 0) == sums["written"] == len(fences)
    assert fences == sorted(set(fences))
    return sums


async def test_no_update_is_lost_while_links_break_at_random(
    make_server: MakeServer,
    make_proxy: MakeProxy,
    server: RedisServer,
    spawn: Spawn,
    key: str,
    dice: random.Random,
) -> None:
    locks, rounds = make_server(), 150
    proxies = [make_proxy(locks.port) for _ in range(PROCESSES)]
    nodes = [
        spawn(lock_nodes.count, proxy.port, server.url, key, f"node{number}", rounds, 5.0)
        for number, proxy in enumerate(proxies)
    ]
    for node in nodes:
        await node.expect("started")
    breaking = asyncio.create_task(break_links(proxies, locks, dice))
    sums = await verdict(nodes, server, key)
    breaking.cancel()
    # No fault was as long as a lease, so nobody may have lost the lock.
    assert sums == {"written": PROCESSES * rounds, "refused": 0, "lost": 0}
    await free(locks, key)


async def test_no_update_is_lost_while_holders_are_stopped_past_their_leases(
    server: RedisServer, spawn: Spawn, key: str, dice: random.Random
) -> None:
    lease, rounds = 0.5, 150
    nodes = [
        spawn(lock_nodes.count, server.port, server.url, key, f"node{number}", rounds, lease)
        for number in range(PROCESSES)
    ]
    for node in nodes:
        await node.expect("started")
    for _ in range(8):
        victim = dice.choice(nodes)
        with contextlib.suppress(ProcessLookupError):
            victim.pause()
            await asyncio.sleep(dice.choice([0.1, 0.3, 0.7]))
            victim.resume()
        await asyncio.sleep(dice.uniform(0, 0.1))
    sums = await verdict(nodes, server, key)
    assert sums["written"] + sums["refused"] == PROCESSES * rounds
    # Who was refused had lost the lock, and was told.
    assert sums["refused"] <= sums["lost"]
    await free(server, key)
