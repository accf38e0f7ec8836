"""Connections that break while parties wait: nobody hangs, and no round opens early."""

import asyncio
import random

import pytest
from dsync import DistributedBarrier, DistributedEvent
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.fault import barrier_nodes
from tests.fault.lock_tools import MakeProxy, MakeServer, Spawn, client_for, running
from tests.fault.test_counting import break_links
from tests.fault.test_links import FAULTS, Fault
from tests.integration.barriers import (
    OldParty,
    arrivals,
    count_name,
    done,
    let_end,
    start_parties,
    until_arrived,
    until_nothing_is_left,
)
from tests.integration.events import set_by_old, start_waiters
from tests.integration.locks import NEVER, peek, soon
from tests.integration.test_lock_cancellation import after_steps
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


def barrier_at(port: int, key: str, parties: int, name: str = "") -> DistributedBarrier:
    """Make a barrier whose session has connections of its own."""
    return DistributedBarrier(client_for(port, name, socket_timeout=0.5), key, parties)


async def connected(server: RedisServer, sessions: int) -> None:
    """Wait until so many sessions listen to their inboxes."""
    with peek(server) as client:
        await eventually(
            lambda: len(client.pubsub_channels("dsync:inbox:*")) == sessions, f"{sessions} sessions"
        )


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_parties_survive_a_broken_link_and_count_once(
    server: RedisServer, proxy: Proxy, key: str, fault: Fault
) -> None:
    lossy, good = barrier_at(proxy.port, key, 6), barrier_at(server.port, key, 6)
    waiting = await start_parties(server, key, lossy, good, lossy, good)
    assert await lossy.n_waiting() == 4  # With this, all commands before have their reply too.
    accepted = proxy.accepted
    fault(proxy)
    if fault is not FAULTS["foreign message"]:
        await proxy.wait_until(lambda: proxy.accepted >= accepted + 2)
    await connected(server, 2)
    assert await soon(lossy.n_waiting()) == 4
    assert await good.n_waiting() == arrivals(server, key) == 4
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, lossy.wait(), good.wait()))
    await until_nothing_is_left(server, count_name(key))


