"""What the tests of semaphores look at from outside: slots, permits, queue, who is inside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from dsync import DistributedSemaphore, LockLostError

from tests.integration.locks import peek
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

# All of it as it was at one moment, which only a script can tell.
_LOOK = """
return { redis.call('GET', KEYS[1]) or '', redis.call('ZCARD', KEYS[2]),
         redis.call('ZCARD', KEYS[3]), redis.call('SCARD', KEYS[4]) }
"""


def semaphore_name(key: str) -> str:
    """Return the key that holds the number of free slots, as the contract names it."""
    return f"distributed_semaphore_{key}"


def limit_name(key: str) -> str:
    """Return the key that holds the limit of a bounded semaphore, as the contract names it."""
    return f"{semaphore_name(key)}_max_value"


def permits_name(key: str) -> str:
    """Return the key of the permits in use."""
    return f"{{{semaphore_name(key)}}}:dsync:permits"


def queue_name(key: str) -> str:
    """Return the key of the waiters."""
    return f"{{{semaphore_name(key)}}}:dsync:queue"


def inside_name(key: str) -> str:
    """Return the key where the tests themselves note who is inside."""
    return f"inside-{key}"


class Look(NamedTuple):
    """A semaphore at one moment."""

    free: int | None
    permits: int
    waiting: int
    inside: int


def look(server: RedisServer, key: str) -> Look:
    """Look at a semaphore; all numbers are of the same moment."""
    names = semaphore_name(key), permits_name(key), queue_name(key), inside_name(key)
    with peek(server) as client:
        free, used, waiting, inside = client.eval(_LOOK, len(names), *names)
    return Look(int(free) if free else None, used, waiting, inside)


def free_slots(server: RedisServer, key: str) -> int | None:
    """Return the free slots as every process of the fleet sees them, None while nobody came."""
    return look(server, key).free


def limit(server: RedisServer, key: str) -> str | None:
    """Return the limit of a bounded semaphore as it stands in Redis."""
    with peek(server) as client:
        value = client.get(limit_name(key))
    return None if value is None else str(value)


def permits(server: RedisServer, key: str) -> list[str]:
    """Return the permits in use, as they are called in Redis."""
    with peek(server) as client:
        return [str(permit) for permit in client.zrange(permits_name(key), 0, -1)]


def permit_ends(server: RedisServer, key: str) -> list[float]:
    """Return the seconds that the permits in use still have, the shortest first."""
    with peek(server) as client:
        seconds, microseconds = client.time()
        names = client.zrange(permits_name(key), 0, -1)
        ends = [float(str(client.zscore(permits_name(key), str(name)))) for name in names]
    return [end / 1000 - seconds - microseconds / 1e6 for end in ends]


async def until_queued(server: RedisServer, key: str, count: int) -> None:
    """Wait until exactly so many wait for a slot."""
    await eventually(lambda: look(server, key).waiting == count, f"{count} waiters queue")


async def until_used(server: RedisServer, key: str, count: int) -> None:
    """Wait until exactly so many permits are in use."""
    await eventually(lambda: look(server, key).permits == count, f"{count} permits are in use")


async def until_idle(server: RedisServer, key: str, value: int | None) -> None:
    """Wait until so many slots are free, no permit is in use, and nobody waits."""
    idle = Look(value, 0, 0, 0)
    try:
        await eventually(lambda: look(server, key) == idle)
    except AssertionError:
        raise AssertionError(f"expected {idle}, but it is {look(server, key)}") from None


async def start_waiters(
    server: RedisServer, key: str, *semaphores: DistributedSemaphore
) -> list[asyncio.Task[bool]]:
    """Let tasks wait for a slot, one behind the other in the order given."""
    tasks = []
    before = look(server, key).waiting
    for semaphore in semaphores:
        tasks.append(asyncio.create_task(semaphore.acquire()))
        await until_queued(server, key, before + len(tasks))
    return tasks


async def take(semaphore: DistributedSemaphore, count: int) -> None:
    """Acquire so many permits in this task."""
    for _ in range(count):
        await semaphore.acquire()


def expire(server: RedisServer, key: str) -> None:
    """End the leases of all permits, as if their holders had been silent for so long."""
    used = permits(server, key)
    with peek(server) as client:
        client.zadd(permits_name(key), dict.fromkeys(used, 1.0))


async def lose(server: RedisServer, key: str, semaphore: DistributedSemaphore) -> None:
    """Let the permits of an object end, and let it know of the latest one."""
    expire(server, key)
    assert not await semaphore.owned()


async def released_or_lost(semaphore: DistributedSemaphore) -> bool:
    """Release, and tell whether the permit had been kept."""
    try:
        await semaphore.release()
    except LockLostError:
        return False
    return True


class Room:
    """What a semaphore protects: notices when there are more inside than there are slots."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.inside = 0
        self.most = 0
        self.visits = 0

    @contextlib.asynccontextmanager
    async def visit(self) -> AsyncIterator[None]:
        """Be inside for as long as the block lasts; a permit must be held."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.inside <= self.value, f"{self.inside} inside, but only {self.value} slots"
        try:
            yield
        finally:
            self.inside -= 1
            self.visits += 1

    async def enter(self, semaphore: DistributedSemaphore, seconds: float = 0.0) -> None:
        """Take a slot, stay inside for a while, and give it back."""
        async with semaphore, self.visit():
            await asyncio.sleep(seconds)
