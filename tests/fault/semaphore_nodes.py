"""What the child processes of these tests do with a semaphore."""

import asyncio
import contextlib
import random
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from dsync import DistributedSemaphore, LockLostError
from redis.asyncio import Redis

from tests.fault.lock_nodes import BLOCKERS
from tests.fault.lock_tools import block_loop, client_for
from tests.integration.forks import in_child
from tests.support.child import say

Options = dict[str, Any]
Wish = Callable[[], Awaitable[bool]]


async def hold(url: str, key: str, value: int, options: Options, count: int = 1) -> None:
    """Take permits, and give them back at SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    semaphore = DistributedSemaphore(url, key, value, **options)
    for _ in range(count):
        await semaphore.acquire()
    say("held", valid_for=semaphore.valid_for())
    await told.wait()
    for _ in range(count):
        await semaphore.release()
    say("released")


async def produce(url: str, key: str, count: int) -> None:
    """Give slots to whoever waits for them."""
    semaphore = DistributedSemaphore(url, key, 0, lease=None)
    for _ in range(count):
        await semaphore.release()
    say("produced")


async def consume(url: str, key: str, count: int) -> None:
    """Take slots that others give."""
    semaphore = DistributedSemaphore(url, key, 0, 1000, lease=None)
    for number in range(count):
        await semaphore.acquire()
        say("took one", number=number)
    say("consumed")


# ---- blocked and stopped ----


async def block(url: str, key: str, value: int, lease: float, how: str) -> None:
    """Take permits, and let nothing of asyncio run for three leases."""
    losses: list[DistributedSemaphore] = []
    semaphore = DistributedSemaphore(url, key, value, lease=lease, on_lost=losses.append)
    for _ in range(value):
        await semaphore.acquire()
    say("held")
    BLOCKERS[how](3 * lease)
    say("unblocked", valid_for=semaphore.valid_for(), lost=semaphore.lost.is_set())
    for _ in range(value):
        await semaphore.release()
    say("released", losses=len(losses))


async def be_stopped_in_block(url: str, key: str, value: int, lease: float) -> None:
    """Tell all that a holder learns of its loss inside an `async with` block."""
    semaphore = DistributedSemaphore(
        url, key, value, lease=lease, on_lost=lambda _: say("on_lost"), cancel_on_lost=True
    )
    try:
        async with semaphore:
            say("held")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                say("cancelled", valid_for=semaphore.valid_for(), lost=semaphore.lost.is_set())
                raise
    except LockLostError:
        say("block raised")


async def be_stopped_and_release(url: str, key: str, value: int, lease: float) -> None:
    """Tell what the methods say after the loss of all permits."""
    semaphore = DistributedSemaphore(url, key, value, lease=lease)
    for _ in range(value):
        await semaphore.acquire()
    say("held")
    await semaphore.lost
    say("lost", valid_for=semaphore.valid_for(), owned=await semaphore.owned())
    for _ in range(value):
        await _tell_release(semaphore)
    say("done")


async def be_stopped_before_release(url: str, key: str, value: int, lease: float) -> None:
    """Release at once when the process goes on, before anything could tell of the loss."""
    semaphore = DistributedSemaphore(url, key, value, lease=lease)
    await semaphore.acquire()
    say("held")
    # Blocked, not waiting: the loop has had no turn when the release is sent.
    while semaphore.valid_for() > 0:
        block_loop(0.01)
    await _tell_release(semaphore)
    say("done")


async def _tell_release(semaphore: DistributedSemaphore) -> None:
    try:
        await semaphore.release()
    except RuntimeError as error:
        say("release raised", type=type(error).__name__)
    else:
        say("release returned")


# ---- load ----

ENTER = "redis.call('SADD', KEYS[1], ARGV[1]) return redis.call('SCARD', KEYS[1])"


class Worker:
    """Goes in and out as often as it can, in every way there is."""

    def __init__(
        self, semaphore: DistributedSemaphore, data: Redis, room: str | None, seed: int
    ) -> None:
        self.told = {"visits": 0, "refused": 0, "lost": 0}
        self._semaphore = semaphore
        self._data = data
        self._room = room
        self._dice = random.Random(seed)

    async def run(self, name: str, value: int, rounds: int) -> None:
        """Visit the room so often; tell at once when it is too full."""
        for _ in range(rounds):
            if not await self._taken():
                self.told["refused"] += 1
                continue
            await self._visit(name, value)
            try:
                await self._semaphore.release()
            except LockLostError:
                self.told["lost"] += 1

    async def _visit(self, name: str, value: int) -> None:
        inside = await self._data.eval(ENTER, 1, self._room, name) if self._room else 0
        if inside > value:
            say("too many", inside=inside)
        await asyncio.sleep(self._dice.choice([0, 0, 0.001, 0.005]))
        if self._room:
            await self._data.srem(self._room, name)
        self.told["visits"] += 1

    async def _taken(self) -> bool:
        semaphore, moment = self._semaphore, self._dice.random() ** 3 / 20
        match self._dice.randrange(5):
            case 0:
                return await semaphore.try_acquire()
            case 1:
                return await _in_time(semaphore.acquire(acquire_timeout=moment))
            case 2:
                return await _in_time(asyncio.wait_for(semaphore.acquire(), moment))
            case _:
                return await semaphore.acquire()


async def _in_time(acquire: Awaitable[bool]) -> bool:
    try:
        return await acquire
    except TimeoutError:
        return False


async def work(
    port: int,
    data_url: str,
    key: str,
    name: str,
    value: int,
    rounds: int,
    lease: float,
    seed: int,
    counted: bool = True,
) -> None:
    """Let some tasks share one object, and another have one of its own."""
    client = client_for(port, name, retries=1000, socket_timeout=0.5)
    shared, own = (
        DistributedSemaphore(client, key, value, acquire_sleep_delay=0.05, lease=lease)
        for _ in range(2)
    )
    async with Redis.from_url(data_url, client_name=name) as data:
        workers = [
            Worker(semaphore, data, f"inside-{key}" if counted else None, seed + number)
            for number, semaphore in enumerate((shared, shared, own))
        ]
        say("started")
        async with asyncio.TaskGroup() as group:
            for number, worker in enumerate(workers):
                group.create_task(worker.run(f"{name}:{number}", value, rounds))
    say("worked", **{what: sum(each.told[what] for each in workers) for what in workers[0].told})
    # What is under way must come to its end by itself, not by that of the process.
    await asyncio.Event().wait()


# ---- loops, threads and forks ----


def live_in_loops(url: str, key: str, value: int) -> None:
    """Use one object in loops one after another; some leave permits behind."""
    semaphore = DistributedSemaphore(url, key, value)

    async def use() -> None:
        async with semaphore:
            assert await semaphore.owned()

    async def leave() -> None:
        for _ in range(value):
            await semaphore.acquire()

    for main in (use, use, leave, use, leave, leave, use):
        asyncio.run(main())
    say("lived", most=value)


def live_in_threads(url: str, key: str, value: int) -> None:
    """Let threads, each with a loop of its own, go in and out."""
    inside: list[int] = []
    counts: list[int] = []
    gate = threading.Barrier(2 * value)

    async def work(number: int) -> None:
        semaphore = DistributedSemaphore(url, key, value, 1000)
        gate.wait()
        for _ in range(20):
            async with semaphore:
                inside.append(number)
                await asyncio.sleep(0.001)
                counts.append(len(inside))
                inside.remove(number)

    threads = [
        threading.Thread(target=lambda number=each: asyncio.run(work(number)))
        for each in range(2 * value)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 2 * value * 20
    say("lived", most=max(counts))


async def fork_inside(url: str, key: str, value: int) -> None:
    """Fork while all permits are held; the child can take none, and gives none back."""
    semaphore = DistributedSemaphore(url, key, value, lease=0.6)
    for _ in range(value):
        await semaphore.acquire()

    async def look() -> None:
        assert not await DistributedSemaphore(url, key, value).try_acquire()
        assert not await semaphore.owned()
        with contextlib.suppress(LockLostError):
            await semaphore.release()

    def check() -> None:
        assert semaphore.valid_for() == 0
        asyncio.run(look())

    code = in_child(check)
    # Longer than a lease, so that the parent still renews.
    await asyncio.sleep(0.7)
    say("forked", code=code, owned=await semaphore.owned())
    for _ in range(value):
        await semaphore.release()
