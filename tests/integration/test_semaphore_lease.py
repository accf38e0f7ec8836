"""Semaphores: leases of permits, their renewal and their loss."""

import asyncio
import gc

import pytest
from dsync import DistributedSemaphore, LockLostError
from redis.asyncio import Redis

from tests.integration.locks import NEVER, soon, until_renewed
from tests.integration.semaphores import (
    Look,
    expire,
    free_slots,
    look,
    lose,
    permit_ends,
    permits,
    start_waiters,
    take,
    until_idle,
    until_used,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VALUE = 3
LONG = 500.0
SHORT = 0.6


# ---- leases ----


async def test_the_lease_is_thirty_seconds_by_default(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedSemaphore(redis, key, VALUE) as semaphore:
        assert 20 < permit_ends(server, key)[0] <= 30
        assert 20 < semaphore.valid_for() <= 30


async def test_valid_for_never_says_more_than_the_server_gives(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedSemaphore(redis, key, VALUE, lease=LONG, auto_renew=False) as semaphore:
        for _ in range(50):
            (surely,) = permit_ends(server, key)
            assert semaphore.valid_for() <= surely + 0.001


async def test_all_permits_of_an_object_are_renewed(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=SHORT)
    await take(semaphore, VALUE)
    taken = sorted(permits(server, key))
    # Longer than the leases would have lasted.
    await until_renewed(server, 6)
    assert sorted(permits(server, key)) == taken
    assert look(server, key) == Look(0, VALUE, 0, 0)
    for _ in range(VALUE):
        assert semaphore.valid_for() > 0
        await semaphore.release()
    await until_idle(server, key, VALUE)


async def test_without_renewal_the_slots_come_back_when_the_leases_end(
    server: RedisServer, redis: Redis, key: str
) -> None:
    holder = DistributedSemaphore(redis, key, VALUE, lease=SHORT, auto_renew=False)
    await take(holder, VALUE)
    waiters = [DistributedSemaphore(redis, key, VALUE) for _ in range(VALUE)]
    await soon(asyncio.gather(*(waiter.acquire() for waiter in waiters)))
    assert look(server, key) == Look(0, VALUE, 0, 0)
    assert holder.valid_for() == 0
    assert not await holder.owned()
    assert all([await waiter.owned() for waiter in waiters])


async def test_the_first_waiter_needs_no_polling_to_see_the_end_of_a_lease(
    redis: Redis, key: str
) -> None:
    holder = DistributedSemaphore(redis, key, 1, lease=SHORT, auto_renew=False)
    await holder.acquire()
    async with asyncio.timeout(SHORT + 5):
        await DistributedSemaphore(redis, key, 1, NEVER).acquire()


async def test_locked_sees_the_end_of_a_lease(redis: Redis, key: str) -> None:
    holder = DistributedSemaphore(redis, key, 1, lease=SHORT, auto_renew=False)
    await holder.acquire()
    assert await holder.locked()
    async with asyncio.timeout(SHORT + 5):
        while await holder.locked():
            pass


async def test_extend_is_for_the_last_permit(server: RedisServer, redis: Redis, key: str) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, auto_renew=False)
    await take(semaphore, 2)
    await semaphore.extend(LONG)
    shorter, longer = permit_ends(server, key)
    assert shorter <= 30
    assert LONG - 60 < longer <= LONG
    await semaphore.extend(0.001)
    assert permit_ends(server, key)[1] > LONG - 60
    assert semaphore.valid_for() > LONG - 60
    await semaphore.release()
    assert semaphore.valid_for() <= 30


async def test_the_renewal_does_not_shorten_an_extended_lease(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=SHORT)
    async with semaphore, DistributedSemaphore(redis, f"{key}-2", 1, lease=SHORT):
        await semaphore.extend(LONG)
        await until_renewed(server, 6)
        assert permit_ends(server, key)[0] > LONG - 60
        assert semaphore.valid_for() > LONG - 60


async def test_the_first_renewal_makes_the_lease_of_a_hand_over_full(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = (DistributedSemaphore(redis, key, 1, NEVER, lease=LONG) for _ in range(2))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    await eventually(lambda: permit_ends(server, key)[0] > 5, "the full lease")
    await eventually(lambda: second.valid_for() > 5, "the holder knows of it")


async def test_a_permit_that_is_released_is_renewed_no_more(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=SHORT)
    await take(semaphore, 2)
    await until_renewed(server, 2)
    await semaphore.release()
    await until_renewed(server, 4)
    assert look(server, key) == Look(VALUE - 1, 1, 0, 0)
    await semaphore.release()
    await until_idle(server, key, VALUE)


async def test_the_permits_of_a_collected_object_run_out(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=SHORT)
    await take(semaphore, VALUE)
    await until_renewed(server, 1)
    del semaphore
    gc.collect()
    other = DistributedSemaphore(redis, key, VALUE)
    await soon(other.acquire())
    await eventually(lambda: free_slots(server, key) == VALUE - 1, "all of them are back")


# ---- losses ----


async def take_back(server: RedisServer, redis: Redis, key: str) -> None:
    """End the leases of all permits, and let somebody notice."""
    expire(server, key)
    await DistributedSemaphore(redis, key, VALUE).locked()


async def test_the_release_of_a_lost_permit_raises_lock_lost_error_and_adds_no_slot(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await take(semaphore, VALUE)
    await take_back(server, redis, key)
    for _ in range(VALUE):
        with pytest.raises(LockLostError, match=key):
            await semaphore.release()
    await until_idle(server, key, VALUE)


async def test_the_release_of_a_permit_whose_slot_others_have_gives_them_nothing(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lost, next_one = (DistributedSemaphore(redis, key, 1, NEVER) for _ in range(2))
    await lost.acquire()
    expire(server, key)
    await next_one.acquire()
    with pytest.raises(LockLostError):
        await lost.release()
    assert look(server, key) == Look(0, 1, 0, 0)
    assert await next_one.owned()


async def test_the_block_raises_lock_lost_error_at_its_end(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with pytest.raises(LockLostError, match=key):
        async with DistributedSemaphore(redis, key, VALUE):
            await take_back(server, redis, key)
    await until_idle(server, key, VALUE)


async def test_the_exception_of_the_body_goes_before_the_loss_and_notes_it(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async def fail() -> None:
        async with DistributedSemaphore(redis, key, VALUE):
            await take_back(server, redis, key)
            raise KeyError("body")

    with pytest.raises(KeyError, match="body") as caught:
        await fail()
    assert any("lost" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("auto_renew", [True, False])
async def test_a_loss_is_told_by_on_lost_and_lost(
    server: RedisServer, redis: Redis, key: str, auto_renew: bool
) -> None:
    told: asyncio.Queue[DistributedSemaphore] = asyncio.Queue()
    semaphore = DistributedSemaphore(
        redis, key, VALUE, lease=SHORT, auto_renew=auto_renew, on_lost=told.put_nowait
    )
    await take(semaphore, 2)
    assert not semaphore.lost.is_set()
    if auto_renew:
        expire(server, key)
    await soon(semaphore.lost.wait())
    for _ in range(2):
        assert await soon(told.get()) is semaphore
    assert semaphore.valid_for() == 0
    for _ in range(2):
        with pytest.raises(LockLostError):
            await semaphore.release()
    assert told.empty()
    await semaphore.acquire()
    assert not semaphore.lost.is_set()


async def test_cancel_on_lost_cancels_only_the_task_that_lost_its_permit(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=SHORT, cancel_on_lost=True)
    go_on = asyncio.Event()

    async def work() -> None:
        async with semaphore:
            await go_on.wait()

    losing = asyncio.create_task(work())
    await until_used(server, key, 1)
    lost = permits(server, key)
    keeping = asyncio.create_task(work())
    await until_used(server, key, 2)
    with server.sync() as client:
        client.zrem(f"{{distributed_semaphore_{key}}}:dsync:permits", *lost)
    with pytest.raises(LockLostError):
        await soon(losing)
    assert not losing.cancelled()
    assert not keeping.done()
    go_on.set()
    await soon(keeping)
    assert look(server, key).permits == 0


async def test_extend_of_a_lost_permit_raises_lock_lost_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await semaphore.acquire()
    await lose(server, key, semaphore)
    for _ in range(2):
        with pytest.raises(LockLostError, match=key):
            await semaphore.extend(1)
    with pytest.raises(LockLostError):
        await semaphore.release()
    with pytest.raises(RuntimeError) as caught:
        await semaphore.extend(1)
    assert not isinstance(caught.value, LockLostError)


@pytest.mark.parametrize("again", [1, VALUE])
async def test_a_lost_permit_keeps_its_release_when_the_task_acquires_again(
    server: RedisServer, redis: Redis, key: str, again: int
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await take(semaphore, 2)
    await lose(server, key, semaphore)
    await take(semaphore, again)
    for _ in range(again):
        await semaphore.release()
    # As many releases as acquires: none of them is one without a permit.
    for _ in range(2):
        with pytest.raises(LockLostError):
            await semaphore.release()
    await until_idle(server, key, VALUE)


async def test_a_block_inside_one_that_lost_its_permit_adds_no_slot(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)

    async def blocks() -> None:
        async with semaphore:
            await lose(server, key, semaphore)
            async with semaphore:
                assert await semaphore.owned()

    with pytest.raises(LockLostError):
        await blocks()
    await until_idle(server, key, VALUE)
