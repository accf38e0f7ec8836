"""Connections that break at every point of an operation: each still happens once."""

import asyncio
from collections.abc import Callable

import pytest
import redis

from tests.fault.lock_tools import (
    MakeProxy,
    Room,
    answered,
    free,
    lock_name,
    lock_of,
    queued,
    running,
)
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Fault = Callable[[Proxy], None]

FAULTS: dict[str, Fault] = {
    "cut all": lambda proxy: proxy.cut(),
    "cut commands": lambda proxy: proxy.cut("command"),
    "cut inbox": lambda proxy: proxy.cut("subscription"),
    "half-close all": lambda proxy: proxy.half_close(),
    "half-close commands": lambda proxy: proxy.half_close("command"),
    "half-close inbox": lambda proxy: proxy.half_close("subscription"),
    "garbage": lambda proxy: proxy.inject(b"\x00garbage\xff\r\n", "all"),
    "garbage on inbox": lambda proxy: proxy.inject(b"$3\r\nabcdef", "subscription"),
    "unasked reply": lambda proxy: proxy.inject(b":7\r\n", "command"),
    "unasked error": lambda proxy: proxy.inject(b"-ERR no\r\n", "command"),
    "unasked push": lambda proxy: proxy.inject(b"*1\r\n:1\r\n", "subscription"),
    "endless reply": lambda proxy: proxy.inject(b"$99999999999999999999\r\n", "all"),
    "foreign message": lambda proxy: proxy.inject(
        b"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$9\r\nabc:1 2 3\r\n", "subscription"
    ),
}


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_waiters_survive_a_broken_link(
    proxy: Proxy, server: RedisServer, key: str, fault: Fault
) -> None:
    holder = lock_of(server.port, key, "holder")
    waiters = [lock_of(proxy.port, key, f"waiter{number % 2}") for number in range(4)]
    await holder.acquire()
    room = Room()
    async with running(*(room.enter(waiter) for waiter in waiters)) as tasks:
        await queued(server, key, 4)
        await answered(*waiters)
        fault(proxy)
        await queued(server, key, 4)
        await holder.release()
        async with asyncio.timeout(15):
            await asyncio.gather(*tasks)
    assert room.visits == 4
    await free(server, key)


