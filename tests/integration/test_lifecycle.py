"""A session ends with its loop: no warning, no descriptor, no lock is left."""

import asyncio
import gc
import os
import signal
import weakref
from collections.abc import Callable

import dsync
import pytest
from dsync import DistributedEvent, DistributedLock, LockLostError
from redis import exceptions
from redis.asyncio import Redis

from tests.integration import lives
from tests.integration.children import take_and_keep
from tests.integration.locks import (
    NEVER,
    holder,
    queue_length,
    soon,
    start_waiters,
    until_nothing_is_left,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.tls import TlsFiles
from tests.support.waiting import eventually

# As `python -X dev -W error`, but for what interpreters say of other packages at import.
STRICT = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}


async def assert_ended_well(child: Child) -> None:
    code = await child.wait()
    assert child.errors == ""
    assert code == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("name", lives.MAINS)
async def test_the_end_of_a_loop_leaves_no_warning_and_no_descriptor(
    server: RedisServer, key: str, spawn: Callable[..., Child], name: str, loop: str
) -> None:
    child = spawn(lives.live, server.url, key, name, loop, 5, environment=STRICT)
    done = await child.expect("done")
    await assert_ended_well(child)
    assert done["counts"] == done["counts"][:1] * 5
    assert done["threads"] == 1
    await until_nothing_is_left(server)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_two_hundred_loops_leave_no_descriptor(
    server: RedisServer, key: str, spawn: Callable[..., Child], loop: str
) -> None:
    child = spawn(lives.live, server.url, key, "leave_held", loop, 200, environment=STRICT)
    done = await child.expect("done", within=60)
    await assert_ended_well(child)
    assert set(done["counts"]) == {done["counts"][0]}
    assert server.connections() == []


@pytest.mark.parametrize("name", ["cycle", "leave_held", "leave_waiters"])
async def test_the_end_of_a_loop_over_tls_leaves_no_warning_and_no_descriptor(
    make_server: Callable[..., RedisServer],
    tls_files: TlsFiles,
    key: str,
    spawn: Callable[..., Child],
    name: str,
) -> None:
    server = make_server(tls=tls_files)
    files = f"ssl_ca_certs={tls_files.ca}&ssl_certfile={tls_files.client}"
    url = f"rediss://127.0.0.1:{server.tls_port}/0?{files}&ssl_keyfile={tls_files.client}"
    child = spawn(lives.live, url, key, name, "asyncio", 5, environment=STRICT)
    done = await child.expect("done")
    await assert_ended_well(child)
    assert len(set(done["counts"][1:])) == 1
    assert done["threads"] == 1
    await until_nothing_is_left(server)


