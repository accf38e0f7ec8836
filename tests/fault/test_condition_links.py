"""Conditions whose connections break, and whose replies are lost."""

import asyncio
from functools import partial

import pytest
from dsync import DistributedCondition

from tests.fault.lock_tools import MakeProxy
from tests.fault.test_lost_replies import more_dropped
from tests.integration.conditions import (
    BOTH,
    POLLING,
    condition_of,
    count_waiting,
    crowd,
    holds,
    notify,
    told_name,
    until_nothing_is_left,
    until_settled,
    until_waiting,
)
from tests.integration.locks import peek, soon, until_queued
from tests.support.proxy import Proxy, Which
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LINKS: list[Which] = ["all", "command", "subscription"]


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


@pytest.fixture
def condition(server: RedisServer, key: str) -> DistributedCondition:
    """The one that notifies; its own connections are in order."""
    return condition_of(server, key, "notifier")


async def until_cut_off(server: RedisServer, proxy: Proxy, inboxes: int) -> None:
    """Break the links, and wait until the server knows of it."""
    proxy.refuse()
    proxy.cut()
    with peek(server) as client:
        await eventually(
            lambda: len(client.pubsub_channels("dsync:inbox:*")) == inboxes, "the server knows"
        )


# ---- a waiter whose link breaks ----


@pytest.mark.parametrize("only", LINKS)
@BOTH
async def test_a_waiter_whose_link_breaks_waits_on_where_it_stood(
    server: RedisServer,
    proxy: Proxy,
    key: str,
    condition: DistributedCondition,
    locked: bool,
    only: Which,
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(proxy.port, key, "broken"), locked=locked)
        await waiters.add(condition_of(server, key, "whole"), locked=locked)
        accepted = proxy.accepted
        proxy.cut(only)
        await proxy.wait_until(lambda: proxy.accepted >= accepted + 2)
        await proxy.wait_connections(2)
        with peek(server) as client:
            await eventually(lambda: len(client.pubsub_channels("dsync:inbox:*")) == 3 - 1)
        await notify(condition, 1)
        assert await waiters.until_woken(1) == [0]
        await until_settled(server, key, 1)
        assert waiters.woken == [0]


@BOTH
async def test_notified_while_its_link_is_broken_it_wakes_when_it_is_back(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(proxy.port, key, "broken"), locked=locked)
        await until_cut_off(server, proxy, 0)
        await notify(condition, 1)
        proxy.refuse(False)
        assert await waiters.until_done() == [0]
    await until_nothing_is_left(server)


@BOTH
async def test_those_whose_links_are_broken_get_what_the_others_leave(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(6):
            port = proxy.port if number in (0, 2, 5) else server.port
            await waiters.add(condition_of(port, key, f"{number}"), locked=locked)
        await until_cut_off(server, proxy, 3)
        await notify(condition, 2)
        assert sorted(await waiters.until_woken(2)) == [1, 3]
        # One that is there, and of the others the oldest two.
        await notify(condition, 3)
        assert await waiters.until_woken(3) == [*waiters.woken[:2], 4]
        proxy.refuse(False)
        assert sorted((await waiters.until_woken(5))[3:]) == [0, 2]
        await until_settled(server, key, 1)
        # Who was passed over has kept its place before those that came later.
        await waiters.add(condition_of(server, key, "late"), locked=locked)
        await notify(condition, 1)
        assert (await waiters.until_woken(6))[5] == 5


async def test_passed_over_while_its_link_is_broken_it_keeps_its_place(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(proxy.port, key, "broken"))
        await waiters.add(*(condition_of(server, key, name) for name in "ab"))
        await until_cut_off(server, proxy, 1 + 1)
        await notify(condition, 1)
        assert await waiters.until_woken(1) == [1]
        proxy.refuse(False)
        await until_settled(server, key, 2)
        await notify(condition, 1)
        assert await waiters.until_woken(2) == [1, 0]
        await until_settled(server, key, 1)


async def test_woken_and_cut_off_in_the_queue_for_the_lock_the_notification_goes_on(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition
) -> None:
    """And the one that is back has not woken twice, nor for nothing."""
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(proxy.port, key, "broken"))
        await waiters.add(*(condition_of(server, key, name, **POLLING) for name in "ab"))
        async with condition:
            await condition.notify(1)
            await until_queued(server, key, 1)
            await until_cut_off(server, proxy, 3)
            await eventually(lambda: count_waiting(server, key) == 1, "another is woken")
        assert await waiters.until_woken(1) == [1]
        proxy.refuse(False)
        await until_settled(server, key, 2)
        assert waiters.woken == [1]
        await waiters.add(condition_of(server, key, "late"))
        await notify(condition, 2)
        assert sorted(await waiters.until_woken(3)) == [0, 1, 2]
        await until_settled(server, key, 1)


