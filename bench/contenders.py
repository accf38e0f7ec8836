"""What is measured: each lock behind the same two coroutines, with its own defaults.

The other primitives, which few packages have, are those of dsync and aiodistributor, whose names
are the same.

Packages are imported when a contender is opened, so that a worker pays for one only and a package
that does not install is a row less, not a benchmark less.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

FLOOR = "floor"
BARE_FLOOR = "bare floor"
DSYNC = "dsync"
DSYNC_UVLOOP = "dsync (uvloop)"
AIODISTRIBUTOR = "aiodistributor"
REDIS_PY = "redis-py"
POTTERY = "pottery"
AIOREDLOCK = "aioredlock"
PYTHON_REDIS_LOCK = "python-redis-lock"
PORTALOCKER = "portalocker"
COREDIS = "coredis"
# What asyncio itself has, within a process and without a server.
PLAIN_EVENT = "asyncio.Event"
PLAIN_LOCK = "asyncio.Lock"

LOCK = "lock"
SEMAPHORE = "semaphore"
# For a semaphore of one slot, which can stand for a lock.
SLOT = "slot"
CONDITION = "condition"
BARRIER = "barrier"
# A lock whose methods are no coroutines.
BLOCKING = "blocking lock"

PEERS = (AIODISTRIBUTOR, REDIS_PY, POTTERY, AIOREDLOCK, PYTHON_REDIS_LOCK, COREDIS)

# Seconds: the default of dsync, given to the others too where they let a lock expire.
LEASE = 30
# redis-py refuses the 101st connection by default, which would end a polling peer at once.
CONNECTIONS = 4096
# Of a semaphore, which is never short of them here. The floor has the same number.
SLOTS = 8


class Lock(Protocol):
    """What a task of a work calls."""

    def acquire(self) -> Awaitable[object]:
        """Take the lock, waiting as long as it takes."""

    def release(self) -> Awaitable[object]:
        """Give it back."""


# The key; dsync takes its options too.
MakeLock = Callable[..., Lock]
# Gives what makes primitives of one kind at the server of that URL, from their keys.
Open = Callable[[str], Awaitable[Callable[..., Any]]]


@dataclass(frozen=True)
class Contender:
    """A kind of lock: how it is opened for a server, and which distribution it comes from.

    One that polls has a period (seconds) after which it asks again by default. `others` are its
    primitives beside the lock.
    """

    name: str
    distribution: str
    open: Open | None = None
    period: float = 0
    uvloop: bool = False
    others: Mapping[str, Open] = field(default_factory=dict)

    def installed(self) -> str | None:
        """Return the installed version, or nothing."""
        try:
            if self.uvloop:
                version("uvloop")
            return version(self.distribution)
        except PackageNotFoundError:
            return None


def _client(url: str, *, decode: bool = False) -> Any:
    from redis.asyncio import Redis

    return Redis.from_url(url, max_connections=CONNECTIONS, decode_responses=decode)


async def _open_dsync(url: str) -> MakeLock:
    from dsync import DistributedLock

    return functools.partial(DistributedLock, _client(url))


async def _open_dsync_semaphore(url: str) -> MakeLock:
    from dsync import DistributedSemaphore

    return functools.partial(DistributedSemaphore, _client(url), value=SLOTS)


async def _open_dsync_slot(url: str) -> MakeLock:
    from dsync import DistributedSemaphore

    return functools.partial(DistributedSemaphore, _client(url), value=1)


async def _open_dsync_condition(url: str) -> Callable[[str], Any]:
    from dsync import DistributedCondition

    return functools.partial(DistributedCondition, _client(url))


async def _open_dsync_barrier(url: str) -> Callable[[str, int], Any]:
    from dsync import DistributedBarrier

    return functools.partial(DistributedBarrier, _client(url))


async def _open_aiodistributor(url: str) -> MakeLock:
    from aiodistributor.distributed_lock import DistributedLock

    return functools.partial(DistributedLock, _client(url))


async def _open_aiodistributor_semaphore(url: str) -> MakeLock:
    from aiodistributor.distibuted_semaphore import DistributedSemaphore

    return functools.partial(DistributedSemaphore, _client(url), value=SLOTS)


async def _open_aiodistributor_slot(url: str) -> MakeLock:
    from aiodistributor.distibuted_semaphore import DistributedSemaphore

    return functools.partial(DistributedSemaphore, _client(url), value=1)


async def _open_aiodistributor_condition(url: str) -> Callable[[str], Any]:
    from aiodistributor.distributed_condition import DistributedCondition

    # It compares what it hears with text.
    return functools.partial(DistributedCondition, _client(url, decode=True))


async def _open_aiodistributor_barrier(url: str) -> Callable[[str, int], Any]:
    from aiodistributor.distributed_barrier import DistributedBarrier

    return functools.partial(DistributedBarrier, _client(url, decode=True))


async def _open_dsync_blocking(url: str) -> Callable[[str], Any]:
    from dsync.sync import DistributedLock

    return functools.partial(DistributedLock, url)


async def _open_redis_py_blocking(url: str) -> Callable[[str], Any]:
    from redis import Redis

    client = Redis.from_url(url)
    return lambda key: client.lock(key, timeout=LEASE)


async def _open_python_redis_lock_blocking(url: str) -> Callable[[str], Any]:
    import redis_lock
    from redis import Redis

    client = Redis.from_url(url)
    return lambda key: redis_lock.Lock(client, key, expire=LEASE)


async def _open_portalocker(url: str) -> Callable[[str], Any]:
    import portalocker
    from redis import Redis

    # It compares what it hears with text.
    client = Redis.from_url(url, decode_responses=True)
    return lambda key: portalocker.RedisLock(key, client)


async def _open_redis_py(url: str) -> MakeLock:
    client = _client(url)
    return lambda key: client.lock(key, timeout=LEASE)


async def _open_pottery(url: str) -> MakeLock:
    from pottery import AIORedlock

    client = _client(url)
    return lambda key: AIORedlock(key=key, masters={client}, auto_release_time=LEASE)


class _AioredlockLock:
    """Asks again when the package gives up, as a caller who needs the lock would."""

    def __init__(self, manager: Any, key: str) -> None:
        self._manager, self._key = manager, key
        self._held: Any = None

    async def acquire(self) -> None:
        from aioredlock import LockError

        while self._held is None:
            with contextlib.suppress(LockError):
                self._held = await self._manager.lock(self._key, lock_timeout=LEASE)

    async def release(self) -> None:
        held, self._held = self._held, None
        await self._manager.unlock(held)


async def _open_aioredlock(url: str) -> MakeLock:
    from aioredlock import Aioredlock

    return functools.partial(_AioredlockLock, Aioredlock([url]))


class _ThreadedLock:
    """A lock that blocks its thread, called the way asyncio code calls such a thing."""

    def __init__(self, lock: Any, threads: ThreadPoolExecutor) -> None:
        self._lock, self._threads = lock, threads

    def acquire(self) -> Awaitable[object]:
        return asyncio.get_running_loop().run_in_executor(self._threads, self._lock.acquire)

    def release(self) -> Awaitable[object]:
        return asyncio.get_running_loop().run_in_executor(self._threads, self._lock.release)


async def _open_python_redis_lock(url: str) -> MakeLock:
    import redis_lock
    from redis import Redis

    client = Redis.from_url(url, max_connections=CONNECTIONS)
    threads = ThreadPoolExecutor(max_workers=256)
    return lambda key: _ThreadedLock(redis_lock.Lock(client, key, expire=LEASE), threads)


async def _open_coredis(url: str) -> MakeLock:
    from coredis import Redis

    client = Redis.from_url(url)
    # For the life of the process.
    await client.__aenter__()
    return lambda key: client.lock(key, timeout=LEASE)


class _EventLock:
    """No lock at all: what a task that just waits costs, to be taken off the memory of a waiter."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    def acquire(self) -> Awaitable[object]:
        return self._event.wait()

    async def release(self) -> None:
        pass


