"""What child processes of the tests do with locks; see tests/support/processes.py."""

import asyncio

from dsync import DistributedLock
from tests.integration.locks import NEVER
from tests.support.child import say


async def take_and_keep(url: str, key: str, lease: float = 30.0) -> None:
    """Wait for the lock, and keep it until this process is killed."""
    lock = DistributedLock(url, key, NEVER, lease=lease)
    await lock.acquire()
    say("holds", token=lock._token, fence=lock.fencing_token)
    await asyncio.Event().wait()


async def take_in_turn(url: str, key: str, name: str, times: int) -> None:
    """Take the lock so many times, and tell of each."""
    lock = DistributedLock(url, key, NEVER)
    say("ready")
    for _ in range(times):
        async with lock:
            say("inside", name=name, fence=lock.fencing_token)
    say("done")
