"""A client of a Sentinel: the master is asked for anew at each connect."""

from collections.abc import Callable

from dsync import DistributedLock
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.integration.locks import (
    NEVER,
    holder,
    lease_left,
    peek,
    soon,
    start_waiters,
    until_renewed,
)
from tests.support.sentinel import SentinelGroup
from tests.support.waiting import eventually


def patience() -> Retry:
    # Sentinels name the old master for a while, and by default a client of theirs tries once.
    return Retry(ConstantBackoff(0.05), 200)


async def until_replicated(group: SentinelGroup, key: str) -> None:
    """Wait until the replica has what a failover would lose."""
    await eventually(lambda: holder(group.replica, key) == holder(group.master, key))


def fail_over(group: SentinelGroup) -> None:
    """Swap the servers; the old master refuses writes from then on, and ends no connection."""
    group.failover()
    with peek(group.master) as client:
        # The sentinels would do so too, but some seconds later.
        client.replicaof("127.0.0.1", group.replica.port)


async def test_a_client_of_a_sentinel_works(
    make_sentinels: Callable[..., SentinelGroup], key: str
) -> None:
    group = make_sentinels()
    async with group.client() as client:
        first, second = (DistributedLock(client, key, NEVER, lease=0.8) for _ in range(2))
        async with first:
            assert holder(group.master, key) == first._token
            (waiter,) = await start_waiters(group.master, key, second)
        assert await soon(waiter)
        await until_renewed(group.master, 3)
        assert await second.owned()
        await second.release()


async def test_a_sentinel_group_with_a_password_works(
    make_sentinels: Callable[..., SentinelGroup], key: str
) -> None:
    group = make_sentinels(password="secret")
    async with group.client() as client, DistributedLock(client, key) as lock:
        assert holder(group.master, key) == lock._token


async def test_after_a_failover_the_lock_goes_on_at_the_new_master(
    make_sentinels: Callable[..., SentinelGroup], key: str
) -> None:
    group = make_sentinels()
    async with group.client(retry=patience()) as client:
        lock = DistributedLock(client, key)
        async with lock:
            assert holder(group.master, key) == lock._token
        fail_over(group)
        assert await soon(lock.acquire())
        assert holder(group.replica, key) == lock._token
        await lock.release()


async def test_a_lock_that_is_held_through_a_failover_is_extended_and_released_at_the_new_master(
    make_sentinels: Callable[..., SentinelGroup], key: str
) -> None:
    group = make_sentinels()
    async with group.client(retry=patience()) as client:
        lock = DistributedLock(client, key, lease=100)
        await lock.acquire()
        await until_replicated(group, key)
        fail_over(group)
        # By the new master, which had the lock from the old one.
        await soon(lock.extend(500))
        assert lease_left(group.replica, key) > 400
        assert await soon(lock.owned())
        assert not lock.lost.is_set()
        await soon(lock.release())
        assert holder(group.replica, key) is None


async def test_a_waiter_queues_again_at_the_new_master_and_gets_the_lock(
    make_sentinels: Callable[..., SentinelGroup], key: str
) -> None:
    group = make_sentinels()
    async with group.client(retry=patience()) as client:
        first, second = DistributedLock(client, key), DistributedLock(client, key)
        await first.acquire()
        (waiter,) = await start_waiters(group.master, key, second)
        await until_replicated(group, key)
        fail_over(group)
        await soon(first.release())
        assert await soon(waiter)
        assert holder(group.replica, key) == second._token
        await second.release()
