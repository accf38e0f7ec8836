"""A server that does not read, and a loop that does not: nothing piles up in this process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dsync import (
    DistributedBarrier,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)
from redis.asyncio import Redis

from tests.fault.lock_tools import MakeServer, client_for
from tests.integration.locks import soon
from tests.support.inventory import MIB, resident
from tests.support.redis_server import RedisServer
from tests.support.tls import TlsFiles
from tests.support.waiting import eventually

AT_ONCE = 500
# So long that a few thousand commands are more than all sockets take.
LONG = "x" * 1000

WORK: dict[str, Callable[[Redis, str], Awaitable[Any]]] = {
    "lock": lambda redis, key: DistributedLock(redis, key).acquire(),
    "semaphore": lambda redis, key: DistributedSemaphore(redis, key, 1).acquire(),
    "condition": lambda redis, key: DistributedCondition(redis, key).wait(),
    "barrier": lambda redis, key: DistributedBarrier(redis, key, 2).wait(),
    "event": lambda redis, key: DistributedEvent(redis, key).wait(),
    "question of a lock": lambda redis, key: DistributedLock(redis, key).locked(),
    "question of an event": lambda redis, key: DistributedEvent(redis, key).is_set(),
}


async def give_up_soon(redis: Redis, begin: Callable[[Redis, str], Any], key: str) -> None:
    try:
        async with asyncio.timeout(0.001):
            await begin(redis, key)
    except TimeoutError:
        return
    raise AssertionError("a stopped server has answered")


async def come_and_go(redis: Redis, begin: Callable[[Redis, str], Any], count: int) -> None:
    """Let so many begin and give up again, some at once, each with a key of its own."""
    for first in range(0, count, AT_ONCE):
        keys = (f"{LONG}-{number}" for number in range(first, first + AT_ONCE))
        await asyncio.gather(*(give_up_soon(redis, begin, key) for key in keys))


async def check_that_nothing_piles_up(
    server: RedisServer, redis: Redis, begin: Callable[[Redis, str], Any]
) -> None:
    lock = DistributedLock(redis, "warm", lease=60)
    async with lock:
        pass
    server.pause()
    try:
        await come_and_go(redis, begin, 10_000)
        # The kernel's sockets take some megabytes more, sooner or later; then it is level.
        for _ in range(5):
            before = resident()
            await come_and_go(redis, begin, 20_000)
            grown = resident() - before
            if grown < 5 * MIB:
                break
    finally:
        server.resume()
    # One kept command of 1 to 4 KiB for each would be 20 to 80 MiB.
    assert grown < 5 * MIB
    # And the session goes on, with what it had.
    async with asyncio.timeout(60), lock:
        assert await lock.owned()
    await eventually(lambda: is_clean(server), "keys or channels are left", 20)


def is_clean(server: RedisServer) -> bool:
    """Tell whether nobody waits or holds, as the server sees it."""
    with server.sync() as admin:
        channels = admin.pubsub_channels("*")
        auxiliary = {name.rpartition("}:")[2] for name in admin.scan_iter("*:dsync:*", 1000)}
        locks = list(admin.scan_iter("distributed_lock_*", 1000))
    only_inboxes = all(name.startswith("dsync:inbox:") for name in channels)
    return only_inboxes and auxiliary <= {"dsync:fence"} and not locks


@pytest.mark.parametrize("name", WORK)
async def test_who_gives_up_while_the_server_is_stopped_leaves_nothing(
    make_server: MakeServer, name: str
) -> None:
    server = make_server()
    # The links must not be given up, which would forget all.
    redis = client_for(server.port, "worker", socket_timeout=600)
    await check_that_nothing_piles_up(server, redis, WORK[name])


async def test_who_gives_up_over_tls_leaves_nothing(
    make_server: MakeServer, tls_files: TlsFiles
) -> None:
    server = make_server(tls=tls_files)
    redis = server.tls_client(socket_timeout=600)
    await check_that_nothing_piles_up(server, redis, WORK["lock"])


async def test_questions_to_a_server_that_is_away_are_forgotten(make_server: MakeServer) -> None:
    server = make_server()
    redis = client_for(server.port, "worker", retries=100_000)
    begin = WORK["question of a lock"]
    await DistributedLock(redis, "warm").locked()
    server.kill()
    await come_and_go(redis, begin, 2_000)
    before = resident()
    await come_and_go(redis, begin, 20_000)
    assert resident() - before < 5 * MIB


async def test_all_that_waited_for_room_are_served(make_server: MakeServer) -> None:
    server = make_server()
    redis = client_for(server.port, "worker", socket_timeout=600)
    async with DistributedLock(redis, "warm"):
        pass
    locks = [DistributedLock(redis, f"{LONG}-{number}", lease=60) for number in range(10_000)]
    server.pause()
    tasks = [asyncio.create_task(lock.acquire()) for lock in locks]
    await asyncio.sleep(0)
    server.resume()
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
        await asyncio.gather(*(lock.release() for lock in locks))
    assert is_clean(server)


async def test_messages_for_a_loop_that_is_blocked_wait_at_the_server(
    make_server: MakeServer,
) -> None:
    server = make_server()
    redis = client_for(server.port, "worker")
    event = DistributedEvent(redis, "event", 60)
    waiter = asyncio.create_task(event.wait())
    await eventually(lambda: bool(waiting_for_event(server)), "the waiter listens")
    before = resident()
    with server.sync() as admin, admin.pipeline(transaction=False) as pipeline:
        # Not what wakes a waiter. All of it comes while this loop has no turn.
        for _ in range(50):
            for _ in range(1000):
                pipeline.publish("event_event_channel", LONG)
            pipeline.execute()
    await soon(event.set())
    await soon(waiter)
    assert resident() - before < 20 * MIB


def waiting_for_event(server: RedisServer) -> int:
    with server.sync() as admin:
        return int(admin.pubsub_numsub("event_event_channel")[0][1])
