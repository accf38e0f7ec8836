"""Locks that are broken on purpose, to show that the checker finds it.

Each function breaks the package in the client process that calls it, with a port of the server;
nothing in the product knows of this.
"""

import asyncio
import random
from typing import Any

import redis.asyncio
from dsync import DistributedBarrier, DistributedCondition, DistributedLock, DistributedSemaphore
from dsync._leased import Leased
from dsync._session import Session

from tests.fault.lock_tools import queue_name

SHORT = 0.03  # seconds; less than some holders stay


def _server(port: int) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(port=port, decode_responses=True, single_connection_client=True)


def unchecked_lease(port: int) -> None:
    """Nobody renews the lease, and nobody looks whether it is over."""

    def start(self: Any, session: Session, queueing: bool, delay: float, timeout: float) -> int:
        self._doubtful = 0.0  # Else such a short lease is made longer at once.
        key, token, window = self._key, self._token, self._window
        return session.core.acquire(
            key, token, SHORT, False, queueing, delay, timeout, window, False
        )

    def valid_for(self: Leased) -> float:
        return (self._lease or 0.0) if self._holds else 0.0

    DistributedLock._start = start  # type: ignore[method-assign]
    Leased.valid_for = valid_for  # type: ignore[method-assign]


def blind_release(port: int) -> None:
    """A release frees the lock whoever has it, and it does so twice."""
    release = DistributedLock.release

    async def release_blindly(self: DistributedLock) -> None:
        await release(self)
        async with _server(port) as server:
            await server.delete(self._key)

    DistributedLock.release = release_blindly  # type: ignore[method-assign]


def shrinking_token(port: int) -> None:
    """Each fencing token is smaller than the one before."""
    token: Any = vars(DistributedLock)["fencing_token"].fget
    DistributedLock.fencing_token = property(  # type: ignore[assignment, method-assign]
        lambda self: 10**16 - token(self)
    )


def extra_permit(port: int) -> None:
    """The semaphore has one more than it should."""
    start = DistributedSemaphore._start

    def start_with_more(self: DistributedSemaphore, *arguments: Any) -> int:
        # Not in __init__, through which the semaphore tells its value.
        self._value += 1
        try:
            return start(self, *arguments)
        finally:
            self._value -= 1

    DistributedSemaphore._start = start_with_more  # type: ignore[assignment, method-assign]


def queue_jumper(port: int) -> None:
    """Who has come into the queue goes to its head."""
    acquire = Leased.acquire

    async def jump(lock: Any) -> None:
        key = lock._key.removeprefix("distributed_lock_")
        async with _server(port) as server:
            for member in map(str, await server.zrange(queue_name(key), 0, -1)):
                if member.endswith(lock._token):
                    await server.zadd(queue_name(key), {member: 1}, xx=True)

    async def acquire_and_jump(self: Leased, *arguments: Any, **options: Any) -> bool:
        jumping = asyncio.ensure_future(_later(jump(self)))
        try:
            return await acquire(self, *arguments, **options)
        finally:
            jumping.cancel()

    Leased.acquire = acquire_and_jump  # type: ignore[method-assign]


async def _later(work: Any) -> None:
    try:
        await asyncio.sleep(0.02)
        await work
    finally:
        work.close()


def swallowed_notification(port: int) -> None:
    """One in five notifications is acknowledged, and nobody hears of it."""
    notify = DistributedCondition.notify
    dice = random.Random(1)

    async def notify_most(self: DistributedCondition, n: int = 1) -> None:
        if dice.random() < 0.8:
            await notify(self, n)

    DistributedCondition.notify = notify_most  # type: ignore[method-assign]


def eager_waiter(port: int) -> None:
    """One in five waiters wakes without a notification."""
    wait = DistributedCondition.wait
    dice = random.Random(1)

    async def wait_mostly(self: DistributedCondition) -> bool:
        if dice.random() < 0.8:
            return await wait(self)
        await self.release()
        await asyncio.sleep(0.01)
        return await self.acquire()

    DistributedCondition.wait = wait_mostly  # type: ignore[method-assign]


def early_barrier(port: int) -> None:
    """The barrier opens for one party less."""
    start = DistributedBarrier.__init__

    def start_with_less(self: DistributedBarrier, redis: Any, key: str, parties: int) -> None:
        start(self, redis, key, parties - 1)

    DistributedBarrier.__init__ = start_with_less  # type: ignore[method-assign]


def deaf_barrier(port: int) -> None:
    """The barrier wants one party more, so it does not open for those who are there."""
    start = DistributedBarrier.__init__

    def start_with_more(self: DistributedBarrier, redis: Any, key: str, parties: int) -> None:
        start(self, redis, key, parties + 1)

    DistributedBarrier.__init__ = start_with_more  # type: ignore[method-assign]
