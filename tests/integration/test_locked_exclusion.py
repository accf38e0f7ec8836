"""Calls of decorated functions with one key exclude each other, wherever they run."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import dsync
import pytest
from dsync import DistributedLock, locked, sync
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.integration.blocking import all_ended, ended, start, until_queued
from tests.integration.key_values import exit_codes, forked, using
from tests.integration.locks import (
    NEVER,
    holder,
    queue_length,
    soon,
    start_waiters,
    until_nothing_is_left,
)
from tests.integration.locks import until_queued as until_queued_async
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

Spawn = Callable[..., Child]


@pytest.fixture(autouse=True)
def configured(server: RedisServer) -> Iterator[None]:
    with using(server.url):
        yield


class Inside:
    """Notices two that are inside at once; awaits let others run."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.visits = 0

    def enter(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def leave(self) -> None:
        self.now -= 1
        self.visits += 1


def test_threads_come_one_after_another() -> None:
    inside = Inside()
    pause = threading.Event()

    @locked("a")
    def work() -> None:
        inside.enter()
        # Lets the other threads run.
        pause.wait(0.001)
        inside.leave()

    all_ended([start(lambda: [work() for _ in range(5)]) for _ in range(10)])
    assert (inside.most, inside.visits) == (1, 50)


async def test_tasks_come_one_after_another() -> None:
    inside = Inside()

    @locked("{name}")
    async def work(name: str) -> None:
        inside.enter()
        await asyncio.sleep(0)
        inside.leave()

    await soon(asyncio.gather(*(work("a") for _ in range(50))))
    assert (inside.most, inside.visits) == (1, 50)


async def test_tasks_and_threads_exclude_each_other() -> None:
    inside = Inside()

    @locked("a")
    def plain() -> None:
        inside.enter()
        inside.leave()

    @locked("a")
    async def coroutine() -> None:
        inside.enter()
        await asyncio.sleep(0.001)
        inside.leave()

    tasks = [coroutine() for _ in range(20)]
    threads = [asyncio.to_thread(plain) for _ in range(20)]
    await soon(asyncio.gather(*tasks, *threads))
    assert (inside.most, inside.visits) == (1, 40)


async def test_other_keys_run_beside() -> None:
    together = asyncio.Barrier(5)
    threads = threading.Barrier(5)

    @locked("user-{user_id}")
    async def coroutine(user_id: int) -> None:
        await together.wait()

    @locked("thread-{user_id}")
    def plain(user_id: int) -> None:
        threads.wait(20)

    await soon(asyncio.gather(*(coroutine(number) for number in range(5))))
    await soon(asyncio.gather(*(asyncio.to_thread(plain, number) for number in range(5))))


async def test_the_lock_is_that_of_the_same_name(server: RedisServer) -> None:
    @locked("a-{user_id}", acquire_timeout=0)
    async def coroutine(user_id: int) -> str:
        return "called"

    @locked("a-{user_id}", acquire_timeout=0)
    def plain(user_id: int) -> str:
        return "called"

    async with DistributedLock(server.url, "a-1"):
        with pytest.raises(TimeoutError):
            await coroutine(1)
        with pytest.raises(TimeoutError):
            plain(1)
        assert await coroutine(2) == plain(2) == "called"
    with sync.DistributedLock(server.url, "a-1"), pytest.raises(TimeoutError):
        await coroutine(1)
    assert await coroutine(1) == plain(1) == "called"


def test_who_waits_goes_on_when_the_one_before_has_left(server: RedisServer) -> None:
    order: list[int] = []

    # So seldom that only a message brings it on.
    @locked("a", acquire_sleep_delay=NEVER)
    def work(number: int) -> None:
        order.append(number)

    works: list[Future[None]] = []
    with sync.DistributedLock(server.url, "a"):
        for number in range(3):
            works.append(start(work, number))
            until_queued(server, "a", number + 1)
    all_ended(works)
    assert order == [0, 1, 2]


async def test_a_cancelled_call_that_waits_leaves_nothing(server: RedisServer) -> None:
    @locked("a", acquire_sleep_delay=NEVER)
    async def work() -> None:
        pytest.fail("called")

    async with DistributedLock(server.url, "a") as lock:
        waiting = asyncio.create_task(work())
        await until_queued_async(server, "a", 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(waiting)
        await until_queued_async(server, "a", 0)
        assert holder(server, "a") == lock._token
        # Who came behind it is not held up.
        (behind,) = await start_waiters(server, "a", other := DistributedLock(server.url, "a"))
    await soon(behind)
    await other.release()
    await until_nothing_is_left(server)


async def test_a_cancelled_call_that_runs_frees_the_lock(server: RedisServer) -> None:
    begun = asyncio.Event()

    @locked("a")
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(work())
    await soon(begun.wait())
    assert holder(server, "a") is not None
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(running)
    assert holder(server, "a") is None


async def test_a_timeout_of_the_caller_leaves_nothing(server: RedisServer) -> None:
    @locked("a")
    async def work() -> None:
        pytest.fail("called")

    with sync.DistributedLock(server.url, "a"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await work()
        await until_queued_async(server, "a", 0)
    await until_nothing_is_left(server)


def test_a_call_that_waits_in_a_thread_leaves_nothing_after_its_timeout(
    server: RedisServer,
) -> None:
    @locked("a", acquire_timeout=0.05)
    def work() -> None:
        pytest.fail("called")

    with sync.DistributedLock(server.url, "a"):
        waiting = start(work)
        with pytest.raises(TimeoutError):
            ended(waiting)
        assert queue_length(server, "a") == 0


@locked("counter-{name}")
def count(client: Redis, name: str) -> None:
    """Count in a way that only a lock makes safe."""
    client.set(name, int(client.get(name) or 0) + 1)


@locked("counter-{name}")
async def count_async(client: AsyncRedis, name: str) -> None:
    """Count in the same way."""
    await client.set(name, int(await client.get(name) or 0) + 1)


async def count_in_tasks(url: str, times: int) -> None:
    async with AsyncRedis.from_url(url) as client:
        await asyncio.gather(*(count_async(client, "n") for _ in range(times)))


def count_in_processes(url: str, processes: int, times: int) -> None:
    """Count in forked processes, in some by tasks, in others by threads."""
    dsync.configure(url)

    def by_threads() -> None:
        with Redis.from_url(url) as client:
            all_ended([start(count, client, name="n") for _ in range(times)])

    def by_tasks() -> None:
        asyncio.run(count_in_tasks(url, times))

    pids = [forked((by_threads, by_tasks)[number % 2]) for number in range(processes)]
    say("ended", codes=exit_codes(pids))


async def test_processes_exclude_each_other(server: RedisServer, spawn: Spawn) -> None:
    child = spawn(count_in_processes, server.url, 6, 20)
    assert (await child.expect("ended"))["codes"] == [0] * 6, child.errors
    assert await child.wait() == 0, child.errors
    assert child.errors == ""
    with server.sync() as client:
        assert client.get("n") == "120"


async def test_the_lock_of_a_process_that_dies_is_free_when_its_lease_ends(
    server: RedisServer, spawn: Spawn
) -> None:
    child = spawn(
        """
        import sys, threading, dsync
        @dsync.locked("counter-{name}", sys.argv[1], lease=0.5)
        def work(name):
            say("inside")
            threading.Event().wait()
        work("n")
        """,
        server.url,
    )
    await child.expect("inside")
    with server.sync() as client:
        waiting = start(count, client, "n")
        await until_queued_async(server, "counter-n", 1)
        child.kill()
        await soon(asyncio.wrap_future(waiting))
        assert client.get("n") == "1"
