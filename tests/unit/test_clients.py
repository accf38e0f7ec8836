"""What may be given as `redis`, what not, and that no password is shown."""

import importlib.metadata
import traceback
from typing import Any

import dsync
import fakeredis
import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import valkey
import valkey.asyncio
from dsync import DistributedLock

SECRET = "tops3cret"


class NoClient:
    """Has nothing that a client has."""


def slave_of_sentinel() -> object:
    sentinel = redis.asyncio.sentinel.Sentinel([("127.0.0.1", 1)])  # type: ignore[no-untyped-call]
    return sentinel.slave_for("mymaster")


WRONG: dict[str, Any] = {
    "None": lambda: None,
    "bytes": lambda: b"redis://127.0.0.1",
    "an int": lambda: 6379,
    "an object": NoClient,
    "the class": lambda: redis.asyncio.Redis,
    "a pool": redis.asyncio.ConnectionPool,
    "a blocking client": redis.Redis,
    "a blocking valkey client": valkey.Valkey,
    "a cluster client": lambda: redis.asyncio.cluster.RedisCluster("127.0.0.1", 1),
    "a fake": fakeredis.FakeAsyncRedis,
    "a blocking fake": fakeredis.FakeRedis,
    "a client for replicas": slave_of_sentinel,
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
async def test_an_unusable_client_raises_a_clear_type_error(make: Any) -> None:
    with pytest.raises(TypeError, match=r"^redis must be") as caught:
        DistributedLock(make(), "key")
    assert caught.value.__cause__ is None


async def test_the_error_for_a_cluster_client_says_so() -> None:
    with pytest.raises(TypeError, match="cluster"):
        DistributedLock(redis.asyncio.cluster.RedisCluster("127.0.0.1", 1), "key")


async def test_the_error_for_a_client_of_replicas_says_so() -> None:
    with pytest.raises(TypeError, match="slave_for"):
        DistributedLock(slave_of_sentinel(), "key")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1",
        "redis://127.0.0.1:port/0",
        "redis://127.0.0.1:99999999/0",
        "redis://127.0.0.1?socket_timeout=soon",
        "memcached://127.0.0.1",
    ],
)
def test_a_url_that_is_none_raises_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        DistributedLock(url, "key")


def test_the_error_for_a_url_shows_no_password() -> None:
    for url in (f"http://:{SECRET}@127.0.0.1", f"redis://u:{SECRET}@127.0.0.1:port/0"):
        with pytest.raises(ValueError, match="URL") as caught:
            DistributedLock(url, "key")
        # With what stands behind it, but without the lines of this file.
        shown = [
            line
            for line in traceback.format_exception(caught.value)
            if not line.lstrip().startswith("File")
        ]
        assert SECRET not in "".join(shown)


GOOD: dict[str, Any] = {
    "a client": redis.asyncio.Redis,
    "a strict client": redis.asyncio.StrictRedis,
    "a client of a Unix socket": lambda: redis.asyncio.Redis(unix_socket_path="/nowhere"),
    "a TLS client": lambda: redis.asyncio.Redis(ssl=True),
    "a client of a URL": lambda: redis.asyncio.Redis.from_url("redis://127.0.0.1"),
    "a client of a blocking pool": lambda: redis.asyncio.Redis.from_pool(
        redis.asyncio.BlockingConnectionPool()
    ),
    "a valkey client": valkey.asyncio.Valkey,
    "a client of a Sentinel": lambda: redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        [("127.0.0.1", 1)]
    ).master_for("mymaster"),
    "a TCP URL": lambda: "redis://127.0.0.1",
    "a TLS URL": lambda: "rediss://127.0.0.1",
    "a URL of a Unix socket": lambda: "unix:///nowhere",
    "a URL with everything": lambda: "redis://user:pass%40word@[::1]:7000/3?socket_timeout=1",
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD.keys())
async def test_a_usable_client_is_taken_without_a_connection(make: Any) -> None:
    DistributedLock(make(), "key")


async def test_no_repr_shows_the_password() -> None:
    url = f"redis://user:{SECRET}@127.0.0.1:1/0"
    client = redis.asyncio.Redis(
        host="127.0.0.1",
        port=1,
        credential_provider=redis.UsernamePasswordCredentialProvider("user", SECRET),
    )
    for given in (url, client, redis.asyncio.Redis(password=SECRET)):
        lock = DistributedLock(given, "key")
        for shown in (lock, lock._server):
            assert SECRET not in repr(shown)
            assert SECRET not in str(shown)


async def test_no_repr_shows_the_password_of_a_sentinel() -> None:
    sentinel = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        [("127.0.0.1", 1)], sentinel_kwargs={"password": SECRET}, password=SECRET
    )
    lock = DistributedLock(sentinel.master_for("mymaster"), "key")
    assert SECRET not in repr(lock)
    assert SECRET not in repr(lock._server)


async def test_the_error_of_an_unreachable_server_shows_no_password() -> None:
    lock = DistributedLock(f"redis://user:{SECRET}@127.0.0.1:1/0", "key")
    with pytest.raises(redis.ConnectionError) as caught:
        await lock.acquire()
    assert SECRET not in "".join(traceback.format_exception(caught.value)).replace(__file__, "")
    await dsync.close()


async def test_clients_of_the_same_configuration_are_one_server() -> None:
    def server(**kwargs: Any) -> object:
        return DistributedLock(redis.asyncio.Redis(host="127.0.0.1", **kwargs), "key")._server

    assert server(port=1) is server(port=1)
    assert server(port=1) is server(port=1, decode_responses=True)
    for other in (
        {"port": 2},
        {"port": 1, "db": 1},
        {"port": 1, "password": "a"},
        {"port": 1, "password": "b"},
        {"port": 1, "username": "u", "password": "a"},
        {"port": 1, "client_name": "c"},
        {"port": 1, "ssl": True},
        {"port": 1, "socket_timeout": 1},
        {"port": 1, "socket_connect_timeout": 1},
    ):
        assert server(port=1) is not server(**other), other
        assert server(**other) is server(**other), other


@pytest.mark.parametrize("make", [redis.asyncio.Redis.from_url, valkey.asyncio.Valkey.from_url])
def test_a_client_is_read_without_a_look_at_the_disk(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make("redis://127.0.0.1:1")

    def fail(name: str) -> str:
        raise AssertionError(f"looked for {name}")

    monkeypatch.setattr(importlib.metadata, "version", fail)
    DistributedLock(client, "key")
