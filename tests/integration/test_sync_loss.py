"""A thread whose lock was lost hears of it."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from dsync import LockLostError
from dsync.sync import (
    DistributedBoundedSemaphore,
    DistributedCondition,
    DistributedLock,
    DistributedSemaphore,
)

from tests.integration.blocking import (
    closed_afterwards,
    ended,
    held,
    patient,
    start,
    until,
    until_the_keeper_leads,
)
from tests.integration.locks import STRANGER, holder, lock_name, peek, steal
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT

__all__ = ["closed_afterwards"]
SHORT = 0.6  # seconds between two renewals are a third of it


def test_on_lost_is_called_in_a_thread_with_the_object(server: RedisServer, key: str) -> None:
    told: list[tuple[object, int]] = []
    called = threading.Event()

    def on_lost(subject: DistributedLock) -> None:
        told.append((subject, threading.get_ident()))
        called.set()

    lock = DistributedLock(server.url, key, lease=SHORT, on_lost=on_lost)
    lock.acquire()
    steal(server, key)
    # No thread calls: the renewal finds out, and the keeper tells.
    assert called.wait(TIMEOUT)
    assert told[0][0] is lock
    assert told[0][1] != threading.get_ident()
    assert lock.lost.is_set()
    assert lock.valid_for() == 0
    with pytest.raises(LockLostError):
        lock.release()
    assert len(told) == 1


def test_on_lost_may_call_blocking_methods(server: RedisServer, key: str) -> None:
    answers: list[Any] = []
    called = threading.Event()

    def on_lost(subject: DistributedLock) -> None:
        answers.append(subject.locked())
        with DistributedLock(server.url, f"{key}-report") as report:
            answers.append(report.owned())
        with pytest.raises(LockLostError):
            subject.release()
        called.set()

    lock = DistributedLock(server.url, key, lease=SHORT, on_lost=on_lost)
    lock.acquire()
    steal(server, key)
    assert called.wait(TIMEOUT)
    assert answers == [True, True]


def test_on_lost_that_blocks_does_not_keep_others_waiting(server: RedisServer, key: str) -> None:
    called, go_on = threading.Event(), threading.Event()

    def on_lost(_: DistributedLock) -> None:
        called.set()
        go_on.wait(TIMEOUT)

    lock = DistributedLock(server.url, key, lease=SHORT, on_lost=on_lost)
    lock.acquire()
    steal(server, key)
    assert called.wait(TIMEOUT)
    with DistributedLock(server.url, f"{key}-other"):
        assert lock.locked()
    go_on.set()


def test_a_loss_is_told_while_another_thread_leads(server: RedisServer, key: str) -> None:
    called = threading.Event()
    with held(patient(server, f"{key}-other")):
        waiting = start(patient(server, f"{key}-other").acquire, None, 10)
        lock = DistributedLock(server.url, key, lease=SHORT, on_lost=lambda _: called.set())
        lock.acquire()
        steal(server, key)
        assert called.wait(TIMEOUT)
        assert not waiting.done()
    assert ended(waiting)


KINDS: dict[str, Callable[..., Any]] = {
    "semaphore": lambda url, key, **more: DistributedSemaphore(url, key, 1, **more),
    "bounded": lambda url, key, **more: DistributedBoundedSemaphore(url, key, 1, **more),
    "condition": DistributedCondition,
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_the_other_primitives_tell_a_loss_with_their_object(
    server: RedisServer, key: str, make: Callable[..., Any]
) -> None:
    told: list[object] = []
    subject = make(server.url, key, lease=SHORT, on_lost=told.append)
    subject.acquire()
    with peek(server) as client:
        client.flushdb()
    until(lambda: told, "it is told")
    assert told == [subject]


def test_lost_is_waited_for(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key, lease=SHORT)
    lock.acquire()
    assert lock.lost.wait(timeout=0) is False
    assert lock.lost.wait(timeout=0.05) is False
    waiting = start(lock.lost.wait)
    also = start(lock.lost.wait, TIMEOUT)
    steal(server, key)
    assert ended(waiting) is True
    assert ended(also) is True
    assert lock.lost.wait() is True
    assert lock.lost.is_set()


def test_a_new_grant_clears_lost(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key, lease=SHORT)
    lock.acquire()
    steal(server, key)
    assert lock.lost.wait(TIMEOUT)
    with peek(server) as client:
        client.delete(lock_name(key))
    lock.acquire()
    assert not lock.lost.is_set()
    assert lock.lost.wait(0) is False
    assert lock.valid_for() > 0


def test_a_block_whose_lock_was_lost_ends_in_lock_lost_error(server: RedisServer, key: str) -> None:
    with pytest.raises(LockLostError, match=key), DistributedLock(server.url, key):
        steal(server, key)
    assert holder(server, key) == STRANGER


def test_the_error_of_the_block_comes_first(server: RedisServer, key: str) -> None:
    def lose_and_fail() -> None:
        with DistributedLock(server.url, key):
            steal(server, key)
            raise KeyError

    with pytest.raises(KeyError) as caught:
        lose_and_fail()
    assert "was lost" in caught.value.__notes__[0]


def test_a_lease_that_is_not_renewed_ends(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.url, key, lease=0.1, auto_renew=False)
    lock.acquire()
    assert lock.lost.wait(TIMEOUT)
    assert lock.valid_for() == 0
    assert not lock.owned()
    with pytest.raises(LockLostError):
        lock.extend(1)


def test_a_lease_is_renewed_while_no_thread_calls(server: RedisServer, key: str) -> None:
    with DistributedLock(server.url, key, lease=SHORT) as lock:
        until_the_keeper_leads()
        # For longer than the lease.
        assert threading.Event().wait(3 * SHORT) is False
        assert lock.valid_for() > 0
        assert lock.owned()


def test_on_lost_does_not_keep_its_object_alive(server: RedisServer, key: str) -> None:
    class Owner:
        def __init__(self) -> None:
            self.lock = DistributedLock(server.url, key, lease=SHORT, on_lost=self.on_lost)

        def on_lost(self, _: DistributedLock) -> None: ...

    owner = Owner()
    with owner.lock:
        pass
    lock = weakref.ref(owner.lock)
    del owner
    gc.collect()
    assert lock() is None


def test_an_object_that_is_forgotten_is_not_renewed_for_ever(server: RedisServer, key: str) -> None:
    DistributedLock(server.url, key, lease=SHORT).acquire()
    gc.collect()
    with patient(server, key, acquire_timeout=TIMEOUT) as lock:
        assert lock.owned()
