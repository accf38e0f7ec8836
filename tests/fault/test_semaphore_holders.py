"""Holders and waiters of a semaphore that die, hang or are stopped past their leases."""

import asyncio
from functools import partial
from typing import Any

import pytest
from dsync import DistributedSemaphore

from tests.fault import semaphore_nodes
from tests.fault.lock_tools import Spawn, block_loop, running
from tests.integration.semaphores import (
    Look,
    look,
    permit_ends,
    take,
    until_idle,
    until_queued,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VALUE = 3
LEASE = 0.5


def waiter(server: RedisServer, key: str, **options: Any) -> DistributedSemaphore:
    # Polls so seldom that only a message or the end of a lease can bring the slot in time.
    return DistributedSemaphore(server.client(), key, VALUE, 30, lease=5, **options)


# ---- killed ----


async def test_the_permits_of_a_killed_process_come_back_when_their_lease_ends(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(semaphore_nodes.hold, server.url, key, VALUE, {"lease": 1.0}, VALUE)
    await child.expect("held")
    semaphores = [waiter(server, key) for _ in range(VALUE)]
    async with running(*(semaphore.acquire() for semaphore in semaphores)) as tasks:
        await until_queued(server, key, VALUE)
        child.kill()
        left = max(permit_ends(server, key))
        assert left <= 1.0
        assert look(server, key) == Look(0, VALUE, VALUE, 0)
        async with asyncio.timeout(left + 3):
            await asyncio.gather(*tasks)
    assert look(server, key) == Look(0, VALUE, 0, 0)
    for semaphore in semaphores:
        await semaphore.release()
    await until_idle(server, key, VALUE)


async def test_the_slots_of_a_killed_process_are_seen_by_whoever_comes_next(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(semaphore_nodes.hold, server.url, key, VALUE, {"lease": LEASE}, VALUE)
    await child.expect("held")
    child.kill()
    semaphore = waiter(server, key)
    async with asyncio.timeout(LEASE + 3):
        await take(semaphore, VALUE)
    assert look(server, key) == Look(0, VALUE, 0, 0)


async def test_a_waiter_killed_with_the_grant_on_its_way_costs_no_more_than_a_lease(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    holder, second = waiter(server, key), DistributedSemaphore(server.client(), key, VALUE, lease=5)
    await take(holder, VALUE)
    child = spawn(semaphore_nodes.hold, server.url, key, VALUE, {"lease": LEASE})
    await until_queued(server, key, 1)
    child.pause()
    async with running(second.acquire()) as (acquiring,):
        await until_queued(server, key, 2)
        await holder.release()
        assert look(server, key) == Look(0, VALUE, 1, 0)
        assert permit_ends(server, key)[0] <= LEASE
        child.kill()
        async with asyncio.timeout(5):
            assert await acquiring
    assert look(server, key) == Look(0, VALUE, 0, 0)


# ---- blocked ----


@pytest.mark.parametrize("how", ["loop", "interpreter"])
async def test_a_process_blocked_for_three_leases_keeps_all_its_permits(
    server: RedisServer, spawn: Spawn, key: str, how: str
) -> None:
    child = spawn(semaphore_nodes.block, server.url, key, VALUE, LEASE, how)
    await child.expect("held")
    semaphore = waiter(server, key)
    async with running(semaphore.acquire()) as (acquiring,):
        unblocked = await child.expect("unblocked")
        assert unblocked["valid_for"] > 0
        assert not unblocked["lost"]
        assert (await child.expect("released"))["losses"] == 0
        assert await acquiring
    assert await child.wait() == 0
    await semaphore.release()
    await until_idle(server, key, VALUE)


@pytest.mark.parametrize("auto_renew", [True, False])
async def test_a_grant_that_was_read_too_late_is_not_returned(
    server: RedisServer, key: str, auto_renew: bool
) -> None:
    losses: list[DistributedSemaphore] = []
    semaphore = DistributedSemaphore(
        server.client(),
        key,
        VALUE,
        lease=LEASE,
        auto_renew=auto_renew,
        on_lost=losses.append,
        cancel_on_lost=True,
    )
    await semaphore.locked()
    async with running(semaphore.acquire()) as (acquiring,):
        await asyncio.sleep(0)
        block_loop(1.5 * LEASE)
        assert await acquiring
        assert semaphore.valid_for() > 0
        assert await semaphore.owned()
    # Nobody was ever told that it holds the permit, so nobody can lose it.
    assert not losses
    await semaphore.release()
    await until_idle(server, key, VALUE)


# ---- stopped for longer than the lease ----


async def stopped(server: RedisServer, child: Child, key: str) -> DistributedSemaphore:
    """Stop the child that holds permits, take all slots, and let the child go on."""
    await child.expect("held")
    child.pause()
    semaphore = waiter(server, key)
    async with asyncio.timeout(10):
        await take(semaphore, VALUE)
    assert look(server, key) == Look(0, VALUE, 0, 0)
    child.resume()
    return semaphore


async def gave_nothing(server: RedisServer, key: str, semaphore: DistributedSemaphore) -> None:
    """Check that the slots are as they were while the child was stopped."""
    assert look(server, key) == Look(0, VALUE, 0, 0)
    assert not await DistributedSemaphore(server.url, key, VALUE).try_acquire()
    for _ in range(VALUE):
        assert await semaphore.owned()
        await semaphore.release()
    await until_idle(server, key, VALUE)


async def test_a_stopped_holder_learns_of_its_loss_in_every_way_and_gives_nothing_back(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(semaphore_nodes.be_stopped_in_block, server.url, key, VALUE, LEASE)
    semaphore = await stopped(server, child, key)
    assert await child.wait() == 0, child.errors
    await child.expect("on_lost")
    cancelled = await child.expect("cancelled")
    assert (cancelled["valid_for"], cancelled["lost"]) == (0, True)
    await child.expect("block raised")
    await gave_nothing(server, key, semaphore)


async def test_a_stopped_holder_of_several_permits_gets_lock_lost_error_for_each(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(semaphore_nodes.be_stopped_and_release, server.url, key, VALUE, LEASE)
    semaphore = await stopped(server, child, key)
    lost = await child.expect("lost")
    assert (lost["valid_for"], lost["owned"]) == (0, False)
    for _ in range(VALUE):
        assert (await child.expect("release raised"))["type"] == "LockLostError"
    await child.expect("done")
    await gave_nothing(server, key, semaphore)


async def test_the_release_of_a_stopped_holder_adds_no_slot(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(semaphore_nodes.be_stopped_before_release, server.url, key, VALUE, LEASE)
    semaphore = await stopped(server, child, key)
    assert (await child.expect("release raised"))["type"] == "LockLostError"
    await child.expect("done")
    await gave_nothing(server, key, semaphore)


def all_have_more(server: RedisServer, key: str, seconds: float) -> bool:
    return min(permit_ends(server, key)) > seconds


async def test_a_process_stopped_for_less_than_its_lease_keeps_its_permits(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(semaphore_nodes.hold, server.url, key, VALUE, {"lease": 1.5}, VALUE)
    await child.expect("held")
    semaphore = waiter(server, key)
    async with running(semaphore.acquire()) as (acquiring,):
        await until_queued(server, key, 1)
        for _ in range(2):
            child.pause()
            await asyncio.sleep(0.8)
            left = min(permit_ends(server, key))
            child.resume()
            # What is left of a lease only falls, unless it is renewed.
            await eventually(partial(all_have_more, server, key, left), "renewals of all permits")
        assert not acquiring.done()
        child.terminate()
        await child.expect("released")
        await acquiring
    await semaphore.release()
    await until_idle(server, key, VALUE)
