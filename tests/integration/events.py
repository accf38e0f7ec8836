"""What the tests of the event look at from outside, and what their child processes do."""

import asyncio
import os
import threading
from typing import Any

import dsync
from dsync import DistributedEvent
from redis.asyncio import Redis

from tests.fault.lock_tools import client_for
from tests.integration.forks import in_child
from tests.integration.locks import calls, peek
from tests.support.child import say
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


def event_name(key: str) -> str:
    """Return the key of the flag, as the contract names it."""
    return f"event_{key}"


def channel_name(key: str) -> str:
    """Return the channel of an event, as the contract names it."""
    return f"event_{key}_channel"


def listeners(server: RedisServer, key: str) -> int:
    """Return how many connections listen to the channel."""
    with peek(server) as client:
        return int(client.pubsub_numsub(channel_name(key))[0][1])


async def until_listened(server: RedisServer, key: str, count: int = 1) -> None:
    """Wait until so many connections listen to the channel."""
    await eventually(lambda: listeners(server, key) == count, f"{count} listeners")


async def start_waiters(server: RedisServer, *events: DistributedEvent) -> list[asyncio.Task[bool]]:
    """Let tasks wait for a flag that is not set, and return when all will hear of a `set`."""
    before = calls(server, "get")
    tasks = [asyncio.create_task(event.wait()) for event in events]
    # They look when they listen.
    await eventually(lambda: calls(server, "get") >= before + len(tasks), "the first looks")
    return tasks


def set_by_old(server: RedisServer, key: str) -> None:
    """Do what `set` of the old package does."""
    with peek(server) as client:
        client.set(event_name(key), "1")
        client.publish(channel_name(key), "1")


def pulse_by_old(server: RedisServer, key: str) -> None:
    """Do what `set` and `clear` of the old package do, so that nobody can look between them."""
    with peek(server) as client, client.pipeline() as pipe:
        pipe.set(event_name(key), "1")
        pipe.publish(channel_name(key), "1")
        pipe.set(event_name(key), "0")
        pipe.execute()


# ---- in child processes ----


async def wait(url: str, key: str, tasks: int, consumer_timeout: float) -> None:
    """Let so many tasks wait at one object; tell of each that comes back."""
    event = DistributedEvent(url, key, consumer_timeout)

    async def waiter() -> None:
        say("woken", value=await event.wait())

    waiters = [asyncio.create_task(waiter()) for _ in range(tasks)]
    say("ready")
    await asyncio.gather(*waiters)


async def play(
    port: int, key: str, number: int, players: int, rounds: int, options: dict[str, Any]
) -> None:
    """Pass a ball round: wait for the own event, clear it, and set that of the next."""
    client = client_for(port, **options)
    mine = DistributedEvent(client, f"{key}-{number}", 1)
    next_one = DistributedEvent(client, f"{key}-{(number + 1) % players}", 1)
    say("ready")
    for _ in range(rounds):
        await mine.wait()
        await mine.clear()
        await next_one.set()
    say("done")


async def wait_for_the_end(url: str, key: str) -> None:
    """End the loop while a task waits, when the test says so."""
    task = asyncio.create_task(DistributedEvent(url, key).wait())
    async with Redis.from_url(url) as data:
        await data.blpop([f"{key}-end"])
    say("ended", waiting=not task.done())


def end_and_live_on(url: str, key: str) -> None:
    """End a loop in which a task waits, and go on without one."""
    asyncio.run(wait_for_the_end(url, key))
    say("outside")
    threading.Event().wait()


def play_in_threads(url: str, key: str, rounds: int) -> None:
    """Let two threads with loops of their own pass a ball, with the same two objects."""
    events = [DistributedEvent(url, f"{key}-{number}") for number in range(2)]

    async def work(number: int) -> None:
        for _ in range(rounds):
            await events[number].wait()
            await events[number].clear()
            await events[1 - number].set()

    async def begin() -> None:
        await events[0].set()

    asyncio.run(begin())
    threads = [threading.Thread(target=lambda n=n: asyncio.run(work(n))) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("done")


def use_in_loops(url: str, key: str) -> None:
    """Use one object in loops one after another."""
    event = DistributedEvent(url, key)

    async def use() -> None:
        task = asyncio.create_task(event.wait())
        await event.set()
        await task
        await dsync.close()
        assert await event.is_set()
        await event.clear()

    counts: list[int] = []
    for _ in range(4):
        asyncio.run(use())
        counts.append(len(os.listdir("/proc/self/fd")))
    say("done", counts=counts)


async def fork_while_waiting(url: str, key: str) -> None:
    """Fork while a task waits; the child uses the same object, and ends."""
    event = DistributedEvent(url, key)
    other = DistributedEvent(url, f"{key}-child")
    task = asyncio.create_task(event.wait())
    await event.is_set()

    async def use() -> None:
        await other.set()
        assert await other.wait()
        assert not await event.is_set()

    say("forked", code=in_child(lambda: asyncio.run(use())))
    await task
    say("woken")
