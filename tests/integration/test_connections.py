"""The ways to name a server, and what dsync's own connections look like there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import valkey.asyncio
from dsync import DistributedLock
from redis import CredentialProvider, UsernamePasswordCredentialProvider
from redis.asyncio import Redis

from tests.integration.locks import (
    NEVER,
    holder,
    lock_name,
    soon,
    start_waiters,
    until_nothing_is_left,
    until_queued,
    until_renewed,
)
from tests.support.redis_server import RedisServer
from tests.support.tls import TlsFiles
from tests.support.waiting import eventually

SECRET = "s3cret with spaces & @:/%"


async def assert_works(server: RedisServer, client: Any, key: str) -> None:
    """Take the lock, hand it over by message, renew it, and leave nothing."""
    first = DistributedLock(client, key, NEVER, lease=0.6)
    second = DistributedLock(client, key, NEVER, lease=0.6)
    async with first:
        assert holder(server, key) == first._token
        (waiter,) = await start_waiters(server, key, second)
    assert await soon(waiter)
    await until_renewed(server, 3)
    assert await second.owned()
    await second.release()
    await until_nothing_is_left(server)


@pytest.fixture
def tls_server(make_server: Callable[..., RedisServer], tls_files: TlsFiles) -> RedisServer:
    return make_server(tls=tls_files)


async def test_a_redis_url_works(server: RedisServer, key: str) -> None:
    await assert_works(server, server.url, key)


async def test_a_unix_url_works(server: RedisServer, key: str) -> None:
    await assert_works(server, server.unix_url, key)


async def test_a_client_of_a_unix_socket_works(server: RedisServer, key: str) -> None:
    async with Redis(unix_socket_path=server.unix_path) as client:
        await assert_works(server, client, key)


async def test_a_rediss_url_works(tls_server: RedisServer, tls_files: TlsFiles, key: str) -> None:
    files = f"ssl_ca_certs={tls_files.ca}&ssl_certfile={tls_files.client}"
    url = f"rediss://127.0.0.1:{tls_server.tls_port}/0?{files}&ssl_keyfile={tls_files.client}"
    await assert_works(tls_server, url, key)


async def test_a_tls_client_works(tls_server: RedisServer, key: str) -> None:
    async with tls_server.tls_client() as client:
        await assert_works(tls_server, client, key)


async def test_a_host_name_works(server: RedisServer, key: str) -> None:
    async with server.client(host="localhost") as client:
        await assert_works(server, client, key)


async def test_a_valkey_client_works(server: RedisServer, key: str) -> None:
    async with valkey.asyncio.Valkey(host="127.0.0.1", port=server.port) as client:
        await assert_works(server, client, key)


async def test_a_client_with_one_connection_works(server: RedisServer, key: str) -> None:
    async with server.client(single_connection_client=True) as client:
        await assert_works(server, client, key)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_the_clients_protocol_makes_no_difference(
    server: RedisServer, key: str, protocol: int
) -> None:
    async with server.client(protocol=protocol) as client:
        await assert_works(server, client, key)


async def test_a_password_works(make_server: Callable[..., RedisServer], key: str) -> None:
    server = make_server(password=SECRET)
    async with server.client() as client:
        await assert_works(server, client, key)
    await assert_works(server, server.url, f"{key}-url")
    await assert_works(server, server.unix_url, f"{key}-unix")


@pytest.fixture
def users_server(make_server: Callable[..., RedisServer]) -> RedisServer:
    return make_server(
        password="of the default user",
        users=["alice on >alices-password ~* &* +@all", "bob on nopass ~* &* +@all"],
    )


async def test_a_user_with_a_password_works(users_server: RedisServer, key: str) -> None:
    async with users_server.client(username="alice", password="alices-password") as client:
        await assert_works(users_server, client, key)
    users = {each["user"] for each in users_server.connections()}
    assert users == {"alice"}


async def test_a_user_without_a_password_works(users_server: RedisServer, key: str) -> None:
    async with users_server.client(username="bob", password="") as client:
        await assert_works(users_server, client, key)


async def test_a_credential_provider_works(users_server: RedisServer, key: str) -> None:
    provider = UsernamePasswordCredentialProvider("alice", "alices-password")
    async with users_server.client(password=None, credential_provider=provider) as client:
        await assert_works(users_server, client, key)


async def test_a_credential_provider_of_a_password_alone_works(
    users_server: RedisServer, key: str
) -> None:
    provider = UsernamePasswordCredentialProvider(password="of the default user")
    async with users_server.client(password=None, credential_provider=provider) as client:
        await assert_works(users_server, client, key)


class Rotating(CredentialProvider):
    """A provider whose password changes."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.asked = 0

    def get_credentials(self) -> tuple[str, str]:
        self.asked += 1
        return "alice", self.password


