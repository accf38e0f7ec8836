"""DistributedLock: fencing tokens grow with every grant of a key on a server."""

from collections.abc import Callable

import pytest
from dsync import DistributedLock, LockLostError
from redis.asyncio import Redis

from tests.integration.locks import (
    NEVER,
    fence_name,
    leftovers,
    lose,
    soon,
    start_waiters,
)
from tests.support.redis_server import RedisServer
from tests.support.sentinel import SentinelGroup
from tests.support.waiting import eventually


async def grant(lock: DistributedLock) -> int:
    async with lock:
        return lock.fencing_token


async def test_the_fencing_token_is_an_int_and_stays_while_the_lock_is_held(
    redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key) as lock:
        token = lock.fencing_token
        assert type(token) is int
        assert token > 0
        assert await lock.owned()
        await lock.extend(100)
        assert lock.fencing_token == token


async def test_the_fencing_token_grows_with_every_grant(redis: Redis, key: str) -> None:
    locks = [DistributedLock(redis, key) for _ in range(3)]
    tokens = [await grant(lock) for _ in range(20) for lock in locks]
    assert tokens == sorted(set(tokens))


async def test_the_fencing_token_grows_with_every_hand_over(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first = DistributedLock(redis, key, NEVER)
    locks = [DistributedLock(redis, key, NEVER) for _ in range(10)]
    await first.acquire()
    tokens = [first.fencing_token]
    waiters = await start_waiters(server, key, *locks)
    await first.release()
    for waiter, lock in zip(waiters, locks, strict=True):
        await soon(waiter)
        tokens.append(lock.fencing_token)
        await lock.release()
    assert tokens == sorted(set(tokens))


async def test_the_fencing_token_grows_from_process_to_process(
    server: RedisServer, redis: Redis, key: str
) -> None:
    tokens = []
    for name in ("one", "two", "three"):
        # Another client name is another session, as in another process.
        async with server.client(client_name=name) as client:
            tokens.append(await grant(DistributedLock(client, key)))
    assert tokens == sorted(set(tokens))


async def test_the_fencing_token_grows_when_the_holder_was_overtaken(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lost = DistributedLock(redis, key, lease=0.05, auto_renew=False)
    await lost.acquire()
    async with DistributedLock(redis, key) as lock:
        assert lock.fencing_token > lost.fencing_token
    with pytest.raises(LockLostError):
        await lost.release()


async def test_the_fencing_token_tells_the_old_number_after_a_loss(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    before = lock.fencing_token
    await lose(server, key, lock)
    assert lock.fencing_token == before
    with pytest.raises(LockLostError):
        await lock.release()


@pytest.mark.parametrize("lease", [30.0, None])
async def test_the_fencing_token_grows_over_flushall(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    lock = DistributedLock(redis, key, lease=lease)
    before = await grant(lock)
    server.flush()
    assert await grant(lock) > before


async def test_the_fencing_token_grows_when_the_fence_expired(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    before = await grant(lock)
    with server.sync() as client:
        assert client.delete(fence_name(key)) == 1
    assert await grant(lock) > before


async def test_the_fencing_token_grows_when_the_servers_clock_was_ahead(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await grant(lock)
    with server.sync() as client:
        # As if granted by a server, now replaced, whose clock was years ahead.
        operation = str(client.get(fence_name(key)))[16:]
        client.set(fence_name(key), "4102444800000000" + operation, keepttl=True)
    # Sixteen tokens behind each grant are for those that get the lock without the server.
    assert await grant(lock) == 4102444800000017
    assert await grant(lock) == 4102444800000034


@pytest.mark.parametrize("keep_data", [True, False])
async def test_the_fencing_token_grows_over_a_restart_of_the_server(
    make_server: Callable[..., RedisServer], key: str, keep_data: bool
) -> None:
    server = make_server()
    async with server.client() as client:
        lock = DistributedLock(client, key)
        before = await grant(lock)
        server.restart(keep_data=keep_data)
        assert await soon(grant(lock)) > before


async def test_the_fencing_token_grows_over_a_failover(
    make_sentinels: Callable[..., SentinelGroup], key: str
) -> None:
    group = make_sentinels()
    async with group.client() as client:
        lock = DistributedLock(client, key)
        before = await grant(lock)
        group.failover()
        assert await soon(grant(lock)) > before


async def test_the_fencing_token_without_holding_raises_runtime_error(
    redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    with pytest.raises(RuntimeError, match=key):
        _ = lock.fencing_token
    await grant(lock)
    with pytest.raises(RuntimeError, match=key):
        _ = lock.fencing_token


@pytest.mark.parametrize("lease", [30.0, None])
async def test_only_a_fence_with_a_time_to_live_is_left_behind(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    first, second = (DistributedLock(redis, key, NEVER, lease=lease) for _ in range(2))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    await soon(waiter)
    await second.release()
    left = await eventually(lambda: leftovers(server))
    assert left.keys() == {fence_name(key)}
    assert left[fence_name(key)] > 0
