"""DistributedCondition: after a cancellation the lock is held, and no notification is lost."""

import asyncio
from functools import partial

import pytest
from dsync import DistributedCondition

from tests.integration.conditions import (
    BOTH,
    Crowd,
    condition_of,
    count_waiting,
    crowd,
    holds,
    lock_of,
    notify,
    turns,
    until_nothing_is_left,
    until_settled,
    until_waiting,
    wait_inside,
)
from tests.integration.locks import holder, queue_length, soon, until_queued
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

# More turns of the loop than any operation takes; see that each test meets its end.
MANY = 400


@pytest.fixture
def condition(server: RedisServer, key: str) -> DistributedCondition:
    """The one that notifies."""
    return condition_of(server, key, "notifier")


@pytest.fixture
def waiter(server: RedisServer, key: str) -> DistributedCondition:
    return condition_of(server, key, "waiter")


def is_any_of(server: RedisServer, key: str, counts: set[int]) -> bool:
    return count_waiting(server, key) in counts


# ---- the lock is held again ----


async def wait_and_check(waiter: DistributedCondition, times: list[bool]) -> None:
    async with waiter:
        try:
            await waiter.wait()
        except asyncio.CancelledError:
            times.append(await holds(waiter))
            raise


async def test_cancelled_while_waiting_the_lock_is_held_again_and_freed_by_the_block(
    server: RedisServer, key: str, waiter: DistributedCondition
) -> None:
    held: list[bool] = []
    task = asyncio.create_task(wait_and_check(waiter, held))
    await until_waiting(server, key, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert held == [True]
    await until_nothing_is_left(server)


async def test_cancelled_while_others_hold_the_lock_it_is_waited_for(
    server: RedisServer, key: str, waiter: DistributedCondition, condition: DistributedCondition
) -> None:
    held: list[bool] = []
    task = asyncio.create_task(wait_and_check(waiter, held))
    await until_waiting(server, key, 1)
    async with condition:
        for _ in range(5):
            # Again and again, as impatient callers do.
            task.cancel()
            await until_queued(server, key, 1)
            done, _ = await asyncio.wait([task], timeout=0.01)
            assert not done
        assert await holds(condition)
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert held == [True]
    await until_nothing_is_left(server)


async def test_cancelled_in_every_turn_of_the_loop_the_lock_is_held_again(
    server: RedisServer, key: str, waiter: DistributedCondition, condition: DistributedCondition
) -> None:
    held: list[bool] = []
    task = asyncio.create_task(wait_and_check(waiter, held))
    await until_waiting(server, key, 1)
    await condition.acquire()
    release = None
    for turn in range(5 * MANY):
        task.cancel()
        await asyncio.sleep(0)
        if turn == MANY:
            release = asyncio.create_task(condition.release())
        if task.done() or held:
            break
    assert release is not None
    await release
    await soon(asyncio.wait([task]))
    assert task.cancelled()
    await until_nothing_is_left(server)


@pytest.mark.parametrize("how", ["timeout", "wait_for"])
async def test_a_timeout_around_wait_leaves_the_lock_held(
    server: RedisServer, key: str, waiter: DistributedCondition, how: str
) -> None:
    async def wait_in_time() -> None:
        if how == "wait_for":
            await asyncio.wait_for(waiter.wait(), 0.02)
        async with asyncio.timeout(0.02):
            await waiter.wait()

    async with waiter:
        fence = lock_of(waiter).fencing_token
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await soon(wait_in_time())
            assert await holds(waiter)
            assert holder(server, key) == lock_of(waiter)._token
            assert lock_of(waiter).fencing_token > fence
            # The lock is as good as before.
            await waiter.notify_all()
    await until_nothing_is_left(server)


async def test_a_timeout_around_wait_for_leaves_the_lock_held(
    server: RedisServer, key: str, waiter: DistributedCondition, condition: DistributedCondition
) -> None:
    answers: list[bool] = []
    deadline = asyncio.timeout(None)

    async def wait_in_vain() -> None:
        async with waiter:
            with pytest.raises(TimeoutError):
                async with deadline:
                    await waiter.wait_for(lambda: answers.append(False))
            assert await holds(waiter)

    task = asyncio.create_task(wait_in_vain())
    for _ in range(3):
        await until_waiting(server, key, 1)
        await notify(condition)
    await until_waiting(server, key, 1)
    deadline.reschedule(asyncio.get_running_loop().time())
    await soon(task)
    assert len(answers) == 4
    await until_nothing_is_left(server)


async def test_a_timeout_without_the_lock_leaves_at_once(
    server: RedisServer, key: str, waiter: DistributedCondition, condition: DistributedCondition
) -> None:
    async with condition:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await waiter.wait()
        assert queue_length(server, key) == 0
    await until_nothing_is_left(server)


@BOTH
async def test_cancelled_after_each_turn_of_the_loop_on_the_way_into_wait(
    server: RedisServer, key: str, waiter: DistributedCondition, locked: bool
) -> None:
    arrived = 0
    for steps in range(MANY):
        task = asyncio.create_task(wait_inside(waiter) if locked else waiter.wait())
        await turns(steps)
        arrived += count_waiting(server, key)
        task.cancel()
        await soon(asyncio.wait([task]))
        assert task.cancelled()
        await until_nothing_is_left(server)
        if arrived == 3:
            break
    else:
        pytest.fail("it never came to wait")


@BOTH
async def test_the_first_wait_cancelled_after_each_turn_of_the_loop(
    server: RedisServer, key: str, locked: bool
) -> None:
    """Each with a session of its own, so cancelled while the connection is made as well."""
    arrived = 0
    for steps in range(MANY):
        waiter = condition_of(server, key, f"session-{steps}")
        task = asyncio.create_task(wait_inside(waiter) if locked else waiter.wait())
        await turns(steps)
        arrived += count_waiting(server, key)
        task.cancel()
        await soon(asyncio.wait([task]))
        assert task.cancelled()
        await until_nothing_is_left(server)
        if arrived == 3:
            break
    else:
        pytest.fail("it never came to wait")


# ---- the notification goes on ----


async def cancel(waiters: Crowd, number: int) -> None:
    """Cancel one of a crowd."""
    waiters.tasks[number].cancel()
    await soon(asyncio.wait([waiters.tasks[number]]))
    assert waiters.tasks[number].cancelled()


@BOTH
async def test_cancelled_before_a_notification_it_reaches_the_next(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, f"{n}") for n in range(4)), locked=locked)
        await cancel(waiters, 0)
        await cancel(waiters, 2)
        await until_waiting(server, key, 2)
        await notify(condition, 1)
        assert await waiters.until_woken(1) == [1]
        await until_settled(server, key, 1)


