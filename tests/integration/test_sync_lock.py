"""The lock of the blocking face: threads that hold it one at a time."""

import threading
from collections.abc import Callable

import pytest
from dsync import LockLostError
from dsync.sync import DistributedLock

from tests.integration.blocking import (
    all_ended,
    closed_afterwards,
    ended,
    held,
    patient,
    queue_up,
    start,
    until_queued,
)
from tests.integration.locks import NEVER, holder, lease_left, lock_name, queue_length, steal
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT

__all__ = ["closed_afterwards"]


def test_a_with_block_holds_the_lock(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key)
    with lock as entered:
        assert entered is lock
        assert holder(server, key) == lock._token
        assert lock.locked()
        assert lock.owned()
        assert 0 < lock.valid_for() <= 30
        assert "held" in repr(lock)
    assert holder(server, key) is None
    assert not lock.locked()
    assert not lock.owned()
    assert lock.valid_for() == 0


def test_acquire_and_release(server: RedisServer, key: str) -> None:
    lock, other = DistributedLock(server.url, key), DistributedLock(server.url, key)
    assert lock.acquire() is True
    assert other.try_acquire() is False
    lock.release()
    assert other.try_acquire() is True
    with pytest.raises(RuntimeError, match="does not hold it"):
        lock.release()
    other.release()


def test_an_error_in_the_block_frees_the_lock(server: RedisServer, key: str) -> None:
    with pytest.raises(KeyError), DistributedLock(server.url, key):
        raise KeyError
    assert holder(server, key) is None


@pytest.mark.parametrize("by", ["constructor", "argument"])
def test_acquire_timeout_raises_timeout_error_and_leaves_the_queue(
    server: RedisServer, key: str, by: str
) -> None:
    with held(patient(server, key)):
        lock = DistributedLock(server.url, key, NEVER, 0.05 if by == "constructor" else None)
        with pytest.raises(TimeoutError, match=key):
            lock.acquire(acquire_timeout=None if by == "constructor" else 0.05)
        assert queue_length(server, key) == 0


def test_a_with_block_that_times_out_is_not_entered(server: RedisServer, key: str) -> None:
    with held(patient(server, key)):
        lock = DistributedLock(server.url, key, NEVER, 0.05)
        with pytest.raises(TimeoutError), lock:
            raise AssertionError("entered")


def test_extend_makes_the_lease_longer(server: RedisServer, key: str) -> None:
    with DistributedLock(server.url, key, lease=5) as lock:
        lock.extend(500)
        assert lease_left(server, key) > 400
        assert lock.valid_for() > 400


def test_without_a_lease_it_is_held_for_ever(server: RedisServer, key: str) -> None:
    with DistributedLock(server.url, key, lease=None) as lock:
        assert lease_left(server, key) == -1
        assert lock.valid_for() == float("inf")


def test_threads_exclude_each_other(server: RedisServer, key: str) -> None:
    inside: list[int] = []

    def visit(number: int) -> None:
        for _ in range(10):
            with patient(server, key):
                assert not inside
                inside.append(number)
                # Whoever else is inside has its turn now.
                threading.Event().wait(0.0005)
                inside.remove(number)

    all_ended([start(visit, number) for number in range(8)])
    assert queue_length(server, key) == 0


def test_threads_get_it_in_the_order_in_which_they_asked(server: RedisServer, key: str) -> None:
    order: list[int] = []

    def visit(number: int) -> Callable[[], None]:
        def work() -> None:
            with patient(server, key):
                order.append(number)

        return work

    with held(patient(server, key)):
        waiting = queue_up(server, key, [visit(number) for number in range(8)])
    all_ended(waiting)
    assert order == list(range(8))


def test_the_fencing_token_grows_from_grant_to_grant(server: RedisServer, key: str) -> None:
    fences: list[int] = []
    lock = patient(server, key)

    def visit() -> None:
        for _ in range(5):
            with lock:
                fences.append(lock.fencing_token)

    all_ended([start(visit) for _ in range(4)])
    assert len(fences) == 20
    assert fences == sorted(set(fences))


# ---- one object, many threads ----


def test_one_object_is_held_by_one_of_its_threads_at_a_time(server: RedisServer, key: str) -> None:
    lock = patient(server, key)
    count = 0

    def visit() -> None:
        nonlocal count
        for _ in range(10):
            with lock:
                seen = count
                threading.Event().wait(0.0005)
                count = seen + 1

    all_ended([start(visit) for _ in range(8)])
    assert count == 80


def test_a_thread_that_waits_for_its_own_object_gets_it_from_another(
    server: RedisServer, key: str
) -> None:
    lock = patient(server, key)
    lock.acquire()
    waiting = start(lock.acquire)
    until_queued(server, key, 1)
    lock.release()
    assert ended(waiting)
    # The hold of the other thread is the only one, so anybody may end it.
    lock.release()
    assert holder(server, key) is None


def hold_in_two_threads(
    server: RedisServer, key: str, lock: DistributedLock, first_looks: Callable[[int], None]
) -> None:
    """Let one object have two holds: a lost one of a thread, and then one of another thread."""
    first_has, second_has, go_on = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        lock.acquire()
        fence = lock.fencing_token
        # As if the lease had ended.
        steal(server, key)
        with server.sync() as client:
            client.delete(lock_name(key))
        first_has.set()
        assert second_has.wait(TIMEOUT)
        try:
            first_looks(fence)
            with pytest.raises(LockLostError):
                lock.release()
        finally:
            go_on.set()

    def second() -> None:
        assert first_has.wait(TIMEOUT)
        with lock:
            second_has.set()
            assert go_on.wait(TIMEOUT)
            assert lock.owned()

    all_ended([start(first), start(second)])


def test_release_frees_the_hold_of_the_thread_that_calls(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key, lease=None)

    def look(_: int) -> None:
        # That of this thread, though the other has one.
        assert not lock.owned()

    hold_in_two_threads(server, key, lock, look)
    assert holder(server, key) is None


def test_the_fencing_token_is_that_of_the_thread_that_asks(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key, lease=None)

    def look(fence: int) -> None:
        # A thread that was late must not write with the token of the one after it.
        assert lock.fencing_token == fence

    hold_in_two_threads(server, key, lock, look)


def test_what_a_thread_acquired_another_may_release(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key)
    ended(start(lock.acquire))
    assert lock.owned()
    lock.release()
    assert holder(server, key) is None
