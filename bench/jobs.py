"""What a worker does with the locks of one contender."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from time import monotonic_ns
from typing import Any

from bench.contenders import Lock, MakeLock
from bench.memory_use import allocated_bytes, resident_bytes

NANOSECONDS = 1_000_000_000
# Seconds: so short that a renewal, which opens its connection, comes before the count.
SHORT_LEASE = 1.0


def say(word: str) -> None:
    """Tell the driver how far this process is."""
    print(word, flush=True)


async def ready() -> list[str]:
    """Tell the driver that this process is set up, and return the words of its answer."""
    say("ready")
    line: str = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return line.split()


async def run_when_told(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for the word of the driver, and run endless works from its start to its end."""
    _, start, end = await ready()
    await asyncio.sleep((int(start) - monotonic_ns()) / NANOSECONDS)
    group = [asyncio.create_task(work) for work in works]
    left = (int(end) - monotonic_ns()) / NANOSECONDS
    ended, _ = await asyncio.wait(group, timeout=left, return_when=asyncio.FIRST_EXCEPTION)
    for task in ended:
        task.result()


async def cycles(
    make_lock: MakeLock, *, tasks: int, warmup: float, seconds: float
) -> dict[str, float]:
    """Take and give back free locks or semaphores, one for each task, for some seconds."""
    # Acquires and releases apart: very many tasks do all the ones, and then all the others.
    steps = 0
    running = True
    started = asyncio.Barrier(tasks + 1)

    async def run(lock: Lock) -> None:
        nonlocal steps
        # A peer may open a connection for each task, which takes longer than many cycles.
        await lock.acquire()
        await lock.release()
        await started.wait()
        while running:
            await lock.acquire()
            steps += 1
            await lock.release()
            steps += 1

    group = [asyncio.create_task(run(make_lock(f"bench:{i}"))) for i in range(tasks)]
    await started.wait()
    await asyncio.sleep(warmup)
    say("begin")
    before, start = steps, monotonic_ns()
    await asyncio.sleep(seconds)
    after, end = steps, monotonic_ns()
    say("end")
    running = False
    await asyncio.gather(*group)
    return {
        "cycles": (after - before) / 2,
        "seconds": (end - start) / NANOSECONDS,
        "total": steps / 2 + tasks,
    }


def blocking_cycles(
    make_lock: Callable[[str], Any], *, warmup: float, seconds: float
) -> dict[str, float]:
    """Take and give back one free lock, without an event loop, for some seconds."""
    lock = make_lock("bench:0")
    total = 0
    for word, length in (("begin", warmup), ("end", seconds)):
        done, start = 0, monotonic_ns()
        end = start
        while end < start + length * NANOSECONDS:
            lock.acquire()
            lock.release()
            done += 1
            end = monotonic_ns()
        say(word)
        total += done
    return {"cycles": done, "seconds": (end - start) / NANOSECONDS, "total": total}


class _Turns:
    """Two processes that ask in turn: who released asks again once the other has the lock.

    Without this a lock that favours whoever asks first would never be handed over. The word goes
    through a pipe, after the grant was stamped.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._event = asyncio.Event()
        os.set_blocking(read_fd, False)
        asyncio.get_running_loop().add_reader(read_fd, self._on_readable)

    def _on_readable(self) -> None:
        os.read(self._read_fd, 4096)
        self._event.set()

    def granted(self) -> None:
        # A word of before this grant is about a turn that is over.
        self._event.clear()
        os.write(self._write_fd, b".")

    async def ours(self) -> None:
        await self._event.wait()


class _Contest:
    """Tasks that take one lock again and again, and when each asked, got and gave it."""

    def __init__(self, hold: float, jitter: float, turns: _Turns | None) -> None:
        self._hold, self._jitter, self._turns = hold, jitter, turns
        self.records: list[tuple[int, int, int, int, int]] = []
        self.asking: dict[int, int] = {}

    async def run(self, task: int, lock: Lock) -> None:
        while True:
            requested = self.asking[task] = monotonic_ns()
            await lock.acquire()
            granted = monotonic_ns()
            del self.asking[task]
            if self._turns:
                self._turns.granted()
            if self._hold:
                await asyncio.sleep(self._hold + random.random() * self._jitter)
            fence = getattr(lock, "fencing_token", None) or 0
            released = monotonic_ns()
            self.records.append((task, requested, granted, released, fence))
            await lock.release()
            if self._turns:
                await self._turns.ours()


async def contest(
    make_lock: MakeLock,
    *,
    key: str,
    keys: int,
    tasks: int,
    hold: float,
    jitter: float,
    turns: list[int],
) -> dict[str, Any]:
    """Contend for one lock, or each task for one of several, with the tasks of other processes."""
    # Connections and scripts are no part of a hand-over.
    first = make_lock(f"{key}:first:{os.getpid()}")
    await first.acquire()
    await first.release()
    locks = [make_lock(f"{key}:{i % keys}") for i in range(tasks)]
    work = _Contest(hold, jitter, _Turns(*turns) if turns else None)
    await run_when_told(work.run(i, lock) for i, lock in enumerate(locks))
    return {"records": work.records, "pending": list(work.asking.items())}


async def hold(make_lock: MakeLock, *, key: str) -> None:
    """Hold a lock until the driver says otherwise."""
    await make_lock(key).acquire()
    await ready()


async def wait(
    make_lock: MakeLock, *, key: str, waiters: int, own: bool, method: str
) -> dict[str, float]:
    """Wait for what another process holds, perhaps with another lock held meanwhile."""
    # Kept, because a lock object that is collected is not renewed.
    held = make_lock(f"{key}:own", lease=SHORT_LEASE) if own else None
    if held:
        await held.acquire()
    group = [asyncio.ensure_future(getattr(make_lock(key), method)()) for _ in range(waiters)]
    await ready()
    for task in group:
        if task.done():
            task.result()
            raise RuntimeError("somebody waits no more")
    return {}


async def memory(
    make_lock: MakeLock, *, key: str, count: int, settle: float, first: bool
) -> dict[str, float]:
    """Count the bytes of `count` lock objects, and of as many tasks that wait for them."""
    if first:
        # What the first lock of a process sets up is no part of the others.
        await make_lock(f"{key}:first").acquire()
    locks: list[Any] = [None] * count
    tasks: list[Any] = [None] * count
    before = allocated_bytes()
    for i in range(count):
        locks[i] = make_lock(key)
    idle = allocated_bytes()
    resident = resident_bytes()
    for i in range(count):
        tasks[i] = asyncio.create_task(_acquire(locks[i]))
    await asyncio.sleep(settle)
    waiting = allocated_bytes()
    return {
        "lock": (idle - before) / count,
        "waiter": (waiting - idle) / count,
        "resident": (resident_bytes() - resident) / count,
    }


async def _acquire(lock: Lock) -> None:
    await lock.acquire()


JOBS: dict[str, Callable[..., Awaitable[object]]] = {
    "cycles": cycles,
    "contest": contest,
    "hold": hold,
    "wait": wait,
    "memory": memory,
}
