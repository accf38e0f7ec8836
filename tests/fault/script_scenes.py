"""For each script of `lua/`, a call whose first command it is, and what shows that it was once."""

import asyncio
from collections.abc import Callable
from typing import Any

from dsync import (
    BrokenBarrierError,
    DistributedBarrier,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)

from tests.fault.lock_tools import client_for
from tests.integration import barriers, conditions, events, locks, semaphores
from tests.integration.locks import NEVER, soon
from tests.support.redis_server import RedisServer

Arm = Callable[[], None]


class Players:
    """Objects of the session that the fault meets, and of another one; `arm` lets it happen."""

    def __init__(self, server: RedisServer, port: int, key: str, arm: Arm) -> None:
        self.server, self.key, self.arm = server, key, arm
        self._ports = {"met": port, "other": server.port}

    def make(self, kind: type[Any], who: str, **options: Any) -> Any:
        """Make an object that only messages bring on."""
        if hasattr(kind, "acquire"):
            options.setdefault("acquire_sleep_delay", NEVER)
        return kind(client_for(self._ports[who], who), self.key, **options)


async def one_of(tasks: list[asyncio.Task[Any]]) -> None:
    """Wait until one has ended, and check that it is the only one."""
    await asyncio.wait(tasks, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    # A second wake-up would be on the same connection.
    for _ in range(20):
        await asyncio.sleep(0.002)
    assert sum(task.done() for task in tasks) == 1


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel, and wait for the end."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


# ---- locks ----


async def lock_acquire(it: Players) -> None:
    lock = it.make(DistributedLock, "met")
    await lock.locked()
    it.arm()
    await soon(lock.acquire())
    with locks.peek(it.server) as client:
        assert str(client.get(locks.fence_name(it.key))).startswith(f"{lock.fencing_token} ")
    await lock.release()


async def two_that_wait(it: Players) -> list[asyncio.Task[Any]]:
    """Queue twice for the lock."""
    waiters = [it.make(DistributedLock, "other") for _ in range(2)]
    return list(await locks.start_waiters(it.server, it.key, *waiters))


async def handed_over_once(tasks: list[asyncio.Task[Any]]) -> None:
    """Check that one of those that wait has the lock, and not the other one too."""
    await one_of(tasks)
    await cancel(*tasks)


async def lock_release(it: Players) -> None:
    lock = it.make(DistributedLock, "met")
    await lock.acquire()
    tasks = await two_that_wait(it)
    it.arm()
    await soon(lock.release())
    await handed_over_once(tasks)


async def key_value_delete(it: Players) -> None:
    holder, lock = it.make(DistributedLock, "other"), it.make(DistributedLock, "met")
    await holder.acquire()
    await lock.locked()
    tasks = await two_that_wait(it)
    it.arm()
    await soon(lock._free())
    await handed_over_once(tasks)


async def lock_renew(it: Players) -> None:
    lock = it.make(DistributedLock, "met", lease=100)
    await lock.acquire()
    it.arm()
    await soon(lock.extend(500))
    assert locks.lease_left(it.server, it.key) > 400
    await lock.release()


# ---- semaphores ----


def slots(it: Players) -> tuple[int | None, int]:
    """Return the free slots and the permits in use."""
    look = semaphores.look(it.server, it.key)
    return look.free, look.permits


async def semaphore_acquire(it: Players) -> None:
    semaphore = it.make(DistributedSemaphore, "met", value=3)
    await semaphore.locked()
    it.arm()
    await soon(semaphore.acquire())
    assert slots(it) == (2, 1)
    await semaphore.release()


async def semaphore_release(it: Players) -> None:
    semaphore = it.make(DistributedSemaphore, "met", value=3)
    await semaphores.take(semaphore, 2)
    it.arm()
    await soon(semaphore.release())
    assert slots(it) == (2, 1)
    await semaphore.release()


async def semaphore_renew(it: Players) -> None:
    semaphore = it.make(DistributedSemaphore, "met", value=3, lease=100)
    await semaphore.acquire()
    it.arm()
    await soon(semaphore.extend(500))
    assert semaphores.permit_ends(it.server, it.key)[0] > 400
    await semaphore.release()


async def semaphore_add(it: Players) -> None:
    semaphore = it.make(DistributedSemaphore, "met", value=3)
    await semaphore.locked()
    it.arm()
    await soon(semaphore.release())
    assert slots(it) == (4, 0)


async def semaphore_free(it: Players) -> None:
    semaphore = it.make(DistributedSemaphore, "met", value=1)
    await semaphore.acquire()
    it.arm()
    assert await soon(semaphore.locked())
    assert slots(it) == (0, 1)
    await semaphore.release()


# ---- conditions ----


async def condition_wait(it: Players) -> None:
    waiter = it.make(DistributedCondition, "met")
    notifier = it.make(DistributedCondition, "other")
    await waiter.locked()
    it.arm()
    waiting = asyncio.create_task(waiter.wait())
    await conditions.until_waiting(it.server, it.key, 1)
    await conditions.notify(notifier)
    assert await soon(waiting)
    await conditions.until_settled(it.server, it.key)


async def condition_notify(it: Players) -> None:
    notifier, waiter = it.make(DistributedCondition, "met"), it.make(DistributedCondition, "other")
    tasks = [asyncio.create_task(waiter.wait()) for _ in range(2)]
    await conditions.until_waiting(it.server, it.key, 2)
    await notifier.acquire()
    it.arm()
    await soon(notifier.notify())
    await one_of(tasks)
    await notifier.release()
    await cancel(*tasks)


async def condition_leave(it: Players) -> None:
    leaver, waiter = it.make(DistributedCondition, "met"), it.make(DistributedCondition, "other")
    leaving = asyncio.create_task(leaver.wait())
    await conditions.until_waiting(it.server, it.key, 1)
    waiting = asyncio.create_task(waiter.wait())
    await conditions.until_waiting(it.server, it.key, 2)
    # So that all replies before are there.
    assert not await leaver.locked()
    it.arm()
    await cancel(leaving)
    await conditions.until_waiting(it.server, it.key, 1)
    await conditions.notify(it.make(DistributedCondition, "other"))
    assert await soon(waiting)


# ---- barriers ----


async def barrier_wait(it: Players) -> None:
    met, other = (it.make(DistributedBarrier, who, parties=3) for who in ("met", "other"))
    await met.n_waiting()
    it.arm()
    tasks = [asyncio.create_task(met.wait())]
    await barriers.until_arrived(it.server, it.key, 1)
    tasks += await barriers.start_parties(it.server, it.key, other)
    assert await met.n_waiting() == 2
    assert not any(task.done() for task in tasks)
    await soon(asyncio.gather(*tasks, other.wait()))


async def barrier_count(it: Players) -> None:
    met, other = (it.make(DistributedBarrier, who, parties=2) for who in ("met", "other"))
    await met.n_waiting()
    (waiting,) = await barriers.start_parties(it.server, it.key, other)
    it.arm()
    assert await soon(met.n_waiting()) == 1
    await cancel(waiting)


async def barrier_end(it: Players) -> None:
    met, other = (it.make(DistributedBarrier, who, parties=2) for who in ("met", "other"))
    await met.n_waiting()
    (waiting,) = await barriers.start_parties(it.server, it.key, other)

    async def wait_twice() -> None:
        try:
            await waiting
        except BrokenBarrierError:
            # Were the round ended twice, this one would be broken.
            await other.wait()

    again = asyncio.create_task(wait_twice())
    it.arm()
    await soon(met.reset())
    await soon(asyncio.gather(again, met.wait()))


async def barrier_leave(it: Players) -> None:
    met, other = (it.make(DistributedBarrier, who, parties=3) for who in ("met", "other"))
    tasks = await barriers.start_parties(it.server, it.key, met, other)
    assert await met.n_waiting() == 2
    it.arm()
    await cancel(tasks[0])
    await barriers.until_arrived(it.server, it.key, 1)
    assert await met.n_waiting() == 1
    await cancel(tasks[1])


# ---- events ----


async def event_set(it: Players) -> None:
    met, other = it.make(DistributedEvent, "met"), it.make(DistributedEvent, "other")
    await met.is_set()
    (waiting,) = await events.start_waiters(it.server, other)
    it.arm()
    await soon(met.set())
    assert await soon(waiting)
    # A second one would undo this.
    await other.clear()
    assert not await met.is_set()


async def event_wait(it: Players) -> None:
    met = it.make(DistributedEvent, "met", consumer_timeout=NEVER)
    await met.is_set()
    it.arm()
    waiting = asyncio.create_task(met.wait())
    await events.until_listened(it.server, it.key)
    assert not await soon(met.is_set())
    await it.make(DistributedEvent, "other").set()
    assert await soon(waiting)


SCENES = [
    lock_acquire,
    lock_release,
    lock_renew,
    key_value_delete,
    semaphore_acquire,
    semaphore_release,
    semaphore_renew,
    semaphore_add,
    semaphore_free,
    condition_wait,
    condition_notify,
    condition_leave,
    barrier_wait,
    barrier_count,
    barrier_end,
    barrier_leave,
    event_set,
    event_wait,
]
