"""Lasting contention of old and new processes, while the new ones leave windows for the old ones.

New processes hand over what they share to the next of them; without a window the old ones, which
take only what is free, would not get it.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.fleet import nodes
from tests.fleet.meeting import Meeting, notify
from tests.fleet.remote import Remote
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]
Start = Callable[..., Awaitable[Remote]]

FLEET = ["old", "new", "old", "new"]
WINDOW = {"DSYNC_MIGRATION_WINDOW": "0.25"}
# More often than the window is wide.
DELAY = 0.1
ROUNDS = 10


async def both_get_on(server: RedisServer, key: str) -> None:
    """Wait until both kinds have been inside some more times."""
    with server.sync() as client:

        def rounds(kind: str) -> int:
            return int(client.hget(f"{key}-rounds", kind) or 0)

        before = {kind: rounds(kind) for kind in FLEET}
        await eventually(
            lambda: all(rounds(kind) >= before[kind] + ROUNDS for kind in FLEET),
            f"{ROUNDS} more rounds of both kinds after {before}",
        )


@pytest.mark.parametrize(
    ("name", "slots", "options"),
    [
        ("DistributedLock", 1, {}),
        ("DistributedSemaphore", 2, {"value": 2}),
        ("DistributedBoundedSemaphore", 2, {"value": 2}),
    ],
)
async def test_both_kinds_get_on_while_more_want_it_than_can_have_it(
    server: RedisServer,
    spawn: Spawn,
    redis: Redis,
    dice: random.Random,
    key: str,
    name: str,
    slots: int,
    options: dict[str, Any],
) -> None:
    options = {"acquire_sleep_delay": DELAY, **options}
    fleet = []
    for kind in FLEET:
        arguments = (kind, name, server.url, key, options, None, 3, dice.random())
        fleet.append(spawn(nodes.share, *arguments, environment=WINDOW))
    # Again and again: whoever has it keeps it for a while, and without a window the new ones would
    # keep it for good.
    for _ in range(5):
        await both_get_on(server, key)
    await redis.set(f"{key}-stop", "")
    for node in fleet:
        await node.expect("done")
        assert await node.wait() == 0, node.errors
    assert int(await redis.get(f"{key}-most") or 0) == slots
    assert await redis.get(f"{key}-inside") == b"0"


async def test_notifications_by_new_processes_reach_old_waiters_beside_new_ones(
    server: RedisServer, start: Start, key: str
) -> None:
    with server.sync() as client:
        meeting = Meeting(client, start, key)
        giver, *fleet = [await meeting.join(kind, WINDOW) for kind in ("new", "old", "new")]
        sleeping: list[Remote] = []
        given = 0
        while min(node.count("wait done") for node in fleet) < ROUNDS:
            for node in fleet:
                if node not in sleeping:
                    node.order("wait")
            await meeting.has_waiters(*fleet)
            await notify(giver)
            given += 1
            await meeting.woken(fleet, given)
            sleeping = [node for node in fleet if node.count("wait done") < node.ordered["wait"]]
            await meeting.has_waiters(*sleeping)
            assert given < 20 * ROUNDS, "one kind is never woken"
