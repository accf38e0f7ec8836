"""Connections that break while tasks wait for an event, or set it."""

import asyncio
import random

import pytest
from dsync import DistributedEvent
from redis import exceptions

from tests.fault.lock_tools import MakeProxy, MakeServer, Spawn, client_for, running
from tests.fault.test_counting import break_links
from tests.fault.test_links import FAULTS, Fault
from tests.integration import events
from tests.integration.barriers import Listener, done, until_nothing_is_left
from tests.integration.events import (
    channel_name,
    event_name,
    set_by_old,
    start_waiters,
    until_listened,
)
from tests.integration.locks import NEVER, peek, soon
from tests.support.proxy import Proxy, Which
from tests.support.redis_server import RedisServer

LINKS: list[Which] = ["command", "subscription"]


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


def event_at(port: int, key: str, name: str = "") -> DistributedEvent:
    """Make an event whose session has connections of its own, and which only messages bring on."""
    return DistributedEvent(client_for(port, name, socket_timeout=0.5), key, NEVER)


def flag(server: RedisServer, key: str) -> str:
    with peek(server) as client:
        return str(client.get(event_name(key)))


# ---- waiters ----


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_waiters_survive_a_broken_link(
    server: RedisServer, proxy: Proxy, key: str, fault: Fault
) -> None:
    event = event_at(proxy.port, key)
    tasks = await start_waiters(server, *[event] * 5)
    assert not await event.is_set()  # With this, all commands before have their reply too.
    accepted = proxy.accepted
    fault(proxy)
    if fault is not FAULTS["foreign message"]:
        await proxy.wait_until(lambda: proxy.accepted >= accepted + 2)
    await until_listened(server, key)
    assert not await soon(event.is_set())
    assert done(tasks) == 0
    set_by_old(server, key)
    await soon(asyncio.gather(*tasks))


async def test_a_set_while_the_link_is_down_is_found_when_it_is_back(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    event = event_at(proxy.port, key)
    for how in ("refuse", "blackhole"):
        tasks = await start_waiters(server, event, event)
        if how == "refuse":
            proxy.refuse()
            proxy.cut()
            await until_listened(server, key, 0)
        else:
            proxy.blackhole()
        set_by_old(server, key)
        assert done(tasks) == 0
        if how == "refuse":
            proxy.refuse(False)
        else:
            proxy.cut()
            proxy.blackhole(False)
        await soon(asyncio.gather(*tasks))
        await event.clear()


async def test_a_waiter_cancelled_while_the_link_is_down_leaves_no_subscription(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    event = event_at(proxy.port, key)
    (waiting,) = await start_waiters(server, event)
    proxy.refuse()
    proxy.cut()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    proxy.refuse(False)
    assert not await soon(event.is_set())
    await until_listened(server, key, 0)
    await until_nothing_is_left(server)


async def test_who_cannot_reach_the_server_gets_connection_error(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    event = DistributedEvent(client_for(proxy.port, retries=3), key, NEVER)
    (waiting,) = await start_waiters(server, event)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(exceptions.ConnectionError, match=key):
        await soon(waiting)
    for method in (event.wait, event.is_set, event.set, event.clear):
        with pytest.raises(exceptions.ConnectionError, match=key):
            await soon(method())
    proxy.refuse(False)
    # What failed is not done later, when nobody expects it any more.
    assert not await soon(event.is_set())
    tasks = await start_waiters(server, event)
    await event.set()
    assert await soon(tasks[0])


# ---- replies that are lost ----


@pytest.mark.parametrize("method", ["set", "clear"])
async def test_a_change_whose_reply_is_lost_happens_once(
    server: RedisServer, proxy: Proxy, key: str, method: str
) -> None:
    lossy, other = event_at(proxy.port, key), event_at(server.port, key)
    await lossy.is_set()
    with Listener(server, channel=channel_name(key)) as listener:
        await (other.clear() if method == "set" else other.set())
        before = listener.words()
        proxy.drop_replies()
        proxy.refuse()
        changing = asyncio.create_task(getattr(lossy, method)())
        await proxy.wait_until(lambda: proxy.dropped == 1)
        # Executed, and undone by somebody else before its caller asks again.
        assert flag(server, key) == ("1" if method == "set" else "0")
        await (other.clear() if method == "set" else other.set())
        assert not changing.done()
        proxy.refuse(False)
        await soon(changing)
        assert await lossy.is_set() is await other.is_set() is (method == "clear")
        assert listener.words() == [*before, "1"]


async def test_a_look_whose_reply_is_lost_is_made_again(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    event = event_at(proxy.port, key)
    await event.is_set()
    set_by_old(server, key)
    for number, method in enumerate((event.is_set, event.wait, event.is_set), 1):
        proxy.drop_replies()
        assert await soon(method()) is True
        assert proxy.dropped == number


async def test_every_reply_of_a_wait_and_a_set_may_be_lost(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    for after in range(10):
        for only in LINKS:
            # Fresh sessions, so that the greetings are among the replies.
            waiter = event_at(proxy.port, key, f"waiter-{after}-{only}")
            setter = event_at(proxy.port, key, f"setter-{after}-{only}")
            proxy.drop_replies(after, only)
            tasks = [asyncio.create_task(waiter.wait()) for _ in range(3)]
            await soon(setter.set())
            await soon(asyncio.gather(*tasks))
            await soon(setter.clear())
            assert flag(server, key) == "0"
    assert proxy.dropped > 6


# ---- all the time ----


async def test_a_ball_goes_round_while_links_break_at_random(
    make_server: MakeServer, make_proxy: MakeProxy, spawn: Spawn, key: str, dice: random.Random
) -> None:
    server, players, rounds = make_server(), 3, 60
    proxies = [make_proxy(server.port) for _ in range(players)]
    options = {"retries": 1000, "socket_timeout": 0.5}
    nodes = [
        spawn(events.play, proxy.port, key, number, players, rounds, options)
        for number, proxy in enumerate(proxies)
    ]
    for node in nodes:
        await node.expect("ready")
    await event_at(server.port, f"{key}-0").set()
    async with running(break_links(proxies, server, dice)) as (breaking,):
        for node in nodes:
            await node.expect("done", within=100)
        assert not breaking.done()
    # It is where it began, and there is one of it.
    assert [flag(server, f"{key}-{number}") for number in range(players)] == ["1", "0", "0"]
