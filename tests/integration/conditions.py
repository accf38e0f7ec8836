"""What the tests of conditions share: names in Redis, and crowds of waiters."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from dsync import DistributedCondition, DistributedLock
from redis.client import PubSub

from tests.fault.lock_tools import Room, client_for
from tests.integration.locks import (
    NEVER,
    leftovers,
    lock_name,
    peek,
    queue_length,
    queue_name,
    soon,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT, eventually

BOTH = pytest.mark.parametrize("locked", [True, False], ids=["with lock", "without lock"])
# As most callers have it: who is left looks for what others have left.
POLLING = {"acquire_sleep_delay": 0.01}
# Added to the time of waiters that were not connected when their turn came.
ASIDE = 2**52


def waiting_name(key: str) -> str:
    """Return the key of those that wait for a notification."""
    return f"{{{lock_name(key)}}}:dsync:waiting"


def told_name(key: str) -> str:
    """Return the key of those that were woken, and have not said yet that they know."""
    return f"{{{lock_name(key)}}}:dsync:told"


def channel_name(key: str) -> str:
    """Return the channel of old processes."""
    return f"condition_{key}_channel"


def counter_name(key: str) -> str:
    """Return the counter of old processes."""
    return f"{channel_name(key)}_notify_counter"


def condition_of(
    server: RedisServer | int, key: str, name: str = "", **options: Any
) -> DistributedCondition:
    """Make a condition, by name with a session and connections of its own.

    Unless the options say so, it never looks again: only messages bring it on.
    """
    port = server if isinstance(server, int) else server.port
    settings: dict[str, Any] = {"acquire_sleep_delay": NEVER, **options}
    return DistributedCondition(client_for(port, name), key, **settings)


def lock_of(condition: DistributedCondition) -> DistributedLock:
    """Return the lock of a condition, for what only the lock tells."""
    return condition._lock


async def holds(condition: DistributedCondition) -> bool:
    """Tell whether both the object and the server say that it holds the lock."""
    lock = lock_of(condition)
    return lock.valid_for() > 0 and await lock.owned()


async def wait_inside(condition: DistributedCondition) -> bool:
    """Wait with the lock, and free it."""
    async with condition:
        return await condition.wait()


async def notify(condition: DistributedCondition, n: int = 1) -> None:
    """Take the lock, notify, and free it; -1 is all."""
    async with asyncio.timeout(TIMEOUT), condition:
        await (condition.notify_all() if n < 0 else condition.notify(n))


def count_waiting(server: RedisServer, key: str) -> int:
    """Return how many wait for a notification, but for those known to be not connected."""
    with peek(server) as client:
        return int(client.zcount(waiting_name(key), "-inf", ASIDE))


async def until_waiting(server: RedisServer, key: str, count: int) -> None:
    """Wait until exactly so many wait for a notification."""
    with peek(server) as client:
        await eventually(
            lambda: client.zcount(waiting_name(key), "-inf", ASIDE) == count,
            f"{count} wait for {key!r}",
        )


async def until_settled(server: RedisServer, key: str, waiting: int = 0) -> None:
    """Wait until so many wait, and nobody is on the way: not woken, not queued, not inside."""

    def is_settled() -> bool:
        busy = client.exists(lock_name(key), told_name(key), queue_name(key))
        return not busy and client.zcount(waiting_name(key), "-inf", ASIDE) == waiting

    with peek(server) as client:
        try:
            await eventually(is_settled, "all have settled")
        except AssertionError as error:
            raise AssertionError(f"{error}: {state_of(server, key)}") from None


def state_of(server: RedisServer, key: str) -> dict[str, Any]:
    """Return what stands in Redis, to show it."""
    with peek(server) as client:
        return {
            "lock": client.get(lock_name(key)),
            "waiting": client.zrange(waiting_name(key), 0, -1, withscores=True),
            "told": client.zrange(told_name(key), 0, -1, withscores=True),
            "queued": queue_length(server, key),
            "counter": client.get(counter_name(key)),
        }


async def until_nothing_is_left(server: RedisServer) -> None:
    """Wait until there is nothing but the fences and marks, which expire by themselves."""

    def is_clean() -> bool:
        return all(
            name.endswith((":dsync:fence", ":dsync:done")) and 0 <= left <= 640
            for name, left in leftovers(server).items()
        )

    try:
        await eventually(is_clean)
    except AssertionError:
        raise AssertionError(f"left in Redis: {leftovers(server)}") from None


@contextlib.contextmanager
def overhearing(server: RedisServer, key: str) -> Generator[PubSub, None, None]:
    """Hear what is published to old processes without counting as one of them."""
    with (
        peek(server) as client,
        PubSub(client.connection_pool, ignore_subscribe_messages=True) as pubsub,
    ):
        pubsub.psubscribe(channel_name(key))
        pubsub.get_message(timeout=TIMEOUT)
        yield pubsub


async def turns(count: int) -> None:
    """Give the loop so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that wait one behind the other; see `crowd`."""

    def __init__(self, server: RedisServer, key: str) -> None:
        self._server = server
        self._key = key
        self.tasks: list[asyncio.Task[None]] = []
        self.woken: list[int] = []
        self.room = Room()

    async def add(self, *conditions: DistributedCondition, locked: bool = True) -> None:
        """Let a task wait for each, with the lock or without it."""
        for condition in conditions:
            before = count_waiting(self._server, self._key)
            self.begin(condition, locked=locked)
            await until_waiting(self._server, self._key, before + 1)

    def begin(self, condition: DistributedCondition, *, locked: bool) -> None:
        """Start a task that will wait soon."""
        self.tasks.append(asyncio.create_task(self._wait(len(self.tasks), condition, locked)))

    async def _wait(self, number: int, condition: DistributedCondition, locked: bool) -> None:
        if not locked:
            assert await condition.wait() is True
            self.woken.append(number)
            return
        async with condition:
            assert await condition.wait() is True
            self.woken.append(number)
            async with self.room.visit(lock_of(condition)):
                await asyncio.sleep(0)
            assert await holds(condition)

    async def until_woken(self, count: int) -> list[int]:
        """Wait until so many have woken in all; return their numbers in the order of that."""
        await eventually(lambda: self._check() and len(self.woken) >= count, f"{count} woke")
        return self.woken

    async def until_done(self) -> list[int]:
        """Wait until all have woken and left, those that were cancelled aside."""
        results = await soon(asyncio.gather(*self.tasks, return_exceptions=True))
        for result in results:
            if result is not None and not isinstance(result, asyncio.CancelledError):
                raise result
        return self.woken

    def _check(self) -> bool:
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.result()
        return True


@contextlib.asynccontextmanager
async def crowd(server: RedisServer, key: str) -> AsyncGenerator[Crowd, None]:
    """Give a crowd; who still waits at the end of the block is cancelled."""
    result = Crowd(server, key)
    try:
        yield result
    finally:
        for task in result.tasks:
            task.cancel()
        await asyncio.gather(*result.tasks, return_exceptions=True)