async def test_cancelled_in_the_queue_for_the_lock_the_notification_reaches_the_next(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key, f"{n}") for n in range(4)))
        async with condition:
            await condition.notify(2)
            await until_queued(server, key, 2)
            waiters.tasks[0].cancel()
            # The third wakes in its place, and the first wants the lock only to end its block.
            await until_queued(server, key, 3)
            assert count_waiting(server, key) == 1
        await waiters.until_woken(2)
        await until_settled(server, key, 1)
        assert sorted(waiters.woken) == [1, 2]
        assert waiters.tasks[0].cancelled()


async def test_a_cancelled_waiter_does_not_pass_its_notification_on_to_a_newcomer(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "early"))
        async with condition:
            await condition.notify()
            await until_queued(server, key, 1)
            await waiters.add(condition_of(server, key, "late"), locked=False)
            waiters.tasks[0].cancel()
        await soon(asyncio.wait(waiters.tasks[:1]))
        await until_settled(server, key, 1)
        assert waiters.woken == []


async def test_all_but_the_last_cancelled_the_notification_reaches_the_last(
    server: RedisServer, key: str, condition: DistributedCondition
) -> None:
    """It goes from one cancelled waiter to the next, of both kinds, and gets lost nowhere."""
    async with crowd(server, key) as waiters:
        for number in range(20):
            await waiters.add(condition_of(server, key, f"{number % 3}"), locked=number % 4 < 2)
        async with condition:
            await condition.notify()
            for task in waiters.tasks[:-1]:
                task.cancel()
        await soon(asyncio.wait(waiters.tasks[:-1]))
        assert await waiters.until_woken(1) == [19]
    await until_nothing_is_left(server)


@BOTH
async def test_cancelled_in_each_turn_of_the_loop_around_a_notification(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool
) -> None:
    """Before it, exactly with it or after it: one of two wakes, and always one of them."""
    seen = set()
    for steps in range(MANY):
        async with crowd(server, key) as waiters:
            await waiters.add(condition_of(server, key, "first"), locked=locked)
            await waiters.add(condition_of(server, key, "second"), locked=steps % 2 == 0)
            notifying = asyncio.create_task(notify(condition))
            await turns(steps)
            waiters.tasks[0].cancel()
            await soon(notifying)
            await soon(asyncio.wait(waiters.tasks[:1]))
            (woken,) = await waiters.until_woken(1)
            await until_settled(server, key, 1 - woken)
            assert waiters.woken == [woken]
            seen.add(woken)
            if not waiters.tasks[0].cancelled():
                break
    assert seen == {0, 1}
    await until_nothing_is_left(server)


@BOTH
async def test_a_notifier_cancelled_in_each_turn_of_the_loop_has_notified_or_not(
    server: RedisServer, key: str, condition: DistributedCondition, locked: bool
) -> None:
    seen = set()
    for steps in range(MANY):
        async with crowd(server, key) as waiters:
            await waiters.add(*[condition_of(server, key, "waiter")] * 3, locked=locked)
            notifying = asyncio.create_task(notify(condition, 2))
            await turns(steps)
            notifying.cancel()
            await soon(asyncio.wait([notifying]))
            await eventually(partial(is_any_of, server, key, {1, 3}), "it has happened or not")
            await until_settled(server, key, count_waiting(server, key))
            assert len(waiters.woken) == 3 - count_waiting(server, key)
            seen.add(len(waiters.woken))
            if not notifying.cancelled():
                break
    assert seen == {0, 2}
    await until_nothing_is_left(server)
