"""What child processes of the tests do at a barrier; see tests/support/processes.py."""

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from typing import Any

import dsync
from dsync import BrokenBarrierError, DistributedBarrier
from redis.asyncio import Redis

from tests.fault.lock_tools import client_for
from tests.integration.forks import in_child
from tests.support.child import say


async def wait(url: str, key: str, parties: int, tasks: int = 1) -> None:
    """Let so many tasks come once; tell how it ends for each."""

    async def party() -> None:
        try:
            await DistributedBarrier(url, key, parties).wait()
        except BrokenBarrierError:
            say("broken")
        else:
            say("passed")

    await asyncio.gather(*(party() for _ in range(tasks)))


async def go_round(
    port: int, data_url: str, key: str, parties: int, tasks: int, rounds: int, tries: int
) -> None:
    """Come again and again, together with the others of `parties`; tell of each wrong opening.

    :param data_url: of the server that counts how often all parties have come
    :param tries: to reconnect
    """
    total = f"{key}-total"
    client = client_for(port, retries=tries, socket_timeout=0.5 if tries > 1 else None)
    async with Redis.from_url(data_url) as data:

        async def party() -> None:
            barrier = DistributedBarrier(client, key, parties)
            for number in range(rounds):
                await data.incr(total)
                await barrier.wait()
                seen = int(await data.get(total) or 0)
                # All have come, and none has come twice more, since that needs this one.
                if not parties * (number + 1) <= seen < parties * (number + 2):
                    say("wrong", round=number, seen=seen)

        say("ready")
        await asyncio.gather(*(party() for _ in range(tasks)))
        say("done")
        # With a link that is broken just now, the last confirmations would not leave.
        await data.blpop([f"{key}-end"])


# ---- ends of loops and processes ----


async def leave_waiting(url: str, key: str, parties: int) -> None:
    """End the loop while a party waits, when the test says so."""
    task = asyncio.create_task(DistributedBarrier(url, key, parties).wait())
    async with Redis.from_url(url) as data:
        await data.blpop([f"{key}-end"])
    say("ended", waiting=not task.done())


def end_and_live_on(url: str, key: str, parties: int) -> None:
    """End a loop in which a party waits, and go on without one."""
    asyncio.run(leave_waiting(url, key, parties))
    say("outside")
    threading.Event().wait()


def meet_in_threads(url: str, key: str, count: int, rounds: int) -> None:
    """Let threads with loops of their own meet at one object; tell of each early return."""
    barrier = DistributedBarrier(url, key, count)
    lock = threading.Lock()
    arrived = 0

    async def work() -> None:
        nonlocal arrived
        for number in range(rounds):
            with lock:
                arrived += 1
            await barrier.wait()
            if arrived < count * (number + 1):
                say("wrong", round=number, arrived=arrived)

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("done")


def meet_in_loops(url: str, key: str) -> None:
    """Use one object in loops one after another."""
    barrier = DistributedBarrier(url, key, 2)

    async def work() -> None:
        await asyncio.gather(barrier.wait(), barrier.wait())
        await dsync.close()
        await asyncio.gather(barrier.wait(), barrier.wait())

    for _ in range(3):
        asyncio.run(work())
    say("done", descriptors=len(os.listdir("/proc/self/fd")))


async def fork_while_waiting(url: str, key: str, work: str) -> None:
    """Fork while a party waits; the child ends, or waits at another barrier, and then ends."""
    works: dict[str, Callable[[], Any]] = {
        "exit": lambda: None,
        "wait": lambda: asyncio.run(meet_once(url, f"{key}-child")),
    }
    barrier = DistributedBarrier(url, key, 2)
    task = asyncio.create_task(barrier.wait())
    while not await barrier.n_waiting():
        pass
    code = in_child(works[work])
    gc.collect()
    say("forked", code=code, waiting=await barrier.n_waiting())
    await task
    say("passed")


async def meet_once(url: str, key: str) -> None:
    """Be both parties of a barrier."""
    barrier = DistributedBarrier(url, key, 2)
    await asyncio.gather(barrier.wait(), barrier.wait())
