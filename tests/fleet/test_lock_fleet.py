"""Processes that still run `aiodistributor` 0.0.3.3 beside processes that run dsync."""

import asyncio
import importlib.metadata
import uuid
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from tests.fault.lock_tools import queued
from tests.fleet import lock_nodes
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

Spawn = Callable[..., Child]
KINDS = ["old", "new"]
OTHER = {"old": "new", "new": "old"}
# Far from what a missed release would cost: the lease of 30 s, or the 5 s for an answer.
SOON = 2.0
DELAY = 0.2


def test_the_old_package_is_the_released_one() -> None:
    assert importlib.metadata.version("aiodistributor") == "0.0.3.3"


@pytest.mark.parametrize("tasks", [1, 4], ids=["one task each", "several tasks each"])
async def test_old_and_new_processes_lose_no_update(
    server: RedisServer, spawn: Spawn, redis: Redis, key: str, tasks: int
) -> None:
    rounds = 500
    nodes = [
        spawn(lock_nodes.count, kind, server.url, key, rounds, 0.002, tasks)
        for kind in ("old", "new", "old", "new")
    ]
    # Each comes to its end, so neither kind starves while the others leave gaps.
    for node in nodes:
        assert (await node.expect("done", within=90))["rounds"] == rounds
        assert await node.wait() == 0, node.errors
    assert int(await redis.get(f"{key}-number") or 0) == rounds * len(nodes)
    assert not await redis.exists(f"distributed_lock_{key}")


class Node:
    """A process that takes and frees the lock as it is told."""

    def __init__(self, child: Child, redis: Redis, key: str) -> None:
        self._child = child
        self._redis = redis
        self._key = key

    async def take(self) -> str:
        await self._redis.rpush(f"{self._key}-take", "")
        token: str = (await self._child.expect("held"))["token"]
        return token

    async def free(self) -> None:
        await self._redis.rpush(f"{self._key}-free", "")
        await self._child.expect("freed")


async def start(
    spawn: Spawn, server: RedisServer, redis: Redis, key: str, kind: str, turns: int
) -> Node:
    child = spawn(lock_nodes.hold_and_free, kind, server.url, key, DELAY, turns)
    await child.expect("ready")
    return Node(child, redis, key)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_finds_the_lock_free_soon_after_the_other_let_go(
    server: RedisServer, spawn: Spawn, redis: Redis, key: str, kind: str
) -> None:
    node = await start(spawn, server, redis, key, OTHER[kind], turns=5)
    loop = asyncio.get_running_loop()
    lock = lock_nodes.make_lock(kind, redis, key, DELAY)
    for _ in range(5):
        await node.take()
        acquiring = asyncio.create_task(lock.acquire())
        done, _ = await asyncio.wait([acquiring], timeout=2 * DELAY)
        assert not done
        await node.free()
        freed = loop.time()
        async with asyncio.timeout(20):
            assert await acquiring
        assert loop.time() - freed < DELAY + SOON
        await lock.release()


@pytest.mark.parametrize("kind", KINDS)
async def test_the_token_in_redis_is_the_uuid_of_the_lock(
    server: RedisServer, spawn: Spawn, redis: Redis, key: str, kind: str
) -> None:
    node = await start(spawn, server, redis, key, kind, turns=1)
    token = await node.take()
    assert str(uuid.UUID(token)) == token
    assert await redis.get(f"distributed_lock_{key}") == token.encode()
    # Only the old package holds without an end.
    assert (await redis.pttl(f"distributed_lock_{key}") == -1) == (kind == "old")
    await node.free()
    assert not await redis.exists(f"distributed_lock_{key}")


@pytest.mark.parametrize("kind", KINDS)
async def test_each_sees_that_the_other_holds_and_frees_nothing_of_it(
    server: RedisServer, spawn: Spawn, redis: Redis, key: str, kind: str
) -> None:
    node = await start(spawn, server, redis, key, OTHER[kind], turns=1)
    token = await node.take()
    # With a socket_timeout redis-py may swallow the cancellation by which an old acquire ends.
    async with server.client(socket_timeout=None) as client:
        lock = lock_nodes.make_lock(kind, client, key, 0.01, acquire_timeout=0.1)
        assert await lock.locked()  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError):
            await lock.acquire()
        with pytest.raises(RuntimeError):
            await lock.release()
        assert await redis.get(f"distributed_lock_{key}") == token.encode()
        await node.free()
        assert not await lock.locked()  # type: ignore[attr-defined]
        await lock.acquire()
        await lock.release()


async def test_new_waiters_stay_in_order_behind_an_old_holder(
    server: RedisServer, spawn: Spawn, redis: Redis, key: str
) -> None:
    node = await start(spawn, server, redis, key, "old", turns=1)
    await node.take()
    order: list[int] = []

    async def wait(number: int) -> None:
        async with lock_nodes.make_lock("new", redis, key, 0.05):
            order.append(number)

    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(wait(number)))
        await queued(server, key, number + 1)
    await node.free()
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_an_old_process_gets_the_lock_of_a_killed_new_one(
    server: RedisServer, spawn: Spawn, redis: Redis, key: str
) -> None:
    script = """
        import asyncio, sys
        from dsync import DistributedLock
        async def main():
            await DistributedLock(sys.argv[1], sys.argv[2], lease=0.6).acquire()
            say("held")
            await asyncio.Event().wait()
        asyncio.run(main())
    """
    child = spawn(script, server.url, key)
    await child.expect("held")
    child.kill()
    lock = lock_nodes.make_lock("old", redis, key, 0.05)
    async with asyncio.timeout(10):
        await lock.acquire()
    await lock.release()
