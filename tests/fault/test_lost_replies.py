"""Replies that are lost after the server has executed: what was done is not done again."""

import asyncio
from functools import partial

import pytest

from tests.fault.lock_tools import (
    MakeProxy,
    Room,
    fence_name,
    free,
    lock_name,
    lock_of,
    queued,
    running,
)
from tests.support.proxy import Proxy, Which
from tests.support.redis_server import RedisServer

LINKS: list[Which] = ["command", "subscription"]


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


async def test_an_acquire_whose_reply_is_lost_is_granted_once(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    lock, rival = lock_of(proxy.port, key, "one"), lock_of(server.port, key, "two")
    await lock.locked()
    proxy.drop_replies()
    async with asyncio.timeout(10):
        await lock.acquire()
    assert proxy.dropped == 1
    with server.sync() as client:
        assert client.get(lock_name(key)) == lock._token
        assert str(client.get(fence_name(key))).startswith(f"{lock.fencing_token} ")
    assert not await rival.try_acquire()
    await lock.release()
    await free(server, key)


@pytest.mark.parametrize("waiting", [False, True], ids=["alone", "with a waiter"])
async def test_a_release_whose_reply_is_lost_is_done_once(
    proxy: Proxy, server: RedisServer, key: str, waiting: bool
) -> None:
    lock = lock_of(proxy.port, key, "one")
    waiters = [lock_of(server.port, key, "two") for _ in range(2 if waiting else 0)]
    await lock.acquire()
    async with running() as tasks:
        for number, waiter in enumerate(waiters):
            tasks.append(asyncio.create_task(waiter.acquire()))
            await queued(server, key, number + 1)
        proxy.drop_replies()
        async with asyncio.timeout(10):
            await lock.release()
        assert proxy.dropped == 1
        for number, waiter in enumerate(waiters):
            async with asyncio.timeout(10):
                await tasks[number]
            # The second release must not have freed what the first has handed over.
            assert await waiter.owned()
            assert not any(task.done() for task in tasks[number + 1 :])
            await waiter.release()
    with pytest.raises(RuntimeError):
        await lock.release()
    await free(server, key)


def more_dropped(proxy: Proxy, before: int) -> bool:
    return proxy.dropped > before


async def test_a_renewal_whose_reply_is_lost_is_asked_again(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    lock = lock_of(proxy.port, key, "one", lease=1)
    await lock.acquire()
    for _ in range(3):
        before = proxy.dropped
        proxy.drop_replies()
        await proxy.wait_until(partial(more_dropped, proxy, before))
    await asyncio.sleep(1)
    assert lock.valid_for() > 0
    assert not lock.lost.is_set()
    await lock.release()
    await free(server, key)


async def test_every_reply_of_a_cycle_may_be_lost(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    room = Room()
    for after in range(16):
        # Fresh sessions, so that the greetings are among the replies.
        locks = [lock_of(proxy.port, key, f"{after}-{name}") for name in "abc"]
        for only in LINKS:
            before = room.visits
            proxy.drop_replies(after, only)
            async with asyncio.timeout(15):
                await asyncio.gather(*(room.enter(lock) for lock in locks * 2))
            assert room.visits == before + 6
    assert proxy.dropped > 8
    proxy.drop_replies(1 << 30)
    await free(server, key)
