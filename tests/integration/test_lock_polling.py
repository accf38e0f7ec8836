"""DistributedLock: waiting costs the server nothing, or always the same, however many wait."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest
from dsync import DistributedLock
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from tests.integration.locks import (
    NEVER,
    lock_name,
    queue_name,
    script_calls,
    soon,
    start_waiters,
    until_queued,
)
from tests.support.redis_server import RedisServer


@contextmanager
def watched_commands(client: SyncRedis) -> Iterator[Iterator[list[str]]]:
    """Give what clients send, command by command, as it comes."""
    with client.monitor() as monitor:  # type: ignore[no-untyped-call]
        yield (each["command"].split() for each in monitor.listen() if each["client_type"] != "lua")


async def hold_and_wait(
    server: RedisServer, redis: Redis, key: str, count: int, delay: float
) -> tuple[DistributedLock, list[asyncio.Task[bool]]]:
    """Let so many objects wait for a lock that is held."""
    first = DistributedLock(redis, key, delay)
    await first.acquire()
    locks = [DistributedLock(redis, key, delay) for _ in range(count)]
    tasks = [asyncio.create_task(lock.acquire()) for lock in locks]
    await until_queued(server, key, count)
    return first, tasks


async def cancel(*tasks: asyncio.Task[bool]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def next_polls(server: RedisServer, key: str, count: int) -> list[str]:
    """Return the operations that the next questions about a lock are for."""

    def listen() -> list[str]:
        with server.sync() as client, watched_commands(client) as commands:
            # EVALSHA sha 3 lock queue fence token operation ...
            polls = (words for words in commands if queue_name(key) in words)
            return [next(polls)[7] for _ in range(count)]

    return await soon(asyncio.to_thread(listen))


async def test_a_process_asks_for_its_oldest_waiter_alone(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, tasks = await hold_and_wait(server, redis, key, 30, 0.01)
    polls = await next_polls(server, key, 12)
    assert len(set(polls)) == 1
    with server.sync() as client:
        oldest = client.zrange(queue_name(key), 0, 0)[0]
    assert oldest.split()[0] == polls[0].strip('"')
    await cancel(*tasks)
    await first.release()


async def test_a_process_with_more_of_the_waiters_asks_more_often(
    server: RedisServer, redis: Redis, key: str
) -> None:
    """Together they ask as often as one alone would: each according to its part of the queue."""
    async with AsyncExitStack() as stack:
        first, tasks = await hold_and_wait(server, redis, key, 29, 0.05)
        other = await stack.enter_async_context(server.client(client_name="other"))
        tasks += await start_waiters(server, key, DistributedLock(other, key, 0.05))
        polls = Counter(await next_polls(server, key, 40))
        (_, many), *rest = polls.most_common()
        # The other asks 29 times less often.
        assert sum(count for _, count in rest) <= many / 8
        await cancel(*tasks)
        await first.release()


async def test_waiters_that_need_not_look_again_send_nothing(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first = DistributedLock(redis, key, NEVER)
    locks = [DistributedLock(redis, key, NEVER) for _ in range(25)]
    await first.acquire()
    before = script_calls(server)
    waiters = await start_waiters(server, key, *locks)
    assert script_calls(server) - before == 25
    await first.release()
    for lock, waiter in zip(locks, waiters, strict=True):
        assert await soon(waiter)
        await lock.release()
    # One to queue and one to release, for each; one for the first; nothing else.
    assert script_calls(server) - before == 25 + 25 + 1


async def test_an_uncontended_cycle_is_two_commands(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    async with lock:
        pass
    before = script_calls(server)
    for _ in range(10):
        async with lock:
            pass
    assert script_calls(server) - before == 20


async def test_the_first_in_the_queue_looks_again_when_the_holders_lease_ends(
    server: RedisServer, redis: Redis, key: str
) -> None:
    with server.sync() as client:
        # Of a process that is gone: nobody renews it, and nobody tells its end.
        client.set(lock_name(key), "gone", px=200)
    waiting, behind = DistributedLock(redis, key, NEVER), DistributedLock(redis, key, NEVER)
    first, second = await start_waiters(server, key, waiting, behind)
    assert await soon(first)
    await waiting.release()
    assert await soon(second)
    await behind.release()


async def test_a_waiter_looks_again_though_nothing_else_happens_in_its_session(
    server: RedisServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that no other timer of the session comes to help.
    monkeypatch.setattr("dsync._session._PING_INTERVAL", NEVER)
    async with server.client(socket_timeout=NEVER) as client:
        lock = DistributedLock(client, key, 0.01)
        assert not await lock.locked()
        with server.sync() as old:
            old.set(lock_name(key), "old")
            (waiter,) = await start_waiters(server, key, lock)
            old.delete(lock_name(key))
        assert await soon(waiter)
        await lock.release()


async def test_a_queue_that_was_flushed_away_is_built_again_in_order(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first = DistributedLock(redis, key, 0.02)
    locks = [DistributedLock(redis, key, 0.02) for _ in range(5)]
    await first.acquire()
    waiters = await start_waiters(server, key, *locks)
    with server.sync() as client:
        client.delete(queue_name(key))
    await until_queued(server, key, 5)
    await first.release()
    for number, (lock, waiter) in enumerate(zip(locks, waiters, strict=True)):
        assert await soon(waiter)
        assert sum(each.done() for each in waiters) == number + 1
        await lock.release()
