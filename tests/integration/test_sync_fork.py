"""After a fork the child has connections of its own; what the parent held stays the parent's."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from dsync import _portal, sync
from redis import Redis

from tests.integration.blocking import ended, start, until, until_the_keeper_leads
from tests.integration.forks import exit_code, fork, in_child
from tests.integration.locks import NEVER, until_nothing_is_left
from tests.integration.test_lifecycle import STRICT, assert_ended_well
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

Spawn = Callable[..., Child]


def use(url: str, key: str) -> None:
    """Use dsync from two threads, for longer than a lease, so with a renewal."""
    with sync.DistributedLock(url, key, acquire_timeout=10, lease=0.8) as lock:
        assert ended(start(lock.owned))
        assert not lock.lost.wait(timeout=1.0)
        assert lock.owned()


def take(url: str, key: str) -> bool:
    with sync.DistributedLock(url, key, NEVER) as lock:
        return lock.owned()


def wait_in_thread(url: str, key: str) -> Future[bool]:
    """Let a thread wait for a lock that is held; it leads the loop meanwhile."""
    waiting = start(take, url, key)
    until(lambda: _portal._portal and _portal._portal._leader, "a thread leads")
    return waiting


def fork_while(url: str, key: str, what: str) -> None:
    """Fork beside a lock that is held, and use dsync in parent and child."""
    lock = sync.DistributedLock(url, key, lease=1.0)
    lock.acquire()
    fence = lock.fencing_token
    waiting = wait_in_thread(url, key) if what == "a thread waits" else None
    if what == "the keeper is at work":
        until_the_keeper_leads()

    def child() -> None:
        assert lock.valid_for() == 0
        assert not lock.owned()
        assert not lock.try_acquire()
        use(url, f"{key}-child")

    codes = [in_child(child), in_child(child)]
    say("forked", codes=codes, owned=lock.owned(), same=lock.fencing_token == fence)
    use(url, f"{key}-parent")
    lock.release()
    if waiting is not None:
        assert ended(waiting)
    say("done")


@pytest.mark.parametrize("what", ["nothing waits", "a thread waits", "the keeper is at work"])
async def test_the_child_holds_nothing_and_can_lock_and_the_parent_still_holds(
    server: RedisServer, key: str, spawn: Spawn, what: str
) -> None:
    child = spawn(fork_while, server.url, key, what, environment=STRICT)
    told = await child.expect("forked")
    assert told["codes"] == [0, 0], child.errors
    assert told["owned"]
    assert told["same"]
    await child.expect("done")
    await assert_ended_well(child)
    await until_nothing_is_left(server)


def exit_beside_a_holder(url: str, key: str) -> None:
    """Fork while a lock is held; the child ends as programs do, with all that runs at exit."""
    lock = sync.DistributedLock(url, key, lease=1.0)
    lock.acquire()
    waiting = wait_in_thread(url, key)
    pid = fork()
    if pid == 0:
        with sync.DistributedLock(url, f"{key}-child"):
            pass
        return
    say("ended", code=exit_code(pid), owned=lock.owned(), lost=lock.lost.is_set())
    lock.release()
    assert ended(waiting)


async def test_the_exit_of_a_child_does_not_free_the_locks_of_the_parent(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(exit_beside_a_holder, server.url, key, environment=STRICT)
    told = await child.expect("ended")
    assert told == {"event": "ended", "code": 0, "owned": True, "lost": False}, child.errors
    await assert_ended_well(child)


def fork_from_a_thread(url: str, key: str) -> None:
    """Fork in a thread, which is then the main thread of the child."""
    with sync.DistributedLock(url, key):
        pass
    code = ended(start(in_child, lambda: use(url, f"{key}-child")))
    use(url, key)
    say("done", code=code)


async def test_a_thread_may_fork(server: RedisServer, key: str, spawn: Spawn) -> None:
    child = spawn(fork_from_a_thread, server.url, key, environment=STRICT)
    assert (await child.expect("done"))["code"] == 0, child.errors
    await assert_ended_well(child)


def keep_on_renewing(url: str, key: str) -> None:
    """Hold a lock while children come and go."""
    lock = sync.DistributedLock(url, key, lease=1.0)
    lock.acquire()
    for _ in range(3):
        assert in_child(lambda: use(url, f"{key}-child")) == 0
    # For longer than the lease, and the children are gone.
    lost = lock.lost.wait(timeout=1.2)
    say("done", lost=lost, owned=lock.owned())


async def test_the_parent_goes_on_renewing(server: RedisServer, key: str, spawn: Spawn) -> None:
    child = spawn(keep_on_renewing, server.url, key, environment=STRICT)
    assert await child.expect("done") == {"event": "done", "lost": False, "owned": True}
    await assert_ended_well(child)
    await until_nothing_is_left(server)


def count(url: str, key: str, times: int) -> None:
    """Count in Redis, in a way that only a lock makes safe."""
    with Redis.from_url(url) as client:
        lock = sync.DistributedLock(url, key, NEVER)
        for _ in range(times):
            with lock:
                client.set(f"count-{key}", int(client.get(f"count-{key}") or 0) + 1)


def run_processes(url: str, key: str, method: str) -> None:
    """Let processes of multiprocessing count; the parent has used dsync before."""
    context: Any = multiprocessing.get_context(method)
    with sync.DistributedLock(url, key):
        processes = [context.Process(target=count, args=(url, key, 20)) for _ in range(3)]
        for process in processes:
            process.start()
    for process in processes:
        process.join()
    say("done", codes=[process.exitcode for process in processes], parent=os.getpid())


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_processes_of_multiprocessing_exclude_each_other(
    server: RedisServer, key: str, spawn: Spawn, method: str
) -> None:
    child = spawn(run_processes, server.url, key, method)
    assert (await child.expect("done"))["codes"] == [0, 0, 0], child.errors
    with server.sync() as client:
        assert client.get(f"count-{key}") == "60"
    assert await child.wait() == 0
    assert child.errors == ""
