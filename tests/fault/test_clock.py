"""The clock of a client's machine jumps by an hour: nobody notices."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dsync import (
    DistributedBarrier,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)

from tests.fault.lock_tools import Spawn
from tests.integration import barriers, conditions, events, locks, semaphores
from tests.integration.locks import NEVER
from tests.support.child import say
from tests.support.clock import Clock
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LEASE = 1.0
HOUR = 3600
FORWARD, BACK = "+1h", "-1h"


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that has not jumped yet; give its `environment` to the children."""
    return Clock(tmp_path)


each_jump = pytest.mark.parametrize("jump", [FORWARD, BACK])


# ---- in child processes ----


async def after_a_jump() -> None:
    """Wait until this process sees that its clock has jumped, and tell."""
    begun = time.time()
    say("ready")
    await eventually(lambda: abs(time.time() - begun) > HOUR / 2, "the clock jumps")
    say("jumped")


async def hold(url: str, key: str) -> None:
    """Hold a lock and a permit through a jump and for three leases more, and release them."""
    losses: list[Any] = []
    held: list[DistributedLock | DistributedSemaphore] = [
        DistributedLock(url, key, lease=LEASE, on_lost=losses.append),
        DistributedSemaphore(url, key, 1, lease=LEASE, on_lost=losses.append),
    ]
    for each in held:
        await each.acquire()
    await after_a_jump()
    most = 0.0
    for _ in range(30):
        most = max(most, *(each.valid_for() for each in held))
        await asyncio.sleep(LEASE / 10)
    say("kept", owned=[await each.owned() for each in held], most=most)
    for each in held:
        await each.release()
    say("released", losses=len(losses))


async def wait(url: str, key: str) -> None:
    """Wait for everything through a jump, with timeouts too, which must not end early."""
    waits: dict[str, Callable[[], Any]] = {
        "lock": DistributedLock(url, key, NEVER, NEVER).acquire,
        "semaphore": DistributedSemaphore(url, key, 1, NEVER, NEVER).acquire,
        # A key of its own, because its lock would be that of the lock.
        "condition": DistributedCondition(url, f"{key}-condition").wait,
        "barrier": DistributedBarrier(url, key, 2).wait,
        "event": DistributedEvent(url, key, NEVER).wait,
    }

    async def wait_for(kind: str) -> None:
        await waits[kind]()
        say("woken", kind=kind)

    waiting = asyncio.gather(*map(wait_for, waits))
    await after_a_jump()
    await waiting
    say("all woken")


# ---- tests ----


@each_jump
async def test_a_holder_keeps_what_it_holds_and_is_renewed(
    server: RedisServer, key: str, spawn: Spawn, clock: Clock, jump: str
) -> None:
    child = spawn(hold, server.url, key, environment=clock.environment)
    await child.expect("ready")
    clock.set(jump)
    await child.expect("jumped")
    told = await child.expect("kept")
    assert told["owned"] == [True, True]
    assert 0 < told["most"] <= LEASE
    assert (await child.expect("released"))["losses"] == 0
    assert await child.wait() == 0, child.errors


def all_wait(server: RedisServer, key: str) -> bool:
    """Tell whether the server knows one that waits for each."""
    return (
        locks.queue_length(server, key) == 1
        and semaphores.look(server, key).waiting == 1
        and conditions.count_waiting(server, f"{key}-condition") == 1
        and barriers.arrivals(server, key) == 1
        and events.listeners(server, key) == 1
    )


@each_jump
async def test_who_waits_goes_on_when_it_is_due(
    server: RedisServer, key: str, spawn: Spawn, clock: Clock, jump: str
) -> None:
    lock = DistributedLock(server.url, key)
    semaphore = DistributedSemaphore(server.url, key, 1)
    await lock.acquire()
    await semaphore.acquire()
    child = spawn(wait, server.url, key, environment=clock.environment)
    await child.expect("ready")
    await eventually(lambda: all_wait(server, key), "all wait")
    clock.set(jump)
    await child.expect("jumped")
    assert all_wait(server, key)
    assert not any(event["event"] == "woken" for event in child.events)
    await lock.release()
    await semaphore.release()
    await conditions.notify(DistributedCondition(server.url, f"{key}-condition"))
    await DistributedBarrier(server.url, key, 2).wait()
    await DistributedEvent(server.url, key).set()
    await child.expect("all woken")
    assert await child.wait() == 0, child.errors
