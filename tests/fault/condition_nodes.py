"""What the child processes of the tests do with a condition."""

import asyncio
from typing import Any

from dsync import DistributedCondition
from redis.asyncio import Redis

from tests.fault.lock_tools import client_for
from tests.support.child import say

Options = dict[str, Any]


def condition_at(port: int, key: str, name: str, options: Options) -> DistributedCondition:
    """Make a condition that survives long outages."""
    client = client_for(port, name, retries=1000, socket_timeout=0.5)
    return DistributedCondition(client, key, **options)


async def wait(port: int, key: str, name: str, locked: bool, options: Options) -> None:
    """Wait once; with the lock, write the name down while it is held."""
    condition = condition_at(port, key, name, options)
    if locked:
        async with Redis(port=port) as data, condition:
            await condition.wait()
            await data.rpush(f"{key}-woken", name)
            say("woken")
    else:
        await condition.wait()
        say("woken")
    say("done")
    # Alive, so that only what it did can have an effect.
    await asyncio.Event().wait()


async def wait_and_keep(port: int, key: str, name: str, options: Options) -> None:
    """Wait once with the lock, and keep it."""
    condition = condition_at(port, key, name, options)
    await condition.acquire()
    await condition.wait()
    say("woken")
    await asyncio.Event().wait()


async def wait_together(port: int, key: str, name: str, count: int) -> None:
    """Let so many tasks wait with the lock."""
    condition = condition_at(port, key, name, {})

    async def wait_inside() -> None:
        async with condition:
            await condition.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(wait_inside())


async def notify_and_keep(port: int, key: str, n: int, options: Options) -> None:
    """Notify, and keep the lock."""
    condition = condition_at(port, key, "notifier", options)
    await condition.acquire()
    await condition.notify(n)
    say("notified")
    await asyncio.Event().wait()


# ---- a queue ----


async def produce(
    port: int, data_port: int, key: str, name: str, first: int, last: int, options: Options
) -> None:
    """Put numbers into a list, and notify of each."""
    condition = condition_at(port, key, name, options)
    async with Redis(port=data_port) as data:
        say("started")
        for number in range(first, last):
            async with condition:
                await data.rpush(f"{key}-items", number)
                await condition.notify()
    say("done")


async def consume(port: int, data_port: int, key: str, name: str, options: Options) -> None:
    """Take numbers out of that list, one at a time, until the number is -1."""
    condition = condition_at(port, key, name, options)
    async with Redis(port=data_port) as data:
        say("started")
        while True:
            async with condition:
                while not await data.llen(f"{key}-items"):
                    await condition.wait()
                # Two steps, which only the lock keeps together.
                (item,) = await data.lrange(f"{key}-items", 0, 0)
                await data.lpop(f"{key}-items")
                if int(item) == -1:
                    break
                await data.rpush(f"{key}-taken", item)
    say("done")