async def _open_plain_event(_url: str) -> MakeLock:
    event = asyncio.Event()
    return lambda _key: _EventLock(event)


class _PlainLock:
    """What no lock between processes can be faster than."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._begun = False

    async def acquire(self) -> None:
        await self._lock.acquire()
        if not self._begun:
            # Who is alone would take it again and again, and never let the others begin.
            self._begun = True
            await asyncio.sleep(0)

    async def release(self) -> None:
        self._lock.release()


async def _open_plain_lock(_url: str) -> MakeLock:
    locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    return lambda key: _PlainLock(locks[key])


_PLAIN = {PLAIN_EVENT: _open_plain_event, PLAIN_LOCK: _open_plain_lock}
_OF_DSYNC = {
    SEMAPHORE: _open_dsync_semaphore,
    SLOT: _open_dsync_slot,
    CONDITION: _open_dsync_condition,
    BARRIER: _open_dsync_barrier,
    BLOCKING: _open_dsync_blocking,
}
_OF_AIODISTRIBUTOR = {
    SEMAPHORE: _open_aiodistributor_semaphore,
    SLOT: _open_aiodistributor_slot,
    CONDITION: _open_aiodistributor_condition,
    BARRIER: _open_aiodistributor_barrier,
}
_ALL = (
    Contender(DSYNC, "dsync-redis", _open_dsync, others=_OF_DSYNC),
    Contender(DSYNC_UVLOOP, "dsync-redis", _open_dsync, uvloop=True, others=_OF_DSYNC),
    Contender(
        AIODISTRIBUTOR,
        "aiodistributor",
        _open_aiodistributor,
        period=0.1,
        others=_OF_AIODISTRIBUTOR,
    ),
    Contender(
        REDIS_PY,
        "redis",
        _open_redis_py,
        period=0.1,
        others={BLOCKING: _open_redis_py_blocking},
    ),
    Contender(POTTERY, "pottery", _open_pottery, period=0.2),
    Contender(AIOREDLOCK, "aioredlock", _open_aioredlock, period=0.3),
    Contender(
        PYTHON_REDIS_LOCK,
        "python-redis-lock",
        _open_python_redis_lock,
        others={BLOCKING: _open_python_redis_lock_blocking},
    ),
    Contender(COREDIS, "coredis", _open_coredis, period=0.1),
    Contender(PORTALOCKER, "portalocker", others={BLOCKING: _open_portalocker}),
)
CONTENDERS = {contender.name: contender for contender in _ALL}


def opener(name: str, primitive: str) -> Open:
    """Return how a contender's primitives of one kind are opened."""
    if name in _PLAIN:
        return _PLAIN[name]  # It needs no distribution.
    contender = CONTENDERS[name]
    found = contender.open if primitive == LOCK else contender.others[primitive]
    assert found is not None, f"{name} has no {primitive}"
    return found
