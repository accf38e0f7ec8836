"""DistributedLock: what a holder learns when its lease ended, and how."""

import asyncio
from typing import Any

import pytest
from dsync import DistributedLock, LockLostError
from redis.asyncio import Redis

from tests.integration.locks import (
    STRANGER,
    holder,
    leftovers,
    lock_name,
    lose,
    soon,
    steal,
)
from tests.support.redis_server import RedisServer

SHORT = 0.6


def test_lock_lost_error_is_a_runtime_error() -> None:
    assert issubclass(LockLostError, RuntimeError)


async def test_release_of_a_lost_lock_raises_lock_lost_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    steal(server, key)
    with pytest.raises(LockLostError, match=key):
        await lock.release()


async def test_release_of_a_lost_lock_does_not_free_that_of_the_next_holder(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    await lose(server, key, lock)
    with pytest.raises(LockLostError):
        await lock.release()
    await DistributedLock(redis, key).locked()
    assert holder(server, key) == STRANGER


async def test_a_lost_lock_is_released_once(server: RedisServer, redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    await lose(server, key, lock)
    with pytest.raises(LockLostError):
        await lock.release()
    with pytest.raises(RuntimeError) as caught:
        await lock.release()
    assert not isinstance(caught.value, LockLostError)


async def test_extend_of_a_lost_lock_raises_lock_lost_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    steal(server, key)
    for _ in range(2):
        with pytest.raises(LockLostError, match=key):
            await lock.extend(1)
    assert lock.lost.is_set()
    with pytest.raises(LockLostError):
        await lock.release()


async def test_the_block_raises_lock_lost_error_at_its_end(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with pytest.raises(LockLostError, match=key):
        async with DistributedLock(redis, key):
            steal(server, key)


async def test_the_exception_of_the_body_goes_before_the_loss_and_notes_it(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async def work() -> None:
        async with DistributedLock(redis, key):
            steal(server, key)
            raise KeyError("body")

    with pytest.raises(KeyError, match="body") as caught:
        await work()
    assert any(key in note and "lost" in note for note in caught.value.__notes__)


async def test_lost_is_set_by_the_renewal(server: RedisServer, redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key, lease=SHORT)
    await lock.acquire()
    assert not lock.lost.is_set()
    steal(server, key)
    await soon(lock.lost.wait())
    assert lock.valid_for() == 0
    with pytest.raises(LockLostError):
        await lock.release()


async def test_lost_can_be_awaited(server: RedisServer, redis: Redis, key: str) -> None:
    async def wait() -> bool:
        return await lock.lost

    lock = DistributedLock(redis, key)
    await lock.acquire()
    waiting = asyncio.create_task(wait())
    await lose(server, key, lock)
    assert await soon(waiting) is True
    with pytest.raises(LockLostError):
        await lock.release()


async def test_lost_tells_a_loss_that_was_before_it_was_asked_for(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    await lose(server, key, lock)
    assert lock.lost.is_set()
    assert lock.lost is lock.lost
    with pytest.raises(LockLostError):
        await lock.release()


async def test_lost_is_not_set_before_acquire_nor_by_release(redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    assert not lock.lost.is_set()
    async with lock:
        assert not lock.lost.is_set()
    assert not lock.lost.is_set()


async def test_the_next_grant_clears_lost(server: RedisServer, redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    await lose(server, key, lock)
    with pytest.raises(LockLostError):
        await lock.release()
    assert lock.lost.is_set()
    server.flush()
    async with lock:
        assert not lock.lost.is_set()


async def test_on_lost_is_called_once_with_the_lock(
    server: RedisServer, redis: Redis, key: str
) -> None:
    called: asyncio.Queue[DistributedLock] = asyncio.Queue()
    lock = DistributedLock(redis, key, lease=SHORT, on_lost=called.put_nowait)
    await lock.acquire()
    steal(server, key)
    assert await soon(called.get()) is lock
    assert lock.lost.is_set()
    with pytest.raises(LockLostError):
        await lock.release()
    assert called.empty()


async def test_on_lost_may_be_a_coroutine_function(
    server: RedisServer, redis: Redis, key: str
) -> None:
    done = asyncio.Event()

    async def on_lost(lost: DistributedLock) -> None:
        assert lost is lock
        await asyncio.sleep(0)
        done.set()

    lock = DistributedLock(redis, key, lease=SHORT, on_lost=on_lost)
    await lock.acquire()
    steal(server, key)
    await soon(done.wait())
    with pytest.raises(LockLostError):
        await lock.release()


async def test_an_on_lost_that_raises_is_told_to_the_loop_and_harms_nothing(
    server: RedisServer, redis: Redis, key: str
) -> None:
    errors: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, each: errors.put_nowait(each))

    def on_lost(lock: DistributedLock) -> None:
        raise KeyError("callback")

    lock = DistributedLock(redis, key, lease=SHORT, on_lost=on_lost)
    other = DistributedLock(redis, f"{key}-2", lease=SHORT)
    async with other:
        await lock.acquire()
        steal(server, key)
        assert isinstance((await soon(errors.get()))["exception"], KeyError)
        assert lock.lost.is_set()
        with pytest.raises(LockLostError):
            await lock.release()
        assert await other.owned()


async def test_an_on_lost_coroutine_that_raises_is_told_to_the_loop(
    server: RedisServer, redis: Redis, key: str
) -> None:
    errors: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, each: errors.put_nowait(each))

    async def on_lost(lock: DistributedLock) -> None:
        raise KeyError("callback")

    lock = DistributedLock(redis, key, lease=SHORT, on_lost=on_lost)
    await lock.acquire()
    steal(server, key)
    assert isinstance((await soon(errors.get()))["exception"], KeyError)
    with pytest.raises(LockLostError):
        await lock.release()


async def test_on_lost_is_not_called_by_release(redis: Redis, key: str) -> None:
    called: list[DistributedLock] = []
    async with DistributedLock(redis, key, on_lost=called.append):
        pass
    assert called == []


async def wait_until_cancelled(server: RedisServer, redis: Redis, key: str) -> None:
    async with DistributedLock(redis, key, lease=SHORT, cancel_on_lost=True):
        steal(server, key)
        await asyncio.Event().wait()


async def test_cancel_on_lost_turns_the_cancellation_into_lock_lost_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async def work() -> int:
        with pytest.raises(LockLostError, match=key):
            await wait_until_cancelled(server, redis, key)
        task = asyncio.current_task()
        assert task is not None
        # What follows is not disturbed.
        await asyncio.sleep(0)
        return task.cancelling()

    assert await soon(asyncio.create_task(work())) == 0


async def test_cancel_on_lost_leaves_a_cancellation_from_outside_alone(
    server: RedisServer, redis: Redis, key: str
) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with DistributedLock(redis, key, cancel_on_lost=True):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await soon(inside.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_cancellation_from_outside_beside_that_of_the_loss_stays_one(
    server: RedisServer, redis: Redis, key: str
) -> None:
    inside = asyncio.Event()
    lock = DistributedLock(redis, key, cancel_on_lost=True)

    async def work() -> None:
        async with lock:
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await soon(inside.wait())
    task.cancel()
    steal(server, key)
    # The loss is found by the release; the caller's cancellation is what ends the task.
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_both_cancellations_before_the_task_runs_leave_it_cancelled(
    server: RedisServer, redis: Redis, key: str
) -> None:
    inside = asyncio.Event()
    lock = DistributedLock(redis, key, cancel_on_lost=True)

    async def work() -> None:
        async with lock:
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await soon(inside.wait())
    assert not lock.lost.is_set()
    steal(server, key)
    owned = asyncio.create_task(lock.owned())
    await lock.lost
    task.cancel()
    assert not await soon(owned)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_the_exception_of_the_body_goes_before_a_loss_that_cancels(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async def fail() -> None:
        async with DistributedLock(redis, key, lease=SHORT, cancel_on_lost=True):
            steal(server, key)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise KeyError("body") from None

    async def work() -> int:
        with pytest.raises(KeyError, match="body") as caught:
            await fail()
        assert any("lost" in note for note in caught.value.__notes__)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await soon(asyncio.create_task(work())) == 0


async def test_cancel_on_lost_inside_a_timeout_is_no_timeout(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with pytest.raises(LockLostError):
        async with asyncio.timeout(20):
            await wait_until_cancelled(server, redis, key)


async def test_cancel_on_lost_in_a_task_group_fails_the_group_with_lock_lost_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_until_cancelled(server, redis, key))
    assert [type(error) for error in caught.value.exceptions] == [LockLostError]


async def test_an_object_whose_lock_was_lost_can_be_used_again(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    await lose(server, key, lock)
    with pytest.raises(LockLostError):
        await lock.release()
    with server.sync() as client:
        client.delete(lock_name(key))
    async with lock:
        assert await lock.owned()
        assert lock.valid_for() > 0


async def test_one_lost_lock_does_not_lose_the_others(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lost = DistributedLock(redis, f"{key}-0", lease=SHORT)
    others = [DistributedLock(redis, f"{key}-{number}", lease=SHORT) for number in range(1, 10)]
    for lock in (lost, *others):
        await lock.acquire()
    steal(server, f"{key}-0")
    await soon(lost.lost.wait())
    for lock in others:
        assert await lock.owned()
        assert not lock.lost.is_set()
        await lock.release()
    with pytest.raises(LockLostError):
        await lost.release()
    assert lock_name(f"{key}-0") in leftovers(server)


async def test_a_key_of_another_type_in_place_of_the_lock_is_a_loss_and_no_harm_to_others(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lost = DistributedLock(redis, key, lease=SHORT)
    other = DistributedLock(redis, f"{key}-2", lease=SHORT)
    await lost.acquire()
    async with other:
        with server.sync() as client:
            client.delete(lock_name(key))
            client.rpush(lock_name(key), "a list")
        await soon(lost.lost.wait())
        assert await other.owned()
