"""Processes of a fleet: old ones with `aiodistributor`, new ones with dsync."""

import asyncio
import random
from typing import Any, Protocol, Self

import aiodistributor.distributed_lock
import dsync
from redis.asyncio import Redis

from tests.support.child import say


class Lock(Protocol):
    """What both kinds have in common."""

    _token: str

    async def acquire(self) -> bool: ...
    async def release(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: Any) -> None: ...


def make_lock(kind: str, redis: Redis, key: str, delay: float, **options: Any) -> Lock:
    """Make the lock of a kind of process; only the import line differs."""
    module: Any = {"old": aiodistributor.distributed_lock, "new": dsync}[kind]
    lock: Lock = module.DistributedLock(redis, key, delay, **options)
    return lock


async def count(kind: str, url: str, key: str, rounds: int, delay: float, tasks: int) -> None:
    """Add one to a number, a read and a write apart, under the lock; tell how far it got."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        done = 0

        async def work(number: int) -> None:
            nonlocal done
            lock = make_lock(kind, redis, key, delay)
            for _ in range(number, rounds, tasks):
                async with lock:
                    holder = await redis.get(f"distributed_lock_{key}")
                    assert holder == lock._token
                    value = int(await redis.get(f"{key}-number") or 0)
                    await asyncio.sleep(0)
                    await redis.set(f"{key}-number", value + 1)
                done += 1
                # Outside for a while, so that the lock is free now and then.
                await asyncio.sleep(random.uniform(0, 2 * delay))

        say("ready")
        await asyncio.gather(*(work(number) for number in range(tasks)))
        say("done", rounds=done)


async def hold_and_free(kind: str, url: str, key: str, delay: float, turns: int) -> None:
    """Take the lock whenever the test says so, and free it when it says so again."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        lock = make_lock(kind, redis, key, delay)
        say("ready")
        for _ in range(turns):
            await redis.blpop([f"{key}-take"])
            await lock.acquire()
            say("held", token=lock._token)
            await redis.blpop([f"{key}-free"])
            await lock.release()
            say("freed")
