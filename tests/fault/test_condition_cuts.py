"""Conditions whose connections break, and whose scripts are forgotten, at any moment."""

import asyncio
import random

import pytest
from dsync import DistributedCondition

from tests.fault.lock_tools import MakeProxy
from tests.integration.conditions import (
    BOTH,
    POLLING,
    condition_of,
    crowd,
    holds,
    lock_of,
    notify,
    turns,
    until_nothing_is_left,
    until_settled,
)
from tests.integration.locks import lock_name, peek, soon
from tests.support.proxy import Proxy, Which
from tests.support.proxy_link import Direction
from tests.support.redis_server import RedisServer

LINKS: list[Which] = ["all", "command", "subscription"]


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


@pytest.fixture
def condition(server: RedisServer, key: str) -> DistributedCondition:
    """The one that notifies; its own connections are in order."""
    return condition_of(server, key, "notifier")


# ---- scripts ----


def flush_scripts(server: RedisServer) -> None:
    with peek(server) as client:
        client.script_flush()


@BOTH
async def test_forgotten_scripts_are_sent_again(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        first, second = condition_of(server, key, "first"), condition_of(server, key, "second")
        for waiter in (first, first, second, second):
            flush_scripts(server)
            await waiters.add(waiter, locked=locked)
        for count in (1, 2):
            async with condition:
                flush_scripts(server)
                await condition.notify(1)
                flush_scripts(server)
            assert await waiters.until_woken(count) == list(range(count))
            await until_settled(server, key, 4 - count)
        flush_scripts(server)
        waiters.tasks[2].cancel()
        await soon(asyncio.wait(waiters.tasks[2:3]))
        flush_scripts(server)
        await notify(condition, -1)
        assert await waiters.until_done() == [0, 1, 3]
    await until_nothing_is_left(server)


# ---- cuts at any moment ----


@BOTH
async def test_cut_after_each_turn_of_the_loop_on_the_way_into_wait(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition, locked: bool
) -> None:
    waiter = condition_of(proxy.port, key, "broken")
    await waiter.locked()
    for steps in range(0, 80, 4):
        async with crowd(server, key) as waiters:
            waiters.begin(waiter, locked=locked)
            await turns(steps)
            proxy.cut()
            await until_settled(server, key, 1)
            await notify(condition, 1)
            assert await waiters.until_done() == [0]
        await until_nothing_is_left(server)


@BOTH
async def test_cut_after_each_turn_of_the_loop_around_a_notification(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition, locked: bool
) -> None:
    """Whose link ever it is, one wakes for one notification."""
    for steps in range(0, 80, 4):
        broken = condition_of(proxy.port, key, "broken", **POLLING)
        async with crowd(server, key) as waiters:
            await waiters.add(broken, locked=locked)
            await waiters.add(condition_of(server, key, "whole", **POLLING), locked=locked)
            notifier = condition if steps % 8 else broken
            notifying = asyncio.create_task(notify(notifier, 1))
            await turns(steps)
            proxy.cut()
            await soon(notifying)
            await waiters.until_woken(1)
            await until_settled(server, key, 1)
            assert len(waiters.woken) == 1
    await until_nothing_is_left(server)


async def test_at_random_as_many_wake_as_are_notified_whatever_breaks(
    server: RedisServer, make_proxy: MakeProxy, key: str, dice: random.Random
) -> None:
    proxies = [make_proxy() for _ in range(3)]
    sessions = [
        condition_of(proxy.port, key, f"{number}", **POLLING)
        for number, proxy in enumerate(proxies)
    ]
    for _ in range(25):
        async with crowd(server, key) as waiters:
            for _ in range(dice.randrange(1, 6)):
                await waiters.add(dice.choice(sessions), locked=dice.random() < 0.5)
            size, n = len(waiters.tasks), dice.randrange(7)
            notifying = asyncio.create_task(notify(dice.choice(sessions), n))
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(dice.choice([0, 0.001, 0.003]))
                break_one(dice.choice(proxies), server, dice)
            await soon(notifying)
            await waiters.until_woken(min(n, size))
            await until_settled(server, key, size - min(n, size))
            assert len(waiters.woken) == min(n, size)
            for proxy in proxies:
                proxy.byte_by_byte(False)
                proxy.drop_replies(1 << 30)
        await until_nothing_is_left(server)


def break_one(proxy: Proxy, server: RedisServer, dice: random.Random) -> None:
    match dice.randrange(5):
        case 0:
            proxy.cut(dice.choice(LINKS))
        case 1:
            proxy.half_close(dice.choice(LINKS))
        case 2:
            proxy.drop_replies(dice.randrange(3), dice.choice(LINKS))
        case 3:
            proxy.byte_by_byte()
        case _:
            flush_scripts(server)


async def test_a_wait_without_answer_of_the_server_has_freed_the_lock_or_not(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition
) -> None:
    """Cancelled with its command on the way: the lock is held when the cancellation leaves."""
    directions: list[Direction] = ["requests", "replies"]
    for direction in directions:
        waiter = condition_of(proxy.port, key, f"broken-{direction}")
        await waiter.acquire()
        proxy.blackhole(direction=direction)
        task = asyncio.create_task(waiter.wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        proxy.blackhole(False)
        await soon(asyncio.wait([task]))
        assert task.cancelled()
        assert await holds(waiter)
        with peek(server) as client:
            assert client.get(lock_name(key)) == lock_of(waiter)._token
        await waiter.release()
        await until_nothing_is_left(server)
    assert await soon(condition.acquire())
    await condition.release()
