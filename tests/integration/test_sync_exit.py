"""The end of the interpreter frees what is held, and says nothing on stderr."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import dsync
import pytest
from dsync import sync
from redis import Redis, exceptions

from tests.integration.blocking import (
    closed_afterwards,
    until,
    until_the_keeper_leads,
)
from tests.integration.locks import (
    NEVER,
    queue_length,
    queue_name,
    soon,
    until_nothing_is_left,
)
from tests.integration.test_lifecycle import STRICT, assert_ended_well
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

__all__ = ["closed_afterwards"]
Spawn = Callable[..., Child]


# ---- what programs do at their end ----


def exit_while_holding(url: str, key: str, how: str) -> None:
    """End without a release."""
    lock = sync.DistributedLock(url, key, lease=1000)
    lock.acquire()
    _kept.append(lock)
    if how == "keeper":
        until_the_keeper_leads()
    say("holds")
    if how == "sys.exit":
        sys.exit(3)
    if how == "error":
        raise KeyError("the program")


_kept: list[object] = []


@pytest.mark.parametrize("how", ["end", "keeper", "sys.exit", "error"])
async def test_the_end_of_the_interpreter_frees_at_once(
    server: RedisServer, key: str, spawn: Spawn, how: str
) -> None:
    child = spawn(exit_while_holding, server.url, key, how, environment=STRICT)
    waiter = dsync.DistributedLock(server.url, key, NEVER)
    await child.expect("holds")
    assert await soon(waiter.acquire())
    assert await child.wait() == {"sys.exit": 3, "error": 1}.get(how, 0)
    assert ("KeyError" in child.errors) == (how == "error")
    assert how == "error" or child.errors == ""
    await waiter.release()


def exit_beside_daemons(url: str, key: str, count: int) -> None:
    """End while daemon threads wait for what they never get."""

    def wait(work: Callable[[], object]) -> None:
        # They wait still, or are told that dsync was closed.
        try:
            work()
        except exceptions.ConnectionError:
            threading.Event().wait()

    works: list[Callable[[], object]] = [
        sync.DistributedLock(url, key, NEVER).acquire,
        sync.DistributedBarrier(url, key, 2).wait,
        sync.DistributedEvent(url, key).wait,
        sync.DistributedCondition(url, f"{key}-condition").wait,
        sync.DistributedSemaphore(url, key, 1, NEVER).acquire,
    ]
    for work in works[:count]:
        threading.Thread(target=wait, args=(work,), daemon=True).start()
    say("begins")
    until(lambda: _queued(url, key) == 1, "the lock is waited for")
    say("ends")


def _queued(url: str, key: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.zcard(queue_name(key)))


@pytest.mark.parametrize("count", [1, 5])
async def test_an_exit_beside_daemon_threads_that_wait_leaves_nothing(
    server: RedisServer, key: str, spawn: Spawn, count: int
) -> None:
    async with dsync.DistributedLock(server.url, key):
        child = spawn(exit_beside_daemons, server.url, key, count, environment=STRICT)
        await child.expect("ends")
        await assert_ended_well(child)
        await eventually(lambda: queue_length(server, key) == 0, "the queue is empty")


def exit_beside_a_thread_that_works(url: str, key: str) -> None:
    """End the main thread while another one still calls."""

    def work() -> None:
        for _ in range(200):
            with sync.DistributedLock(url, key):
                pass
        say("worked")

    threading.Thread(target=work).start()
    say("main ends")


async def test_threads_that_are_no_daemons_end_their_work(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(exit_beside_a_thread_that_works, server.url, key, environment=STRICT)
    await child.expect("worked")
    await assert_ended_well(child)
    await until_nothing_is_left(server)


def exit_beside_daemons_that_work(url: str, key: str) -> None:
    """End while daemon threads call all the time."""

    def work(number: int) -> None:
        while True:
            with sync.DistributedLock(url, f"{key}-{number % 2}"):
                turns[number] += 1

    turns = [0] * 4
    for number in range(4):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    until(lambda: min(turns) > 10, "they work")


@pytest.mark.parametrize("turn", range(2))
async def test_an_exit_beside_daemon_threads_that_work_ends(
    server: RedisServer, key: str, spawn: Spawn, turn: int
) -> None:
    child = spawn(exit_beside_daemons_that_work, server.url, key, environment=STRICT)
    assert await child.wait() == 0, child.errors
    # The threads may still be told; but no word of a broken interpreter, and nothing for ever.
    assert "Fatal" not in child.errors
    assert "never awaited" not in child.errors


def exit_when_the_server_is_away(url: str, key: str, pid: int) -> None:
    """End while the server is frozen."""
    lock = sync.DistributedLock(url, key)
    lock.acquire()
    os.kill(pid, signal.SIGSTOP)
    say("ends")


async def test_an_exit_does_not_wait_for_ever_for_a_server(
    make_server: Callable[..., RedisServer], key: str, spawn: Spawn
) -> None:
    server = make_server()
    child = spawn(exit_when_the_server_is_away, server.url, key, server.pid, environment=STRICT)
    await child.expect("ends")
    await assert_ended_well(child)


def exit_after_close(url: str, key: str) -> None:
    with sync.DistributedLock(url, key):
        pass
    sync.close()
    sync.close()


def exit_without_use(url: str, key: str) -> None:
    sync.DistributedLock(url, key)
    sync.close()


@pytest.mark.parametrize("life", [exit_after_close, exit_without_use])
async def test_close_before_the_exit_does_no_harm(
    server: RedisServer, key: str, spawn: Spawn, life: Callable[[str, str], None]
) -> None:
    child = spawn(life, server.url, key, environment=STRICT)
    await assert_ended_well(child)
