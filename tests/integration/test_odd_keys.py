"""Any text is the key of any primitive, as of the lock (test_lock_keys)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dsync import (
    DistributedBarrier,
    DistributedBoundedSemaphore,
    DistributedCondition,
    DistributedEvent,
    DistributedSemaphore,
)
from dsync.key_value import (
    CreateKeyValueDistributedLockFailedException,
    KeyValueDistributedLock,
    get_key,
)
from redis.asyncio import Redis

from tests.integration import barriers, events
from tests.integration.key_values import using
from tests.integration.locks import leftovers, soon
from tests.integration.test_lock_keys import KEYS
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


async def use_semaphore(server: RedisServer, redis: Redis, key: str) -> None:
    for kind in (DistributedSemaphore, DistributedBoundedSemaphore):
        first, second = kind(redis, key, 1), kind(redis, key, 1)
        await first.acquire()
        assert not await second.try_acquire()
        waiter = asyncio.create_task(second.acquire())
        await asyncio.sleep(0)
        await first.release()
        await waiter
        await second.release()


async def use_condition(server: RedisServer, redis: Redis, key: str) -> None:
    condition = DistributedCondition(redis, key)
    waiter = asyncio.create_task(condition.wait())
    await eventually(lambda: any(":dsync:waiting" in name for name in leftovers(server)))
    async with condition:
        await condition.notify()
    await waiter


async def use_barrier(server: RedisServer, redis: Redis, key: str) -> None:
    barrier = DistributedBarrier(redis, key, 2)
    first = asyncio.create_task(barrier.wait())
    await barriers.until_arrived(server, key, 1)
    await barrier.wait()
    await first


async def use_event(server: RedisServer, redis: Redis, key: str) -> None:
    event = DistributedEvent(redis, key)
    waiter = asyncio.create_task(event.wait())
    await events.until_listened(server, key)
    await event.set()
    await waiter
    assert await event.is_set()
    await event.clear()
    assert not await event.is_set()


USES: dict[str, Callable[[RedisServer, Redis, str], Awaitable[None]]] = {
    "semaphore": use_semaphore,
    "condition": use_condition,
    "barrier": use_barrier,
    "event": use_event,
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
async def test_any_text_is_a_key(
    server: RedisServer, redis: Redis, use: Callable[..., Awaitable[None]], key: str
) -> None:
    await soon(use(server, redis, key))


@pytest.mark.parametrize("text", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("place", ["namespace", "parameter", "value"])
def test_any_text_is_part_of_a_key_value_lock(server: RedisServer, place: str, text: str) -> None:
    params: dict[str, Any] = {text: 1} if place == "parameter" else {"user": text}
    namespace = text if place == "namespace" else "refresh"
    with using(server.url), KeyValueDistributedLock(namespace, **params) as lock:
        assert lock == get_key(namespace, **params)
        with (
            pytest.raises(CreateKeyValueDistributedLockFailedException),
            KeyValueDistributedLock(namespace, **params),
        ):
            pass
        with KeyValueDistributedLock(f"{namespace} ", **params):
            pass
