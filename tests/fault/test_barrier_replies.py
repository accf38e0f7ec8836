"""Replies at a barrier that are lost after the server has executed: each call happens once."""

import asyncio

import pytest
from dsync import BrokenBarrierError, DistributedBarrier

from tests.fault.lock_tools import MakeProxy, client_for
from tests.integration.barriers import (
    Listener,
    arrivals,
    channel_name,
    count_name,
    done,
    start_parties,
    until_arrived,
    until_nothing_is_left,
)
from tests.integration.locks import soon
from tests.support.proxy import Proxy, Which
from tests.support.redis_server import RedisServer

LINKS: list[Which] = ["command", "subscription"]


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


def barrier_at(port: int, key: str, parties: int, name: str = "") -> DistributedBarrier:
    """Make a barrier whose session has connections of its own."""
    return DistributedBarrier(client_for(port, name, socket_timeout=0.5), key, parties)


def lose_the_next_reply(proxy: Proxy) -> None:
    """Swallow one with its connection; the client cannot come back before the test lets it."""
    proxy.drop_replies()
    proxy.refuse()


async def swallowed(proxy: Proxy, times: int = 1) -> None:
    await proxy.wait_until(lambda: proxy.dropped == times)


async def test_an_arrival_whose_reply_is_lost_counts_once(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    lossy, good = barrier_at(proxy.port, key, 3), barrier_at(server.port, key, 3)
    await lossy.n_waiting()
    proxy.drop_replies()
    waiting = [asyncio.create_task(lossy.wait())]
    await swallowed(proxy)
    waiting += await start_parties(server, key, good)
    await until_arrived(server, key, 2)
    # Behind what it has sent again.
    assert await lossy.n_waiting() == await good.n_waiting() == 2
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, good.wait()))
    await until_nothing_is_left(server, count_name(key))


async def test_an_opening_whose_reply_is_lost_lets_all_go_and_counts_nobody_again(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    lossy, good = barrier_at(proxy.port, key, 2), barrier_at(server.port, key, 2)
    # It listens to the channel by now, so the next reply is that of its arrival.
    await soon(asyncio.gather(lossy.wait(), good.wait()))
    first = await start_parties(server, key, good)
    await until_confirmed(server, key)
    lose_the_next_reply(proxy)
    last = asyncio.create_task(lossy.wait())
    await swallowed(proxy)
    await soon(asyncio.gather(*first))
    assert not last.done()
    # The next round has begun when it comes back to learn of the end of its own.
    (waiting,) = await start_parties(server, key, good)
    proxy.refuse(False)
    await soon(last)
    assert await good.n_waiting() == await lossy.n_waiting() == 1
    assert not waiting.done()
    await soon(asyncio.gather(waiting, lossy.wait()))
    await until_nothing_is_left(server, count_name(key))


async def until_confirmed(server: RedisServer, key: str) -> None:
    """Wait until all parties of the last round have confirmed that they know."""
    await until_nothing_is_left(server, count_name(key), f"{{{count_name(key)}}}:dsync:parties")


async def test_a_cancellation_whose_reply_is_lost_takes_one_away(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    lossy, good = barrier_at(proxy.port, key, 3), barrier_at(server.port, key, 3)
    waiting = await start_parties(server, key, good)
    (leaving,) = await start_parties(server, key, lossy)
    await lossy.n_waiting()
    lose_the_next_reply(proxy)
    leaving.cancel()
    await swallowed(proxy)
    await until_arrived(server, key, 1)
    proxy.refuse(False)
    assert await lossy.n_waiting() == 1
    waiting += await start_parties(server, key, lossy)
    assert await good.n_waiting() == arrivals(server, key) == 2
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, good.wait()))


@pytest.mark.parametrize("word", ["reset", "abort"])
async def test_a_break_whose_reply_is_lost_breaks_one_round(
    server: RedisServer, proxy: Proxy, key: str, word: str
) -> None:
    lossy, good = barrier_at(proxy.port, key, 3), barrier_at(server.port, key, 3)
    await lossy.n_waiting()
    with Listener(server, channel=channel_name(key)) as listener:
        broken = await start_parties(server, key, good, good)
        lose_the_next_reply(proxy)
        breaking = asyncio.create_task(getattr(lossy, word)())
        await swallowed(proxy)
        for task in broken:
            with pytest.raises(BrokenBarrierError):
                await soon(task)
        waiting = await start_parties(server, key, good, good)
        proxy.refuse(False)
        await soon(breaking)
        assert await lossy.n_waiting() == 2
        assert done(waiting) == 0
        assert listener.words() == [word]
    await soon(asyncio.gather(*waiting, lossy.wait()))


@pytest.mark.parametrize("method", ["_reset_count", "_publish_release"])
async def test_a_helper_whose_reply_is_lost_happens_once(
    server: RedisServer, proxy: Proxy, key: str, method: str
) -> None:
    lossy, good = barrier_at(proxy.port, key, 3), barrier_at(server.port, key, 3)
    await lossy.n_waiting()
    lose_the_next_reply(proxy)
    calling = asyncio.create_task(getattr(lossy, method)())
    await swallowed(proxy)
    waiting = await start_parties(server, key, good, good)
    proxy.refuse(False)
    await soon(calling)
    assert await lossy.n_waiting() == 2
    assert done(waiting) == 0
    await soon(asyncio.gather(*waiting, lossy.wait()))


async def test_a_question_whose_reply_is_lost_is_asked_again(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    lossy = barrier_at(proxy.port, key, 3)
    waiting = await start_parties(server, key, *[barrier_at(server.port, key, 3)] * 2)
    await lossy.n_waiting()
    proxy.drop_replies()
    assert await soon(lossy.n_waiting()) == 2
    assert proxy.dropped == 1
    await soon(asyncio.gather(*waiting, lossy.wait()))


async def test_a_confirmation_whose_reply_is_lost_leaves_nothing(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    lossy = barrier_at(proxy.port, key, 1)
    await lossy.wait()
    for after in (1, 2):
        # The arrival is answered, its confirmation is not; then the other way round.
        proxy.drop_replies(after % 2)
        await soon(lossy.wait())
        await swallowed(proxy, after)
        await soon(lossy.n_waiting())
        await until_nothing_is_left(server, count_name(key))


async def test_every_reply_of_a_round_may_be_lost(
    server: RedisServer, proxy: Proxy, key: str
) -> None:
    for after in range(12):
        # Fresh sessions, so that the greetings are among the replies.
        barriers = [barrier_at(proxy.port, key, 4, f"{after}-{name}") for name in "abc"]
        good = barrier_at(server.port, key, 4)
        for only in LINKS:
            proxy.drop_replies(after, only)
            tasks = [asyncio.create_task(barrier.wait()) for barrier in barriers]
            await until_arrived(server, key, 3)
            assert done(tasks) == 0
            await soon(asyncio.gather(*tasks, good.wait()))
            assert arrivals(server, key) == 0
    assert proxy.dropped > 8
