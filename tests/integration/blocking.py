"""What the tests of the blocking face share: work in threads, and waiting without a loop."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import dsync.sync
import pytest
from dsync import _portal
from dsync.sync import DistributedLock

from tests.integration.locks import NEVER, queue_length
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT

T = TypeVar("T")


@pytest.fixture(autouse=True)
def closed_afterwards() -> Iterator[None]:
    """Close the connections of the threads: other tests count those of the server."""
    yield
    dsync.sync.close()


def start(work: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """Do some work in a thread of its own; the thread does not outlive a test run that fails."""
    future: Future[T] = Future()

    def do() -> None:
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future


def ended(future: Future[T]) -> T:
    """Wait for the end of what must not hang."""
    return future.result(TIMEOUT)


def all_ended(futures: Iterable[Future[T]]) -> list[T]:
    """Wait for the end of all of them."""
    return [ended(future) for future in futures]


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Ask again and again, until the answer is true; see `waiting.eventually`."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {TIMEOUT} s: {what}")
        time.sleep(0.002)


def until_queued(server: RedisServer, key: str, count: int) -> None:
    """Wait until exactly so many wait for the lock."""
    until(lambda: queue_length(server, key) == count, f"{count} waiters queue")


def patient(server: RedisServer, key: str, **options: Any) -> DistributedLock:
    """Make a lock that only a message brings on."""
    return DistributedLock(server.url, key, NEVER, **options)


@contextlib.contextmanager
def held(lock: DistributedLock) -> Iterator[DistributedLock]:
    """Hold a lock in a thread of its own until the block ends."""
    go_on = threading.Event()
    has = threading.Event()

    def hold() -> None:
        with lock:
            has.set()
            assert go_on.wait(TIMEOUT)

    holding = start(hold)
    try:
        until(lambda: has.is_set() or holding.done(), "the lock is held")
        yield lock
    finally:
        go_on.set()
        ended(holding)


def queue_up(server: RedisServer, key: str, works: list[Callable[[], T]]) -> list[Future[T]]:
    """Let threads wait for the lock, one behind the other in the order given."""
    futures = []
    before = queue_length(server, key)
    for work in works:
        futures.append(start(work))
        until_queued(server, key, before + len(futures))
    return futures


def until_the_keeper_leads() -> None:
    """Wait until nobody has called for so long that the keeper runs the loop."""
    until(lambda: _leads(a_caller=False), "the keeper leads")


def until_a_caller_leads() -> None:
    """Wait until a thread that calls runs the loop for all."""
    until(lambda: _leads(a_caller=True), "a caller leads")


def _leads(*, a_caller: bool) -> bool:
    portal = _portal._portal
    assert portal is not None
    return portal._turn.owner is not None and (portal._leader is not None) == a_caller
