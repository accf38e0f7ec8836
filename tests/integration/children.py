"""What child processes of the tests do with locks; see tests/support/processes.py."""

import asyncio

from dsync import DistributedLock
from redis.asyncio import Redis

from tests.integration.locks import NEVER
from tests.support.child import say


async def take_and_keep(url: str, key: str, lease: float = 30.0) -> None:
    """Wait for the lock, and keep it until this process is killed."""
    lock = DistributedLock(url, key, NEVER, lease=lease)
    await lock.acquire()
    say("holds", token=lock._token, fence=lock.fencing_token)
    await asyncio.Event().wait()


async def count_in_turn(url: str, key: str, times: int) -> None:
    """Take the lock so many times, and count in Redis in a way that only a lock makes safe."""
    lock = DistributedLock(url, key, NEVER)
    async with Redis.from_url(url) as client:
        for _ in range(times):
            async with lock:
                count = int(await client.get(f"count-{key}") or 0) + 1
                await client.set(f"count-{key}", count)
                say("inside", count=count, fence=lock.fencing_token)
    say("done")