async def test_the_end_of_a_loop_frees_the_locks_at_once(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(lives.live, server.url, key, "leave_held", "asyncio", 1)
    await child.expect("done")
    # Its lease is not over, but it is free.
    assert holder(server, key) is None


async def test_threads_with_loops_of_their_own_exclude_each_other(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(lives.live_in_threads, server.url, key, 8, environment=STRICT)
    done = await child.expect("done")
    await assert_ended_well(child)
    assert done["total"] == 8 * 20
    assert done["leaked"] == 0
    await until_nothing_is_left(server)


@pytest.mark.parametrize(
    "life", [lives.live_with_one_object_in_two_loops, lives.end_a_loop_without_its_generators]
)
async def test_one_object_serves_one_loop_after_another(
    server: RedisServer, key: str, spawn: Callable[..., Child], life: Callable[[str, str], None]
) -> None:
    child = spawn(life, server.url, key, environment=STRICT)
    await child.expect("done")
    await assert_ended_well(child)
    await until_nothing_is_left(server)


async def test_sys_exit_inside_a_block_frees_the_lock(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(lives.exit_inside, server.url, key, environment=STRICT)
    assert await child.wait() == 7
    assert child.errors == ""
    await until_nothing_is_left(server)


async def test_ctrl_c_inside_a_block_frees_the_lock(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(lives.interrupted, server.url, key, environment=STRICT)
    await child.expect("holds")
    os.kill(child.pid, signal.SIGINT)
    await child.expect("interrupted")
    await assert_ended_well(child)
    await until_nothing_is_left(server)


async def test_close_frees_the_locks_and_connections_of_the_loop(
    server: RedisServer, redis: Redis, key: str
) -> None:
    locks = [DistributedLock(redis, f"{key}-{n}") for n in range(10)]
    for lock in locks:
        await lock.acquire()
    await dsync.close()
    await until_nothing_is_left(server)
    await eventually(lambda: server.connections() == [], "no connection is left")
    for lock in locks:
        assert lock.valid_for() == 0
        assert not await lock.owned()
        with pytest.raises(LockLostError):
            await lock.release()


@pytest.mark.parametrize("held", [0, 1, 20])
async def test_close_waits_for_nothing_when_the_server_has_answered(
    server: RedisServer, redis: Redis, key: str, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waits for this limit does not come back in time.
    monkeypatch.setattr("dsync._session._CLOSE_TIMEOUT", NEVER)
    async with DistributedLock(redis, key):
        pass
    locks = [DistributedLock(redis, f"{key}-{number}") for number in range(held)]
    for lock in locks:
        await lock.acquire()
    await soon(dsync.close())
    await until_nothing_is_left(server)


async def test_close_hands_locks_over_to_waiters_elsewhere(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    child = spawn(take_and_keep, server.url, key)
    await eventually(lambda: queue_length(server, key) == 1)
    await dsync.close()
    await child.expect("holds")


async def test_after_close_dsync_can_be_used_again(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    for _ in range(5):
        async with lock:
            assert holder(server, key) == lock._token
        await dsync.close()


async def test_an_object_whose_lock_was_closed_can_be_acquired_again(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    await lock.acquire()
    await dsync.close()
    with pytest.raises(LockLostError):
        await lock.release()
    async with lock:
        assert await lock.owned()


async def test_close_makes_the_locks_that_are_held_lost(redis: Redis, key: str) -> None:
    told: list[DistributedLock] = []
    lock = DistributedLock(redis, key, on_lost=told.append)
    await lock.acquire()
    lost = lock.lost
    await dsync.close()
    assert lost.is_set()
    assert told == [lock]
    with pytest.raises(LockLostError):
        await lock.release()


async def test_close_inside_a_block_that_is_cancelled_when_lost_ends_in_lock_lost_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async def work() -> None:
        async with DistributedLock(redis, key, cancel_on_lost=True):
            await dsync.close()

    with pytest.raises(LockLostError):
        await soon(asyncio.create_task(work()))
    await until_nothing_is_left(server)
    await eventually(lambda: server.connections() == [], "no connection is left")


async def test_close_ends_those_who_wait_with_connection_error(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first = DistributedLock(redis, key)
    await first.acquire()
    waiters = await start_waiters(server, key, *(DistributedLock(redis, key) for _ in range(5)))
    await dsync.close()
    for waiter in waiters:
        with pytest.raises(exceptions.ConnectionError, match="closed"):
            await soon(waiter)
    await until_nothing_is_left(server)


async def test_close_without_use_does_nothing() -> None:
    await dsync.close()
    await dsync.close()


async def test_closes_at_the_same_time_do_no_harm(redis: Redis, key: str) -> None:
    async with DistributedLock(redis, key):
        pass
    await soon(asyncio.gather(*(dsync.close() for _ in range(5))))


async def test_close_while_it_connects_leaves_nothing(
    server: RedisServer, redis: Redis, key: str
) -> None:
    for steps in range(40):
        lock = DistributedLock(redis, key)
        task = asyncio.create_task(lock.acquire())
        for _ in range(steps):
            await asyncio.sleep(0)
        await soon(dsync.close())
        await soon(asyncio.wait([task]))
        assert not task.cancelled()
        if task.exception() is not None:
            assert "closed" in str(task.exception())
        await until_nothing_is_left(server)
    await eventually(lambda: server.connections() == [], "no connection is left")


@pytest.mark.parametrize("turn", range(3))
async def test_each_test_of_pytest_asyncio_has_a_session_of_its_own(
    server: RedisServer, turn: int
) -> None:
    # The one of the test before is gone, with its connections and its lock.
    assert server.connections() == []
    lock = DistributedLock(server.url, "the same key")
    assert await lock.try_acquire()
    _left_by_tests.append(lock)


_left_by_tests: list[DistributedLock] = []


def test_a_waiter_is_collected_with_a_loop_that_was_only_closed(
    server: RedisServer, key: str
) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(DistributedLock(server.url, key, NEVER).locked())
    loop.run_until_complete(task)
    task = loop.create_task(DistributedEvent(server.url, key, NEVER).wait())
    loop.run_until_complete(DistributedLock(server.url, key).locked())
    assert not task.done()
    reference = weakref.ref(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del task, loop
    gc.collect()
    assert reference() is None
