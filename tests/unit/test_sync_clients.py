"""What the blocking face takes as `redis`, and that it reads it as if it were asynchronous."""

import ssl
from collections.abc import Callable
from typing import Any

import dsync
import fakeredis
import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
import valkey
import valkey.asyncio
import valkey.asyncio.sentinel
import valkey.sentinel
from dsync import sync
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.unit.test_clients import GOOD, SECRET, NoClient


def server_of(client: object) -> Any:
    return sync.DistributedLock(client, "key")._async._server


def replicas() -> object:
    sentinel = redis.sentinel.Sentinel([("127.0.0.1", 1)])  # type: ignore[no-untyped-call]
    return sentinel.slave_for("mymaster")  # type: ignore[no-untyped-call]


def cluster() -> object:
    # Its constructor asks a node for the slots; only what it is counts here.
    return redis.cluster.RedisCluster.__new__(redis.cluster.RedisCluster)


BLOCKING: dict[str, Callable[[], object]] = {
    "a client": redis.Redis,
    "a strict client": redis.StrictRedis,
    "a client of a URL": lambda: redis.Redis.from_url("redis://user:pass@127.0.0.1:7000/3"),
    "a client of a Unix socket": lambda: redis.Redis(unix_socket_path="/nowhere"),
    "a client of a blocking pool": lambda: redis.Redis.from_pool(
        redis.BlockingConnectionPool()  # type: ignore[no-untyped-call]
    ),
    "a client with one connection's options": lambda: redis.Redis(
        decode_responses=True, protocol=3
    ),
    "a TLS client": lambda: redis.Redis(ssl=True),
    "a TLS client of a URL": lambda: redis.Redis.from_url("rediss://127.0.0.1"),
    "a valkey client": valkey.Valkey,
    "a TLS valkey client": lambda: valkey.Valkey(ssl=True),
    "a client of a Sentinel": lambda: redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        [("127.0.0.1", 1)]
    ).master_for("mymaster"),
    "a valkey client of a Sentinel": lambda: valkey.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        [("127.0.0.1", 1)]
    ).master_for("mymaster"),
}


@pytest.mark.parametrize("make", BLOCKING.values(), ids=BLOCKING.keys())
def test_a_blocking_client_is_taken_without_a_connection(make: Any) -> None:
    client = make()
    assert server_of(client) is server_of(client)


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD.keys())
def test_what_the_asynchronous_face_takes_is_taken(make: Any) -> None:
    server_of(make())


WRONG: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "bytes": lambda: b"redis://127.0.0.1",
    "an object": NoClient,
    "the class": lambda: redis.Redis,
    "a pool": redis.ConnectionPool,
    "a pipeline of a fake": lambda: fakeredis.FakeRedis().pipeline(),
    "a fake": fakeredis.FakeRedis,
    "an asynchronous fake": fakeredis.FakeAsyncRedis,
    "a valkey fake": fakeredis.FakeValkey,
    "a cluster client": cluster,
    "an asynchronous cluster client": lambda: redis.asyncio.cluster.RedisCluster("127.0.0.1", 1),
    "a client for replicas": replicas,
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_an_unusable_client_raises_a_clear_type_error(make: Any) -> None:
    with pytest.raises(TypeError, match=r"^redis must be"):
        sync.DistributedLock(make(), "key")


@pytest.mark.parametrize("make", [cluster, WRONG["an asynchronous cluster client"]])
def test_the_error_for_a_cluster_client_says_so(make: Any) -> None:
    with pytest.raises(TypeError, match="cluster"):
        sync.DistributedLock(make(), "key")


@pytest.mark.parametrize("option", ["ssl_validate_ocsp", "ssl_validate_ocsp_stapled"])
def test_a_check_of_certificates_that_asyncio_does_not_know_is_refused(option: str) -> None:
    options: dict[str, Any] = {"ssl": True, option: True}
    with pytest.raises(TypeError, match=f"without {option}"):
        sync.DistributedLock(redis.Redis(**options), "key")


