"""DistributedCondition: waiting with the lock and without it, in several sessions."""

import asyncio

import pytest
from dsync import DistributedCondition, DistributedLock
from redis.asyncio import Redis

from tests.integration.conditions import (
    BOTH,
    condition_of,
    crowd,
    holds,
    lock_of,
    notify,
    until_nothing_is_left,
    until_settled,
    until_waiting,
    wait_inside,
    waiting_name,
)
from tests.integration.locks import (
    holder,
    lock_name,
    peek,
    soon,
    until_queued,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def condition(server: RedisServer, key: str) -> DistributedCondition:
    """The one that notifies."""
    return condition_of(server, key, "notifier")


# ---- wait ----


async def test_wait_with_the_lock_frees_it_for_others_and_holds_it_again(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter")

    async def wait() -> bool:
        async with waiter:
            assert await waiter.wait() is True
            assert lock_of(waiter).valid_for() > 0
            assert holder(server, key) == lock_of(waiter)._token
            return await holds(waiter)

    task = asyncio.create_task(wait())
    await until_waiting(server, key, 1)
    # Nobody holds it meanwhile, as the server sees it and as the object does.
    assert holder(server, key) is None
    assert lock_of(waiter).valid_for() == 0
    assert not await lock_of(waiter).owned()
    async with condition:
        await condition.notify()
        # Woken, but the lock is ours until we free it.
        await until_queued(server, key, 1)
        assert holder(server, key) == lock_of(condition)._token
        assert not task.done()
    assert await soon(task)
    await until_nothing_is_left(server)


async def test_wait_with_the_lock_gets_a_new_fencing_token(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter")
    fences: list[int] = []

    async def wait() -> None:
        async with waiter:
            fences.append(lock_of(waiter).fencing_token)
            await waiter.wait()
            fences.append(lock_of(waiter).fencing_token)

    task = asyncio.create_task(wait())
    await until_waiting(server, key, 1)
    async with condition:
        fences.append(lock_of(condition).fencing_token)
        await condition.notify()
    await soon(task)
    assert fences == sorted(set(fences))


async def test_wait_without_the_lock_only_waits(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter")
    task = asyncio.create_task(waiter.wait())
    await until_waiting(server, key, 1)
    async with condition:
        await condition.notify()
        # It needs no lock, so it need not wait for ours.
        assert await soon(task) is True
        assert await holds(condition)
        assert not await holds(waiter)
    await until_nothing_is_left(server)


async def test_both_kinds_of_waiters_wake_in_the_order_in_which_they_came(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    async with crowd(server, key) as waiters:
        for number, locked in enumerate([True, False, False, True, False, True]):
            await waiters.add(condition_of(server, key, f"{number % 3}"), locked=locked)
        for count in range(1, 7):
            await notify(condition)
            assert await waiters.until_woken(count) == list(range(count))
            await until_settled(server, key, 6 - count)
        await waiters.until_done()
    await until_nothing_is_left(server)


async def test_waiters_with_the_lock_wake_one_by_one_each_holding_it(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(12):
            await waiters.add(condition_of(server, key, f"{number % 4}"))
        await notify(condition, 12)
        # The crowd's room notices two inside at once.
        assert await waiters.until_done() == list(range(12))
        assert waiters.room.visits == 12
    await until_nothing_is_left(server)


@BOTH
async def test_many_tasks_wait_on_one_object(server: RedisServer, key: str, locked: bool) -> None:
    condition = condition_of(server, key)
    async with crowd(server, key) as waiters:
        await waiters.add(*[condition] * 50, locked=locked)
        await notify(condition, 20)
        assert await waiters.until_woken(20) == list(range(20))
        await until_settled(server, key, 30)
        await notify(condition, -1)
        assert sorted(await waiters.until_done()) == list(range(50))
    await until_nothing_is_left(server)


async def test_the_lock_is_the_lock_of_that_name(
    server: RedisServer, key: str, redis: Redis, condition: DistributedCondition
) -> None:
    lock = DistributedLock(redis, key, acquire_timeout=0)
    async with condition as entered:
        assert entered is condition
        assert await condition.locked()
        with pytest.raises(TimeoutError):
            await lock.acquire()
    assert not await condition.locked()
    async with lock:
        assert await condition.locked()
        with pytest.raises(TimeoutError):
            await condition.acquire(acquire_timeout=0)


async def test_acquire_and_release_do_what_the_block_does(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter")
    assert await waiter.acquire() is True
    task = asyncio.create_task(waiter.wait())
    await until_waiting(server, key, 1)
    await condition.acquire()
    await condition.notify()
    await condition.release()
    assert await soon(task)
    assert await holds(waiter)
    await waiter.release()
    with pytest.raises(RuntimeError):
        await waiter.release()
    await until_nothing_is_left(server)


async def test_acquire_timeout_limits_the_wait_for_the_lock_not_for_the_notification(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter", acquire_timeout=0.01)
    async with condition:
        with pytest.raises(TimeoutError):
            await waiter.acquire()
    task = asyncio.create_task(wait_inside(waiter))
    await until_waiting(server, key, 1)
    async with condition:
        await condition.notify()
        await until_queued(server, key, 1)
        # Longer than its timeout, and it must have the lock again all the same.
        done, _ = await asyncio.wait([task], timeout=0.1)
        assert not done
    assert await soon(task)


@pytest.mark.parametrize("decode", [True, False], ids=["text", "bytes"])
async def test_clients_that_decode_and_clients_that_do_not_wake_each_other(
    server: RedisServer, key: str, condition: DistributedCondition, decode: bool
) -> None:
    async with server.client(decode_responses=decode, client_name="own") as client:
        waiter = DistributedCondition(client, key)
        tasks = [asyncio.create_task(wait_inside(waiter)), asyncio.create_task(waiter.wait())]
        await until_waiting(server, key, 2)
        await notify(DistributedCondition(server.url, key), 1)
        await notify(condition, 1)
        assert await soon(asyncio.gather(*tasks)) == [True, True]


# ---- wait_for ----


async def test_wait_for_asks_at_once_and_after_each_notification(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter")
    answers = iter([0, "", None, "the value"])

    def predicate() -> object:
        # While the lock is held, as it was before.
        assert lock_of(waiter).valid_for() > 0
        return next(answers)

    async def wait() -> object:
        async with waiter:
            return await waiter.wait_for(predicate)

    task = asyncio.create_task(wait())
    for _ in range(3):
        await until_waiting(server, key, 1)
        await notify(condition)
    assert await soon(task) == "the value"
    await until_nothing_is_left(server)


async def test_wait_for_what_is_true_does_not_wait(server: RedisServer, key: str) -> None:
    condition = condition_of(server, key)
    assert await condition.wait_for(lambda: 7) == 7
    assert server.connections() == []
    async with condition:
        assert await condition.wait_for(lambda: [1]) == [1]


async def test_an_error_of_the_predicate_leaves_wait_for(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter")
    answers = iter([False])

    async def wait() -> None:
        async with waiter:
            try:
                await waiter.wait_for(lambda: next(answers))
            finally:
                assert await holds(waiter)

    task = asyncio.create_task(wait())
    await until_waiting(server, key, 1)
    await notify(condition)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await soon(task)
    await until_nothing_is_left(server)


@pytest.mark.parametrize("tag", ["{tag}", "a{tag}b", "{}", "with space", "ünïcödé", "a" * 300])
async def test_any_key_names_a_condition(server: RedisServer, key: str, tag: str) -> None:
    name = f"{key}-{tag}"
    waiter, notifier = condition_of(server, name, "one"), condition_of(server, name, "two")
    tasks = [asyncio.create_task(wait_inside(waiter)), asyncio.create_task(waiter.wait())]
    # The auxiliary keys hash to the slot of the lock.
    own_tag = tag in ("{tag}", "a{tag}b")
    beside = f"{lock_name(name)}:dsync:waiting" if own_tag else waiting_name(name)
    with peek(server) as client:
        await eventually(lambda: client.zcard(beside) == 2, "both wait")
    await notify(notifier, -1)
    assert await soon(asyncio.gather(*tasks)) == [True, True]
    await until_nothing_is_left(server)
