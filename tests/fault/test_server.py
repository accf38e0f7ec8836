"""Servers that stop, restart, forget, freeze and refuse."""

import asyncio
from collections.abc import Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from dsync import DistributedLock
from tests.fault.lock_tools import (
    MakeServer,
    Room,
    client_for,
    fence_name,
    free,
    lock_name,
    queue_name,
    queued,
    released_or_lost,
    running,
    usable,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LEASE = 1.0


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def lock_of(server: RedisServer, key: str, name: str, **options: object) -> DistributedLock:
    """Make a lock whose session has connections of its own."""
    settings = {"lease": LEASE, "acquire_sleep_delay": 0.1, **options}
    return DistributedLock(client_for(server.port, name), key, **settings)  # type: ignore[arg-type]


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
    holder = lock_of(own, key, "holder", lease=3)
    waiters = [lock_of(own, key, f"waiter{number}", lease=3) for number in range(3)]
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
    holder = lock_of(own, key, "holder", on_lost=told.append)
    waiters = [lock_of(own, key, f"waiter{number % 2}") for number in range(4)]
    await holder.acquire()
    fence, room = holder.fencing_token, Room()
    async with running() as tasks:
        for number, waiter in enumerate(waiters):
            tasks.append(asyncio.create_task(room.enter(waiter, 0.05)))
            await queued(own, key, number + 1)
        damage(own, key)
        async with asyncio.timeout(LEASE + 5):
            await holder.lost
        assert (told, holder.valid_for()) == ([holder], 0)
        async with asyncio.timeout(LEASE + 5):
            await asyncio.gather(*tasks)
    assert room.visits == 4
    assert room.fences[0] > fence
    assert not await released_or_lost(holder)
    await free(own, key)


@pytest.mark.parametrize("damage", FORGETS_HOLDER, ids=name_of)
async def test_a_forgotten_holder_without_waiters_frees_nothing_of_others(
    own: RedisServer, key: str, damage: Damage
) -> None:
    holder, other = lock_of(own, key, "holder"), lock_of(own, key, "other")
    await holder.acquire()
    damage(own, key)
    async with asyncio.timeout(LEASE + 5):
        await holder.lost
        await other.acquire()
    assert not await released_or_lost(holder)
    assert await other.owned()
    await other.release()
    await free(own, key)


async def test_a_holder_without_lease_is_not_locked_in_when_its_fence_is_gone(
    own: RedisServer, key: str
) -> None:
    holder, waiter = lock_of(own, key, "holder", lease=None), lock_of(own, key, "waiter")
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        delete(fence_name)(own, key)
        await released_or_lost(holder)
        async with asyncio.timeout(5):
            await acquiring
    await waiter.release()


async def test_waiters_whose_queue_is_deleted_queue_again(own: RedisServer, key: str) -> None:
    holder = lock_of(own, key, "holder")
    waiters = [lock_of(own, key, f"waiter{number % 2}") for number in range(6)]
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
    holder, waiter = lock_of(own, key, "holder"), lock_of(own, key, "waiter")
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
        lock = lock_of(own, key, name, lease=5)
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
    holder, waiter = lock_of(own, key, "holder", lease=3), lock_of(own, key, "waiter", lease=3)
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
    holder = lock_of(own, key, "holder")
    client = client_for(own.port, "waiter", socket_timeout=patience)
    waiter = DistributedLock(client, key, lease=LEASE)
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        own.pause()
        async with asyncio.timeout(LEASE + 5):
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
    holder = lock_of(own, key, "holder")
    waiter = lock_of(own, key, "waiter")
    quitter = lock_of(own, key, "quitter", acquire_timeout=0.3)
    with own.sync() as client:
        for _ in range(3):
            client.script_flush()
            await holder.acquire()
            client.script_flush()
            assert await holder.owned()
            client.script_flush()
            await holder.extend(LEASE)
            async with running(waiter.acquire()) as (acquiring,):
                await queued(own, key, 1)
                client.script_flush()
                with pytest.raises(TimeoutError):
                    await quitter.acquire()
                client.script_flush()
                # Long enough for renewals, which have to bring their script again.
                await asyncio.sleep(1.2 * LEASE)
                assert holder.valid_for() > 0
                client.script_flush()
                await holder.release()
                await acquiring
            client.script_flush()
            await waiter.release()
    await free(own, key)


# ---- refusals ----


async def test_a_server_out_of_memory_refuses_new_holders_and_serves_the_others(
    own: RedisServer, key: str
) -> None:
    holder, waiter = lock_of(own, key, "holder"), lock_of(own, key, "waiter")
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        with own.sync() as client:
            client.config_set("maxmemory", 1)
        for stranger in (lock_of(own, key, "stranger"), lock_of(own, key + "2", "stranger")):
            with pytest.raises(Exception, match="OOM") as refusal:
                await stranger.acquire()
            assert type(refusal.value).__module__ == "redis.exceptions"
            assert "not held" in repr(stranger)
        await asyncio.sleep(1.5 * LEASE)
        assert holder.valid_for() > 0
        await holder.release()
        async with asyncio.timeout(5):
            await acquiring
        await waiter.release()
        with own.sync() as client:
            client.config_set("maxmemory", 0)
    await usable(own, key)
    await free(own, key)


REFUSALS = {"READONLY": "yes", "MASTERDOWN": "no"}


@pytest.mark.parametrize("serve_stale", REFUSALS.values(), ids=REFUSALS)
async def test_a_server_that_became_a_replica_holds_callers_up_until_it_is_a_master(
    own: RedisServer, key: str, serve_stale: str
) -> None:
    holder = lock_of(own, key, "holder", lease=30)
    waiter, patient = lock_of(own, key, "waiter"), lock_of(own, key, "patient")
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        with own.sync() as client:
            client.config_set("replica-serve-stale-data", serve_stale)
            # Nobody listens there, so the data stay.
            client.replicaof("127.0.0.1", "1")
        hurried = DistributedLock(client_for(own.port, "hurried", retries=3), key)
        with pytest.raises(RedisConnectionError):
            await hurried.acquire()
        with pytest.raises(TimeoutError):
            await hurried.acquire(acquire_timeout=0.3)
        async with running(holder.release(), patient.acquire()) as (releasing, later):
            await asyncio.sleep(0.3)
            assert not (releasing.done() or later.done() or acquiring.done())
            with own.sync() as client:
                client.replicaof("NO", "ONE")
            async with asyncio.timeout(20):
                await releasing
                await acquiring
                await waiter.release()
                await later
    await patient.release()
    await free(own, key)


async def test_a_server_that_loads_its_data_is_waited_for(own: RedisServer, key: str) -> None:
    holder = lock_of(own, key, "holder", lease=5)
    waiter = lock_of(own, key, "waiter", lease=5)
    with own.sync() as client:
        for number in range(400):
            client.set(f"filler{number}", "x" * 1000)
        client.config_set("key-load-delay", 3000)
        client.config_set("loading-process-events-interval-bytes", 1024)
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        async with running(asyncio.to_thread(reload, own)) as (reloading,):
            await eventually(lambda: is_loading(own), "the server loads")
            hurried = DistributedLock(client_for(own.port, "hurried", retries=2), key + "2")
            with pytest.raises(RedisConnectionError, match="LOADING"):
                await hurried.acquire()
            assert is_loading(own)
            async with asyncio.timeout(20):
                await holder.release()
                await acquiring
            await reloading
    await waiter.release()
    await free(own, key)


def reload(server: RedisServer) -> None:
    with server.sync() as client:
        client.execute_command("DEBUG", "RELOAD")


def is_loading(server: RedisServer) -> bool:
    with server.sync() as client:
        return bool(client.info("persistence")["loading"])


# ---- away ----


async def test_callers_learn_that_the_server_stays_away(own: RedisServer, key: str) -> None:
    client = client_for(own.port, retries=5)
    holder = DistributedLock(client, key + "2", lease=LEASE)
    lasting = DistributedLock(client, key, lease=None)
    locks = [DistributedLock(client, key, lease=LEASE) for _ in range(3)]
    await holder.acquire()
    await lasting.acquire()
    async with running(
        locks[0].acquire(), locks[1].acquire(acquire_timeout=1), locks[2].acquire(acquire_timeout=60)
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
