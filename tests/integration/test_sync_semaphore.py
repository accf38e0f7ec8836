"""The semaphores of the blocking face."""

import threading

import pytest
from dsync.sync import DistributedBoundedSemaphore, DistributedSemaphore

from tests.integration.blocking import (
    all_ended,
    closed_afterwards,
    ended,
    start,
)
from tests.integration.locks import NEVER
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT

__all__ = ["closed_afterwards"]


@pytest.mark.parametrize("kind", [DistributedSemaphore, DistributedBoundedSemaphore])
def test_as_many_threads_as_slots_are_inside(
    server: RedisServer, key: str, kind: type[DistributedSemaphore]
) -> None:
    inside, most, full = 0, 0, threading.Barrier(3)
    guard = threading.Lock()

    def visit() -> None:
        nonlocal inside, most
        with kind(server.url, key, 3, NEVER):
            with guard:
                inside += 1
                most = max(most, inside)
            # Nine threads come through in three groups, or not at all.
            full.wait(20)
            with guard:
                inside -= 1

    all_ended([start(visit) for _ in range(9)])
    assert most == 3


def test_a_permit_is_held_by_the_block(server: RedisServer, key: str) -> None:
    semaphore = DistributedSemaphore(server.url, key, 1)
    with semaphore as entered:
        assert entered is semaphore
        assert semaphore.locked()
        assert semaphore.owned()
        assert semaphore.valid_for() > 0
        assert not semaphore.try_acquire()
        semaphore.extend(100)
        assert semaphore.valid_for() > 90
    assert not semaphore.locked()
    assert not semaphore.owned()


def test_acquire_timeout_raises_timeout_error(server: RedisServer, key: str) -> None:
    with DistributedSemaphore(server.url, key, 1):
        with pytest.raises(TimeoutError, match=key):
            DistributedSemaphore(server.url, key, 1, NEVER, 0.05).acquire()
        with pytest.raises(TimeoutError, match=key):
            DistributedSemaphore(server.url, key, 1).acquire(acquire_timeout=0.05)
    assert DistributedSemaphore(server.url, key, 1).try_acquire()


def test_a_release_without_a_permit_adds_a_slot(server: RedisServer, key: str) -> None:
    semaphore = DistributedSemaphore(server.url, key, 1, NEVER)
    semaphore.acquire()
    waiting = start(DistributedSemaphore(server.url, key, 1, NEVER).acquire)
    DistributedSemaphore(server.url, key, 1).release()
    assert ended(waiting)
    assert semaphore.owned()


def test_a_bounded_semaphore_refuses_one_release_too_many(server: RedisServer, key: str) -> None:
    semaphore = DistributedBoundedSemaphore(server.url, key, 2)
    with semaphore:
        pass
    with pytest.raises(ValueError, match="too many times"):
        semaphore.release()
    assert [semaphore.try_acquire() for _ in range(3)] == [True, True, False]


def hold_two_permits(server: RedisServer, key: str) -> tuple[list[float], float]:
    """Let two threads hold a permit of one object, the first for longer; the first ends before.

    Returns for how long their permits were valid, and for how long the one that was left.
    """
    semaphore = DistributedSemaphore(server.url, key, 2)
    both, first_has, end = threading.Barrier(2), threading.Event(), threading.Event()

    def visit(seconds: float, has: threading.Event, may_end: threading.Event) -> float:
        semaphore.acquire()
        semaphore.extend(seconds)
        has.set()
        both.wait(TIMEOUT)
        valid = semaphore.valid_for()
        both.wait(TIMEOUT)
        assert may_end.wait(TIMEOUT)
        semaphore.release()
        return valid

    first = start(visit, 1000, first_has, first_has)
    assert first_has.wait(TIMEOUT)
    second = start(visit, 100, threading.Event(), end)
    valid = [ended(first)]
    left = semaphore.valid_for()
    end.set()
    valid.append(ended(second))
    assert not semaphore.owned()
    return valid, left


def test_a_thread_gives_back_what_it_took_itself(server: RedisServer, key: str) -> None:
    _, left = hold_two_permits(server, key)
    assert 50 < left <= 100


def test_valid_for_is_that_of_the_thread_that_asks(server: RedisServer, key: str) -> None:
    (first, second), _ = hold_two_permits(server, key)
    assert 900 < first <= 1000
    assert 50 < second <= 100
