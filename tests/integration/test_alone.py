"""A caller that is alone in its loop waits at the socket, but all else comes first."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import dsync
import pytest
import uvloop
from dsync import DistributedBarrier, DistributedEvent, DistributedLock, DistributedSemaphore

from tests.integration.blocking import all_ended, start
from tests.integration.locks import NEVER, STRANGER, holder, lock_name, peek, soon
from tests.support.loops import TurnLoop
from tests.support.redis_server import RedisServer

Happening = Callable[[asyncio.Event], Awaitable[object]]


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts its turns."""

    turns = 0

    def _process_events(self, events: list[Any]) -> None:
        self.turns += 1
        super()._process_events(events)  # type: ignore[misc]


async def use(server: RedisServer, key: str) -> None:
    """Make calls that the server answers at once."""
    async with DistributedLock(server.url, key) as lock:
        assert await lock.owned()
    assert not await lock.locked()
    async with DistributedSemaphore(server.url, key, 2) as semaphore:
        assert not await semaphore.locked()
    event = DistributedEvent(server.url, key)
    await event.set()
    assert await event.is_set()
    await event.clear()


def run(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, Any]
) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(work)


def test_needs_no_turn_of_the_loop(server: RedisServer, key: str) -> None:
    async def work() -> None:
        # The first makes the connections, and has the scripts loaded.
        await use(server, key)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        # On a busy machine a reply may be late, and is waited for with a turn then.
        for _ in range(100):
            before = loop.turns
            await use(server, key)
            if loop.turns == before:
                return
        raise AssertionError("it has waited for the loop each time")

    run(CountingLoop, work())


def test_a_message_needs_no_turn_of_the_loop(server: RedisServer, key: str) -> None:
    async def work() -> list[bool]:
        barrier = DistributedBarrier(server.url, key, 2)
        await barrier.wait()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        without = []
        for _ in range(100):
            before = loop.turns
            await barrier.wait()
            without.append(loop.turns == before)
        return without

    def live() -> list[bool]:
        with asyncio.Runner(loop_factory=CountingLoop) as runner:
            return runner.run(work())

    both = all_ended([start(live), start(live)])
    # One of the two comes first, and is told by a message.
    assert any(here and there for here, there in zip(*both, strict=True))


class ShiftedLoop(asyncio.SelectorEventLoop):
    """Its timers say nothing to who looks at the usual clock."""

    def time(self) -> float:
        return super().time() - 1000.0


@pytest.mark.parametrize(
    "factory",
    [TurnLoop, ShiftedLoop, uvloop.new_event_loop],
    ids=["without epoll", "clock of its own", "uvloop"],
)
def test_works_in_loops_that_cannot_be_looked_into(
    server: RedisServer, key: str, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    run(factory, use(server, key))


# ---- what happens meanwhile ----


async def by_a_timer(happened: asyncio.Event) -> None:
    asyncio.get_running_loop().call_later(0.02, happened.set)


async def by_a_thread(happened: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    threading.Timer(0.02, loop.call_soon_threadsafe, [happened.set]).start()


async def by_a_descriptor(happened: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    reader, writer = os.pipe()

    def on_readable() -> None:
        loop.remove_reader(reader)
        happened.set()
        os.close(reader)
        os.close(writer)

    loop.add_reader(reader, on_readable)
    threading.Timer(0.02, os.write, [writer, b"x"]).start()


async def by_a_task(happened: asyncio.Event) -> object:
    async def work() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        happened.set()

    return asyncio.create_task(work())


async def by_another_process(happened: asyncio.Event) -> object:
    process = await asyncio.create_subprocess_exec("true")

    async def ended() -> None:
        await process.wait()
        happened.set()

    return asyncio.create_task(ended())


@pytest.mark.parametrize(
    "begin", [by_a_timer, by_a_thread, by_a_descriptor, by_a_task, by_another_process]
)
@pytest.mark.parametrize("is_free", [True, False], ids=["for a reply", "for a message"])
async def test_keeps_nothing_from_happening(
    server: RedisServer, key: str, begin: Happening, is_free: bool
) -> None:
    lock = DistributedLock(server.url, key)
    happened = asyncio.Event()
    if not is_free:
        with peek(server) as client:
            client.set(lock_name(key), STRANGER)

    async def work() -> None:
        # It never waits for anything but the server.
        while not happened.is_set():
            try:
                await lock.acquire(acquire_timeout=0.004)
            except TimeoutError:
                continue
            await lock.release()

    # A task that nobody refers to may vanish before it is done.
    _begun = await begin(happened)
    await soon(work())


async def test_a_grant_to_another_task_comes_meanwhile(server: RedisServer, key: str) -> None:
    lock, other = DistributedLock(server.url, key), DistributedLock(server.url, f"{key}-other")
    granted = asyncio.create_task(DistributedLock(server.url, key, NEVER).acquire())
    async with lock:
        await asyncio.sleep(0)
    while not granted.done():
        async with other:
            pass
    assert granted.result()


async def test_is_cancelled_like_every_other(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key)

    async def work() -> None:
        while True:
            async with lock:
                pass

    task = asyncio.create_task(work())
    asyncio.get_running_loop().call_later(0.02, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert not await lock.locked()


# ---- a server that does not answer ----


async def test_a_server_that_is_silent_stops_only_the_caller(
    key: str, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server()
    lock = DistributedLock(server.url, key)
    await lock.locked()
    server.pause()
    task = asyncio.create_task(lock.acquire())
    # Each of these would wait for the server, if the loop did.
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not task.done()
    server.resume()
    assert await soon(task)
    assert holder(server, key) == lock._token
    await dsync.close()


async def test_a_server_that_is_gone_is_found_out(
    key: str, make_server: Callable[..., RedisServer]
) -> None:
    server = make_server()
    lock = DistributedLock(server.url, key)
    await lock.acquire()
    server.restart(keep_data=False)
    assert not await soon(lock.owned())
    assert await soon(DistributedLock(server.url, key).acquire())
    await dsync.close()
