"""What a worker does with the conditions and barriers of one contender."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic_ns
from typing import Any, Protocol, Self

from bench.jobs import run_when_told

# Seconds; a notification that came too early is given again.
PATIENCE = 0.2


class Condition(Protocol):
    """What a task calls."""

    async def __aenter__(self) -> Self:
        """Take its lock."""

    async def __aexit__(self, *error: object) -> None:
        """Give it back."""

    def wait(self) -> Awaitable[object]:
        """Wait for a notification."""

    def notify(self) -> Awaitable[object]:
        """Wake one that waits."""


class Barrier(Protocol):
    """What a task calls."""

    def wait(self) -> Awaitable[object]:
        """Wait for the other parties."""


class _Waiter:
    """Waits again and again, and says each time that it is about to."""

    def __init__(self, words: int) -> None:
        self._words = words
        self.stamps: list[int] = []

    async def run(self, condition: Condition, *, with_lock: bool) -> None:
        async with condition if with_lock else contextlib.nullcontext():
            while True:
                os.write(self._words, b".")
                await condition.wait()
                self.stamps.append(monotonic_ns())


class _Notifier:
    """Notifies once for each word of the waiter, a while after it holds the lock."""

    def __init__(self, words: int, hold: float) -> None:
        self._words, self._hold = words, hold
        self._heard = asyncio.Event()
        self.stamps: list[int] = []
        os.set_blocking(words, False)
        asyncio.get_running_loop().add_reader(words, self._on_readable)

    def _on_readable(self) -> None:
        os.read(self._words, 4096)
        self._heard.set()

    async def run(self, condition: Condition) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._heard.wait()
            self._heard.clear()
            async with condition:
                await asyncio.sleep(self._hold)
                self.stamps.append(monotonic_ns())
                await condition.notify()


async def waiter(
    make_condition: Callable[[str], Condition], *, key: str, with_lock: bool, words: int
) -> dict[str, list[int]]:
    """Be woken again and again; returns when."""
    # Connections and scripts are no part of a wake-up.
    async with make_condition(f"{key}:{os.getpid()}"):
        pass
    work = _Waiter(words)
    await run_when_told([work.run(make_condition(key), with_lock=with_lock)])
    return {"stamps": work.stamps}


async def notifier(
    make_condition: Callable[[str], Condition], *, key: str, hold: float, words: int
) -> dict[str, list[int]]:
    """Wake the waiter of another process again and again; returns when."""
    async with make_condition(f"{key}:{os.getpid()}"):
        pass
    work = _Notifier(words, hold)
    await run_when_told([work.run(make_condition(key))])
    return {"stamps": work.stamps}


async def _meet(barriers: Iterable[Barrier], stamps: list[int] | None) -> None:
    for barrier in barriers:
        await barrier.wait()
        if stamps is not None:
            stamps.append(monotonic_ns())


async def rounds(
    make_barrier: Callable[[str, int], Barrier], *, key: str, here: int, parties: int, fresh: int
) -> dict[str, list[int]]:
    """Meet the parties of other processes, round after round; returns the end of each round.

    With `fresh`, there are so many rounds, each with a barrier of its own: that of aiodistributor
    tells of the end of a round as often as there are parties, and those that have come back by then
    would leave the next round at once.
    """
    await make_barrier(f"{key}:{os.getpid()}", 1).wait()

    def barriers() -> Iterable[Barrier]:
        if fresh:
            return (make_barrier(f"{key}:{number}", parties) for number in range(fresh))
        return itertools.repeat(make_barrier(key, parties))

    stamps: list[int] = []
    # One of them is enough to tell when a round ends.
    await run_when_told(_meet(barriers(), None if i else stamps) for i in range(here))
    return {"stamps": stamps}


MEETINGS: dict[str, Callable[..., Awaitable[Any]]] = {
    "waiter": waiter,
    "notifier": notifier,
    "rounds": rounds,
}