async def test_waiters_keep_their_places_when_nothing_moved_meanwhile(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    holder = lock_of(server.port, key, "holder")
    await holder.acquire()
    order: list[int] = []

    async def wait(number: int, port: int) -> None:
        async with lock_of(port, key, f"waiter{number}"):
            order.append(number)

    async with running() as tasks:
        for number in range(4):
            port = (proxy if number % 2 else server).port
            tasks.append(asyncio.create_task(wait(number, port)))
            await queued(server, key, number + 1)
        seen = proxy.accepted
        proxy.cut()
        await proxy.wait_until(lambda: proxy.accepted >= seen + 4)
        await eventually(lambda: len(subscribers(server)) == 5, "everybody listens again")
        await holder.release()
        async with asyncio.timeout(15):
            await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


def subscribers(server: RedisServer) -> list[str]:
    with server.sync() as client:
        return list(client.pubsub_channels("dsync:inbox:*"))


async def test_a_waiter_that_was_away_at_the_release_queues_again(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    holder = lock_of(server.port, key, "holder")
    away, present = lock_of(proxy.port, key, "away"), lock_of(server.port, key, "present")
    await holder.acquire()
    async with running(away.acquire()) as (acquiring,):
        await queued(server, key, 1)
        async with running(present.acquire()) as (other,):
            await queued(server, key, 2)
            proxy.refuse()
            proxy.cut()
            await eventually(lambda: len(subscribers(server)) == 2, "the server saw it go")
            await holder.release()
            await other
        proxy.refuse(False)
        await queued(server, key, 1)
        await present.release()
        async with asyncio.timeout(10):
            await acquiring
    await away.release()
    await free(server, key)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_holder_survives_a_broken_link(
    proxy: Proxy, server: RedisServer, key: str, fault: Fault
) -> None:
    lock = lock_of(proxy.port, key, "holder", lease=1)
    await lock.acquire()
    fence = lock.fencing_token
    for _ in range(3):
        fault(proxy)
        await asyncio.sleep(0.5)
        assert lock.valid_for() > 0
        assert await lock.owned()
    assert (lock.fencing_token, lock.lost.is_set()) == (fence, False)
    async with asyncio.timeout(10):
        await lock.release()
    await free(server, key)


@pytest.mark.parametrize("direction", ["requests", "replies", "both"])
@pytest.mark.parametrize("seconds", [0.2, 1.2], ids=["short", "longer than a reply may take"])
async def test_operations_outlast_a_network_that_swallows_everything(
    proxy: Proxy, server: RedisServer, key: str, direction: str, seconds: float
) -> None:
    lock, second = lock_of(proxy.port, key, "one"), lock_of(proxy.port, key + "2", "one")
    waiter = lock_of(server.port, key + "2", "two")
    await lock.locked()
    await second.acquire()
    async with running(waiter.acquire()) as (handed,):
        await queued(server, key + "2", 1)
        proxy.blackhole(True, direction)  # type: ignore[arg-type]
        async with running(lock.acquire(), second.release()) as (acquiring, releasing):
            await asyncio.sleep(seconds)
            assert not any(task.done() for task in (acquiring, releasing))
            proxy.blackhole(False)
            async with asyncio.timeout(15):
                await acquiring
                await releasing
                await handed
    assert await lock.owned()
    assert lock.valid_for() > 0
    await lock.release()
    await waiter.release()
    await free(server, key)
    await free(server, key + "2")


async def test_operations_work_byte_by_byte(proxy: Proxy, server: RedisServer, key: str) -> None:
    proxy.byte_by_byte()
    locks = [lock_of(proxy.port, key, f"session{number % 2}") for number in range(6)]
    room = Room()
    async with asyncio.timeout(30):
        await asyncio.gather(*(room.enter(lock) for lock in locks * 3))
    assert room.visits == 18
    await free(server, key)


async def test_operations_work_over_a_slow_link(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    proxy.delay(0.1)
    holder = lock_of(proxy.port, key, "slow")
    waiter = lock_of(proxy.port, key, "slower", lease=1)
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(server, key, 1)
        await holder.release()
        await acquiring
    with server.sync() as client:
        # The holder must never believe in more than the server has granted.
        believed = waiter.valid_for()
        assert believed <= client.pttl(lock_name(key)) / 1000 + 0.01
    await asyncio.sleep(2)
    assert waiter.valid_for() > 0
    await waiter.release()
    await free(server, key)


# ---- the server ends connections ----


def kill(server: RedisServer, pick: Callable[[dict[str, str]], bool]) -> int:
    """End the connections that are picked; tell how many there were."""
    victims = [each["id"] for each in server.connections() if pick(each)]
    with server.sync() as client:
        for victim in victims:
            try:
                client.client_kill_filter(_id=victim)
            except redis.ResponseError:
                continue
    return len(victims)


KINDS: dict[str, Callable[[dict[str, str]], bool]] = {
    "inbox": lambda each: int(each["sub"]) > 0,
    "commands": lambda each: int(each["sub"]) == 0 and each["name"] != "",
    "everything": lambda each: True,
}


@pytest.mark.parametrize("pick", KINDS.values(), ids=KINDS)
async def test_a_killed_connection_disturbs_neither_holder_nor_waiters(
    server: RedisServer, key: str, pick: Callable[[dict[str, str]], bool]
) -> None:
    holder = lock_of(server.port, key, "holder", lease=1)
    waiters = [lock_of(server.port, key, f"waiter{number % 2}") for number in range(4)]
    await holder.acquire()
    room = Room()
    async with running(*(room.enter(waiter) for waiter in waiters)) as tasks:
        await queued(server, key, 4)
        for _ in range(4):
            assert kill(server, pick) > 0
            await asyncio.sleep(0.3)
        assert holder.valid_for() > 0
        assert room.visits == 0
        await eventually(lambda: len(subscribers(server)) >= 2, "everybody is back")
        async with running(holder.release()) as (releasing,):
            # Between the write of the release and its reply.
            await asyncio.sleep(0)
            kill(server, pick)
            async with asyncio.timeout(15):
                await releasing
                await asyncio.gather(*tasks)
    assert room.visits == 4
    await free(server, key)


async def test_connections_killed_all_the_time_never_let_two_in(
    server: RedisServer, key: str
) -> None:
    room = Room()

    async def work(name: str) -> None:
        lock = lock_of(server.port, key, name, acquire_sleep_delay=0.1)
        for _ in range(100):
            await room.enter(lock)

    async def killer() -> None:
        kinds = [*KINDS.values()] * 1000
        for pick in kinds:
            await asyncio.sleep(0.02)
            await asyncio.to_thread(kill, server, pick)

    async with running(killer()), asyncio.timeout(60):
        await asyncio.gather(*(work(f"worker{number % 3}") for number in range(6)))
    assert room.visits == 600
    await free(server, key)


# ---- leaving while the link is down ----


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
@pytest.mark.parametrize("state", ["queued", "just asked", "granted meanwhile"])
async def test_a_waiter_that_leaves_while_the_link_is_down_leaves_nothing(
    proxy: Proxy, server: RedisServer, key: str, state: str, how: str
) -> None:
    holder, waiter = lock_of(server.port, key, "holder"), lock_of(proxy.port, key, "waiter")
    await waiter.locked()
    await holder.acquire()
    timeout = 0.4 if how == "timed out" else None
    async with running(waiter.acquire(acquire_timeout=timeout)) as (acquiring,):
        if state == "just asked":
            await asyncio.sleep(0)
        else:
            await queued(server, key, 1)
        if state == "granted meanwhile":
            proxy.blackhole()
            await holder.release()
        proxy.refuse()
        proxy.cut()
        if how == "cancelled":
            acquiring.cancel()
        with pytest.raises((asyncio.CancelledError, TimeoutError)):
            await acquiring
    proxy.blackhole(False)
    proxy.refuse(False)
    if state != "granted meanwhile":
        await holder.release()
    # Far sooner than the lease of a grant that nobody took would end.
    await free(server, key, 2)
    await waiter.acquire()
    await waiter.release()


async def test_a_cancelled_release_still_frees_the_lock(
    proxy: Proxy, server: RedisServer, key: str
) -> None:
    lock = lock_of(proxy.port, key, "holder", lease=30)
    await lock.acquire()
    proxy.refuse()
    proxy.cut()
    async with running(lock.release()) as (releasing,):
        await asyncio.sleep(0)
        releasing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await releasing
    proxy.refuse(False)
    await free(server, key)
    with pytest.raises(RuntimeError):
        await lock.release()
