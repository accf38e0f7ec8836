"""configure() in use: by many threads, by forked workers, and with other servers meanwhile."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import dsync
import pytest
import redis
import redis.asyncio
import valkey
from dsync.key_value import (
    CreateDistributedLock,
    CreateKeyValueDistributedLockFailedException,
    GetDistributedLock,
    KeyValueDistributedLock,
)

from tests.integration.blocking import all_ended, start
from tests.integration.key_values import exit_codes, forked, key_of, using
from tests.integration.locks import holder
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

NS = "ns"
KEY = key_of(NS)
MakeServer = Callable[..., RedisServer]
Spawn = Callable[..., Child]


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DSYNC_REDIS_URL", raising=False)
    with using(None):
        yield


def is_busy(server: RedisServer) -> bool:
    return holder(server, KEY) is not None


MAKERS: dict[str, Callable[[RedisServer], Any]] = {
    "redis": lambda server: redis.Redis(host="127.0.0.1", port=server.port),
    "redis.asyncio": lambda server: redis.asyncio.Redis(host="127.0.0.1", port=server.port),
    "redis over a Unix socket": lambda server: redis.Redis(unix_socket_path=server.unix_path),
    "valkey": lambda server: valkey.Valkey(host="127.0.0.1", port=server.port),
    "URL": lambda server: server.url,
    "URL of a Unix socket": lambda server: server.unix_url,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_the_lock_is_where_configure_says(
    server: RedisServer, make: Callable[[RedisServer], Any]
) -> None:
    client = make(server)
    dsync.configure(client)
    with KeyValueDistributedLock(NS):
        assert is_busy(server)
    assert not is_busy(server)


def test_only_the_configuration_of_a_client_is_used(server: RedisServer) -> None:
    client = redis.Redis(host="127.0.0.1", port=server.port, client_name="user")
    client.ping()
    dsync.configure(client)
    client.close()
    del client
    with KeyValueDistributedLock(NS):
        assert is_busy(server)


def test_the_lock_is_where_the_environment_says(
    server: RedisServer, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_server(password="secret")
    monkeypatch.setenv("DSYNC_REDIS_URL", other.url)
    with KeyValueDistributedLock(NS):
        assert (is_busy(other), is_busy(server)) == (True, False)
        dsync.configure(server.url)
        assert GetDistributedLock(NS).run() is None
        dsync.configure(None)
        assert GetDistributedLock(NS).run() == {"value": True}


def test_what_is_held_stays_where_it_is(server: RedisServer, make_server: MakeServer) -> None:
    other = make_server()
    dsync.configure(server.url)
    with KeyValueDistributedLock(NS):
        dsync.configure(other.url)
        with KeyValueDistributedLock(NS):
            assert is_busy(server)
            assert is_busy(other)
        assert (is_busy(server), is_busy(other)) == (True, False)
    assert not is_busy(server)


def test_threads_may_configure_and_use_at_once(
    server: RedisServer, make_server: MakeServer
) -> None:
    other = make_server()

    def work(number: int) -> int:
        entered = 0
        for turn in range(20):
            url = (server, other)[(number + turn) % 2].url
            dsync.configure(redis.Redis.from_url(url) if turn % 3 else url)
            try:
                with KeyValueDistributedLock(NS):
                    entered += 1
            except CreateKeyValueDistributedLockFailedException as error:
                if error.__cause__ is not None:
                    raise
        return entered

    assert sum(all_ended([start(work, number) for number in range(16)])) > 0
    assert not is_busy(server)
    assert not is_busy(other)
    # One session each, however many threads asked for it first.
    for each in (server, other):
        assert len(each.connections()) <= 2


@dsync.locked("counter")
def count_up(client: redis.Redis) -> None:
    """Count in a way that only a lock makes safe."""
    client.set("count", int(client.get("count") or 0) + 1)


def prefork(url: str) -> None:
    """Do what gunicorn and Celery do: configure, use, and then fork workers."""
    dsync.configure(url)
    with KeyValueDistributedLock(NS):
        pass

    def work() -> None:
        with redis.Redis.from_url(url) as client:
            for turn in range(10):
                with KeyValueDistributedLock(NS, worker=os.getpid(), turn=turn):
                    count_up(client)

    with KeyValueDistributedLock("of the parent"):
        pids = [forked(work) for _ in range(4)]
        with redis.Redis.from_url(url) as client:
            count_up(client)
        codes = exit_codes(pids)
        found = GetDistributedLock("of the parent").run()
    say("ended", codes=codes, found=found)


async def test_forked_workers_use_what_their_parent_configured(
    server: RedisServer, spawn: Spawn
) -> None:
    child = spawn(prefork, server.url)
    told = await child.expect("ended")
    assert told["codes"] == [0] * 4, child.errors
    assert told["found"] == {"value": True}
    assert await child.wait() == 0, child.errors
    assert child.errors == ""
    with server.sync() as client:
        assert client.get("count") == "41"


def fork_and_configure(url: str, other: str) -> None:
    """Configure in a child, and see in the parent that nothing has changed there."""
    dsync.configure(url)

    def inherit() -> None:
        CreateDistributedLock("by the first child").run()

    def configure() -> None:
        dsync.configure(other)
        CreateDistributedLock("by the second child").run()

    def use_the_environment() -> None:
        os.environ["DSYNC_REDIS_URL"] = other
        dsync.configure(None)
        CreateDistributedLock("by the third child").run()

    codes = exit_codes([forked(work) for work in (inherit, configure, use_the_environment)])
    CreateDistributedLock("by the parent").run()
    say("ended", codes=codes)


async def test_a_child_has_a_configuration_of_its_own(
    server: RedisServer, make_server: MakeServer, spawn: Spawn
) -> None:
    other = make_server()
    child = spawn(fork_and_configure, server.url, other.url)
    assert (await child.expect("ended"))["codes"] == [0] * 3, child.errors
    assert await child.wait() == 0, child.errors
    places = {
        "by the first child": server,
        "by the second child": other,
        "by the third child": other,
        "by the parent": server,
    }
    for namespace, place in places.items():
        assert holder(place, key_of(namespace)) is not None, namespace
    for place in (server, other):
        with place.sync() as client:
            assert len(client.keys("distributed_lock_key_value_*")) == 2
