"""Processes of a mixed fleet: each runs one of the two packages, as its `kind` says."""

import asyncio
import contextlib
import importlib
import itertools
import json
import random
from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis

from tests.support.child import say

# The old package has one module for each class.
OLD_MODULES = {
    "DistributedLock": "distributed_lock",
    "DistributedSemaphore": "distibuted_semaphore",
    "DistributedBoundedSemaphore": "distributed_bounded_semaphore",
    "DistributedCondition": "distributed_condition",
    "DistributedBarrier": "distributed_barrier",
    "DistributedEvent": "distributed_event",
}

# KEYS: who is inside, the most that ever were.
ENTER = """
    local inside = redis.call('INCR', KEYS[1])
    if inside > tonumber(redis.call('GET', KEYS[2]) or 0) then
        redis.call('SET', KEYS[2], inside)
    end
"""


def make(kind: str, name: str, redis: Redis, key: str, **options: Any) -> Any:
    """Make a primitive of one package; only the import differs."""
    packages = {"old": f"aiodistributor.{OLD_MODULES[name]}", "new": "dsync"}
    return getattr(importlib.import_module(packages[kind]), name)(redis, key, **options)


def connect(url: str) -> Redis:
    """Make a client as the old package wants it."""
    # An old barrier keeps one connection for each wait, and the default is 100 of them; nodes wait
    # for orders longer than the default of 5 s.
    options: dict[str, Any] = {"max_connections": 1000, "socket_timeout": None}
    return Redis.from_url(url, decode_responses=True, **options)


# ---- a process that does what the test says ----


def order(method: str, *arguments: object, inside: bool = False, other: str | None = None) -> str:
    """Write an order for `obey`.

    :param inside: call the method within `async with`
    :param other: a key to use instead of the first one
    """
    return json.dumps([method, arguments, inside, other])


async def obey(
    kind: str, name: str, url: str, key: str, orders: str, options: dict[str, Any]
) -> None:
    """Call methods of a primitive as the list `orders` in Redis says, each in a task.

    "cancel" is an order too: it cancels the calls that have not ended.
    """
    async with connect(url) as redis:
        primitives = {key: make(kind, name, redis, key, **options)}
        say("ready")
        calls: set[asyncio.Task[None]] = set()
        while True:
            popped = await redis.blpop([orders])
            assert popped is not None
            method, arguments, inside, other = json.loads(popped[1])
            if method == "cancel":
                for call in calls:
                    call.cancel()
                continue
            if other is not None and other not in primitives:
                primitives[other] = make(kind, name, redis, other, **options)
            primitive = primitives[other or key]
            call = asyncio.create_task(carry_out(primitive, method, arguments, inside))
            calls.add(call)
            call.add_done_callback(calls.discard)


async def carry_out(primitive: Any, method: str, arguments: list[Any], inside: bool) -> None:
    """Call a method, and tell when it begins and how it ends."""
    say(f"{method} called")
    try:
        async with primitive if inside else contextlib.nullcontext():
            result = await getattr(primitive, method)(*arguments)
    except asyncio.CancelledError:
        say(f"{method} cancelled")
        raise
    except Exception as error:
        names = [each.__name__ for each in type(error).__mro__]
        say(f"{method} failed", error=repr(error), classes=names)
    else:
        say(f"{method} done", result=result)


# ---- processes that work without being told ----


async def share(
    kind: str,
    name: str,
    url: str,
    key: str,
    options: dict[str, Any],
    rounds: int | None,
    tasks: int,
    seed: int,
) -> None:
    """Go through what a lock or a semaphore guards, and count in Redis how many are inside.

    :param rounds: of all tasks together, with a random time outside after each, so that what they
        share is free now and then; None is without an end and without time outside, until the test
        sets `{key}-stop`
    :param options: of the primitive
    """
    dice = random.Random(seed)
    async with connect(url) as redis:

        async def work(turns: Iterable[int]) -> None:
            guard = make(kind, name, redis, key, **options)
            for _ in turns:
                if rounds is None and await redis.exists(f"{key}-stop"):
                    return
                async with guard:
                    await redis.eval(ENTER, 2, f"{key}-inside", f"{key}-most")
                    await asyncio.sleep(0)
                    await redis.decr(f"{key}-inside")
                await redis.hincrby(f"{key}-rounds", kind, 1)
                if rounds is not None:
                    await asyncio.sleep(dice.uniform(0, 0.005))

        say("ready")
        endless = rounds is None
        await asyncio.gather(
            *(
                work(itertools.count() if endless else range(number, rounds or 0, tasks))
                for number in range(tasks)
            )
        )
        say("done")


async def meet(kind: str, url: str, key: str, parties: int, rounds: int, groups: int) -> None:
    """Meet the other parties at several barriers again and again; tell of each early return."""
    async with connect(url) as redis:

        async def meet_at(name: str) -> None:
            barrier = make(kind, "DistributedBarrier", redis, name, parties=parties)
            for number in range(rounds):
                here = f"{name}-{number}"
                await redis.incr(f"{here}-arrived")
                await barrier.wait()
                arrived = int(await redis.get(f"{here}-arrived") or 0)
                if arrived != parties:
                    say("early", barrier=name, round=number, arrived=arrived)
                await gather_all(redis, f"{here}-left", parties)

        say("ready")
        await asyncio.gather(*(meet_at(f"{key}-{group}") for group in range(groups)))
        say("done")


async def gather_all(redis: Redis, name: str, parties: int) -> None:
    """Come back when all parties are here: a barrier of plain keys, used once.

    Without it an old party would pass the next round on a message of the last one.
    """
    if await redis.incr(name) == parties:
        await redis.rpush(f"{name}-all", *range(parties))
    await redis.blpop([f"{name}-all"])
