"""`close` frees what all threads hold; and nothing grows, however long a process lives."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import dsync
import pytest
from dsync import LockLostError, sync
from redis import exceptions

from tests.integration.blocking import (
    closed_afterwards,
    ended,
    patient,
    start,
    until,
    until_queued,
)
from tests.integration.lives import descriptors
from tests.integration.locks import holder, queue_length
from tests.integration.test_lifecycle import assert_ended_well
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

__all__ = ["closed_afterwards"]
Spawn = Callable[..., Child]


# ---- close ----


def test_close_frees_locks_and_connections(server: RedisServer, key: str) -> None:
    told: list[object] = []
    locks = [sync.DistributedLock(server.url, f"{key}-{n}", on_lost=told.append) for n in range(5)]
    for lock in locks:
        ended(start(lock.acquire))
    sync.close()
    until(lambda: server.connections() == [], "no connection is left")
    for number, lock in enumerate(locks):
        assert holder(server, f"{key}-{number}") is None
        assert lock.valid_for() == 0
        assert lock.lost.is_set()
        with pytest.raises(LockLostError):
            lock.release()
    until(lambda: len(told) == 5, "all are told")


def test_after_close_dsync_can_be_used_again(server: RedisServer, key: str) -> None:
    lock = sync.DistributedLock(server.url, key)
    for _ in range(5):
        with lock:
            assert holder(server, key) == lock._token
        sync.close()
        sync.close()


def test_close_ends_those_who_wait_with_connection_error(server: RedisServer, key: str) -> None:
    lock = patient(server, key)
    lock.acquire()
    waiting: list[Future[bool]] = [start(patient(server, key).acquire) for _ in range(4)]
    until_queued(server, key, 4)
    sync.close()
    for each in waiting:
        with pytest.raises(exceptions.ConnectionError, match="closed"):
            ended(each)
    with patient(server, key):
        assert queue_length(server, key) == 0


def test_close_lets_the_asynchronous_face_alone(server: RedisServer, key: str) -> None:
    async def work() -> None:
        async with dsync.DistributedLock(server.url, key) as lock:
            sync.DistributedLock(server.url, key).locked()
            sync.close()
            assert await lock.owned()

    asyncio.run(work())


# ---- nothing grows ----


def resident() -> int:
    """Return the memory that this process has in RAM, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def live_long(url: str, key: str, times: int) -> None:
    """Acquire and release, from threads that come and go, and count what is left."""
    with sync.DistributedLock(url, f"{key}-held", lease=6) as held:
        # The first renewal opens a connection of its own.
        while held.valid_for() > 5:
            time.sleep(0.05)
        while held.valid_for() < 5:
            time.sleep(0.05)
        lock = sync.DistributedLock(url, key)
        counts = []
        for _ in range(3):
            for _ in range(times // 3):
                with lock:
                    pass
            for _ in range(100):
                ended(start(use_some, url, key))
            gc.collect()
            counts.append((len(gc.get_objects()), resident(), descriptors()))
    say("done", counts=counts, threads=threading.active_count())


def use_some(url: str, key: str) -> None:
    with sync.DistributedLock(url, key, acquire_timeout=10) as lock:
        lock.lost.wait(timeout=0)
    sync.DistributedEvent(url, key).wait(timeout=0.0001)
    assert sync.DistributedLock(url, f"{key}-held").try_acquire() is False


async def test_nothing_grows(server: RedisServer, key: str, spawn: Spawn) -> None:
    child = spawn(live_long, server.url, key, 20_000)
    done = await child.expect("done", within=60)
    _, (objects, memory, files), (more_objects, more_memory, more_files) = done["counts"]
    assert more_objects - objects < 200
    assert more_memory - memory < 1_000_000
    assert more_files == files
    # Main thread and keeper; threads end a moment after their work.
    assert done["threads"] <= 3
    await assert_ended_well(child)
