"""What locks and semaphores of `aiodistributor` 0.0.3.3 do wrong, without any process of dsync.

No process beside them can mend this, so docs/migration.md tells it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiodistributor.distibuted_semaphore import DistributedSemaphore
from aiodistributor.distributed_bounded_semaphore import DistributedBoundedSemaphore
from aiodistributor.distributed_lock import DistributedLock
from redis.asyncio import Redis

from tests.fleet import nodes
from tests.support.processes import Child
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

SEMAPHORES = [DistributedSemaphore, DistributedBoundedSemaphore]
VALUE = 3

Semaphore = type[DistributedSemaphore]
Spawn = Callable[..., Child]

each_semaphore = pytest.mark.parametrize("semaphore", SEMAPHORES)


# With a socket_timeout redis-py sends by `asyncio.wait_for`, which can swallow a cancellation up to
# Python 3.11; these tests cancel where that does not matter.
CLIENT: dict[str, Any] = {"decode_responses": True, "socket_timeout": None}


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    """A client as the old package wants it, connected already."""
    async with server.client(**CLIENT) as client:
        await client.ping()
        yield client


@pytest.fixture
def proxy(make_proxy: Callable[..., Proxy]) -> Proxy:
    return make_proxy()


@pytest.fixture
async def far_client(server: RedisServer, proxy: Proxy) -> AsyncIterator[Redis]:
    """The same behind a proxy, which lets everything through at the end."""
    async with server.client(port=proxy.port, **CLIENT) as client:
        await client.ping()
        yield client
        proxy.blackhole(False)


async def becomes(server: RedisServer, key: str, value: str) -> None:
    """Wait until a key has a value."""
    with server.sync() as client:
        await eventually(lambda: client.get(key) == value, f"{key} is {value}")


async def load_scripts(client: Redis, semaphore: Semaphore) -> None:
    """Let the server know the scripts, so that each call is one command."""
    await client.script_load(semaphore.LUA_ACQUIRE_SCRIPT)
    await client.script_load(semaphore.LUA_RELEASE_SCRIPT)


# ---- calls that end while their reply is on its way ----


@each_semaphore
async def test_an_acquire_that_times_out_before_the_reply_comes_loses_the_slot(
    server: RedisServer, proxy: Proxy, far_client: Redis, key: str, semaphore: Semaphore
) -> None:
    await load_scripts(far_client, semaphore)
    proxy.blackhole(True, "replies")
    with pytest.raises(TimeoutError):
        await semaphore(far_client, key, VALUE).acquire(acquire_timeout=0.1)
    await becomes(server, f"distributed_semaphore_{key}", str(VALUE - 1))
    # The timeout comes as a CancelledError within the call, so the clause that gives back what was
    # acquired never knows of anything.


@each_semaphore
async def test_a_semaphore_with_a_timeout_of_zero_takes_every_slot_and_grants_none(
    server: RedisServer, client: Redis, key: str, semaphore: Semaphore
) -> None:
    await load_scripts(client, semaphore)
    for left in reversed(range(VALUE)):
        # A call that is cancelled ends its connection, and connecting takes longer than no time.
        await client.ping()
        with pytest.raises(TimeoutError):
            await semaphore(client, key, VALUE).acquire(acquire_timeout=0)
        await becomes(server, f"distributed_semaphore_{key}", str(left))


@each_semaphore
async def test_an_acquire_that_is_cancelled_before_the_reply_comes_loses_the_slot(
    server: RedisServer, proxy: Proxy, far_client: Redis, key: str, semaphore: Semaphore
) -> None:
    await load_scripts(far_client, semaphore)
    proxy.blackhole(True, "replies")
    task = asyncio.create_task(semaphore(far_client, key, VALUE).acquire())
    await becomes(server, f"distributed_semaphore_{key}", str(VALUE - 1))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await becomes(server, f"distributed_semaphore_{key}", str(VALUE - 1))


async def test_a_lock_whose_acquire_is_cancelled_before_the_reply_comes_stays_taken(
    server: RedisServer, proxy: Proxy, far_client: Redis, key: str
) -> None:
    lock = DistributedLock(far_client, key)
    proxy.blackhole(True, "replies")
    task = asyncio.create_task(lock.acquire())
    await becomes(server, f"distributed_lock_{key}", lock._token)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with server.sync() as client:
        assert client.get(f"distributed_lock_{key}") == lock._token
        assert client.pttl(f"distributed_lock_{key}") == -1


async def test_a_timeout_frees_the_lock_that_another_task_took_with_the_same_object(
    client: Redis, key: str
) -> None:
    lock = DistributedLock(client, key, acquire_sleep_delay=30)
    await lock.acquire()
    with pytest.raises(TimeoutError):
        await lock.acquire(acquire_timeout=0.1)
    assert not await lock.locked()


# ---- replies that are lost with their connection ----
# redis-py sends the command again, since 6.0 without being asked to.


@each_semaphore
async def test_an_acquire_whose_reply_is_lost_takes_two_slots(
    proxy: Proxy, far_client: Redis, key: str, semaphore: Semaphore
) -> None:
    await load_scripts(far_client, semaphore)
    proxy.drop_replies()
    await semaphore(far_client, key, VALUE).acquire()
    assert proxy.dropped == 1
    assert await far_client.get(f"distributed_semaphore_{key}") == str(VALUE - 2)


@each_semaphore
async def test_a_release_whose_reply_is_lost_gives_back_two_slots(
    proxy: Proxy, far_client: Redis, key: str, semaphore: Semaphore
) -> None:
    slots = semaphore(far_client, key, VALUE)
    await slots.acquire()
    await slots.release()
    for _ in range(VALUE):
        await slots.acquire()
    proxy.drop_replies()
    await slots.release()
    assert proxy.dropped == 1
    # Two may come in now, beside the two that are inside.
    assert await far_client.get(f"distributed_semaphore_{key}") == "2"


async def test_a_lock_whose_reply_is_lost_waits_for_itself(
    server: RedisServer, proxy: Proxy, far_client: Redis, key: str
) -> None:
    lock = DistributedLock(far_client, key, 0.01)
    proxy.drop_replies()
    task = asyncio.create_task(lock.acquire())
    await becomes(server, f"distributed_lock_{key}", lock._token)
    await eventually(lambda: server.commandstats()["set"]["calls"] > 5, "it asks again and again")
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_release_of_a_lock_whose_reply_is_lost_fails(
    proxy: Proxy, far_client: Redis, key: str
) -> None:
    await far_client.script_load(DistributedLock.LUA_RELEASE_SCRIPT)
    lock = DistributedLock(far_client, key)
    await lock.acquire()
    proxy.drop_replies()
    with pytest.raises(RuntimeError):
        await lock.release()
    assert not await lock.locked()


# ---- processes that die ----


@pytest.mark.parametrize(
    ("name", "options", "left"),
    [
        ("DistributedLock", {}, None),
        ("DistributedSemaphore", {"value": 1}, "0"),
        ("DistributedBoundedSemaphore", {"value": 1}, "0"),
    ],
)
async def test_what_a_killed_process_held_is_never_free_again(
    server: RedisServer,
    client: Redis,
    spawn: Spawn,
    key: str,
    name: str,
    options: dict[str, Any],
    left: str | None,
) -> None:
    child = spawn(nodes.obey, "old", name, server.url, key, "orders", options)
    await client.rpush("orders", nodes.order("acquire"))
    await child.expect("acquire done")
    child.kill()
    kind = "lock" if name == "DistributedLock" else "semaphore"
    stored = f"distributed_{kind}_{key}"
    assert left is None or await client.get(stored) == left
    # No expiry, and nobody else may free it.
    assert await client.pttl(stored) == -1
    assert await nodes.make("old", name, client, key, **options).locked()


# ---- the number of slots ----


async def test_a_release_before_the_first_acquire_leaves_one_slot_of_several(
    client: Redis, key: str
) -> None:
    await DistributedSemaphore(client, key, VALUE).release()
    assert await client.get(f"distributed_semaphore_{key}") == "1"


async def test_a_bounded_semaphore_takes_a_release_before_the_first_acquire_and_shrinks(
    client: Redis, key: str
) -> None:
    await DistributedBoundedSemaphore(client, key, VALUE).release()
    assert await client.get(f"distributed_semaphore_{key}") == "1"


@each_semaphore
async def test_a_semaphore_keeps_its_first_number_of_slots(
    client: Redis, key: str, semaphore: Semaphore
) -> None:
    async with semaphore(client, key, 1):
        pass
    assert await client.pttl(f"distributed_semaphore_{key}") == -1
    async with semaphore(client, key, VALUE) as larger:
        assert await larger.locked()


async def test_a_bounded_semaphore_refuses_what_is_beyond_the_limit_of_the_first_release(
    client: Redis, key: str
) -> None:
    async with DistributedBoundedSemaphore(client, key, 1):
        pass
    # Somebody gives it the slots that the new number asks for.
    await client.set(f"distributed_semaphore_{key}", VALUE)
    larger = DistributedBoundedSemaphore(client, key, VALUE)
    await larger.acquire()
    with pytest.raises(ValueError, match="released too many times"):
        await larger.release()