@BOTH
async def test_woken_and_cut_off_alone_it_wakes_when_it_is_back(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(proxy.port, key, "broken"), locked=locked)
        proxy.blackhole(direction="replies")
        await notify(condition, 1)
        with peek(server) as client:
            assert client.zcard(told_name(key)) == 1
        await until_cut_off(server, proxy, 1)
        # Younger, so it is none of its business.
        await waiters.add(condition_of(server, key, "younger", **POLLING), locked=False)
        proxy.blackhole(False)
        proxy.refuse(False)
        assert await waiters.until_woken(1) == [0]
        await until_settled(server, key, 1)
        assert waiters.woken == [0]


# ---- replies that are lost ----


@BOTH
async def test_a_wait_whose_reply_is_lost_is_woken_once(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition, locked: bool
) -> None:
    for notified_before in (False, True):
        waiter = condition_of(proxy.port, key, f"broken-{notified_before}")
        await waiter.locked()
        async with crowd(server, key) as waiters:
            dropped = proxy.dropped
            proxy.drop_replies(1 if locked else 0)
            # The reply that is lost is that of condition_wait, so the lock is free by then.
            waiters.begin(waiter, locked=locked)
            if notified_before:
                await until_waiting(server, key, 1)
                proxy.refuse()
                await notify(condition, 1)
                proxy.refuse(False)
            else:
                await proxy.wait_until(partial(more_dropped, proxy, dropped))
                await until_settled(server, key, 1)
                await notify(condition, 1)
            assert await waiters.until_done() == [0]
            assert proxy.dropped == dropped + 1
        await until_nothing_is_left(server)


async def test_a_notification_whose_reply_is_lost_wakes_once(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    notifier = condition_of(proxy.port, key, "notifier")
    async with crowd(server, key) as waiters:
        for number in range(5):
            await waiters.add(condition_of(server, key, f"{number % 2}"), locked=number % 2 == 0)
        async with asyncio.timeout(20), notifier:
            for count in (1, 2):
                proxy.drop_replies()
                await notifier.notify(1)
                assert proxy.dropped == count
                assert await holds(notifier)
        await waiters.until_woken(2)
        await until_settled(server, key, 3)
        assert sorted(waiters.woken) == [0, 1]


@BOTH
async def test_a_leave_whose_reply_is_lost_passes_the_notification_on_once(
    server: RedisServer, proxy: Proxy, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(proxy.port, key, "broken"), locked=locked)
        await waiters.add(*(condition_of(server, key, name) for name in "abc"), locked=locked)
        async with condition:
            proxy.blackhole(direction="replies")
            await condition.notify(1)
            # Woken without knowing it, and it wants to leave.
            waiters.tasks[0].cancel()
            await asyncio.sleep(0)
            proxy.drop_replies()
            proxy.blackhole(False)
        await soon(asyncio.wait(waiters.tasks[:1]))
        assert len(await waiters.until_woken(1)) == 1
        await until_settled(server, key, 3 - (waiters.woken != [0]))
        assert len(waiters.woken) == 1


@pytest.mark.parametrize("only", ["command", "subscription"])
async def test_whichever_reply_is_lost_as_many_wake_as_are_notified(
    server: RedisServer, proxy: Proxy, key: str, only: Which
) -> None:
    for after in range(14):
        # Fresh sessions, so that the greetings are among the replies.
        conditions = [condition_of(proxy.port, key, f"{after}-{n}", **POLLING) for n in range(3)]
        async with crowd(server, key) as waiters:
            proxy.drop_replies(after, only)
            for number in range(4):
                await waiters.add(conditions[number % 2], locked=number > 1)
            await soon(notify(conditions[2], 2))
            await waiters.until_woken(2)
            await until_settled(server, key, 2)
            assert len(waiters.woken) == 2
            waiters.tasks[3].cancel()
            await soon(notify(conditions[2], -1))
            await waiters.until_done()
        await until_nothing_is_left(server)
    assert proxy.dropped > 6
    proxy.drop_replies(1 << 30)
