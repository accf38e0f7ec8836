"""What child processes of the lifecycle tests do: they open, use and end event loops."""

import asyncio
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import dsync
import uvloop
from dsync import DistributedLock

from tests.integration.locks import NEVER
from tests.support.child import say

# In development mode a loop warns of slow steps, which are those of a busy machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)

Main = Callable[[str, str], Coroutine[Any, Any, None]]


def descriptors() -> int:
    """Count the open files of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def cycle(url: str, key: str) -> None:
    async with DistributedLock(url, key):
        pass


async def leave_held(url: str, key: str) -> None:
    lock = DistributedLock(url, key, lease=0.2)
    await lock.acquire()
    _kept.append(lock)


_kept: list[DistributedLock] = []


async def leave_and_forget(url: str, key: str) -> None:
    # Nobody can release them now, but the end of the loop does.
    await DistributedLock(url, key).acquire()
    await DistributedLock(url, f"{key}-endless", lease=None).acquire()


async def leave_waiters(url: str, key: str) -> None:
    holder = DistributedLock(url, key)
    await holder.acquire()
    tasks = [asyncio.create_task(DistributedLock(url, key, NEVER).acquire()) for _ in range(5)]
    await asyncio.wait(tasks, timeout=0.05)
    _kept.append(holder)
    _tasks.extend(tasks)


_tasks: list[asyncio.Task[bool]] = []


async def leave_a_release_under_way(url: str, key: str) -> None:
    lock = DistributedLock(url, key)
    await lock.acquire()
    _tasks.append(asyncio.create_task(lock.release()))  # type: ignore[arg-type]
    await asyncio.sleep(0)


async def leave_a_connection_under_way(url: str, key: str) -> None:
    lock = DistributedLock(url, key)
    _kept.append(lock)
    _tasks.append(asyncio.create_task(lock.acquire()))
    await asyncio.sleep(0)


async def fail(url: str, key: str) -> None:
    async with DistributedLock(url, key):
        raise KeyError("the body")


async def close_by_hand(url: str, key: str) -> None:
    lock = DistributedLock(url, key)
    await lock.acquire()
    await dsync.close()
    await cycle(url, key)
    await dsync.close()


MAINS: dict[str, Main] = {
    main.__name__: main
    for main in (
        cycle,
        leave_held,
        leave_and_forget,
        leave_waiters,
        leave_a_release_under_way,
        leave_a_connection_under_way,
        fail,
        close_by_hand,
    )
}


def run(main: Coroutine[Any, Any, None], loop: str) -> None:
    """Run one event loop from its beginning to its end."""
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def live(url: str, key: str, name: str, loop: str, times: int) -> None:
    """Run something in so many event loops, one after another, and count what is left open."""
    counts = []
    for _ in range(times):
        try:
            run(MAINS[name](url, key), loop)
        except KeyError:
            assert name == "fail"
        _kept.clear()
        _tasks.clear()
        counts.append(descriptors())
    say("done", counts=counts, threads=threading.active_count())


def live_in_threads(url: str, key: str, count: int) -> None:
    """Let threads, each with a loop of its own, count in turn."""
    before = descriptors()
    total = 0
    gate = threading.Barrier(count)

    async def work() -> None:
        nonlocal total
        lock = DistributedLock(url, key, NEVER)
        gate.wait()
        for _ in range(20):
            async with lock:
                seen = total
                await asyncio.sleep(0)
                total = seen + 1

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("done", total=total, leaked=descriptors() - before)


def live_with_one_object_in_two_loops(url: str, key: str) -> None:
    """Use one lock object in loops one after another."""
    lock = DistributedLock(url, key)

    async def use() -> None:
        async with lock:
            assert await lock.owned()

    for _ in range(3):
        asyncio.run(use())

    async def leave() -> None:
        await lock.acquire()

    asyncio.run(leave())
    asyncio.run(use())
    say("done")


def end_a_loop_without_its_generators(url: str, key: str) -> None:
    """Close a loop as old programs do."""
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(cycle(url, key))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    say("done", counts=[descriptors()])


def exit_inside(url: str, key: str) -> None:
    """Leave the program in the middle of a block."""

    async def main() -> None:
        async with DistributedLock(url, key):
            say("holds")
            sys.exit(7)

    asyncio.run(main())


def interrupted(url: str, key: str) -> None:
    """Wait inside for Ctrl-C."""

    async def main() -> None:
        async with DistributedLock(url, key):
            say("holds")
            await asyncio.Event().wait()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        say("interrupted")
