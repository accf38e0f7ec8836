"""What child processes of the lifecycle tests do with conditions: they open and end event loops."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import dsync
from dsync import DistributedCondition

from tests.integration.forks import in_child
from tests.integration.lives import descriptors, run
from tests.integration.locks import NEVER
from tests.support.child import say

Main = Callable[[str, str], Coroutine[Any, Any, None]]


async def wait_inside(condition: DistributedCondition) -> None:
    async with condition:
        await condition.wait()


async def pass_on(url: str, key: str) -> None:
    """Let one wake another."""
    waiter, notifier = DistributedCondition(url, key, NEVER), DistributedCondition(url, key)
    async with waiter:
        waiting = asyncio.create_task(notify_again(notifier))
        await waiter.wait()
    waiting.cancel()
    await asyncio.wait([waiting])


async def notify_again(condition: DistributedCondition) -> None:
    while True:
        async with condition:
            await condition.notify()


async def leave_waiters(url: str, key: str) -> None:
    """End the loop while tasks wait with the lock and without it."""
    condition = DistributedCondition(url, key, NEVER)
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(wait_inside(condition) if number % 2 else condition.wait())
        for number in range(6)
    ]
    await asyncio.wait(tasks, timeout=0.1)
    assert not any(task.done() for task in tasks)
    _tasks.extend(tasks)


async def leave_woken_waiters(url: str, key: str) -> None:
    """End the loop while those that were woken wait for the lock, which a task of it holds."""
    await leave_waiters(url, key)
    notified = asyncio.Event()

    async def keep(condition: DistributedCondition) -> None:
        async with condition:
            await condition.notify_all()
            notified.set()
            await asyncio.Event().wait()

    _tasks.append(asyncio.create_task(keep(DistributedCondition(url, key))))
    await notified.wait()


async def close_while_they_wait(url: str, key: str) -> None:
    await leave_waiters(url, key)
    await dsync.close()
    await asyncio.wait(_tasks)
    for task in _tasks:
        assert task.exception() is not None


_tasks: list[asyncio.Task[Any]] = []

MAINS: dict[str, Main] = {
    main.__name__: main
    for main in (pass_on, leave_waiters, leave_woken_waiters, close_while_they_wait)
}


def live(url: str, key: str, name: str, loop: str, times: int) -> None:
    """Run something in so many event loops, one after another, and count what is left open."""
    counts = []
    for _ in range(times):
        run(MAINS[name](url, key), loop)
        _tasks.clear()
        counts.append(descriptors())
    say("done", counts=counts, threads=threading.active_count())


def live_in_threads(url: str, key: str, rounds: int) -> None:
    """Let two loops in threads pass a ball back and forth."""
    turn = 0

    async def play(me: int) -> None:
        nonlocal turn
        condition = DistributedCondition(url, key, NEVER)
        for _ in range(rounds):
            async with condition:
                while turn != me:
                    await condition.wait()
                turn = 1 - me
                await condition.notify_all()

    threads = [threading.Thread(target=lambda me=me: asyncio.run(play(me))) for me in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("done", threads=threading.active_count())


def live_with_one_object_in_two_loops(url: str, key: str) -> None:
    """Use one object in loops one after another."""
    condition = DistributedCondition(url, key, NEVER)

    async def use() -> None:
        task = asyncio.create_task(wait_inside(condition))
        notifying = asyncio.create_task(notify_again(DistributedCondition(url, key)))
        await task
        notifying.cancel()
        await asyncio.wait([notifying])

    for _ in range(3):
        asyncio.run(use())
    say("done")


async def fork_while_waiting(url: str, key: str) -> None:
    """Fork while a task waits; the child uses the condition itself, and the parent waits on."""
    condition = DistributedCondition(url, key, NEVER)
    task = asyncio.create_task(wait_inside(condition))
    await asyncio.wait([task], timeout=0.1)
    say("forked", code=in_child(lambda: asyncio.run(notify_once(url, key))))
    await task
    say("woken")


async def notify_once(url: str, key: str) -> None:
    async with DistributedCondition(url, key) as condition:
        await condition.notify()
