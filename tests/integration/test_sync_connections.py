"""The clients that may be given to the blocking face, and what its connections look like."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
import valkey
from dsync.sync import DistributedLock
from redis import UsernamePasswordCredentialProvider
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from tests.integration.blocking import (
    closed_afterwards,
    ended,
    start,
    until,
    until_queued,
)
from tests.integration.locks import NEVER, holder, lock_name
from tests.support.redis_server import RedisServer
from tests.support.sentinel import MASTER_NAME, SentinelGroup
from tests.support.tls import TlsFiles

__all__ = ["closed_afterwards"]
MakeServer = Callable[..., RedisServer]
NO_PAUSE = ConstantBackoff(0.0)
SECRET = "s3cret with spaces & @:/%"


def assert_works(server: RedisServer, client: Any, key: str) -> None:
    """Take the lock, hand it over by message, and renew it."""
    first = DistributedLock(client, key, NEVER, lease=0.6)
    second = DistributedLock(client, key, NEVER, lease=0.6)
    with first:
        assert holder(server, key) == first._token
        waiting = start(second.acquire)
        until_queued(server, key, 1)
    assert ended(waiting)
    # For longer than the lease.
    assert not threading.Event().wait(0.8)
    assert second.owned()
    second.release()
    assert holder(server, key) is None


CLIENTS: dict[str, Callable[[RedisServer], Any]] = {
    "redis": lambda server: redis.Redis(host="127.0.0.1", port=server.port),
    "host name": lambda server: redis.Redis(host="localhost", port=server.port),
    "redis of a URL": lambda server: redis.Redis.from_url(server.url),
    "redis of a Unix URL": lambda server: redis.Redis.from_url(server.unix_url),
    "redis of a Unix socket": lambda server: redis.Redis(unix_socket_path=server.unix_path),
    "redis of a blocking pool": lambda server: redis.Redis.from_pool(
        redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]
            host="127.0.0.1", port=server.port, max_connections=1
        )
    ),
    "one connection": lambda server: redis.Redis(port=server.port, single_connection_client=True),
    "decoded": lambda server: redis.Redis(port=server.port, decode_responses=True),
    "protocol 2": lambda server: redis.Redis(port=server.port, protocol=2),
    "valkey": lambda server: valkey.Valkey(host="127.0.0.1", port=server.port),
    "valkey of a Unix socket": lambda server: valkey.Valkey(unix_socket_path=server.unix_path),
    "asyncio": lambda server: server.client(),
    "URL": lambda server: server.url,
    "Unix URL": lambda server: server.unix_url,
}


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS.keys())
def test_a_client_works(server: RedisServer, key: str, make: Callable[[RedisServer], Any]) -> None:
    assert_works(server, make(server), key)


def test_the_client_itself_is_not_used(server: RedisServer, key: str) -> None:
    client = redis.Redis(port=server.port, client_name="theirs")
    client.close()
    with DistributedLock(client, key) as lock:
        assert lock.owned()
        client.connection_pool.disconnect()
        assert lock.owned()
        assert client.connection_pool._created_connections == 0
        names = {each["name"] for each in server.connections()}
        assert names == {"theirs"}


def test_passwords_and_users_work(make_server: MakeServer, key: str) -> None:
    server = make_server(password=SECRET, users=["alice on >alices-password ~* &* +@all"])
    alice: dict[str, Any] = {"username": "alice", "password": "alices-password"}
    provider = UsernamePasswordCredentialProvider("alice", "alices-password")
    with DistributedLock(redis.Redis(port=server.port, password=SECRET), key):
        assert {each["user"] for each in server.connections()} == {"default"}
        for number, client in enumerate(
            (
                redis.Redis.from_url(server.unix_url),
                redis.Redis(port=server.port, **alice),
                redis.Redis(port=server.port, credential_provider=provider),
                valkey.Valkey(port=server.port, **alice),
            )
        ):
            with DistributedLock(client, f"{key}-{number}") as lock:
                assert lock.owned()
    assert {each["user"] for each in server.connections()} == {"default", "alice"}


def test_a_wrong_password_raises_authentication_error(make_server: MakeServer, key: str) -> None:
    server = make_server(password=SECRET)
    for wrong in ("wrong", None):
        with pytest.raises(redis.AuthenticationError):
            DistributedLock(redis.Redis(port=server.port, password=wrong), key).acquire()


def test_tls_works(make_server: MakeServer, tls_files: TlsFiles, key: str) -> None:
    server = make_server(tls=tls_files)
    options = {"port": server.tls_port, **tls_files.client_options()}
    assert_works(server, redis.Redis(host="127.0.0.1", **options), key)
    assert_works(server, valkey.Valkey(host="localhost", **options), key)
    files = f"ssl_ca_certs={tls_files.ca}&ssl_certfile={tls_files.client}"
    url = f"rediss://127.0.0.1:{server.tls_port}/0?{files}&ssl_keyfile={tls_files.client}"
    assert_works(server, redis.Redis.from_url(url), key)
    assert_works(server, url, key)


def test_tls_checks_the_server(make_server: MakeServer, tls_files: TlsFiles, key: str) -> None:
    server = make_server(tls=tls_files)
    strangers = {**tls_files.client_options(), "ssl_ca_certs": None, "retry": Retry(NO_PAUSE, 0)}
    client = redis.Redis(host="127.0.0.1", port=server.tls_port, **strangers)
    with pytest.raises(redis.ConnectionError, match="certificate"):
        DistributedLock(client, key).acquire()


@pytest.mark.parametrize("password", [None, "secret"])
def test_a_client_of_a_sentinel_works_and_follows_a_failover(
    make_sentinels: Callable[..., SentinelGroup], key: str, password: str | None
) -> None:
    group = make_sentinels(password=password)
    watchers = Sentinel(group.addresses, password=password)  # type: ignore[no-untyped-call]
    retry = Retry(ConstantBackoff(0.05), 200)
    client = watchers.master_for(  # type: ignore[no-untyped-call]
        MASTER_NAME, retry=retry
    )
    lock = DistributedLock(client, key, acquire_timeout=10)
    with lock:
        assert holder(group.master, key) == lock._token
    if password is None:
        group.failover()
        with group.master.sync() as old:
            old.replicaof("127.0.0.1", group.replica.port)
            old.client_kill_filter(_type="normal")
        assert lock.acquire()
        assert holder(group.replica, key) == lock._token
        lock.release()


def test_the_database_and_the_name_are_those_of_the_client(server: RedisServer, key: str) -> None:
    client = redis.Redis(port=server.port, db=5, client_name="my-service")
    with DistributedLock(client, key):
        assert client.exists(lock_name(key))
        assert holder(server, key) is None
        ours = [each for each in server.connections() if each["db"] == "5"]
        assert {each["name"] for each in ours} == {"my-service"}
    client.close()


def test_clients_of_one_configuration_share_the_connections(server: RedisServer, key: str) -> None:
    options: dict[str, Any] = {"retry": None}
    for number in range(10):
        for make in (redis.Redis, valkey.Valkey):
            client = make(host="127.0.0.1", port=server.port, **options)
            with DistributedLock(client, f"{key}-{number}", auto_renew=False):
                pass
    # Two for each package, whose retry settings differ.
    until(lambda: len(server.connections()) <= 4, "connections are shared")
