"""Threads whose connection breaks, or whose server is away."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio
from dsync.sync import (
    DistributedBarrier,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.fault.lock_tools import MakeProxy, MakeServer
from tests.integration.barriers import arrivals
from tests.integration.blocking import (
    all_ended,
    closed_afterwards,
    ended,
    start,
    until,
    until_queued,
    until_the_keeper_leads,
)
from tests.integration.conditions import count_waiting
from tests.integration.locks import NEVER, peek, queue_length
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

__all__ = ["closed_afterwards"]

CUTS: dict[str, Callable[[Proxy], None]] = {
    "cut all": lambda proxy: proxy.cut(),
    "cut commands": lambda proxy: proxy.cut("command"),
    "cut inbox": lambda proxy: proxy.cut("subscription"),
    "garbage": lambda proxy: proxy.inject(b"\x00garbage\xff\r\n", "all"),
}
each_cut = pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


def client_of(port: int, retries: int = 100, **options: Any) -> Any:
    """Make a blocking client that tries again for some seconds, about 50 ms apart."""
    retry = Retry(ConstantBackoff(0.05), retries)
    return redis.Redis(host="127.0.0.1", port=port, retry=retry, **options)


def cut_and_back(proxy: Proxy) -> None:
    """Reset the connections, and wait until both are there again."""
    before = proxy.accepted
    proxy.cut()
    until(lambda: proxy.accepted >= before + 2, "it connects again")


@each_cut
def test_threads_that_wait_survive_a_broken_link(
    proxy: Proxy, server: RedisServer, key: str, cut: Callable[[Proxy], None]
) -> None:
    client = client_of(proxy.port)
    direct = DistributedLock(server.url, key)
    direct.acquire()
    inside: list[int] = []

    def visit(number: int) -> None:
        with DistributedLock(client, key, 30.0):
            inside.append(number)
            assert len(inside) == 1
            inside.remove(number)

    waiting = [start(visit, number) for number in range(6)]
    until_queued(server, key, 6)
    DistributedLock(client, key).locked()
    cut(proxy)
    # Whoever ran the loop, it connects again while all wait.
    until(lambda: DistributedLock(client, key).locked(), "it answers again")
    assert not any(each.done() for each in waiting)
    direct.release()
    all_ended(waiting)


@each_cut
def test_a_link_that_breaks_while_the_keeper_is_at_work_is_made_again(
    proxy: Proxy, server: RedisServer, key: str, cut: Callable[[Proxy], None]
) -> None:
    with DistributedLock(client_of(proxy.port), key, lease=3) as lock:
        until_the_keeper_leads()
        cut(proxy)
        assert lock.owned()
        until_the_keeper_leads()
        cut(proxy)
        until_the_keeper_leads()
    assert queue_length(server, key) == 0


def test_all_that_wait_survive_broken_links(proxy: Proxy, server: RedisServer, key: str) -> None:
    client = client_of(proxy.port)
    semaphore = DistributedSemaphore(server.url, key, 1)
    semaphore.acquire()
    waiting: list[Any] = [
        start(DistributedSemaphore(client, key, 1, 0.1).acquire),
        start(DistributedBarrier(client, key, 2).wait),
        start(DistributedEvent(client, key).wait),
        start(DistributedCondition(client, key, 0.1).wait),
    ]
    until(lambda: arrivals(server, key) == 1, "the party has come")
    until(lambda: count_waiting(server, key) == 1, "the condition is waited for")
    for _ in range(3):
        cut_and_back(proxy)
        assert not DistributedEvent(client, key).is_set()
    assert not any(each.done() for each in waiting)
    until(lambda: count_waiting(server, key) == 1, "the condition is waited for")
    semaphore.release()
    DistributedBarrier(server.url, key, 2).wait(timeout=20)
    DistributedEvent(server.url, key).set()
    with DistributedCondition(server.url, key) as condition:
        condition.notify()
    all_ended(waiting)


def test_broken_links_at_any_moment(
    proxy: Proxy, server: RedisServer, key: str, dice: random.Random
) -> None:
    client = client_of(proxy.port, 400)
    over = threading.Event()
    inside: list[int] = []

    def visit(number: int) -> int:
        visits = 0
        lock = DistributedLock(client, key, 0.1, lease=10)
        while not over.is_set():
            with lock:
                inside.append(number)
                assert len(inside) == 1
                inside.remove(number)
            visits += 1
        return visits

    visiting = [start(visit, number) for number in range(5)]
    for _ in range(15):
        over.wait(dice.uniform(0, 0.05))
        dice.choice(list(CUTS.values()))(proxy)
    over.set()
    assert all(ended(each) for each in visiting)


@pytest.mark.parametrize("retries", [0, 3])
def test_a_server_that_is_away_raises_connection_error_after_the_retries_of_the_client(
    key: str, retries: int
) -> None:
    client = client_of(free_port(), retries)
    subjects: list[Callable[[], object]] = [
        DistributedLock(client, key).acquire,
        DistributedSemaphore(client, key, 1).acquire,
        DistributedCondition(client, key).wait,
        DistributedBarrier(client, key, 2).wait,
        DistributedEvent(client, key).wait,
        DistributedLock(client, key).locked,
    ]
    for failing in [start(call) for call in subjects]:
        with pytest.raises(redis.ConnectionError):
            ended(failing)


def test_a_timeout_ends_a_wait_for_a_server_that_is_away(key: str) -> None:
    client = client_of(free_port(), 10_000)
    with pytest.raises(TimeoutError):
        DistributedLock(client, key).acquire(acquire_timeout=0.1)
    with pytest.raises(TimeoutError):
        DistributedBarrier(client, key, 2).wait(timeout=0.1)
    assert DistributedEvent(client, key).wait(timeout=0.1) is False
    assert DistributedCondition(client, key).wait(timeout=0.1) is False


def test_threads_that_wait_hear_that_the_server_is_gone_and_can_go_on_when_it_is_back(
    make_server: MakeServer, key: str
) -> None:
    server = make_server()
    client = client_of(server.port, 3)
    lock = DistributedLock(client, key, NEVER)
    lock.acquire()
    waiting = [start(DistributedLock(client, key, NEVER).acquire) for _ in range(3)]
    until_queued(server, key, 3)
    server.kill()
    for each in waiting:
        with pytest.raises(redis.ConnectionError):
            ended(each)
    server.start()
    with DistributedLock(client, f"{key}-other") as other:
        assert other.owned()


def test_threads_go_on_when_a_server_that_was_frozen_goes_on(
    make_server: MakeServer, key: str
) -> None:
    server = make_server()
    client = client_of(server.port, 400, socket_timeout=0.2)
    lock = DistributedLock(client, key, lease=30)
    lock.acquire()
    server.pause()
    asking = [start(lock.owned), start(DistributedEvent(client, key).is_set)]
    assert not threading.Event().wait(0.3)
    assert not any(each.done() for each in asking)
    server.resume()
    assert all_ended(asking) == [True, False]
    lock.release()


def test_a_lock_whose_server_forgot_it_is_told_to_be_lost(
    make_proxy: MakeProxy, server: RedisServer, key: str
) -> None:
    proxy = make_proxy()
    told = threading.Event()
    lock = DistributedLock(client_of(proxy.port), key, lease=0.5, on_lost=lambda _: told.set())
    lock.acquire()
    with peek(server) as client:
        client.flushall()
    proxy.cut()
    assert told.wait(20)
    assert lock.lost.is_set()
