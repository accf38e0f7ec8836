"""A server that evicts keys to make room: holders are told, and waiters go on."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from dsync import (
    DistributedBarrier,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)
from redis.exceptions import OutOfMemoryError

from tests.fault.lock_tools import MakeServer, client_for, running
from tests.integration import barriers, conditions, events, locks, semaphores
from tests.integration.locks import peek, soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LEASE = 1.0
DELAY = 0.05


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that forgets what was not used for the longest time."""
    return make_server(options={"maxmemory-policy": "allkeys-lru"})


def make(server: RedisServer, kind: type[Any], key: str, name: str, *arguments: Any) -> Any:
    """Make an object with a session of its own, which looks often for what no message tells."""
    options: dict[str, Any] = {}
    if hasattr(kind, "acquire"):
        options |= {"acquire_sleep_delay": DELAY, "lease": LEASE}
    return kind(client_for(server.port, name), key, *arguments, **options)


def squeeze(server: RedisServer) -> None:
    """Let the server evict all it can, once, and then have room again."""
    with peek(server) as client:
        evicted = client.info("stats")["evicted_keys"]
        client.config_set("maxmemory", 1)
        # It evicts before a command that may take memory, and then refuses that.
        with pytest.raises(OutOfMemoryError):
            client.set("filler", "x")
        client.config_set("maxmemory", 0)
        assert client.info("stats")["evicted_keys"] > evicted


LEASED: dict[str, tuple[type[Any], tuple[Any, ...], Callable[[RedisServer, str], int]]] = {
    "lock": (DistributedLock, (), locks.queue_length),
    "semaphore": (DistributedSemaphore, (1,), lambda *it: semaphores.look(*it).waiting),
}


@pytest.mark.parametrize("kind", LEASED)
async def test_a_holder_whose_keys_are_evicted_is_told_and_who_waits_goes_on(
    own: RedisServer, key: str, kind: str
) -> None:
    cls, arguments, waiting = LEASED[kind]
    holder, waiter = (make(own, cls, key, name, *arguments) for name in ("holder", "waiter"))
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await eventually(lambda: waiting(own, key) == 1, "it waits")
        squeeze(own)
        await soon(holder.lost.wait())
        assert holder.valid_for() == 0
        assert await soon(acquiring)
    assert await waiter.owned()
    with pytest.raises(RuntimeError):
        await holder.release()
    # The loser has not freed what another holds.
    assert await waiter.owned()
    await waiter.release()
    assert await soon(make(own, cls, key, "newcomer", *arguments).acquire())


async def test_who_waits_for_a_notification_goes_on_waiting(own: RedisServer, key: str) -> None:
    waiter, notifier = (make(own, DistributedCondition, key, name) for name in ("one", "two"))
    async with running(waiter.wait(), waiter.wait()) as tasks:
        await conditions.until_waiting(own, key, 2)
        squeeze(own)
        await conditions.until_waiting(own, key, 2)
        assert not any(task.done() for task in tasks)
        await conditions.notify(notifier, -1)
        assert await soon(asyncio.gather(*tasks)) == [True, True]


async def test_parties_whose_round_is_evicted_meet_all_the_same(own: RedisServer, key: str) -> None:
    first, last = (make(own, DistributedBarrier, key, name, 3) for name in ("one", "two"))
    async with running(first.wait(), first.wait()) as tasks:
        await barriers.until_arrived(own, key, 2)
        squeeze(own)
        await barriers.until_arrived(own, key, 2)
        assert not any(task.done() for task in tasks)
        await soon(last.wait())
        await soon(asyncio.gather(*tasks))


async def test_a_flag_that_is_evicted_is_not_set_and_the_next_set_wakes(
    own: RedisServer, key: str
) -> None:
    event, setter = (make(own, DistributedEvent, key, name, 1000) for name in ("one", "two"))
    await setter.set()
    squeeze(own)
    assert not await setter.is_set()
    async with running(event.wait()) as (waiting,):
        await events.until_listened(own, key)
        await setter.set()
        assert await soon(waiting)
