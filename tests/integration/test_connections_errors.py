"""Servers that refuse, fail, lie or fall silent: an error or a retry, never a false success."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis
from dsync import DistributedLock
from redis import CredentialProvider, exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.integration.locks import (
    NEVER,
    fence_name,
    holder,
    lock_name,
    queue_length,
    queue_name,
    soon,
    start_waiters,
    until_nothing_is_left,
    until_queued,
)
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.tls import TlsFiles

RETRIES = 3


class Counting(CredentialProvider):
    """Counts the attempts to connect, since each asks for the credentials anew."""

    def __init__(self, *credentials: str) -> None:
        self._credentials = credentials
        self.asked = 0

    def get_credentials(self) -> Any:
        self.asked += 1
        return self._credentials


def retrying(port: int, provider: CredentialProvider, **options: Any) -> Redis:
    retry = Retry(NoBackoff(), RETRIES)
    return Redis(host="127.0.0.1", port=port, retry=retry, credential_provider=provider, **options)


async def test_a_refused_connection_is_tried_as_often_as_the_client_says(key: str) -> None:
    provider = Counting("user", "password")
    async with retrying(free_port(), provider) as client:
        lock = DistributedLock(client, key)
        for attempt in range(1, 3):
            with pytest.raises(exceptions.ConnectionError, match=key):
                await soon(lock.acquire())
            assert provider.asked == attempt * (1 + RETRIES)


@pytest.mark.parametrize("method", ["acquire", "try_acquire", "locked"])
async def test_a_refused_connection_raises_connection_error(key: str, method: str) -> None:
    async with Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as client:
        lock = DistributedLock(client, key)
        with pytest.raises(redis.ConnectionError, match=key):
            await soon(getattr(lock, method)())
        with pytest.raises(RuntimeError):
            await lock.release()


async def test_a_waiter_with_a_timeout_waits_for_a_server_that_is_away(key: str) -> None:
    provider = Counting("user", "password")
    async with retrying(free_port(), provider) as client:
        with pytest.raises(TimeoutError):
            await soon(DistributedLock(client, key).acquire(acquire_timeout=0.3))
        assert provider.asked > 1 + RETRIES


async def test_a_server_that_comes_back_is_found(
    make_server: Callable[..., RedisServer], key: str
) -> None:
    server = make_server()
    async with server.client(retry=Retry(NoBackoff(), 3)) as client:
        lock = DistributedLock(client, key)
        async with lock:
            pass
        server.stop()
        with pytest.raises(exceptions.ConnectionError):
            await soon(lock.acquire())
        server.start()
        async with asyncio.timeout(20), lock:
            assert holder(server, key) == lock._token


@pytest.fixture
def secured(make_server: Callable[..., RedisServer]) -> RedisServer:
    return make_server(password="right")


async def test_a_wrong_password_raises_authentication_error_without_another_attempt(
    secured: RedisServer, key: str
) -> None:
    provider = Counting("default", "wrong")
    async with retrying(secured.port, provider) as client:
        with pytest.raises(exceptions.AuthenticationError, match=key) as caught:
            await soon(DistributedLock(client, key).acquire())
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
        assert provider.asked == 1


async def test_an_unknown_user_raises_authentication_error(secured: RedisServer, key: str) -> None:
    async with secured.client(username="nobody", password="right") as client:
        with pytest.raises(exceptions.AuthenticationError, match=key):
            await soon(DistributedLock(client, key).acquire())


async def test_a_missing_password_raises_authentication_error(
    secured: RedisServer, key: str
) -> None:
    async with secured.client(password=None) as client:
        with pytest.raises(exceptions.AuthenticationError, match=key):
            await soon(DistributedLock(client, key).acquire())


async def test_a_password_for_a_server_that_wants_none_raises_authentication_error(
    server: RedisServer, key: str
) -> None:
    async with server.client(username="nobody", password="needless") as client:
        with pytest.raises(exceptions.AuthenticationError, match=key):
            await soon(DistributedLock(client, key).acquire())


async def test_a_lock_works_after_an_authentication_error(secured: RedisServer, key: str) -> None:
    async with secured.client(password="wrong") as wrong, secured.client() as right:
        with pytest.raises(exceptions.AuthenticationError):
            await soon(DistributedLock(wrong, key).acquire())
        async with DistributedLock(right, key):
            pass


async def test_a_database_that_does_not_exist_raises_response_error(
    server: RedisServer, key: str
) -> None:
    async with server.client(db=99) as client:
        with pytest.raises(exceptions.ResponseError, match=key):
            await soon(DistributedLock(client, key).acquire())


@pytest.fixture
def tls_server(make_server: Callable[..., RedisServer], tls_files: TlsFiles) -> RedisServer:
    return make_server(tls=tls_files)


async def test_a_certificate_that_cannot_be_verified_raises_connection_error(
    tls_server: RedisServer, tls_files: TlsFiles, key: str
) -> None:
    options = tls_files.client_options()
    del options["ssl_ca_certs"]
    async with tls_server.client(
        port=tls_server.tls_port, retry=Retry(NoBackoff(), 1), **options
    ) as client:
        with pytest.raises(exceptions.ConnectionError, match=key) as caught:
            await soon(DistributedLock(client, key).acquire())
        assert "certificate" in str(caught.value).lower()


async def test_a_tls_client_of_a_plain_port_raises_connection_error(
    tls_server: RedisServer, tls_files: TlsFiles, key: str
) -> None:
    options = tls_files.client_options()
    options |= {"retry": Retry(NoBackoff(), 1), "socket_connect_timeout": 0.2}
    async with tls_server.client(**options) as client:
        with pytest.raises(exceptions.ConnectionError, match=key):
            await soon(DistributedLock(client, key).acquire())


async def test_a_plain_client_of_a_tls_port_raises_connection_error(
    tls_server: RedisServer, key: str
) -> None:
    async with tls_server.client(port=tls_server.tls_port, retry=Retry(NoBackoff(), 1)) as client:
        with pytest.raises(exceptions.ConnectionError, match=key):
            await soon(DistributedLock(client, key).acquire())


@pytest.mark.parametrize("name", [lock_name, fence_name])
async def test_a_key_of_another_type_raises_response_error(
    server: RedisServer, redis: Redis, key: str, name: Callable[[str], str]
) -> None:
    await redis.rpush(name(key), "a list")
    for attempt in (DistributedLock.acquire, DistributedLock.try_acquire):
        with pytest.raises(exceptions.ResponseError, match=key):
            await soon(attempt(DistributedLock(redis, key)))
    assert await redis.lrange(name(key), 0, -1) == [b"a list"]
    assert queue_length(server, key) == 0


async def test_a_queue_of_another_type_raises_response_error_for_those_who_wait(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first = DistributedLock(redis, key)
    await first.acquire()
    await redis.rpush(queue_name(key), "a list")
    with pytest.raises(exceptions.ResponseError, match=key):
        await soon(DistributedLock(redis, key).acquire())
    assert holder(server, key) == first._token
    await redis.delete(queue_name(key))
    await first.release()
    await until_nothing_is_left(server)


async def test_a_wrong_type_says_what_is_wrong(server: RedisServer, redis: Redis, key: str) -> None:
    await redis.rpush(lock_name(key), "a list")
    with pytest.raises(exceptions.ResponseError, match="another program") as caught:
        await soon(DistributedLock(redis, key).acquire())
    assert "WRONGTYPE" in str(caught.value)
    await redis.delete(lock_name(key))
    async with DistributedLock(redis, key):
        pass


async def test_a_server_out_of_memory_raises_out_of_memory_error(
    make_server: Callable[..., RedisServer], key: str
) -> None:
    server = make_server()
    with server.sync() as admin:
        async with server.client() as client:
            held = DistributedLock(client, f"{key}-held")
            await held.acquire()
            admin.config_set("maxmemory", 1)
            lock = DistributedLock(client, key)
            with pytest.raises(exceptions.OutOfMemoryError, match=key):
                await soon(lock.acquire())
            assert holder(server, key) is None
            # What is held can be renewed and freed.
            assert await held.owned()
            await held.release()
            admin.config_set("maxmemory", 0)
            async with lock:
                pass


GARBAGE = [
    b"garbage\r\n",
    b"\0\0\0\0",
    b"$-5\r\n",
    b"*-7\r\n",
    b":12x\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
]


@pytest.mark.parametrize("only", ["command", "subscription"])
@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
async def test_garbage_is_no_answer(
    server: RedisServer, make_proxy: Callable[[], Proxy], key: str, garbage: bytes, only: Any
) -> None:
    proxy = make_proxy()
    first = DistributedLock(proxy.url, key, 0.05)
    second = DistributedLock(proxy.url, key, 0.05)
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    accepted = proxy.accepted
    proxy.inject(garbage, only)
    await proxy.wait_until(lambda: proxy.accepted >= accepted + 2)
    assert not waiter.done()
    assert await soon(first.owned())
    await soon(first.release())
    assert await soon(waiter)
    assert holder(server, key) == second._token
    await second.release()
    await until_nothing_is_left(server)


@pytest.mark.parametrize("reply", [b":1795000000000000\r\n", b"+OK\r\n", b"$-1\r\n", b"*0\r\n"])
async def test_a_reply_that_nobody_asked_for_grants_nothing(
    server: RedisServer, make_proxy: Callable[[], Proxy], key: str, reply: bytes
) -> None:
    proxy = make_proxy()
    first, second = (DistributedLock(proxy.url, key, 0.05) for _ in range(2))
    await first.acquire()
    proxy.inject(reply)
    # Such a connection is not to be trusted any more.
    await proxy.wait_connections(0)
    assert not await soon(second.try_acquire())
    assert await first.owned()
    await first.release()
    await until_nothing_is_left(server)


@pytest.mark.parametrize("only", ["command", "subscription"])
@pytest.mark.parametrize("how", ["half_close", "cut"])
async def test_a_connection_that_ends_is_made_anew_and_waiters_go_on(
    server: RedisServer, make_proxy: Callable[[], Proxy], key: str, how: str, only: Any
) -> None:
    proxy = make_proxy()
    first, second = (DistributedLock(proxy.url, key, 0.05) for _ in range(2))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    accepted = proxy.accepted
    getattr(proxy, how)(only)
    await proxy.wait_until(lambda: proxy.accepted >= accepted + 2)
    await until_queued(server, key, 1)
    await soon(first.release())
    assert await soon(waiter)
    await second.release()
    await until_nothing_is_left(server)


@pytest.mark.parametrize("answer", [b"", b"+PO"], ids=["nothing", "half a greeting"])
async def test_a_server_that_accepts_and_never_answers_raises_connection_error(
    key: str, answer: bytes
) -> None:
    connections: list[asyncio.StreamWriter] = []

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(answer)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with Redis(
            port=port, socket_timeout=0.1, socket_connect_timeout=0.1, retry=Retry(NoBackoff(), 1)
        ) as client:
            with pytest.raises(exceptions.ConnectionError, match=key):
                await soon(DistributedLock(client, key, NEVER).acquire())
        assert len(connections) >= 2
        for writer in connections:
            writer.close()
