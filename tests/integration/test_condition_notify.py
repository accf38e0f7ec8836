"""DistributedCondition: who wakes for a notification, and who may notify."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from dsync import DistributedCondition, LockLostError

from tests.integration.barriers import Listener
from tests.integration.conditions import (
    BOTH,
    condition_of,
    count_waiting,
    counter_name,
    crowd,
    lock_of,
    notify,
    overhearing,
    told_name,
    until_nothing_is_left,
    until_settled,
    until_waiting,
)
from tests.integration.locks import (
    leftovers,
    peek,
    soon,
    steal,
)
from tests.support.redis_server import RedisServer


@pytest.fixture
def condition(server: RedisServer, key: str) -> DistributedCondition:
    """The one that notifies."""
    return condition_of(server, key, "notifier")


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 2**53 - 1])
@BOTH
async def test_notify_wakes_the_n_oldest_or_all_if_there_are_fewer(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool, n: int
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(5):
            await waiters.add(condition_of(server, key, f"{number % 2}"), locked=locked)
        await notify(condition, n)
        woken = min(n, 5)
        await waiters.until_woken(woken)
        await until_settled(server, key, 5 - woken)
        assert sorted(waiters.woken) == list(range(woken))
    await until_nothing_is_left(server)


@BOTH
async def test_notify_all_wakes_all(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(15):
            await waiters.add(condition_of(server, key, f"{number % 5}"), locked=locked)
        await notify(condition, -1)
        assert sorted(await waiters.until_done()) == list(range(15))
    await until_nothing_is_left(server)


async def test_notify_all_is_one_message_to_a_session_of_a_thousand_waiters(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    waiter = condition_of(server, key, "waiter")
    tasks = [asyncio.create_task(waiter.wait()) for _ in range(1000)]
    await until_waiting(server, key, len(tasks))
    with Listener(server, pattern="dsync:inbox:*") as listener:
        await notify(condition, -1)
        assert await soon(asyncio.gather(*tasks)) == [True] * len(tasks)
        assert len(listener.messages()) == 1
    await until_nothing_is_left(server)


async def test_notify_wakes_one_unless_it_is_told_otherwise(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, "waiter") for _ in range(3)))
        async with condition:
            await condition.notify()
        await waiters.until_woken(1)
        await until_settled(server, key, 2)


@BOTH
async def test_newcomers_are_not_woken_by_a_notification_before_them(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "early"), locked=locked)
        async with condition:
            # More than there are, and once more when nobody is left.
            await condition.notify(5)
            await condition.notify_all()
        await waiters.until_woken(1)
        await waiters.add(condition_of(server, key, "late"), locked=locked)
        await until_settled(server, key, 1)
        assert waiters.woken == [0]


async def test_who_waits_again_after_it_was_woken_is_a_newcomer(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    """What a notifier still says does not wake the same waiter twice."""
    waiters = [condition_of(server, key, f"{number}") for number in range(2)]
    counts = [0, 0]

    async def wait_again(number: int) -> None:
        async with waiters[number]:
            while True:
                await waiters[number].wait()
                counts[number] += 1

    tasks = [asyncio.create_task(wait_again(0)), asyncio.create_task(wait_again(1))]
    await until_waiting(server, key, 2)
    await notify(condition, 7)
    await until_settled(server, key, 2)
    assert counts == [1, 1]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await until_nothing_is_left(server)


@pytest.mark.parametrize("n", [1, 3, -1])
async def test_notifications_without_waiters_leave_nothing(
    server: RedisServer, key: str, condition: DistributedCondition, n: int
) -> None:
    with overhearing(server, key) as heard:
        await notify(condition, n)
        await until_nothing_is_left(server)
        with peek(server) as client:
            assert int(client.get(counter_name(key)) or 0) <= 0
            # A mark that is certainly later than what the notification said.
            client.publish(f"condition_{key}_channel", "mark")
        message = heard.get_message(timeout=10)
        assert message is not None
        assert message["data"] == "mark"


@BOTH
async def test_nothing_is_left_while_and_after_they_wait(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(4):
            await waiters.add(condition_of(server, key, f"{number}"), locked=locked)
        # Whatever stands there expires, should nobody ask about it any more.
        assert all(0 < left <= 640 for left in leftovers(server).values())
        await notify(condition, -1)
        await waiters.until_done()
    with peek(server) as client:
        assert not client.exists(told_name(key), counter_name(key))
    await until_nothing_is_left(server)


@pytest.mark.parametrize("how", ["notify", "notify_all"])
async def test_notify_without_the_lock_raises_runtime_error(
    server: RedisServer, key: str, condition: DistributedCondition, how: str
) -> None:
    call: Callable[[], Awaitable[None]] = getattr(condition, how)
    other = condition_of(server, key, "other")
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "waiter"))
        for held in (False, True):
            if held:
                # By somebody else, which the old package takes for enough.
                await other.acquire()
            with pytest.raises(RuntimeError, match=key) as caught:
                await soon(call())
            assert not isinstance(caught.value, LockLostError)
        await other.release()
        await until_settled(server, key, 1)
        assert waiters.woken == []


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("how", ["notify", "notify_all", "wait"])
async def test_after_a_loss_the_methods_raise_lock_lost_error(
    server: RedisServer, key: str, condition: DistributedCondition, how: str, known: bool
) -> None:
    call: Callable[[], Awaitable[None]] = getattr(condition, how)
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "waiter"), locked=False)
        await condition.acquire()
        steal(server, key)
        if known:
            assert not await lock_of(condition).owned()
        for _ in range(2):
            with pytest.raises(LockLostError, match=key):
                await soon(call())
        with pytest.raises(LockLostError):
            await condition.release()
        assert count_waiting(server, key) == 1
        assert waiters.woken == []


async def test_on_lost_is_called_with_the_condition(server: RedisServer, key: str) -> None:
    told: list[DistributedCondition] = []
    condition = condition_of(server, key, on_lost=told.append)
    await condition.acquire()
    steal(server, key)
    assert not await lock_of(condition).owned()
    with pytest.raises(LockLostError):
        await condition.release()
    assert told == [condition]
