"""The barrier and the event of the blocking face."""

import threading
from concurrent.futures import Future

import pytest
from dsync import BrokenBarrierError
from dsync.sync import DistributedBarrier, DistributedEvent

from tests.integration.barriers import arrivals
from tests.integration.blocking import all_ended, closed_afterwards, ended, start, until
from tests.integration.locks import NEVER, peek
from tests.support.redis_server import RedisServer

__all__ = ["closed_afterwards"]


def until_arrived(server: RedisServer, key: str, count: int) -> None:
    until(lambda: arrivals(server, key) == count, f"{count} arrivals")


def start_parties(server: RedisServer, key: str, parties: int, count: int) -> list[Future[None]]:
    """Let threads wait at barriers of their own; none of them may open it."""
    started = []
    for _ in range(count):
        started.append(start(DistributedBarrier(server.url, key, parties).wait))
        until_arrived(server, key, len(started))
    return started


# ---- barrier ----


def test_the_barrier_opens_for_all_parties(server: RedisServer, key: str) -> None:
    waiting = start_parties(server, key, 4, 3)
    barrier = DistributedBarrier(server.url, key, 4)
    assert barrier.parties == 4
    assert barrier.n_waiting() == 3
    assert not any(each.done() for each in waiting)
    barrier.wait()
    all_ended(waiting)
    assert barrier.n_waiting() == 0


def test_threads_meet_round_after_round_at_one_object(server: RedisServer, key: str) -> None:
    barrier = DistributedBarrier(server.url, key, 4)
    rounds = [0] * 4

    def walk(number: int) -> None:
        for _ in range(20):
            rounds[number] += 1
            barrier.wait(timeout=20)
            # Nobody is a whole round ahead.
            assert max(rounds) - min(rounds) <= 1

    all_ended([start(walk, number) for number in range(4)])


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_party_whose_time_is_over_does_not_count(
    server: RedisServer, key: str, timeout: float
) -> None:
    barrier = DistributedBarrier(server.url, key, 2)
    with pytest.raises(TimeoutError):
        barrier.wait(timeout=timeout)
    until(lambda: barrier.n_waiting() == 0, "the party is gone")
    waiting = start_parties(server, key, 2, 1)
    assert not waiting[0].done()
    barrier.wait(timeout=20)
    all_ended(waiting)


def test_a_barrier_of_one_opens_whatever_the_timeout(server: RedisServer, key: str) -> None:
    DistributedBarrier(server.url, key, 1).wait(timeout=20)


@pytest.mark.parametrize("how", ["reset", "abort"])
def test_reset_breaks_the_round_of_all_that_wait(server: RedisServer, key: str, how: str) -> None:
    waiting = start_parties(server, key, 4, 3)
    barrier = DistributedBarrier(server.url, key, 4)
    getattr(barrier, how)()
    for each in waiting:
        with pytest.raises(BrokenBarrierError):
            ended(each)
    assert barrier.n_waiting() == 0


def test_the_private_methods_of_the_old_package_are_there(server: RedisServer, key: str) -> None:
    waiting = start_parties(server, key, 4, 2)
    barrier = DistributedBarrier(server.url, key, 4)
    barrier._publish_release()
    all_ended(waiting)
    barrier._reset_count()
    assert arrivals(server, key) == 0


def test_parties_that_want_other_numbers_are_refused(server: RedisServer, key: str) -> None:
    waiting = start_parties(server, key, 3, 1)
    with pytest.raises(ValueError, match="another number"):
        DistributedBarrier(server.url, key, 2).wait()
    DistributedBarrier(server.url, key, 3).reset()
    with pytest.raises(BrokenBarrierError):
        ended(waiting[0])


# ---- event ----


def test_an_event_is_set_and_cleared(server: RedisServer, key: str) -> None:
    event = DistributedEvent(server.url, key, NEVER)
    assert event.is_set() is False
    event.set()
    assert event.is_set() is True
    assert event.wait() is True
    assert DistributedEvent(server.url, key).wait(timeout=0) is True
    event.clear()
    assert event.is_set() is False


def test_set_wakes_all_threads_that_wait(server: RedisServer, key: str) -> None:
    event = DistributedEvent(server.url, key, NEVER)
    ready = threading.Barrier(6)

    def wait() -> bool:
        ready.wait(20)
        return event.wait()

    waiting = [start(wait) for _ in range(5)]
    ready.wait(20)
    event.set()
    assert all_ended(waiting) == [True] * 5


@pytest.mark.parametrize("timeout", [0, 0.0, 0.05])
def test_wait_returns_false_after_the_timeout(
    server: RedisServer, key: str, timeout: float
) -> None:
    event = DistributedEvent(server.url, key, NEVER)
    assert event.wait(timeout=timeout) is False
    waiting = start(event.wait, timeout=20)
    event.set()
    assert ended(waiting) is True


def test_a_flag_that_somebody_set_without_telling_is_found(server: RedisServer, key: str) -> None:
    waiting = start(DistributedEvent(server.url, key, 0.01).wait, timeout=20)
    with peek(server) as client:
        client.set(f"event_{key}", 1)
    assert ended(waiting) is True
