"""Waiters and notifiers of a condition that are killed or stopped."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.fault import condition_nodes
from tests.fault.lock_tools import MakeServer, Spawn
from tests.integration.conditions import (
    BOTH,
    POLLING,
    condition_of,
    count_waiting,
    crowd,
    lock_of,
    notify,
    state_of,
    told_name,
    until_settled,
    until_waiting,
)
from tests.integration.locks import calls, lock_name, peek, until_queued
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Start = Callable[[int, bool], Awaitable[Child]]


@pytest.fixture
def start(server: RedisServer, spawn: Spawn, key: str) -> Start:
    """Let a process wait: `await start(number, locked)`, the number being how many wait then."""

    async def begin(number: int, locked: bool) -> Child:
        child = spawn(condition_nodes.wait, server.port, key, f"{number}", locked, POLLING)
        await until_waiting(server, key, number)
        return child

    return begin


async def until_gone(server: RedisServer, children: list[Child]) -> None:
    """Kill processes, and wait until the server knows of it."""
    with peek(server) as client:
        before = client.pubsub_channels("dsync:inbox:*")
        for child in children:
            child.kill()
        left = len(before) - len(children)
        await eventually(lambda: len(client.pubsub_channels("dsync:inbox:*")) == left, "the ends")


@BOTH
async def test_killed_before_a_notification_it_reaches_who_is_behind(
    server: RedisServer, key: str, start: Start, locked: bool
) -> None:
    children = [await start(number, locked) for number in (1, 2)]
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "one"), locked=locked)
        children.append(await start(4, locked))
        await waiters.add(*[condition_of(server, key, "two")] * 2, locked=locked)
        await until_gone(server, children)
        await notify(condition_of(server, key), 2)
        assert sorted(await waiters.until_woken(2)) == [0, 1]
        # The notification does not look again, and nobody else is woken.
        await notify(condition_of(server, key), 0)
        await waiters.add(condition_of(server, key, "three", **POLLING), locked=locked)
        await asyncio.gather(*waiters.tasks[:2])
        assert sorted(waiters.woken) == [0, 1]
        await notify(condition_of(server, key), -1)
        assert sorted(await waiters.until_done()) == [0, 1, 2, 3]


async def test_killed_in_the_queue_for_the_lock_its_notification_reaches_who_is_behind(
    server: RedisServer, key: str, start: Start
) -> None:
    child = await start(1, True)
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, name, **POLLING) for name in "ab"))
        async with condition_of(server, key) as condition:
            await condition.notify(1)
            await until_queued(server, key, 1)
            await until_gone(server, [child])
            # Found by those that wait, while the lock is still held.
            await eventually(lambda: count_waiting(server, key) == 1, "the next is woken")
        assert await waiters.until_woken(1) == [0]
        await notify(condition_of(server, key), -1)
        assert await waiters.until_done() == [0, 1]


async def test_killed_with_the_wake_up_on_its_way_the_notification_reaches_who_is_behind(
    server: RedisServer, key: str, start: Start
) -> None:
    child = await start(1, False)
    child.pause()
    async with crowd(server, key) as waiters:
        for name, locked in (("a", False), ("b", True)):
            await waiters.add(condition_of(server, key, name, **POLLING), locked=locked)
        await notify(condition_of(server, key), 1)
        with peek(server) as client:
            # It has it, and will not get to know.
            assert client.zcard(told_name(key)) == 1
        assert count_waiting(server, key) == 2
        await until_gone(server, [child])
        assert await waiters.until_woken(1) == [0]
        await notify(condition_of(server, key), -1)
        assert await waiters.until_done() == [0, 1]


async def test_killed_with_the_lock_on_its_way_the_notification_reaches_who_is_behind(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    options = {**POLLING, "lease": 0.5}
    child = spawn(condition_nodes.wait, server.port, key, "child", True, options)
    await until_waiting(server, key, 1)
    child.pause()
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, name, **POLLING) for name in "ab"))
        condition = condition_of(server, key)
        await notify(condition, 1)
        with peek(server) as client:
            assert client.get(lock_name(key)) != lock_of(condition)._token
        await until_gone(server, [child])
        # Costs no more than the lease of the dead one.
        assert await waiters.until_woken(1) == [0]
        await notify(condition, -1)
        assert await waiters.until_done() == [0, 1]


async def test_killed_after_it_woke_the_notification_is_used_up(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    options = {**POLLING, "lease": 0.5}
    child = spawn(condition_nodes.wait_and_keep, server.port, key, "child", options)
    await until_waiting(server, key, 1)
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "one", **POLLING))
        condition = condition_of(server, key, lease=0.5, acquire_sleep_delay=0.01)
        await notify(condition, 1)
        await child.expect("woken")
        with peek(server) as client:
            await eventually(lambda: not client.exists(told_name(key)), "it has said so")
        await until_gone(server, [child])
        async with asyncio.timeout(10), condition:
            assert waiters.woken == []
        await until_settled(server, key, 1)


@BOTH
async def test_stopped_while_it_is_notified_it_wakes_when_it_goes_on(
    server: RedisServer, key: str, start: Start, locked: bool
) -> None:
    child = await start(1, locked)
    child.pause()
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "one", **POLLING), locked=locked)
        await notify(condition_of(server, key), 1)
        child.resume()
        await child.expect("done")
        await until_settled(server, key, 1)
        assert waiters.woken == []


async def test_a_notifier_that_is_killed_has_notified(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, f"{n}", **POLLING) for n in range(3)))
        child = spawn(condition_nodes.notify_and_keep, server.port, key, 2, {"lease": 0.5})
        await child.expect("notified")
        await until_gone(server, [child])
        # When its lease is over.
        assert await waiters.until_woken(2) == [0, 1]
        await until_settled(server, key, 1)


async def test_notifications_for_the_dead_alone_wake_no_newcomer(
    server: RedisServer, key: str, start: Start
) -> None:
    children = [await start(1, True), await start(2, False)]
    await until_gone(server, children)
    await notify(condition_of(server, key), 2)
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, f"{n}", **POLLING) for n in range(2)))
        await notify(condition_of(server, key), 1)
        assert await waiters.until_woken(1) == [0]
        # Long enough that they look for what the dead have left.
        with peek(server) as client:
            client.config_resetstat()
        await eventually(lambda: calls(server, "zcard") > 1, "they look")
        assert waiters.woken == [0]
        assert count_waiting(server, key) == 1
    with peek(server) as client:
        for name in client.scan_iter():
            assert 0 < client.ttl(name) <= 640, state_of(server, key)


async def test_many_dead_waiters_are_passed_over_once(
    make_server: MakeServer, spawn: Spawn, key: str
) -> None:
    server = make_server()
    children = [
        spawn(condition_nodes.wait_together, server.port, key, f"{number}", 300)
        for number in range(2)
    ]
    await until_waiting(server, key, 600)
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, f"{n}") for n in range(4)))
        await until_gone(server, children)
        await notify(condition_of(server, key), 1)
        assert await waiters.until_woken(1) == [0]
        with peek(server) as client:
            client.config_resetstat()
        await notify(condition_of(server, key), 2)
        assert await waiters.until_woken(3) == [0, 1, 2]
        # No look at each of the dead again.
        assert calls(server, "zadd", "zrem", "pubsub|numsub", "zrange") < 100
        await until_settled(server, key, 1)
