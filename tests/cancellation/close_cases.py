"""Cases of dsync.close."""

import asyncio
from typing import Any

import dsync
from dsync import DistributedBarrier, DistributedCondition, DistributedEvent, DistributedLock
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.cancellation.registry import case
from tests.cancellation.stage import Stage
from tests.integration import locks
from tests.support.waiting import eventually


async def close(stage: Stage, *beside: Any) -> None:
    """Close, and close again what a cancelled one has left; then nothing may be open."""
    sessions = stage.sessions()
    await stage.run(dsync.close(), *beside)
    await locks.soon(dsync.close())
    assert all(session.closed for session in sessions)
    assert stage.sessions() == []
    await eventually(lambda: stage.server.connections() == [], "the connections are closed")


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Check that nobody waits for ever for a session that is closed."""
    for task in tasks:
        (outcome,) = await locks.soon(asyncio.gather(task, return_exceptions=True))
        assert isinstance(outcome, RedisConnectionError), outcome


@case("close", at_once=True)
async def never_used(stage: Stage) -> None:
    await dsync.close()
    await close(stage)


@case("close")
async def idle(stage: Stage) -> None:
    await stage.make(DistributedLock).locked()
    await close(stage)


@case("close")
async def two_sessions(stage: Stage) -> None:
    for name in ("main", "other"):
        await stage.make(DistributedLock, name).locked()
    await close(stage)


@case("close")
async def holding(stage: Stage) -> None:
    lock = stage.make(DistributedLock)
    await lock.acquire()
    await close(stage)
    assert lock.valid_for() == 0
    assert lock.lost.is_set(), "the holder was not told"


@case("close")
async def handing_over(stage: Stage) -> None:
    lock, waiter = stage.make(DistributedLock), stage.make(DistributedLock)
    await lock.acquire()
    waiting = asyncio.create_task(waiter.acquire())
    await eventually(lambda: locks.queue_length(stage.server, stage.key) == 1)
    await close(stage)
    await ended(waiting)


@case("close")
async def all_that_wait(stage: Stage) -> None:
    subjects = [
        stage.make(DistributedCondition),
        stage.make(DistributedBarrier, parties=2),
        stage.make(DistributedEvent),
    ]
    waiting = [asyncio.create_task(subject.wait()) for subject in subjects]
    await stage.make(DistributedLock).locked()
    await close(stage)
    await ended(*waiting)


@case("close")
async def connecting(stage: Stage) -> None:
    # Else those that others have used would be closed before, and give it time.
    await dsync.close()
    waiting = asyncio.create_task(stage.make(DistributedLock, "first").acquire())
    # So that its connections are just being made.
    await asyncio.sleep(0)
    await close(stage)
    await ended(waiting)


@case("close", by_turns=False)
async def the_server_away(stage: Stage) -> None:
    lock = stage.make(DistributedLock, "proxied")
    await lock.locked()
    (session,) = [each for each in stage.sessions() if each is lock._session]
    stage.go_away()
    waiting = asyncio.create_task(lock.acquire())
    links = session._links
    await eventually(lambda: not links.up and links._opening is not None, "it tries to connect")
    await close(stage)
    await ended(waiting)
    stage.proxy.refuse(False)