async def test_a_credential_provider_is_asked_anew_for_each_connection(
    users_server: RedisServer, key: str
) -> None:
    provider = Rotating("alices-password")
    async with users_server.client(password=None, credential_provider=provider) as client:
        lock = DistributedLock(client, key)
        async with lock:
            pass
        before = provider.asked
        provider.password = "changed"
        with users_server.sync() as admin:
            admin.acl_setuser("alice", enabled=True, reset_passwords=True, passwords=["+changed"])
            admin.client_kill_filter(_type="normal")
        async with asyncio.timeout(20), lock:
            assert provider.asked > before


@pytest.mark.parametrize("database", [0, 5])
async def test_the_database_of_the_client_is_used(
    server: RedisServer, key: str, database: int
) -> None:
    async with server.client(db=database) as client:
        async with DistributedLock(client, key):
            assert await client.exists(lock_name(key))
            assert holder(server, key) is None or database == 0
        first, second = (DistributedLock(client, key, NEVER, lease=0.6) for _ in range(2))
        await first.acquire()
        waiter = asyncio.create_task(second.acquire())
        await eventually(lambda: len(server.connections()) >= 3)
        await first.release()
        assert await soon(waiter)
        await until_renewed(server, 3)
        assert await second.owned()
        await second.release()


async def test_databases_do_not_share_locks(server: RedisServer, key: str) -> None:
    async with server.client(db=1) as one, server.client(db=2) as two:
        assert await DistributedLock(one, key, lease=None).try_acquire()
        assert await DistributedLock(two, key, lease=None).try_acquire()
        assert not await DistributedLock(one, key).try_acquire()


async def test_the_client_name_is_that_of_the_client(server: RedisServer, key: str) -> None:
    async with server.client(client_name="my-service") as client:
        lock = DistributedLock(client, key, lease=0.6)
        await lock.acquire()
        await until_renewed(server, 3)
        assert [each["name"] for each in server.connections()] == ["my-service"] * 3
        await lock.release()


@pytest.fixture
async def clients(server: RedisServer) -> AsyncIterator[list[Redis]]:
    clients = [server.client() for _ in range(5)]
    yield clients
    for client in clients:
        await client.aclose()


async def test_all_locks_waiters_and_clients_of_a_loop_share_two_connections(
    server: RedisServer, clients: list[Redis], key: str
) -> None:
    held = [DistributedLock(clients[n % 5], f"{key}-{n}", lease=None) for n in range(50)]
    waiting = [DistributedLock(clients[n % 5], f"{key}-0", NEVER, lease=None) for n in range(50)]
    for lock in held:
        await lock.acquire()
    waiters = [asyncio.create_task(lock.acquire()) for lock in waiting]
    await until_queued(server, f"{key}-0", 50)
    connections = server.connections()
    # The third renews the leases, and is made with the first of them.
    assert len(connections) <= 3
    assert sorted(each["sub"] for each in connections)[-1] == "1"
    assert sum(int(each["sub"]) for each in connections) == 1
    for task in waiters:
        task.cancel()
    await asyncio.wait(waiters)
    for lock in held:
        await lock.release()


async def test_without_a_lease_to_renew_there_are_two_connections(
    server: RedisServer, clients: list[Redis], key: str
) -> None:
    for client in clients:
        async with DistributedLock(client, key, lease=30, auto_renew=False):
            assert not await DistributedLock(client, key).try_acquire()
            assert len(server.connections()) == 2


async def test_a_lock_that_is_made_and_not_used_connects_nowhere(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    assert lock.valid_for() == 0
    assert not lock.lost.is_set()
    assert not await lock.owned()
    assert server.connections() == []


async def test_closing_the_client_does_not_disturb_the_lock(server: RedisServer, key: str) -> None:
    async with server.client() as client:
        lock = DistributedLock(client, key)
        await lock.acquire()
    assert await lock.owned()
    await lock.release()
    await until_nothing_is_left(server)