async def test_a_party_whose_link_is_down_does_not_count_and_comes_back_into_the_round(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    away, good = barrier_at(proxy.port, key, 3), barrier_at(server.port, key, 3)
    waiting = await start_parties(server, key, away, good)
    proxy.refuse()
    proxy.cut()
    await connected(server, 1)
    # It would be the third, but one of the three is not there.
    waiting.append(asyncio.create_task(good.wait()))
    await asyncio.sleep(0)
    assert await good.n_waiting() == 2
    assert done(waiting) == 0
    proxy.refuse(False)
    await soon(asyncio.gather(*waiting))
    assert arrivals(server, key) == 0


async def test_a_party_whose_link_is_down_while_others_open_the_barrier_waits_for_the_next_round(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    away, good = barrier_at(proxy.port, key, 2), barrier_at(server.port, key, 2)
    (waiting,) = await start_parties(server, key, away)
    proxy.refuse()
    proxy.cut()
    await connected(server, 0)
    await soon(asyncio.gather(good.wait(), good.wait()))
    proxy.refuse(False)
    await until_arrived(server, key, 1)
    assert not waiting.done()
    await soon(asyncio.gather(waiting, good.wait()))


async def test_a_party_that_has_not_noticed_that_its_link_is_dead_learns_of_the_opening(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    deaf, good = barrier_at(proxy.port, key, 2), barrier_at(server.port, key, 2)
    for _ in range(2):
        (waiting,) = await start_parties(server, key, deaf)
        proxy.blackhole(True, "replies")
        await soon(good.wait())
        (late,) = await start_parties(server, key, good)
        proxy.cut()
        proxy.blackhole(False)
        await soon(waiting)
        assert await good.n_waiting() == 1
        await soon(asyncio.gather(late, deaf.wait()))


@pytest.mark.parametrize("opened", [False, True], ids=["waiting", "opened meanwhile"])
async def test_a_party_cancelled_while_the_link_is_down_does_not_count(
    server: RedisServer, proxy: Proxy, key: str, opened: bool
) -> None:
    away, good = barrier_at(proxy.port, key, 2), barrier_at(server.port, key, 2)
    (waiting,) = await start_parties(server, key, away)
    if opened:
        proxy.blackhole(True, "replies")
        await soon(good.wait())
    proxy.refuse()
    proxy.cut()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    proxy.blackhole(False)
    proxy.refuse(False)
    assert await soon(away.n_waiting()) == 0
    await until_nothing_is_left(server, count_name(key))
    (waiting,) = await start_parties(server, key, good)
    assert not waiting.done()
    await soon(asyncio.gather(waiting, away.wait()))


async def test_a_party_that_cannot_reach_the_server_gets_connection_error_and_does_not_count(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    away = DistributedBarrier(client_for(proxy.port, retries=3), key, 2)
    good = barrier_at(server.port, key, 2)
    (waiting,) = await start_parties(server, key, away)
    proxy.refuse()
    proxy.cut()
    with pytest.raises(RedisConnectionError, match=key):
        await soon(waiting)
    for method in (away.wait, away.reset, away.abort, away.n_waiting, away._reset_count):
        with pytest.raises(RedisConnectionError, match=key):
            await soon(method())
    await connected(server, 0)
    assert await good.n_waiting() == 0
    (waiting,) = await start_parties(server, key, good)
    proxy.refuse(False)
    assert await soon(away.n_waiting()) == 1
    assert not waiting.done()
    await soon(asyncio.gather(waiting, away.wait()))


async def test_a_party_that_leaves_does_not_take_an_old_opening_from_the_others(
    server: RedisServer, key: str
) -> None:
    barrier = barrier_at(server.port, key, 3)
    with OldParty(server, key, 3) as old:
        for steps in range(15):
            first, second = await start_parties(server, key, barrier, barrier)
            old.arrive()
            await after_steps(first, steps)
            await soon(second)
            assert await barrier.n_waiting() == 0


async def test_a_party_that_leaves_with_a_question_under_way_breaks_nobodys_round(
    server: RedisServer, proxy: Proxy, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one that would have asked what the word of an old process means."""
    monkeypatch.setattr("dsync.barrier._POLL_DELAY", 0.01)
    client = client_for(proxy.port, socket_timeout=30)
    barrier, probe = DistributedBarrier(client, key, 3), DistributedEvent(client, key, NEVER)
    (probing,) = await start_waiters(server, probe)
    first, second = await start_parties(server, key, barrier, barrier)
    with OldParty(server, key, 3) as old:
        proxy.blackhole(True, "requests")
        # Many times as long as between two questions, the last of which is on its way now.
        await asyncio.sleep(0.2)
        old.arrive()
        set_by_old(server, key)
        # Came behind the word, on the same connection.
        await soon(probing)
        await after_steps(first, 0)
        proxy.blackhole(False)
        await soon(second)


async def test_rounds_go_on_while_links_break_at_random(
    make_server: MakeServer,
    make_proxy: MakeProxy,
    server: RedisServer,
    spawn: Spawn,
    key: str,
    dice: random.Random,
) -> None:
    barriers, processes, tasks, rounds = make_server(), 3, 2, 60
    proxies = [make_proxy(barriers.port) for _ in range(processes)]
    for proxy in proxies:
        # An arrival that comes late counts once more, and nothing tells it from a true one.
        proxy.forget_late()
    nodes = [
        spawn(
            barrier_nodes.go_round,
            *(proxy.port, server.url, key, processes * tasks, tasks, rounds, 1000),
        )
        for proxy in proxies
    ]
    for node in nodes:
        await node.expect("ready")
    async with running(break_links(proxies, barriers, dice)) as (breaking,):
        for node in nodes:
            await node.expect("done", within=100)
        assert not breaking.done()
    for proxy in proxies:
        proxy.heal()
    let_end(server, key, processes)
    for node in nodes:
        assert await node.wait() == 0, node.errors
        assert not [event for event in node.events if event["event"] == "wrong"]
    await until_nothing_is_left(barriers, count_name(key))