@pytest.mark.parametrize("make", [redis.Redis, valkey.Valkey])
def test_the_asynchronous_face_still_refuses_blocking_clients(make: Any) -> None:
    with pytest.raises(TypeError, match="redis must be a client that connects"):
        dsync.DistributedLock(make(), "key")
    # Also one that the blocking face has read.
    client = make()
    server_of(client)
    with pytest.raises(TypeError, match="redis must be a client that connects"):
        dsync.DistributedLock(client, "key")


SAME: dict[str, dict[str, Any]] = {
    "host and port": {"host": "10.0.0.1", "port": 7000},
    "database": {"db": 3},
    "login": {"username": "user", "password": "secret"},
    "name": {"client_name": "my-service"},
    "timeouts": {"socket_timeout": 1.5, "socket_connect_timeout": 2.5},
    "path": {"unix_socket_path": "/nowhere"},
    "keep-alive": {"socket_keepalive": True, "socket_keepalive_options": {4: 10}},
    "decoded": {"decode_responses": True},
    "TLS": {"ssl": True, "ssl_check_hostname": False, "ssl_cert_reqs": "none"},
    "TLS files": {"ssl": True, "ssl_ca_certs": "/ca.pem", "ssl_certfile": "/cert.pem"},
}


@pytest.mark.parametrize("options", SAME.values(), ids=SAME.keys())
def test_a_blocking_client_is_the_server_of_an_asynchronous_one_with_its_options(
    options: dict[str, Any],
) -> None:
    ours = server_of(redis.Redis(**options))
    assert ours is dsync.DistributedLock(redis.asyncio.Redis(**options), "key")._server
    # Neither way does a default of the package get lost.
    assert (ours is server_of(redis.Redis())) == (options == SAME["decoded"])


def test_a_url_is_the_server_of_the_client_of_that_url() -> None:
    url = "redis://user:secret@10.0.0.1:7000/3?socket_timeout=2"
    assert server_of(redis.Redis.from_url(url)) is server_of(url)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("package", [redis, valkey])
def test_a_client_of_a_sentinel_is_the_server_of_an_asynchronous_one(
    package: Any, tls: bool
) -> None:
    options = {"ssl": tls, "password": "secret", "db": 2}
    nodes, login = [("10.0.0.1", 1), ("10.0.0.2", 1)], {"password": "other"}
    ours = server_of(
        package.sentinel.Sentinel(nodes, sentinel_kwargs=login).master_for("mymaster", **options)
    )
    assert (ours.ssl_context is not None) == tls
    assert (ours.service_name, ours.password, ours.database) == ("mymaster", "secret", 2)
    theirs = package.asyncio.sentinel.Sentinel(nodes, sentinel_kwargs=login)
    assert ours is dsync.DistributedLock(theirs.master_for("mymaster", **options), "key")._server


@pytest.mark.parametrize("retries", [0, 7])
def test_the_retry_settings_are_those_of_the_client(retries: int) -> None:
    backoff = ConstantBackoff(0.05)
    ours = server_of(redis.Redis(host="patient", retry=Retry(backoff, retries)))
    theirs = redis.asyncio.Redis(host="patient", retry=AsyncRetry(backoff, retries))
    assert ours is dsync.DistributedLock(theirs, "key")._server
    assert isinstance(ours.retry, AsyncRetry)
    assert ours.retry._backoff.compute(1) == 0.05


def test_tls_is_checked_as_the_client_says() -> None:
    strict = server_of(redis.Redis(ssl=True)).ssl_context()
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    lax = server_of(redis.Redis(ssl=True, ssl_cert_reqs="none", ssl_check_hostname=False))
    assert lax.ssl_context().verify_mode == ssl.CERT_NONE


def test_no_repr_shows_the_password_of_a_blocking_client() -> None:
    for client in (
        redis.Redis(password=SECRET),
        valkey.Valkey(password=SECRET),
        redis.Redis.from_url(f"redis://user:{SECRET}@127.0.0.1:1/0"),
    ):
        lock = sync.DistributedLock(client, "key")
        assert SECRET not in repr(lock)
        assert SECRET not in repr(lock._async._server)
