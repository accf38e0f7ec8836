"""Conditions while the server restarts, forgets, is away, or ends a lease."""

import asyncio
from collections.abc import Callable

import pytest
from dsync import DistributedCondition, LockLostError
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.fault.lock_tools import (
    MakeProxy,
    MakeServer,
    block_loop,
    client_for,
    released_or_lost,
)
from tests.integration.conditions import (
    BOTH,
    POLLING,
    condition_of,
    counter_name,
    crowd,
    holds,
    lock_of,
    notify,
    told_name,
    until_nothing_is_left,
    until_settled,
    until_waiting,
    waiting_name,
)
from tests.integration.locks import (
    NEVER,
    STRANGER,
    fence_name,
    holder,
    lease_left,
    lock_name,
    peek,
    queue_name,
    soon,
    until_queued,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def restart_empty(server: RedisServer) -> None:
    server.restart(keep_data=False)


def crash_empty(server: RedisServer) -> None:
    server.kill()
    server.start()


def flush_all(server: RedisServer) -> None:
    with peek(server) as client:
        client.flushall()


Damage = Callable[[RedisServer], None]
DAMAGES = pytest.mark.parametrize(
    "damage", [restart_empty, crash_empty, flush_all], ids=lambda damage: damage.__name__
)


# ---- a server that forgets ----


@DAMAGES
@BOTH
async def test_waiters_wait_on_at_a_server_that_forgot_them(
    own: RedisServer, key: str, damage: Damage, locked: bool
) -> None:
    async with crowd(own, key) as waiters:
        for number in range(6):
            await waiters.add(condition_of(own, key, f"{number % 2}", **POLLING), locked=locked)
        damage(own)
        await until_waiting(own, key, 6)
        condition = condition_of(own, key, "notifier")
        await notify(condition, 2)
        await waiters.until_woken(2)
        await until_settled(own, key, 4)
        assert len(waiters.woken) == 2
        await notify(condition, -1)
        assert sorted(await waiters.until_done()) == list(range(6))
    await until_nothing_is_left(own)


@DAMAGES
async def test_woken_waiters_that_were_forgotten_wait_on(
    own: RedisServer, key: str, damage: Damage
) -> None:
    """In the queue for the lock of a notifier, which has lost it."""
    async with crowd(own, key) as waiters:
        await waiters.add(*(condition_of(own, key, f"{n}", **POLLING) for n in range(3)))
        holding = condition_of(own, key, "notifier", **POLLING)
        await holding.acquire()
        await holding.notify(2)
        await until_queued(own, key, 2)
        damage(own)
        await until_waiting(own, key, 3)
        with pytest.raises(LockLostError):
            await soon(holding.notify(1))
        with pytest.raises(LockLostError):
            await soon(holding.release())
        await notify(condition_of(own, key, "notifier"), -1)
        assert sorted(await waiters.until_done()) == [0, 1, 2]
    await until_nothing_is_left(own)


@BOTH
async def test_a_restart_with_data_loses_no_waiter_and_no_place(
    own: RedisServer, key: str, locked: bool
) -> None:
    async with crowd(own, key) as waiters:
        for number in range(6):
            await waiters.add(condition_of(own, key, f"{number % 2}", **POLLING), locked=locked)
        own.restart(keep_data=True)
        await eventually(lambda: len(own.connections()) == 4, "both are back")
        await notify(condition_of(own, key, "notifier"), 2)
        assert sorted(await waiters.until_woken(2)) == [0, 1]
        await until_settled(own, key, 4)


@pytest.mark.parametrize("name", [waiting_name, told_name, queue_name, fence_name, lock_name])
async def test_each_key_may_be_deleted_and_all_wake_in_the_end(
    own: RedisServer, key: str, name: Callable[[str], str]
) -> None:
    """Whatever somebody deletes, nobody hangs for ever, and no two are inside at once."""
    options = {**POLLING, "lease": 0.5}
    async with crowd(own, key) as waiters:
        for number in range(6):
            await waiters.add(
                condition_of(own, key, f"{number % 3}", **options), locked=number % 3 > 0
            )
        holding = condition_of(own, key, "notifier", **options)
        await holding.acquire()
        await holding.notify(4)
        with peek(own) as client:
            client.delete(name(key))
        assert await released_or_lost(lock_of(holding)) == (name not in (fence_name, lock_name))
        async with asyncio.timeout(20):
            # Those that were forgotten come again by and by.
            while not all(task.done() for task in waiters.tasks):
                await notify(condition_of(own, key, "notifier", **options), -1)
                await asyncio.wait(waiters.tasks, timeout=0.05)
        assert sorted(await waiters.until_done()) == list(range(6))
    await until_nothing_is_left(own)


async def test_a_waiter_that_queues_for_ten_minutes_is_still_a_woken_one(
    own: RedisServer, key: str
) -> None:
    """As if the lock had been held for that long: what is kept of it has not gone."""
    async with crowd(own, key) as waiters:
        await waiters.add(*(condition_of(own, key, f"{n}", **POLLING) for n in range(3)))
        async with condition_of(own, key, "notifier") as condition:
            await condition.notify(1)
            with peek(own) as client:
                (member,) = map(str, client.zrange(told_name(key), 0, -1))
                client.zincrby(told_name(key), -700e6, member)
            await condition.notify(1)
            with peek(own) as client:
                client.pexpire(told_name(key), 60000)
                await eventually(lambda: client.pttl(told_name(key)) > 100000, "they ask")
        assert await waiters.until_woken(2) == [0, 1]
        await until_settled(own, key, 1)
        # Nothing of it is left that would swallow the next notification.
        await notify(condition_of(own, key, "notifier"), 1)
        assert await waiters.until_done() == [0, 1, 2]


# ---- a server that is away ----


def impatient(port: int, key: str, name: str) -> DistributedCondition:
    """Make a condition that gives up a server soon."""
    return DistributedCondition(client_for(port, name, retries=2, socket_timeout=0.5), key)


async def test_while_the_server_is_away_wait_raises_and_its_lock_is_lost(
    own: RedisServer, key: str
) -> None:
    condition = impatient(own.port, key, "one")

    async def wait_in_block() -> None:
        async with condition:
            try:
                await condition.wait()
            finally:
                assert lock_of(condition).valid_for() == 0
                assert lock_of(condition).lost.is_set()
                for call in (condition.notify, condition.notify_all, condition.wait):
                    with pytest.raises(LockLostError):
                        await soon(call())

    task = asyncio.create_task(wait_in_block())
    await until_waiting(own, key, 1)
    own.stop()
    # The error of the block comes first; that the lock was lost is noted.
    with pytest.raises(RedisConnectionError, match=key) as caught:
        await soon(task)
    assert any("lost" in note for note in caught.value.__notes__)
    own.start()
    async with condition:
        assert await holds(condition)
    await until_nothing_is_left(own)


async def test_a_block_that_catches_the_error_of_wait_ends_in_lock_lost_error(
    own: RedisServer, key: str
) -> None:
    condition = impatient(own.port, key, "one")

    async def wait_in_block() -> None:
        async with condition:
            with pytest.raises(RedisConnectionError):
                await condition.wait()

    task = asyncio.create_task(wait_in_block())
    await until_waiting(own, key, 1)
    own.stop()
    with pytest.raises(LockLostError):
        await soon(task)
    with pytest.raises(RuntimeError):
        await condition.release()


async def test_while_the_server_is_away_all_who_wait_hear_of_it(own: RedisServer, key: str) -> None:
    async with crowd(own, key) as waiters:
        for number in range(6):
            await waiters.add(impatient(own.port, key, "one"), locked=number % 2 == 0)
        async with impatient(own.port, key, "one") as holding:
            await holding.notify(1)
            await until_queued(own, key, 1)
            own.stop()
            for task in waiters.tasks:
                with pytest.raises(RedisConnectionError):
                    await soon(task)
            with pytest.raises(RedisConnectionError):
                await soon(holding.notify(1))
            own.start()
            # It is another server, so to say.
            with pytest.raises(LockLostError):
                await soon(holding.notify(1))
            with pytest.raises(LockLostError):
                await holding.release()
            await holding.acquire()
    await until_nothing_is_left(own)


async def test_cancelled_while_the_server_is_away_it_ends_as_soon_as_that_is_given_up(
    own: RedisServer, key: str
) -> None:
    condition = impatient(own.port, key, "one")
    await condition.acquire()
    task = asyncio.create_task(condition.wait())
    await until_waiting(own, key, 1)
    own.stop()
    task.cancel()
    # Without the lock it may not end as if it had it.
    with pytest.raises(RedisConnectionError) as caught:
        await soon(task)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    with pytest.raises(LockLostError):
        await condition.release()


async def test_the_server_away_when_it_is_asked_about_a_doubtful_grant(
    own: RedisServer, make_proxy: MakeProxy, key: str
) -> None:
    """What was granted long ago is asked about, and nobody answers."""
    proxy = make_proxy(own.port)
    waiter = impatient(proxy.port, key, "one")
    await waiter.acquire()
    lock_of(waiter)._doubtful = NEVER
    task = asyncio.create_task(waiter.wait())
    await until_waiting(own, key, 1)
    proxy.refuse()
    # The first after the grant, which comes by a message.
    proxy.drop_replies()
    await notify(condition_of(own, key, "two"))
    with pytest.raises(RedisConnectionError, match=key):
        await soon(task)
    assert proxy.dropped == 1
    assert lock_of(waiter).valid_for() == 0
    with pytest.raises(LockLostError):
        await waiter.release()


# ---- a lease that ends ----


async def test_wait_after_the_lease_ended_raises_lock_lost_error_and_frees_nothing(
    own: RedisServer, key: str
) -> None:
    condition = condition_of(own, key, "one", lease=0.2, auto_renew=False)
    other = condition_of(own, key, "two", **POLLING)

    async def wait_in_block() -> None:
        async with condition:
            # Blocked, not waiting: the loop has had no turn to hear of the loss.
            while lock_of(condition).valid_for() > 0:
                block_loop(0.01)
            await condition.wait()

    with pytest.raises(LockLostError, match=key):
        await soon(wait_in_block())
    async with other:
        assert await holds(other)
        with pytest.raises(RuntimeError):
            await condition.release()
        assert await holds(other)
    await until_nothing_is_left(own)


async def test_wait_while_another_holds_the_lock_by_now_raises_lock_lost_error(
    own: RedisServer, make_proxy: MakeProxy, key: str
) -> None:
    """Cut off for longer than its lease, and it knows nothing of that when it waits."""
    proxy = make_proxy(own.port)
    condition = condition_of(proxy.port, key, "one", lease=0.5)
    other = condition_of(own, key, "two", **POLLING)
    await condition.acquire()
    proxy.blackhole()
    task = asyncio.create_task(condition.wait())
    async with asyncio.timeout(10), other:
        proxy.blackhole(False)
        with pytest.raises(LockLostError):
            await soon(task)
        assert holder(own, key) == lock_of(other)._token
        with pytest.raises(LockLostError):
            await condition.release()
        assert await holds(other)
    await until_nothing_is_left(own)


async def test_notify_after_the_lease_ended_wakes_nobody(own: RedisServer, key: str) -> None:
    condition = condition_of(own, key, "one", lease=0.2, auto_renew=False)
    async with crowd(own, key) as waiters:
        await waiters.add(condition_of(own, key, "two", **POLLING))
        await condition.acquire()
        with peek(own) as client:
            await eventually(lambda: not client.exists(lock_name(key)), "the lease is over")
            client.set(lock_name(key), STRANGER)
        for call in (condition.notify, condition.notify_all):
            with pytest.raises(LockLostError):
                await soon(call())
        with pytest.raises(LockLostError):
            await condition.release()
        await until_waiting(own, key, 1)
        assert waiters.woken == []
        with peek(own) as client:
            assert not client.exists(counter_name(key))
            client.delete(lock_name(key))


def has_grown(seen: list[float], value: float) -> bool:
    """Note a value, and tell whether it is greater than the last one."""
    seen.append(value)
    return seen[-1] > seen[-2]


@pytest.mark.parametrize("lease", [0.3, None])
async def test_a_long_wait_outlives_the_lease_and_the_lock_is_renewed_after_it(
    own: RedisServer, key: str, lease: float | None
) -> None:
    waiter = condition_of(own, key, "one", lease=lease)

    async def wait_in_block() -> None:
        async with waiter:
            await waiter.wait()
            seen = [lease_left(own, key)]
            # Renewed in Redis: the time to live, which only falls otherwise, grows.
            await eventually(lambda: lease is None or has_grown(seen, lease_left(own, key)))
            assert await holds(waiter)

    task = asyncio.create_task(wait_in_block())
    await until_waiting(own, key, 1)
    async with condition_of(own, key, "two") as condition:
        # The lease that it had would be over.
        await asyncio.wait([task], timeout=0.5)
        await condition.notify()
    await soon(task)
    await until_nothing_is_left(own)
