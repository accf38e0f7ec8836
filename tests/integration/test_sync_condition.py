"""The condition of the blocking face."""

import threading
import time
from concurrent.futures import Future

import pytest
from dsync import LockLostError
from dsync.sync import DistributedCondition

from tests.integration.blocking import (
    all_ended,
    closed_afterwards,
    ended,
    held,
    patient,
    start,
    until,
)
from tests.integration.conditions import count_waiting
from tests.integration.locks import NEVER, holder, queue_length, steal
from tests.support.redis_server import RedisServer

__all__ = ["closed_afterwards"]


def condition_of(server: RedisServer, key: str) -> DistributedCondition:
    """Make a condition that only messages bring on."""
    return DistributedCondition(server.url, key, NEVER)


def wait_inside(condition: DistributedCondition, timeout: float | None = None) -> bool:
    with condition:
        return condition.wait(timeout=timeout)


def until_waiting(server: RedisServer, key: str, count: int) -> None:
    until(lambda: count_waiting(server, key) == count, f"{count} wait")


def start_waiters(server: RedisServer, key: str, count: int) -> list[Future[bool]]:
    waiters = []
    for number in range(count):
        waiters.append(start(wait_inside, condition_of(server, key)))
        until_waiting(server, key, number + 1)
    return waiters


def test_a_block_holds_the_lock_of_the_key(server: RedisServer, key: str) -> None:
    condition = condition_of(server, key)
    with condition as entered:
        assert entered is condition
        assert condition.locked()
        assert not patient(server, key).try_acquire()
    assert not condition.locked()
    assert condition.acquire() is True
    with pytest.raises(TimeoutError):
        condition.acquire(acquire_timeout=0.05)
    condition.release()
    assert holder(server, key) is None


def test_notify_wakes_those_that_have_waited_longest(server: RedisServer, key: str) -> None:
    waiters = start_waiters(server, key, 4)
    condition = condition_of(server, key)
    with condition:
        condition.notify()
    assert ended(waiters[0])
    with condition:
        condition.notify(2)
    assert all_ended(waiters[1:3]) == [True, True]
    assert not waiters[3].done()
    assert count_waiting(server, key) == 1
    with condition:
        condition.notify_all()
    assert ended(waiters[3])


def test_a_waiter_has_the_lock_again_when_it_wakes(server: RedisServer, key: str) -> None:
    condition = condition_of(server, key)
    seen: list[bool] = []

    def wait() -> None:
        with condition:
            assert condition.wait()
            seen.append(patient(server, key).try_acquire())

    waiting = start(wait)
    until_waiting(server, key, 1)
    with condition:
        condition.notify()
        # It is woken, and cannot go on before this block ends.
        until(lambda: queue_length(server, key) == 1, "the waiter queues")
        assert not waiting.done()
    ended(waiting)
    assert seen == [False]


def test_a_waiter_without_the_lock_is_notified(server: RedisServer, key: str) -> None:
    waiting = start(condition_of(server, key).wait)
    until_waiting(server, key, 1)
    with condition_of(server, key) as condition:
        condition.notify()
    assert ended(waiting)


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_wait_returns_false_after_the_timeout_and_has_the_lock(
    server: RedisServer, key: str, timeout: float
) -> None:
    condition = condition_of(server, key)
    with condition:
        assert condition.wait(timeout=timeout) is False
        assert condition.locked()
        assert not patient(server, key).try_acquire()
    assert count_waiting(server, key) == 0
    assert holder(server, key) is None


def test_wait_without_the_lock_returns_false_after_the_timeout(
    server: RedisServer, key: str
) -> None:
    assert condition_of(server, key).wait(timeout=0.05) is False
    until_waiting(server, key, 0)


def test_a_timeout_ends_only_when_others_have_freed_the_lock(server: RedisServer, key: str) -> None:
    waiting = start(wait_inside, condition_of(server, key), 0.05)
    until_waiting(server, key, 1)
    with held(patient(server, key)):
        # Its time is over, and it waits for the lock again.
        until(lambda: queue_length(server, key) == 1, "the waiter queues")
        assert not waiting.done()
    assert ended(waiting) is False


def test_a_notification_in_time_is_true(server: RedisServer, key: str) -> None:
    waiting = start(wait_inside, condition_of(server, key), NEVER)
    until_waiting(server, key, 1)
    with condition_of(server, key) as condition:
        condition.notify()
    assert ended(waiting) is True


def test_wait_for_gives_the_value_of_the_predicate(server: RedisServer, key: str) -> None:
    condition = condition_of(server, key)
    items: list[str] = []
    threads: set[int] = set()

    def predicate() -> list[str]:
        threads.add(threading.get_ident())
        return list(items)

    def consume() -> tuple[list[str], int]:
        with condition:
            return condition.wait_for(predicate), threading.get_ident()

    consumer = start(consume)
    for item in ("", "a"):
        until_waiting(server, key, 1)
        with condition:
            items.extend(filter(None, [item]))
            condition.notify()
    value, thread = ended(consumer)
    assert value == ["a"]
    # The predicate may use what belongs to the thread.
    assert threads == {thread}


def test_wait_for_asks_once_more_after_the_timeout(server: RedisServer, key: str) -> None:
    asked = 0

    def predicate() -> int:
        nonlocal asked
        asked += 1
        return asked - 1 if asked < 2 else 7

    with condition_of(server, key) as condition:
        assert condition.wait_for(predicate, timeout=0.05) == 7
        assert condition.wait_for(lambda: 0, timeout=0.05) == 0
        assert condition.wait_for(lambda: "at once", timeout=0) == "at once"
        assert condition.locked()


def test_notifications_do_not_prolong_the_timeout_of_wait_for(
    server: RedisServer, key: str
) -> None:
    def wait() -> bool:
        with condition_of(server, key) as condition:
            return condition.wait_for(lambda: False, timeout=0.3)

    begun = time.monotonic()
    waiting = start(wait)
    notified = 0
    with condition_of(server, key) as condition:
        pass
    while not waiting.done():
        with condition:
            condition.notify()
        notified += 1
        assert time.monotonic() - begun < 20
    assert ended(waiting) is False
    assert notified > 1


def test_an_error_of_the_predicate_comes_through(server: RedisServer, key: str) -> None:
    def predicate() -> bool:
        raise KeyError("predicate")

    with pytest.raises(KeyError), condition_of(server, key) as condition:
        condition.wait_for(predicate)
    assert holder(server, key) is None


def test_notify_after_a_loss_raises_lock_lost_error(server: RedisServer, key: str) -> None:
    condition = condition_of(server, key)
    condition.acquire()
    steal(server, key)
    with pytest.raises(LockLostError):
        condition.notify()
    with pytest.raises(LockLostError):
        condition.release()
