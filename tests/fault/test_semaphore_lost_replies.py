"""Replies to a semaphore's calls that are lost after the server has executed: each happens once."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from dsync import DistributedBoundedSemaphore, DistributedSemaphore

from tests.fault.lock_tools import MakeProxy, client_for
from tests.integration.semaphores import (
    Look,
    Room,
    free_slots,
    look,
    start_waiters,
    take,
    until_idle,
    until_queued,
    until_used,
)
from tests.support.proxy import Proxy, Which
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VALUE = 2
LINKS: list[Which] = ["command", "subscription"]
Kind = type[DistributedSemaphore]

each_lease = pytest.mark.parametrize("lease", [3.0, None])
each_kind = pytest.mark.parametrize("kind", [DistributedSemaphore, DistributedBoundedSemaphore])


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


def semaphore_of(
    port: int,
    key: str,
    name: str,
    lease: float | None = 3.0,
    kind: Kind = DistributedSemaphore,
    value: int = VALUE,
) -> DistributedSemaphore:
    """Make one whose session has connections of its own, and which only messages bring on."""
    client = client_for(port, name, socket_timeout=0.5)
    return kind(client, key, value, 30.0, lease=lease)


@each_kind
@each_lease
async def test_an_acquire_whose_reply_is_lost_takes_one_slot(
    proxy: Proxy, server: RedisServer, key: str, kind: Kind, lease: float | None
) -> None:
    semaphore = semaphore_of(proxy.port, key, "one", lease, kind)
    assert not await semaphore.locked()
    proxy.drop_replies()
    async with asyncio.timeout(10):
        await semaphore.acquire()
    assert proxy.dropped == 1
    await until_used(server, key, 1 if lease else 0)
    assert free_slots(server, key) == VALUE - 1
    await semaphore.release()
    await until_idle(server, key, VALUE)


def listeners(server: RedisServer) -> int:
    with server.sync() as client:
        return len(client.pubsub_channels("dsync:inbox:*"))


@each_lease
async def test_an_acquire_that_waits_and_whose_reply_is_lost_queues_once(
    proxy: Proxy, server: RedisServer, key: str, lease: float | None
) -> None:
    holder, last = (semaphore_of(server.port, key, "two") for _ in range(2))
    waiting = semaphore_of(proxy.port, key, "one", lease)
    await take(holder, VALUE)
    await waiting.locked()
    proxy.drop_replies()
    (waiter,) = await start_waiters(server, key, waiting)
    await proxy.wait_until(lambda: proxy.accepted == 4)
    await eventually(lambda: listeners(server) == 2, "it listens again")
    (behind,) = await start_waiters(server, key, last)
    async with asyncio.timeout(10):
        await holder.release()
        await waiter
        assert not behind.done()
        await waiting.release()
        await behind
    assert free_slots(server, key) == 0


@each_kind
@each_lease
@pytest.mark.parametrize("waiters", [0, 2])
async def test_a_release_whose_reply_is_lost_gives_one_slot_back(
    proxy: Proxy, server: RedisServer, key: str, kind: Kind, lease: float | None, waiters: int
) -> None:
    semaphore = semaphore_of(proxy.port, key, "one", lease, kind)
    others = [semaphore_of(server.port, key, "two", 30.0, kind) for _ in range(waiters)]
    await take(semaphore, VALUE)
    await until_used(server, key, VALUE if lease else 0)
    tasks = await start_waiters(server, key, *others)
    proxy.drop_replies()
    async with asyncio.timeout(10):
        await semaphore.release()
    assert proxy.dropped == 1
    permits = (VALUE - 1 if lease else 0) + (1 if waiters else 0)
    assert look(server, key) == Look(0 if waiters else 1, permits, max(waiters - 1, 0), 0)
    async with asyncio.timeout(10):
        await semaphore.release()
        await asyncio.gather(*tasks)
    for other in others:
        await other.release()
    await until_idle(server, key, VALUE)


@each_lease
@pytest.mark.parametrize("waiters", [0, 2])
async def test_a_release_without_a_permit_whose_reply_is_lost_adds_one_slot(
    proxy: Proxy, server: RedisServer, key: str, lease: float | None, waiters: int
) -> None:
    giver = semaphore_of(proxy.port, key, "one", lease, value=0)
    others = [semaphore_of(server.port, key, "two", value=0) for _ in range(waiters)]
    tasks = await start_waiters(server, key, *others)
    await giver.locked()
    for count in range(1, 4):
        proxy.drop_replies()
        async with asyncio.timeout(10):
            await giver.release()
        assert proxy.dropped == count
        free = max(count - waiters, 0)
        assert look(server, key) == Look(free, min(count, waiters), max(waiters - count, 0), 0)
    await asyncio.gather(*tasks)


async def test_many_releases_under_way_when_the_link_breaks_add_a_slot_each(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    giver = semaphore_of(proxy.port, key, "one", value=0)
    for after in range(0, 20, 3):
        before = free_slots(server, key) or 0
        await giver.locked()
        proxy.drop_replies(after)
        async with asyncio.timeout(10):
            await asyncio.gather(*(giver.release() for _ in range(20)))
        assert free_slots(server, key) == before + 20
    assert proxy.dropped == 7


async def test_a_refused_release_whose_reply_is_lost_is_still_refused(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    semaphore = semaphore_of(proxy.port, key, "one", None, DistributedBoundedSemaphore)
    await semaphore.locked()
    proxy.drop_replies()
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match=key):
            await semaphore.release()
    assert proxy.dropped == 1
    assert look(server, key) == Look(None, 0, 0, 0)


def more_dropped(proxy: Proxy, before: int) -> bool:
    return proxy.dropped > before


async def test_a_renewal_whose_reply_is_lost_is_asked_again(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    semaphore = semaphore_of(proxy.port, key, "one", 1.0)
    await take(semaphore, VALUE)
    for _ in range(4):
        before = proxy.dropped
        proxy.drop_replies()
        await proxy.wait_until(partial(more_dropped, proxy, before))
        assert look(server, key) == Look(0, VALUE, 0, 0)
    assert semaphore.valid_for() > 0
    assert not semaphore.lost.is_set()
    for _ in range(VALUE):
        await semaphore.release()
    await until_idle(server, key, VALUE)


@each_kind
@each_lease
async def test_every_reply_of_a_cycle_may_be_lost(
    proxy: Proxy, server: RedisServer, key: str, kind: Kind, lease: float | None
) -> None:
    room = Room(VALUE)
    for after in range(0, 16, 2):
        # Fresh sessions, so that the greetings are among the replies.
        names = [f"{after}-{name}" for name in "abc"]
        semaphores = [semaphore_of(proxy.port, key, name, lease, kind) for name in names]
        for only in LINKS:
            proxy.drop_replies(after, only)
            async with asyncio.timeout(15):
                await asyncio.gather(*(room.enter(each) for each in semaphores * 2))
    assert room.visits == 8 * 2 * 6
    assert proxy.dropped > 4
    proxy.drop_replies(1 << 30)
    await until_idle(server, key, VALUE)


LEAVING: dict[str, Callable[[asyncio.Task[bool]], object]] = {
    "cancelled": lambda task: task.cancel(),
    "timed out": lambda task: None,
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
@pytest.mark.parametrize("granted", [False, True], ids=["waiting", "granted meanwhile"])
@each_lease
async def test_an_acquire_that_ends_while_the_link_is_down_takes_nothing(
    proxy: Proxy,
    server: RedisServer,
    key: str,
    lease: float | None,
    granted: bool,
    leave: Callable[[asyncio.Task[bool]], object],
) -> None:
    holder = semaphore_of(server.port, key, "holder")
    waiting = semaphore_of(proxy.port, key, "waiter", lease)
    await take(holder, VALUE)
    task = asyncio.create_task(waiting.acquire(acquire_timeout=0.4))
    await until_queued(server, key, 1)
    if granted:
        proxy.blackhole()
        await holder.release()
    proxy.refuse()
    proxy.cut()
    leave(task)
    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await task
    proxy.blackhole(False)
    proxy.refuse(False)
    await holder.release()
    if not granted:
        await holder.release()
    await until_idle(server, key, VALUE)
