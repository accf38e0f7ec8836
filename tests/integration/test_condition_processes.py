"""DistributedCondition: processes that wait for each other."""

from collections.abc import Callable

import pytest

from tests.fault import condition_nodes
from tests.integration.conditions import (
    condition_of,
    count_waiting,
    notify,
    until_nothing_is_left,
    until_settled,
    until_waiting,
)
from tests.integration.locks import NEVER, peek, until_queued
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

Spawn = Callable[..., Child]
TOLD_BY_MESSAGE = {"acquire_sleep_delay": NEVER}


async def start(
    server: RedisServer, spawn: Spawn, key: str, count: int, locked: Callable[[int], bool]
) -> list[Child]:
    """Let processes wait, one behind the other."""
    children: list[Child] = []
    for number in range(count):
        children.append(
            spawn(
                condition_nodes.wait,
                server.port,
                key,
                f"{number}",
                locked(number),
                TOLD_BY_MESSAGE,
            )
        )
        await until_waiting(server, key, number + 1)
    return children


def have_woken(children: list[Child]) -> list[bool]:
    return [any(event["event"] == "woken" for event in child.events) for child in children]


async def test_notify_wakes_the_oldest_in_whatever_process(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    children = await start(server, spawn, key, 5, lambda number: number % 2 == 0)
    condition = condition_of(server, key)
    for woken, n in ((1, 1), (3, 2), (3, 0), (5, 9)):
        await notify(condition, n)
        for child in children[:woken]:
            if not have_woken([child])[0]:
                await child.expect("woken")
        await until_settled(server, key, 5 - woken)
        assert have_woken(children) == [True] * woken + [False] * (5 - woken)


async def test_processes_that_came_with_the_lock_wake_in_their_order(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    children = await start(server, spawn, key, 5, lambda number: True)
    condition = condition_of(server, key)
    async with condition:
        await condition.notify(4)
        await until_queued(server, key, 4)
        # None of them before the lock is free.
        assert have_woken(children) == [False] * 5
    for child in children[:4]:
        await child.expect("done")
    await until_settled(server, key, 1)
    with peek(server) as client:
        assert client.lrange(f"{key}-woken", 0, -1) == ["0", "1", "2", "3"]
    assert not have_woken(children)[4]


async def test_notify_all_wakes_all_processes(server: RedisServer, key: str, spawn: Spawn) -> None:
    children = await start(server, spawn, key, 4, lambda number: number % 2 == 0)
    await notify(condition_of(server, key), -1)
    for child in children:
        await child.expect("done")
    await until_settled(server, key)


async def test_a_process_that_notifies_wakes_one_that_waits(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    waiters = await start(server, spawn, key, 2, lambda number: True)
    notifier = spawn(condition_nodes.produce, server.port, server.port, key, "notifier", 0, 1, {})
    await notifier.expect("done")
    await waiters[0].expect("done")
    await until_settled(server, key, 1)
    assert have_woken(waiters) == [True, False]


@pytest.mark.parametrize(
    ("count", "delay"), [(1000, 0.1), (150, NEVER)], ids=["polling", "by messages"]
)
async def test_a_queue_between_four_processes_loses_nothing(
    server: RedisServer, key: str, spawn: Spawn, count: int, delay: float
) -> None:
    options = {"acquire_sleep_delay": delay}
    data = (server.port, server.port, key)
    consumers = [spawn(condition_nodes.consume, *data, f"c{n}", options) for n in range(2)]
    for child in consumers:
        await child.expect("started")
    producers = [
        spawn(condition_nodes.produce, *data, f"p{n}", n * count, (n + 1) * count, options)
        for n in range(2)
    ]
    for child in producers:
        await child.expect("done", within=60)
    ends = [spawn(condition_nodes.produce, *data, f"e{n}", -1, 0, options) for n in range(2)]
    for child in (*consumers, *ends):
        await child.expect("done", within=60)
    with peek(server) as client:
        numbers = [int(number) for number in client.lrange(f"{key}-taken", 0, -1)]
        client.delete(f"{key}-taken")
    assert sorted(numbers) == list(range(2 * count))
    # Of each producer in the order in which it put them.
    assert [number for number in numbers if number < count] == list(range(count))
    assert count_waiting(server, key) == 0
    await until_nothing_is_left(server)
