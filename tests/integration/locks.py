"""What the tests of the lock look at from outside: its keys in Redis, its queue, its holder."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dsync import DistributedLock
from redis import Redis

from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT, eventually

T = TypeVar("T")

# Longer than any test: who depends on looking again instead of being told never gets on.
NEVER = 1000.0
STRANGER = "a-token-of-nobody"


def lock_name(key: str) -> str:
    """Return the key that holds the token, as the contract names it."""
    return f"distributed_lock_{key}"


def queue_name(key: str) -> str:
    """Return the key of the waiters."""
    return f"{{{lock_name(key)}}}:dsync:queue"


def fence_name(key: str) -> str:
    """Return the key of the latest grant."""
    return f"{{{lock_name(key)}}}:dsync:fence"


async def soon(awaitable: Awaitable[T]) -> T:
    """Await what must not hang."""
    return await asyncio.wait_for(awaitable, TIMEOUT)


@contextmanager
def peek(server: RedisServer) -> Iterator[Redis]:
    """Give a blocking client for one look at the server."""
    with server.sync() as client:
        yield client


def holder(server: RedisServer, key: str) -> Any:
    """Return the token of who holds the lock, or None."""
    with peek(server) as client:
        return client.get(lock_name(key))


def lease_left(server: RedisServer, key: str) -> float:
    """Return the seconds that the holder still has; -1 without end, -2 without a holder."""
    with peek(server) as client:
        left = int(client.pttl(lock_name(key)))
    return left / 1000 if left >= 0 else float(left)


def queue_length(server: RedisServer, key: str) -> int:
    """Return how many wait, as the server sees it."""
    with peek(server) as client:
        return int(client.zcard(queue_name(key)))


async def until_queued(server: RedisServer, key: str, count: int) -> None:
    """Wait until exactly so many wait for the lock."""
    await eventually(lambda: queue_length(server, key) == count, f"{count} waiters queue")


async def start_waiters(
    server: RedisServer, key: str, *locks: DistributedLock
) -> list[asyncio.Task[bool]]:
    """Let tasks wait for the lock, one behind the other in the order given."""
    tasks = []
    before = queue_length(server, key)
    for lock in locks:
        tasks.append(asyncio.create_task(lock.acquire()))
        await until_queued(server, key, before + len(tasks))
    return tasks


def leftovers(server: RedisServer) -> dict[str, float]:
    """Return all keys with their time to live in seconds, -1 for those that stay for ever."""
    with peek(server) as client:
        return {str(name): float(client.ttl(name)) for name in client.scan_iter(count=1000)}


async def until_nothing_is_left(server: RedisServer) -> None:
    """Wait until no holder, no queue, and nothing that stays for ever is in Redis."""

    def is_clean() -> bool:
        return all(
            name.endswith(":dsync:fence") and left >= 0 for name, left in leftovers(server).items()
        )

    try:
        await eventually(is_clean)
    except AssertionError:
        raise AssertionError(f"left in Redis: {leftovers(server)}") from None


def steal(server: RedisServer, key: str) -> None:
    """Put somebody else's token where the holder's stands, as if its lease had ended."""
    with peek(server) as client:
        assert client.set(lock_name(key), STRANGER, xx=True)


async def lose(server: RedisServer, key: str, lock: DistributedLock) -> None:
    """Let a lock that is held be lost, and let its object know."""
    steal(server, key)
    assert not await lock.owned()


def calls(server: RedisServer, *commands: str) -> int:
    """Return how often the server has executed these commands, by scripts too."""
    stats = server.commandstats()
    return int(sum(stats[name]["calls"] for name in commands if name in stats))


def script_calls(server: RedisServer) -> int:
    """Return how many scripts the server has run."""
    return calls(server, "eval", "evalsha")


async def until_renewed(server: RedisServer, times: int) -> None:
    """Wait until the renewal has run so often; nothing else may call scripts meanwhile."""
    before = script_calls(server)
    await eventually(lambda: script_calls(server) >= before + times, "renewals")
