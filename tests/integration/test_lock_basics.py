"""DistributedLock: the documented methods."""

import asyncio
import uuid

import pytest
from dsync import DistributedLock, LockLostError
from redis.asyncio import Redis

from tests.integration.locks import (
    NEVER,
    holder,
    lose,
    soon,
    start_waiters,
    until_nothing_is_left,
    until_queued,
)
from tests.support.redis_server import RedisServer


async def test_acquire_returns_true(redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    assert await lock.acquire() is True
    await lock.release()


async def test_acquire_of_a_taken_lock_returns_true_when_it_is_freed(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = DistributedLock(redis, key), DistributedLock(redis, key)
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter) is True
    await second.release()


async def test_release_returns_nothing_and_frees_the_lock(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    # What the old package promises is that a call gives None.
    assert await lock.release() is None  # type: ignore[func-returns-value]
    assert holder(server, key) is None


async def test_two_objects_exclude_each_other(redis: Redis, key: str) -> None:
    first, second = DistributedLock(redis, key), DistributedLock(redis, key)
    await first.acquire()
    assert not await second.try_acquire()
    await first.release()
    assert await second.try_acquire()
    assert not await first.try_acquire()
    await second.release()


async def test_different_keys_do_not_exclude_each_other(redis: Redis, key: str) -> None:
    async with DistributedLock(redis, key), DistributedLock(redis, f"{key}-2"):
        pass


async def test_a_lock_can_be_acquired_again_after_its_release(redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    for _ in range(5):
        assert await lock.acquire()
        await lock.release()


async def test_the_lock_is_not_reentrant(redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    async with lock:
        assert not await lock.try_acquire()
        with pytest.raises(TimeoutError):
            await lock.acquire(acquire_timeout=0)


async def test_locked_tells_whether_anybody_holds_it(redis: Redis, key: str) -> None:
    mine, other = DistributedLock(redis, key), DistributedLock(redis, key)
    assert await mine.locked() is False
    await mine.acquire()
    assert await mine.locked() is True
    assert await other.locked() is True
    await mine.release()
    assert await mine.locked() is False
    assert await other.locked() is False


async def test_owned_tells_whether_this_object_holds_it(
    server: RedisServer, redis: Redis, key: str
) -> None:
    mine, other = DistributedLock(redis, key), DistributedLock(redis, key)
    assert await mine.owned() is False
    await mine.acquire()
    assert await mine.owned() is True
    assert await other.owned() is False
    await lose(server, key, mine)
    assert await mine.owned() is False
    with pytest.raises(LockLostError):
        await mine.release()
    assert await mine.owned() is False


async def test_async_with_gives_the_lock(server: RedisServer, redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    async with lock as given:
        assert given is lock
        assert holder(server, key) is not None
    assert holder(server, key) is None


async def test_async_with_frees_the_lock_after_an_exception(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with pytest.raises(KeyError, match="body") as caught:
        async with DistributedLock(redis, key):
            raise KeyError("body")
    assert not hasattr(caught.value, "__notes__")
    assert holder(server, key) is None


async def test_async_with_frees_the_lock_after_a_cancellation(
    server: RedisServer, redis: Redis, key: str
) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with DistributedLock(redis, key):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await soon(inside.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_nothing_is_left(server)


async def test_async_with_of_an_object_with_a_timeout_raises_timeout_error(
    redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key):
        with pytest.raises(TimeoutError):
            async with DistributedLock(redis, key, acquire_timeout=0.01):
                pytest.fail("inside while another holds the lock")


async def test_release_without_acquire_raises_runtime_error(redis: Redis, key: str) -> None:
    with pytest.raises(RuntimeError, match=key) as caught:
        await DistributedLock(redis, key).release()
    assert not isinstance(caught.value, LockLostError)


async def test_a_second_release_raises_runtime_error(redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    await lock.release()
    with pytest.raises(RuntimeError, match=key) as caught:
        await lock.release()
    assert not isinstance(caught.value, LockLostError)


async def test_release_by_an_object_that_does_not_hold_it_leaves_the_holder_alone(
    server: RedisServer, redis: Redis, key: str
) -> None:
    mine, other = DistributedLock(redis, key), DistributedLock(redis, key)
    async with mine:
        with pytest.raises(RuntimeError):
            await other.release()
        assert holder(server, key) == mine._token
        assert await mine.owned()


async def test_release_by_an_object_that_waits_raises_runtime_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    mine, other = DistributedLock(redis, key), DistributedLock(redis, key)
    await mine.acquire()
    (waiter,) = await start_waiters(server, key, other)
    with pytest.raises(RuntimeError):
        await other.release()
    await mine.release()
    assert await soon(waiter)
    await other.release()


async def test_the_token_is_a_uuid_and_stands_in_redis_while_the_lock_is_held(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    token = lock._token
    assert str(uuid.UUID(token)) == token
    for _ in range(2):
        async with lock:
            assert holder(server, key) == token == lock._token
        assert holder(server, key) is None


async def test_the_token_stands_in_redis_after_a_hand_over_too(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = DistributedLock(redis, key), DistributedLock(redis, key)
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert holder(server, key) == second._token
    await soon(waiter)
    await second.release()


async def test_every_object_has_a_token_of_its_own(redis: Redis, key: str) -> None:
    assert DistributedLock(redis, key)._token != DistributedLock(redis, key)._token


async def test_fifty_tasks_enter_one_object_one_after_another(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, NEVER)
    inside = 0
    entered = []

    async def work(number: int) -> None:
        nonlocal inside
        async with lock:
            inside += 1
            assert inside == 1
            entered.append(number)
            assert lock.valid_for() > 0
            assert await lock.owned()
            inside -= 1

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(work(number))
    assert entered == list(range(50))
    await until_nothing_is_left(server)


async def test_a_task_may_release_what_another_task_acquired(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await asyncio.create_task(lock.acquire())
    assert await lock.owned()
    await asyncio.create_task(lock.release())
    await until_nothing_is_left(server)


async def test_repr_tells_the_key_and_whether_it_is_held(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    assert key in repr(lock)
    assert "not held" in repr(lock)
    await lock.acquire()
    assert "not held" not in repr(lock)
    assert "held" in repr(lock)
    await lose(server, key, lock)
    assert "lost" in repr(lock)


@pytest.mark.parametrize("decode_responses", [True, False])
async def test_decode_responses_makes_no_difference(
    server: RedisServer, key: str, decode_responses: bool
) -> None:
    async with server.client(decode_responses=decode_responses) as client:
        first, second = DistributedLock(client, key), DistributedLock(client, key)
        async with first:
            assert holder(server, key) == first._token
            assert await first.locked() is True
            assert await first.owned() is True
            assert await second.try_acquire() is False
            task = asyncio.create_task(second.acquire())
            await until_queued(server, key, 1)
        assert await soon(task) is True
        await second.release()
        assert await second.locked() is False
    await until_nothing_is_left(server)


async def test_the_clients_own_pool_is_never_used(server: RedisServer, key: str) -> None:
    async with server.client(max_connections=1) as client, client.pipeline() as pipe:
        # Holds the only connection of the pool.
        await pipe.watch("something")
        async with DistributedLock(client, key):
            pass
