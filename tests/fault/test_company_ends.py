"""A process that holds and waits for all primitives forks, or ends in whatever way."""

import asyncio
import contextlib
import os
import signal
import sys

import pytest
from dsync import DistributedLock
from redis.asyncio import Redis

from tests.fault.company import Company
from tests.fault.lock_tools import Spawn, client_for
from tests.integration import barriers, conditions, events, locks, semaphores
from tests.integration.forks import in_child
from tests.support.child import say
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

# Nobody gets anything by its end.
LEASE = 1000.0
# A lock that is collected is forgotten, and its lease runs out, see the decisions.
kept: list[Company] = []


# ---- in child processes ----


async def end(url: str, key: str, how: str) -> None:
    """Hold and wait, and end while doing so."""
    it = Company(url, key, LEASE)
    kept.append(it)
    await it.hold_and_wait()
    say("begun")
    async with Redis.from_url(url) as data:
        await data.blpop([f"{key}-end"])
    if how == "exit":
        sys.exit(3)
    if how == "error":
        raise RuntimeError("the end")


async def fork(url: str, key: str) -> None:
    """Hold and wait, fork, and go on; the child uses the same objects, and ends."""
    it = Company(url, key, LEASE)
    await it.hold_and_wait()
    async with Redis.from_url(url) as data:
        await data.blpop([f"{key}-fork"])

    async def use() -> None:
        assert not await it.lock.owned()
        assert it.lock.valid_for() == it.semaphore.valid_for() == 0
        with contextlib.suppress(TimeoutError):
            await DistributedLock(url, key).acquire(acquire_timeout=0.1)
            raise AssertionError("the parent's lock is free")

    say("forked", code=in_child(lambda: asyncio.run(use())))
    assert await it.lock.owned()
    assert await it.semaphore.owned()
    it.assert_waiting()
    await it.end(client_for(Redis.from_url(url).connection_pool.connection_kwargs["port"], "two"))
    say("ended")


# ---- tests ----


def is_known(server: RedisServer, key: str) -> bool:
    return Company(server.url, key, LEASE).is_known(server)


def is_gone(server: RedisServer, key: str) -> bool:
    """Tell whether the server knows of nobody any more."""
    return (
        locks.holder(server, key) is None
        and locks.queue_length(server, key) == 0
        and semaphores.look(server, key) == (1, 0, 0, 0)
        and conditions.count_waiting(server, f"{key}-condition") == 0
        and barriers.arrivals(server, key) == 0
        and events.listeners(server, key) == 0
    )


@pytest.mark.parametrize("how", ["return", "exit", "error", "signal"])
async def test_a_process_that_ends_frees_all_at_once(
    server: RedisServer, key: str, spawn: Spawn, how: str
) -> None:
    child = spawn(end, server.url, key, how)
    await child.expect("begun")
    await eventually(lambda: is_known(server, key), "all wait")
    if how == "signal":
        os.kill(child.pid, signal.SIGINT)
    else:
        with locks.peek(server) as client:
            client.rpush(f"{key}-end", "")
    await child.wait()
    await eventually(lambda: is_gone(server, key), "all is free")


async def test_a_fork_while_holding_and_waiting_changes_nothing(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(fork, server.url, key)
    await eventually(lambda: is_known(server, key), "all wait")
    with locks.peek(server) as client:
        client.rpush(f"{key}-fork", "")
    assert (await child.expect("forked"))["code"] == 0, child.errors
    await child.expect("ended")
    assert await child.wait() == 0, child.errors
