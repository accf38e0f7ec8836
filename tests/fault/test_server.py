"""Servers that stop, restart, forget, freeze and refuse."""

import asyncio
from collections.abc import Callable

import pytest
from dsync import DistributedLock
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.fault.lock_tools import (
    SHORT_LEASE,
    MakeServer,
    Room,
    client_for,
    fence_name,
    free,
    lock_name,
    polling_lock,
    queue_name,
    queued,
    released_or_lost,
    running,
    usable,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def restart_empty(server: RedisServer, key: str) -> None:
    server.restart(keep_data=False)


def crash_empty(server: RedisServer, key: str) -> None:
    server.kill()
    server.start()


def flush_all(server: RedisServer, key: str) -> None:
    with server.sync() as client:
        client.flushall()


def delete(name: Callable[[str], str]) -> Callable[[RedisServer, str], None]:
    def damage(server: RedisServer, key: str) -> None:
        with server.sync() as client:
            assert client.delete(name(key)) == 1

    damage.__name__ = f"delete_{name.__name__}"
    return damage


Damage = Callable[[RedisServer, str], None]
FORGETS_HOLDER: list[Damage] = [
    restart_empty,
    crash_empty,
    flush_all,
    delete(lock_name),
    delete(fence_name),
]


def name_of(value: Damage) -> str:
    return value.__name__


# ---- data that are kept, and data that are gone ----


async def test_a_restart_with_data_changes_nothing(own: RedisServer, key: str) -> None:
    holder = polling_lock(own, key, "holder", lease=3)
    waiters = [polling_lock(own, key, f"waiter{number}", lease=3) for number in range(3)]
    await holder.acquire()
    fence, room = holder.fencing_token, Room()
    async with running() as tasks:
        for number, waiter in enumerate(waiters):
            tasks.append(asyncio.create_task(room.enter(waiter)))
            await queued(own, key, number + 1)
        own.restart(keep_data=True)
        await eventually(lambda: len(own.connections()) >= 6, "everybody is back")
        assert await holder.owned()
        assert (room.visits, holder.fencing_token) == (0, fence)
        await holder.release()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
    assert room.fences[0] > fence
    await free(own, key)


@pytest.mark.parametrize("damage", FORGETS_HOLDER, ids=name_of)
async def test_a_forgotten_holder_is_told_and_waiters_go_on(
    own: RedisServer, key: str, damage: Damage
) -> None:
    told: list[DistributedLock] = []
    holder = polling_lock(own, key, "holder", on_lost=told.append)
    waiters = [polling_lock(own, key, f"waiter{number % 2}") for number in range(4)]
    await holder.acquire()
    fence, room = holder.fencing_token, Room()
    async with running() as tasks:
        for number, waiter in enumerate(waiters):
            tasks.append(asyncio.create_task(room.enter(waiter, 0.05)))
            await queued(own, key, number + 1)
        damage(own, key)
        async with asyncio.timeout(SHORT_LEASE + 5):
            await holder.lost
        assert (told, holder.valid_for()) == ([holder], 0)
        async with asyncio.timeout(SHORT_LEASE + 5):
            await asyncio.gather(*tasks)
    assert room.visits == 4
    assert room.fences[0] > fence
    assert not await released_or_lost(holder)
    await free(own, key)


@pytest.mark.parametrize("damage", FORGETS_HOLDER, ids=name_of)
async def test_a_forgotten_holder_without_waiters_frees_nothing_of_others(
    own: RedisServer, key: str, damage: Damage
) -> None:
    holder, other = polling_lock(own, key, "holder"), polling_lock(own, key, "other")
    await holder.acquire()
    damage(own, key)
    async with asyncio.timeout(SHORT_LEASE + 5):
        await holder.lost
        await other.acquire()
    assert not await released_or_lost(holder)
    assert await other.owned()
    await other.release()
    await free(own, key)


async def test_a_holder_without_lease_is_not_locked_in_when_its_fence_is_gone(
    own: RedisServer, key: str
) -> None:
    holder, waiter = polling_lock(own, key, "holder", lease=None), polling_lock(own, key, "waiter")
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        delete(fence_name)(own, key)
        await released_or_lost(holder)
        async with asyncio.timeout(5):
            await acquiring
    await waiter.release()


async def test_waiters_whose_queue_is_deleted_queue_again(own: RedisServer, key: str) -> None:
    holder = polling_lock(own, key, "holder")
    waiters = [polling_lock(own, key, f"waiter{number % 2}") for number in range(6)]
    await holder.acquire()
    room = Room()
    async with running(*(room.enter(waiter) for waiter in waiters)) as tasks:
        await queued(own, key, 6)
        delete(queue_name)(own, key)
        await queued(own, key, 6)
        assert await holder.owned()
        await holder.release()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
    assert room.visits == 6
    await free(own, key)


async def test_a_release_finds_the_queue_deleted_and_waiters_go_on(
    own: RedisServer, key: str
) -> None:
    holder, waiter = polling_lock(own, key, "holder"), polling_lock(own, key, "waiter")
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        delete(queue_name)(own, key)
        await holder.release()
        async with asyncio.timeout(5):
            await acquiring
    await waiter.release()
    await free(own, key)


async def test_damage_at_random_moments_never_lets_two_in(own: RedisServer, key: str) -> None:
    # The queue may go at any time; the lock and its fence only while nobody relies on them.
    room = Room()

    async def work(name: str) -> None:
        lock = polling_lock(own, key, name, lease=5)
        for _ in range(150):
            await room.enter(lock)

    async def damage() -> None:
        while True:
            with own.sync() as client:
                client.delete(queue_name(key))
                client.script_flush()
            await asyncio.sleep(0.01)

    async with running(damage()), asyncio.timeout(60):
        await asyncio.gather(*(work(f"worker{number}") for number in range(4)))
    assert room.visits == 600
    await free(own, key)


# ---- frozen ----


async def test_a_server_frozen_for_less_than_the_lease_loses_nothing(
    own: RedisServer, key: str
) -> None:
    holder, waiter = (
        polling_lock(own, key, "holder", lease=3),
        polling_lock(own, key, "waiter", lease=3),
    )
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        for _ in range(2):
            own.pause()
            await asyncio.sleep(1)
            own.resume()
            assert await holder.owned()
        assert not acquiring.done()
        assert not holder.lost.is_set()
        await holder.release()
        async with asyncio.timeout(5):
            await acquiring
    await waiter.release()


@pytest.mark.parametrize("patience", [0.3, 30.0], ids=["reconnecting", "patient"])
async def test_a_holder_is_told_while_the_server_is_frozen_past_the_lease(
    own: RedisServer, key: str, patience: float
) -> None:
    holder = polling_lock(own, key, "holder")
    client = client_for(own.port, "waiter", socket_timeout=patience)
    waiter = DistributedLock(client, key, lease=SHORT_LEASE)
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        own.pause()
        async with asyncio.timeout(SHORT_LEASE + 5):
            await holder.lost
        assert holder.valid_for() == 0
        assert not acquiring.done()
        own.resume()
        async with asyncio.timeout(10):
            await acquiring
        assert waiter.valid_for() > 0
    assert not await released_or_lost(holder)
    await waiter.release()
    await free(own, key)


# ---- scripts that are forgotten ----


async def test_no_command_minds_that_the_scripts_are_flushed(own: RedisServer, key: str) -> None:
    holder = polling_lock(own, key, "holder")
    waiter = polling_lock(own, key, "waiter")
    quitter = polling_lock(own, key, "quitter", acquire_timeout=0.3)
    with own.sync() as client:
        for _ in range(3):
            client.script_flush()
            await holder.acquire()
            client.script_flush()
            assert await holder.owned()
            client.script_flush()
            await holder.extend(SHORT_LEASE)
            async with running(waiter.acquire()) as (acquiring,):
                await queued(own, key, 1)
                client.script_flush()
                with pytest.raises(TimeoutError):
                    await quitter.acquire()
                client.script_flush()
                # Long enough for renewals, which have to bring their script again.
                await asyncio.sleep(1.2 * SHORT_LEASE)
                assert holder.valid_for() > 0
                client.script_flush()
                await holder.release()
                await acquiring
            client.script_flush()
            await waiter.release()
    await free(own, key)


# ---- away ----


async def test_callers_learn_that_the_server_stays_away(own: RedisServer, key: str) -> None:
    client = client_for(own.port, retries=5)
    holder = DistributedLock(client, key + "2", lease=SHORT_LEASE)
    lasting = DistributedLock(client, key, lease=None)
    locks = [DistributedLock(client, key, lease=SHORT_LEASE) for _ in range(3)]
    await holder.acquire()
    await lasting.acquire()
    async with running(
        locks[0].acquire(),
        locks[1].acquire(acquire_timeout=1),
        locks[2].acquire(acquire_timeout=60),
    ) as (without, short, long):
        await queued(own, key, 3)
        own.stop()
        with pytest.raises(RedisConnectionError):
            await without
        with pytest.raises(RedisConnectionError):
            await holder.release()
        with pytest.raises(RedisConnectionError):
            await locks[0].locked()
        with pytest.raises(TimeoutError):
            await short
        assert not long.done()
        own.start()
        async with asyncio.timeout(10):
            assert await long
    await locks[2].release()
    assert not await released_or_lost(lasting)
    await usable(own, key)
    await free(own, key)
    await free(own, key + "2")
