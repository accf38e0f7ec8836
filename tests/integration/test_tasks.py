"""Whatever kind of task waits: it is resumed, cancelled and collected as with asyncio's futures."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
from dsync import DistributedEvent, DistributedLock
from redis import exceptions

from tests.integration.locks import NEVER, lock_name, peek, soon, until_queued
from tests.support.redis_server import RedisServer

Factory = Callable[..., asyncio.Task[Any]]


def python_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task of the implementation in Python, whose calls are plain ones."""
    task: asyncio.Task[Any] = asyncio.tasks._PyTask(  # type: ignore[attr-defined]
        coro, loop=loop, **options
    )
    return task


FACTORIES: dict[str, Factory | None] = {"in C": None, "in Python": python_task}
if sys.version_info >= (3, 12):
    FACTORIES["eager"] = asyncio.eager_task_factory

name: ContextVar[str] = ContextVar("name")


@pytest.fixture(autouse=True, params=FACTORIES.values(), ids=list(FACTORIES))
async def kind(request: pytest.FixtureRequest) -> None:
    asyncio.get_running_loop().set_task_factory(request.param)


async def test_is_resumed_in_its_own_context(server: RedisServer, key: str) -> None:
    async def visit(own: str) -> str:
        name.set(own)
        async with DistributedLock(server.url, key, NEVER, fair="strict"):
            await asyncio.sleep(0)
            return name.get()

    visits = [asyncio.create_task(visit(f"task {number}")) for number in range(10)]
    assert await soon(asyncio.gather(*visits)) == [f"task {number}" for number in range(10)]


async def test_hears_why_it_is_cancelled(server: RedisServer, key: str) -> None:
    async with DistributedLock(server.url, key):
        waiting = asyncio.create_task(DistributedLock(server.url, key, NEVER).acquire())
        await until_queued(server, key, 1)
        assert waiting.cancel("no more time")
        with pytest.raises(asyncio.CancelledError, match="no more time"):
            await soon(waiting)
        await until_queued(server, key, 0)


async def test_is_cancelled_before_it_hears_of_its_grant(server: RedisServer, key: str) -> None:
    first, second = (DistributedLock(server.url, key, NEVER) for _ in range(2))
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await until_queued(server, key, 1)
    await first.release()
    waiting.cancel()
    await soon(asyncio.wait([waiting]))
    assert waiting.cancelled() or await second.owned()
    if not waiting.cancelled():
        await second.release()
    async with asyncio.timeout(5), first:
        pass


async def test_gets_the_error_of_the_server(server: RedisServer, key: str) -> None:
    with peek(server) as client:
        client.hset(lock_name(key), "not", "a lock")
    with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"):
        await soon(asyncio.create_task(DistributedLock(server.url, key).acquire()))


async def test_is_shown_where_it_waits(server: RedisServer, key: str) -> None:
    waiting = asyncio.create_task(DistributedEvent(server.url, key, NEVER).wait())
    await asyncio.sleep(0)
    assert "Pending" in repr(waiting)
    assert waiting.get_stack()
    waiting.cancel()
    await asyncio.wait([waiting])
