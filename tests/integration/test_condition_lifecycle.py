"""DistributedCondition lives as the lock does: with its loop, with dsync.close(), in threads."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any
from weakref import ref

import dsync
import pytest
from dsync import DistributedCondition, LockLostError
from redis import exceptions
from redis.asyncio import Redis

from tests.fault import condition_nodes
from tests.integration import condition_lives
from tests.integration.conditions import (
    BOTH,
    condition_of,
    count_waiting,
    crowd,
    lock_of,
    notify,
    turns,
    until_nothing_is_left,
    until_waiting,
    wait_inside,
)
from tests.integration.locks import NEVER, holder, soon, until_queued
from tests.integration.test_lifecycle import STRICT, assert_ended_well
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]


@pytest.mark.parametrize(
    ("name", "loop"),
    [(name, "asyncio") for name in condition_lives.MAINS] + [("leave_woken_waiters", "uvloop")],
)
async def test_the_end_of_a_loop_leaves_no_warning_and_no_descriptor(
    server: RedisServer, key: str, spawn: Spawn, name: str, loop: str
) -> None:
    child = spawn(condition_lives.live, server.url, key, name, loop, 3, environment=STRICT)
    done = await child.expect("done")
    await assert_ended_well(child)
    assert done["counts"] == done["counts"][:1] * 3
    assert done["threads"] == 1
    await until_nothing_is_left(server)


async def test_loops_in_threads_wake_each_other(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(condition_lives.live_in_threads, server.url, key, 100, environment=STRICT)
    done = await child.expect("done")
    await assert_ended_well(child)
    assert done["threads"] == 1
    await until_nothing_is_left(server)


async def test_one_object_serves_one_loop_after_another(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    life = condition_lives.live_with_one_object_in_two_loops
    child = spawn(life, server.url, key, environment=STRICT)
    await child.expect("done")
    await assert_ended_well(child)
    await until_nothing_is_left(server)


async def test_a_forked_child_uses_the_condition_and_the_parent_waits_on(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(condition_lives.fork_while_waiting, server.url, key)
    assert (await child.expect("forked"))["code"] == 0
    await child.expect("woken")
    await assert_ended_well(child)
    await until_nothing_is_left(server)


@BOTH
async def test_close_ends_those_who_wait_with_connection_error(
    server: RedisServer, key: str, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key) for _ in range(5)), locked=locked)
        await soon(dsync.close())
        for task in waiters.tasks:
            with pytest.raises(exceptions.ConnectionError, match="closed"):
                await soon(task)
    await until_nothing_is_left(server)
    await eventually(lambda: server.connections() == [], "no connection is left")


async def test_close_ends_those_who_want_the_lock_again(server: RedisServer, key: str) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(server, key) for _ in range(3)))
        holding = condition_of(server, key)
        await holding.acquire()
        await holding.notify(2)
        await until_queued(server, key, 2)
        waiters.tasks[2].cancel()
        await until_queued(server, key, 3)
        await soon(dsync.close())
        for task in waiters.tasks:
            with pytest.raises(exceptions.ConnectionError, match="closed"):
                await soon(task)
        with pytest.raises(LockLostError):
            await holding.release()
    await until_nothing_is_left(server)


async def test_close_while_one_waits_makes_its_lock_lost(server: RedisServer, key: str) -> None:
    condition = condition_of(server, key)

    async def wait() -> None:
        await condition.acquire()
        with pytest.raises(exceptions.ConnectionError):
            await condition.wait()
        assert lock_of(condition).valid_for() == 0
        assert lock_of(condition).lost.is_set()
        for call in (condition.notify, condition.wait):
            with pytest.raises(LockLostError):
                await call()
        with pytest.raises(LockLostError):
            await condition.release()
        # And it can be used again.
        async with condition:
            assert holder(server, key) == lock_of(condition)._token

    task = asyncio.create_task(wait())
    await until_waiting(server, key, 1)
    await soon(dsync.close())
    await soon(task)
    await until_nothing_is_left(server)


async def test_close_passes_notifications_on(server: RedisServer, key: str, spawn: Spawn) -> None:
    """Of those of this loop that were woken, and do not go on."""
    options = {"acquire_sleep_delay": NEVER}
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key))
        child = spawn(condition_nodes.wait, server.port, key, "child", True, options)
        await until_waiting(server, key, 2)
        holding = condition_of(server, key)
        await holding.acquire()
        await holding.notify()
        await until_queued(server, key, 1)
        await soon(dsync.close())
        await child.expect("woken")
        with pytest.raises(exceptions.ConnectionError):
            await soon(waiters.tasks[0])
        with pytest.raises(LockLostError):
            await holding.release()
    await child.expect("done")


async def test_close_at_each_turn_of_the_loop(server: RedisServer, redis: Redis, key: str) -> None:
    for steps in range(0, 120, 3):
        condition = DistributedCondition(redis, key, NEVER)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(wait_inside(condition)),
            asyncio.create_task(condition.wait()),
            asyncio.create_task(notify(condition, 1)),
        ]
        await turns(steps)
        await soon(dsync.close())
        # Those that had not begun begin afterwards.
        while not all(task.done() for task in tasks):
            await asyncio.wait(tasks, timeout=0.005)
            await soon(dsync.close())
        for task in tasks:
            error = task.exception()
            assert error is None or isinstance(error, exceptions.ConnectionError | LockLostError)
        await until_nothing_is_left(server)


async def test_objects_that_are_done_are_collected(server: RedisServer, key: str) -> None:
    told: list[DistributedCondition] = []
    references = []
    for on_lost in (None, told.append):
        condition = condition_of(server, key, on_lost=on_lost)
        async with condition:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await condition.wait()
        references.append(ref(condition))
        del condition
    gc.disable()
    try:
        await asyncio.sleep(0)
        # At once, so what nobody can release is not renewed until the collector comes.
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()
    assert count_waiting(server, key) == 0
