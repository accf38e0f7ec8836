"""One who holds and waits for all primitives at once, through whatever befalls the server."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

from dsync import (
    DistributedBarrier,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)

from tests.integration import barriers, conditions, events, locks, semaphores
from tests.integration.locks import soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

# Often enough for what no message tells, as most callers have it.
DELAY = 0.05


class Company:
    """Holds a lock and a permit, and waits for each primitive; `redis` is its session."""

    def __init__(self, redis: Any, key: str, lease: float) -> None:
        self.key = key
        options: dict[str, Any] = {"lease": lease, "acquire_sleep_delay": DELAY}
        self.lock, self._lock_waiter = (DistributedLock(redis, key, **options) for _ in range(2))
        self.semaphore, self._permit_waiter = (
            DistributedSemaphore(redis, key, 1, **options) for _ in range(2)
        )
        # The lock of this key is another one.
        self._condition = DistributedCondition(redis, f"{key}-condition", **options)
        self._barrier = DistributedBarrier(redis, key, 2)
        self._event = DistributedEvent(redis, key, 1)
        self.waiting: dict[str, asyncio.Task[Any]] = {}

    async def begin(self, server: RedisServer) -> None:
        """Hold and wait; returns when the server knows all of it."""
        await self.hold_and_wait()
        await eventually(lambda: self.is_known(server), "all wait")

    async def hold_and_wait(self) -> None:
        """Hold what is to be held, and begin to wait."""
        await self.lock.acquire()
        await self.semaphore.acquire()
        waits: dict[str, Callable[[], Any]] = {
            "lock": self._lock_waiter.acquire,
            "semaphore": self._permit_waiter.acquire,
            "condition": self._condition.wait,
            "barrier": self._barrier.wait,
            "event": self._event.wait,
        }
        self.waiting = {name: asyncio.create_task(wait()) for name, wait in waits.items()}

    def is_known(self, server: RedisServer) -> bool:
        """Tell whether the server knows all that wait."""
        return set(self.known(server)) == {1}

    def known(self, server: RedisServer) -> list[int]:
        """Return how many wait for the lock, a permit, a notification, parties and the flag."""
        return [
            locks.queue_length(server, self.key),
            semaphores.look(server, self.key).waiting,
            conditions.count_waiting(server, f"{self.key}-condition"),
            barriers.arrivals(server, self.key),
            events.listeners(server, self.key),
        ]

    def assert_waiting(self) -> None:
        """Check that nobody has got anything."""
        assert [name for name, task in self.waiting.items() if task.done()] == []

    async def end(self, other: Any) -> None:
        """Give back what is held, and let all that wait go on, by another session."""
        await soon(self.lock.release())
        await soon(self.semaphore.release())
        await self.let_go(other)

    async def let_go(self, other: Any) -> None:
        """Let all that wait go on, and give back what they got."""
        await soon(self.waiting["lock"])
        await soon(self.waiting["semaphore"])
        await conditions.notify(DistributedCondition(other, f"{self.key}-condition"))
        await soon(DistributedBarrier(other, self.key, 2).wait())
        await soon(DistributedEvent(other, self.key).set())
        await soon(asyncio.gather(*self.waiting.values()))
        await soon(self._lock_waiter.release())
        await soon(self._permit_waiter.release())


@contextlib.asynccontextmanager
async def company(
    server: RedisServer, redis: Any, key: str, lease: float = 30.0
) -> AsyncGenerator[Company, None]:
    """Give a company that holds and waits; what still waits at the end is cancelled."""
    result = Company(redis, key, lease)
    try:
        await result.begin(server)
        yield result
    finally:
        for task in result.waiting.values():
            task.cancel()
        await asyncio.gather(*result.waiting.values(), return_exceptions=True)
