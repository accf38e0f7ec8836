"""What the tests of one lock under faults share."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from dsync import DistributedLock, LockLostError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.support.processes import Child
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

MakeServer = Callable[..., RedisServer]
MakeProxy = Callable[..., Proxy]
Spawn = Callable[..., Child]

SHORT_LEASE = 1.0


def lock_name(key: str) -> str:
    """Name the lock of a key in Redis."""
    return f"distributed_lock_{key}"


def queue_name(key: str) -> str:
    """Name the queue of a lock."""
    return f"{{{lock_name(key)}}}:dsync:queue"


def fence_name(key: str) -> str:
    """Name the fence of a lock."""
    return f"{{{lock_name(key)}}}:dsync:fence"


def client_for(port: int, name: str = "", *, retries: int = 100, **options: Any) -> Redis:
    """Make a client that is only read: another name gives another session, with own connections.

    :param retries: attempts to reconnect, about 50 ms apart
    """
    retry = Retry(ConstantBackoff(0.05), retries)
    return Redis(host="127.0.0.1", port=port, client_name=name or None, retry=retry, **options)


def lock_of(port: int, key: str, name: str, **options: Any) -> DistributedLock:
    """Make a lock whose session has connections of its own.

    It asks the server so seldom that only messages bring it on, and gives up a silent one soon.
    """
    settings = {"lease": 3.0, "acquire_sleep_delay": 30.0, **options}
    return DistributedLock(client_for(port, name, socket_timeout=0.5), key, **settings)


def polling_lock(server: RedisServer, key: str, name: str, **options: Any) -> DistributedLock:
    """Make a lock as most callers do, with a short lease and connections of its own."""
    settings = {"lease": SHORT_LEASE, "acquire_sleep_delay": 0.1, **options}
    return DistributedLock(client_for(server.port, name), key, **settings)


def block_loop(seconds: float) -> None:
    """Give the event loop no turn for a while."""
    time.sleep(seconds)


async def queued(server: RedisServer, key: str, count: int) -> None:
    """Wait until so many operations are in the queue."""
    with server.sync() as client:
        await eventually(
            lambda: client.zcard(queue_name(key)) == count, f"{count} waiters for {key!r}"
        )


async def answered(*locks: DistributedLock) -> None:
    """Wait until every command so far has its reply, as a forged one would be taken for it."""
    for lock in locks:
        await lock.locked()


async def free(server: RedisServer, key: str, within: float = 20.0) -> None:
    """Wait until nobody holds the lock and nobody waits for it."""
    with server.sync() as client:
        await eventually(
            lambda: not client.exists(lock_name(key), queue_name(key)), f"{key!r} is free", within
        )


async def usable(server: RedisServer, key: str) -> None:
    """Check that a newcomer gets the lock."""
    lock = DistributedLock(client_for(server.port, "newcomer"), key, lease=5)
    async with asyncio.timeout(20), lock:
        assert lock.valid_for() > 0


class Room:
    """What the lock protects: notices two inside at once, and tokens that do not grow."""

    def __init__(self) -> None:
        self.inside = 0
        self.fences: list[int] = []
        self.visits = 0

    @contextlib.asynccontextmanager
    async def visit(self, lock: DistributedLock) -> AsyncIterator[None]:
        """Be inside for as long as the block lasts; `lock` must be held."""
        assert self.inside == 0, "two inside at once"
        self.fences.append(lock.fencing_token)
        assert self.fences == sorted(set(self.fences)), "fencing tokens must grow"
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
            self.visits += 1

    async def enter(self, lock: DistributedLock, seconds: float = 0.0) -> None:
        """Take the lock, stay inside for a while, and free it."""
        async with lock, self.visit(lock):
            await asyncio.sleep(seconds)


async def released_or_lost(lock: DistributedLock) -> bool:
    """Release, and tell whether the lock had been kept."""
    try:
        await lock.release()
    except LockLostError:
        return False
    return True


@contextlib.asynccontextmanager
async def running(*work: Any) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run coroutines beside the block; those that still run at its end are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
