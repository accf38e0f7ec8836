"""Semaphores on servers that stop, restart, forget, freeze and refuse."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from dsync import DistributedBoundedSemaphore, DistributedSemaphore
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.fault.lock_tools import SHORT_LEASE, MakeServer, client_for, running
from tests.integration.semaphores import (
    Look,
    Room,
    look,
    queue_name,
    released_or_lost,
    start_waiters,
    take,
    until_idle,
    until_queued,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VALUE = 2


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def polling(server: RedisServer, key: str, name: str, **options: Any) -> DistributedSemaphore:
    """Make one as most callers do, with a short lease and connections of its own."""
    settings = {"lease": SHORT_LEASE, "acquire_sleep_delay": 0.1, **options}
    return DistributedSemaphore(client_for(server.port, name), key, VALUE, **settings)


def restart_empty(server: RedisServer) -> None:
    server.restart(keep_data=False)


def crash_empty(server: RedisServer) -> None:
    server.kill()
    server.start()


def flush_all(server: RedisServer) -> None:
    with server.sync() as client:
        client.flushall()


Damage = Callable[[RedisServer], None]
each_damage = pytest.mark.parametrize(
    "damage", [restart_empty, crash_empty, flush_all], ids=lambda damage: damage.__name__
)


# ---- data that are kept, and data that are gone ----


async def test_a_restart_with_data_changes_nothing(own: RedisServer, key: str) -> None:
    holder = polling(own, key, "holder", lease=3)
    waiters = [polling(own, key, f"waiter{number}", lease=3) for number in range(3)]
    await take(holder, VALUE)
    tasks = await start_waiters(own, key, *waiters)
    own.restart(keep_data=True)
    await eventually(lambda: len(own.connections()) >= 6, "everybody is back")
    for _ in range(VALUE):
        assert await holder.owned()
        assert not any(task.done() for task in tasks[VALUE:])
        await holder.release()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks[:VALUE])
        await waiters[0].release()
        await asyncio.gather(*tasks)
    for waiter in waiters[1:]:
        await waiter.release()
    await until_idle(own, key, VALUE)


@each_damage
async def test_forgotten_holders_are_told_and_waiters_go_on(
    own: RedisServer, key: str, damage: Damage
) -> None:
    told: list[DistributedSemaphore] = []
    holder = polling(own, key, "holder", on_lost=told.append)
    waiters = [polling(own, key, f"waiter{number % 2}") for number in range(6)]
    room = Room(VALUE)
    await take(holder, VALUE)
    async with running(*(room.enter(waiter, 0.05) for waiter in waiters)) as tasks:
        await until_queued(own, key, 6)
        damage(own)
        async with asyncio.timeout(SHORT_LEASE + 5):
            await holder.lost
        await eventually(lambda: len(told) == VALUE, "all permits are lost")
        assert (told, holder.valid_for()) == ([holder] * VALUE, 0)
        async with asyncio.timeout(SHORT_LEASE + 5):
            await asyncio.gather(*tasks)
    assert room.visits == 6
    for _ in range(VALUE):
        assert not await released_or_lost(holder)
    await until_idle(own, key, VALUE)


@each_damage
@pytest.mark.parametrize("again", [0, VALUE])
async def test_the_releases_of_forgotten_holders_add_no_slot(
    own: RedisServer, key: str, damage: Damage, again: int
) -> None:
    holder, other = polling(own, key, "holder"), polling(own, key, "other")
    await take(holder, VALUE)
    damage(own)
    await take(other, again)
    # At once: nothing has told the holder yet.
    kept = [await released_or_lost(holder) for _ in range(VALUE)]
    # One that was sent over a dead link and again may take itself for the second of two.
    assert not any(kept) or damage is not flush_all
    assert look(own, key) == Look(0 if again else None, again, 0, 0)
    await take(other, VALUE - again)
    assert not await polling(own, key, "newcomer").try_acquire()
    for _ in range(VALUE):
        await other.release()
    await until_idle(own, key, VALUE)


async def test_waiters_whose_queue_is_deleted_queue_again(own: RedisServer, key: str) -> None:
    holder = polling(own, key, "holder")
    waiters = [polling(own, key, f"waiter{number % 2}") for number in range(6)]
    await take(holder, VALUE)
    room = Room(VALUE)
    async with running(*(room.enter(waiter) for waiter in waiters)) as tasks:
        await until_queued(own, key, 6)
        with own.sync() as client:
            client.delete(queue_name(key))
        await until_queued(own, key, 6)
        for _ in range(VALUE):
            await holder.release()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
    assert room.visits == 6
    await until_idle(own, key, VALUE)


async def test_damage_at_random_moments_never_lets_too_many_in(own: RedisServer, key: str) -> None:
    # The queue and the scripts may go at any time; they are nobody's permit.
    room = Room(VALUE)

    async def work(name: str) -> None:
        semaphore = polling(own, key, name, lease=5)
        for _ in range(100):
            await room.enter(semaphore)

    async def damage() -> None:
        while True:
            with own.sync() as client:
                client.delete(queue_name(key))
                client.script_flush()
            await asyncio.sleep(0.01)

    async with running(damage()), asyncio.timeout(60):
        await asyncio.gather(*(work(f"worker{number}") for number in range(5)))
    assert (room.visits, room.most) == (500, VALUE)
    await until_idle(own, key, VALUE)


# ---- frozen and away ----


async def test_a_server_frozen_for_less_than_the_lease_loses_nothing(
    own: RedisServer, key: str
) -> None:
    holder, waiter = (polling(own, key, name, lease=3) for name in ("holder", "waiter"))
    await take(holder, VALUE)
    (acquiring,) = await start_waiters(own, key, waiter)
    own.pause()
    await asyncio.sleep(1)
    own.resume()
    for _ in range(VALUE):
        assert await holder.owned()
        await holder.release()
    assert not holder.lost.is_set()
    async with asyncio.timeout(5):
        await acquiring
    await waiter.release()
    await until_idle(own, key, VALUE)


async def test_a_holder_is_told_while_the_server_is_frozen_past_the_lease(
    own: RedisServer, key: str
) -> None:
    told: list[DistributedSemaphore] = []
    holder = polling(own, key, "holder", on_lost=told.append)
    waiter = polling(own, key, "waiter")
    await take(holder, VALUE)
    (acquiring,) = await start_waiters(own, key, waiter)
    own.pause()
    async with asyncio.timeout(SHORT_LEASE + 5):
        await holder.lost
    await eventually(lambda: len(told) == VALUE, "all permits are lost")
    assert holder.valid_for() == 0
    assert not acquiring.done()
    own.resume()
    async with asyncio.timeout(10):
        await acquiring
    for _ in range(VALUE):
        assert not await released_or_lost(holder)
    await waiter.release()
    await until_idle(own, key, VALUE)


async def test_callers_learn_that_the_server_stays_away(own: RedisServer, key: str) -> None:
    client = client_for(own.port, retries=5)
    holder = DistributedSemaphore(client, key, VALUE, lease=SHORT_LEASE)
    await take(holder, VALUE)
    waiters = [DistributedSemaphore(client, key, VALUE, lease=SHORT_LEASE) for _ in range(3)]
    async with running(
        waiters[0].acquire(),
        waiters[1].acquire(acquire_timeout=1),
        waiters[2].acquire(acquire_timeout=60),
    ) as (without, short, long):
        await until_queued(own, key, 3)
        own.stop()
        with pytest.raises(RedisConnectionError, match=key):
            await without
        with pytest.raises(RedisConnectionError, match=key):
            await holder.release()
        with pytest.raises(RedisConnectionError, match=key):
            await holder.locked()
        with pytest.raises(TimeoutError):
            await short
        assert not long.done()
        own.start()
        async with asyncio.timeout(10):
            assert await long
    await waiters[2].release()
    # The server has forgotten its other permit.
    assert not await released_or_lost(holder)
    await until_idle(own, key, VALUE)


# ---- scripts that are forgotten, and no memory ----


async def test_no_call_minds_that_the_scripts_are_flushed(own: RedisServer, key: str) -> None:
    def make(name: str) -> DistributedSemaphore:
        return DistributedBoundedSemaphore(client_for(own.port, name), key, 1, lease=SHORT_LEASE)

    holder, waiter, quitter = make("holder"), make("waiter"), make("quitter")
    with own.sync() as client:
        client.script_flush()
        await holder.acquire()
        client.script_flush()
        assert await holder.owned()
        client.script_flush()
        await holder.extend(SHORT_LEASE)
        client.script_flush()
        assert await waiter.locked()
        client.script_flush()
        (acquiring,) = await start_waiters(own, key, waiter)
        client.script_flush()
        with pytest.raises(TimeoutError):
            await quitter.acquire(acquire_timeout=0.1)
        client.script_flush()
        # Long enough for renewals, which have to bring their script again.
        await asyncio.sleep(1.2 * SHORT_LEASE)
        assert holder.valid_for() > 0
        client.script_flush()
        await holder.release()
        await acquiring
        client.script_flush()
        await waiter.release()
    await until_idle(own, key, 1)


async def test_many_calls_under_way_when_the_scripts_are_flushed_happen_once(
    own: RedisServer, key: str
) -> None:
    giver = polling(own, key, "giver", lease=None)
    await giver.locked()
    with own.sync() as client:
        for count in range(1, 11):
            async with running(*(giver.release() for _ in range(20))) as tasks:
                await asyncio.sleep(0)
                client.script_flush()
                await asyncio.gather(*tasks)
            assert look(own, key) == Look(VALUE + 20 * count, 0, 0, 0)


async def test_a_server_out_of_memory_renews_what_is_held_and_serves_who_waits(
    own: RedisServer, key: str
) -> None:
    holder, waiter = polling(own, key, "holder"), polling(own, key, "waiter")
    await take(holder, VALUE)
    (acquiring,) = await start_waiters(own, key, waiter)
    with own.sync() as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(Exception, match="OOM"):
        await polling(own, key, "stranger").acquire()
    await asyncio.sleep(1.5 * SHORT_LEASE)
    assert holder.valid_for() > 0
    assert not acquiring.done()
    for _ in range(VALUE):
        await holder.release()
    async with asyncio.timeout(5):
        await acquiring
    await waiter.release()
    # A slot more is no permit, and needs none of the memory that there is not.
    await waiter.release()
    await until_idle(own, key, VALUE + 1)
