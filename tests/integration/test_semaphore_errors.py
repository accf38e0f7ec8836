"""Semaphores: what servers refuse is a typed error, and what is closed is given back."""

from collections.abc import Callable

import dsync
import pytest
from dsync import DistributedBoundedSemaphore, DistributedSemaphore, LockLostError
from redis import exceptions
from redis.asyncio import Redis

from tests.fault import semaphore_nodes
from tests.integration.locks import NEVER, leftovers, soon
from tests.integration.semaphores import (
    Look,
    free_slots,
    look,
    permits_name,
    queue_name,
    semaphore_name,
    start_waiters,
    take,
    until_idle,
    until_queued,
    until_used,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

VALUE = 3
each_lease = pytest.mark.parametrize("lease", [30.0, None])
MakeServer = Callable[..., RedisServer]


@each_lease
@pytest.mark.parametrize("name", [semaphore_name, permits_name])
@pytest.mark.parametrize("method", ["acquire", "try_acquire", "release", "locked"])
async def test_a_key_of_another_type_raises_response_error(
    server: RedisServer,
    redis: Redis,
    key: str,
    name: Callable[[str], str],
    method: str,
    lease: float | None,
) -> None:
    await redis.rpush(name(key), "a list")
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=lease)
    with pytest.raises(exceptions.ResponseError, match=key) as caught:
        await soon(getattr(semaphore, method)())
    assert "WRONGTYPE" in str(caught.value)
    assert "another program" in str(caught.value)
    assert await redis.lrange(name(key), 0, -1) == [b"a list"]
    await redis.delete(name(key))
    async with semaphore:
        assert free_slots(server, key) == VALUE - 1


@each_lease
async def test_a_queue_of_another_type_raises_response_error_for_those_who_wait_only(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    semaphore, late = (DistributedSemaphore(redis, key, 1, lease=lease) for _ in range(2))
    await semaphore.acquire()
    await redis.rpush(queue_name(key), "a list")
    with pytest.raises(exceptions.ResponseError, match="WRONGTYPE"):
        await soon(late.acquire())
    await semaphore.release()
    await late.release()
    await redis.delete(queue_name(key))
    await until_idle(server, key, 2)


async def test_a_counter_that_is_no_number_raises_response_error(redis: Redis, key: str) -> None:
    await redis.set(semaphore_name(key), "many")
    semaphore = DistributedSemaphore(redis, key, VALUE)
    for call in (semaphore.acquire, semaphore.try_acquire, semaphore.release):
        with pytest.raises(exceptions.ResponseError, match=key):
            await soon(call())
    assert await redis.get(semaphore_name(key)) == b"many"


@pytest.mark.parametrize("right", ["-eval -evalsha", "-zadd", "resetkeys", "resetchannels"])
@each_lease
async def test_a_missing_right_raises_no_permission_error(
    make_server: MakeServer, key: str, right: str, lease: float | None
) -> None:
    server = make_server(users=[f"small on >secret ~* &* +@all {right}"])
    async with server.client(username="small", password="secret") as client:
        semaphore = DistributedSemaphore(client, key, VALUE, lease=lease)
        for call in (semaphore.acquire, semaphore.try_acquire):
            with pytest.raises(exceptions.NoPermissionError, match=key) as caught:
                await soon(call())
            assert "README" in str(caught.value)
    assert leftovers(server) == {}


async def test_a_right_that_is_withdrawn_is_told_by_release(
    make_server: MakeServer, key: str
) -> None:
    server = make_server(users=["small on >secret ~* &* +@all"])
    async with server.client(username="small", password="secret") as client:
        semaphore = DistributedSemaphore(client, key, VALUE, lease=0.5)
        await semaphore.acquire()
        with server.sync() as admin:
            admin.execute_command("ACL", "SETUSER", "small", "-eval", "-evalsha")
            with pytest.raises(exceptions.NoPermissionError, match=key):
                await soon(semaphore.release())
            # Not given back, and not said to be.
            assert look(server, key) == Look(VALUE - 1, 1, 0, 0)
            admin.execute_command("ACL", "SETUSER", "small", "+eval", "+evalsha")
        # Nobody can give it back now, so it is not renewed: its lease ends.
        await soon(take(DistributedSemaphore(client, key, VALUE), VALUE))
        assert look(server, key) == Look(0, VALUE, 0, 0)


# ---- out of memory ----


@each_lease
async def test_a_server_out_of_memory_raises_out_of_memory_error_and_takes_nothing(
    make_server: MakeServer, key: str, lease: float | None
) -> None:
    server = make_server()
    with server.sync() as admin:
        async with server.client() as client:
            holder = DistributedSemaphore(client, key, 1, lease=lease)
            await holder.acquire()
            await until_used(server, key, 1 if lease else 0)
            admin.config_set("maxmemory", 1)
            for wanted in (key, f"{key}-2"):
                semaphore = DistributedSemaphore(client, wanted, 1, NEVER, lease=lease)
                with pytest.raises(exceptions.OutOfMemoryError, match=wanted):
                    await soon(semaphore.acquire())
            assert look(server, f"{key}-2") == Look(None, 0, 0, 0)
            # What is held can be given back.
            await soon(holder.release())
            await until_idle(server, key, 1)
            admin.config_set("maxmemory", 0)
            async with semaphore:
                pass


@pytest.mark.parametrize("kind", [DistributedSemaphore, DistributedBoundedSemaphore])
@each_lease
async def test_a_server_out_of_memory_hands_slots_over(
    make_server: MakeServer, key: str, kind: type[DistributedSemaphore], lease: float | None
) -> None:
    server = make_server()
    with server.sync() as admin:
        async with server.client() as client:
            holder, other = (kind(client, key, 1, NEVER, lease=lease) for _ in range(2))
            await holder.acquire()
            (waiter,) = await start_waiters(server, key, other)
            admin.config_set("maxmemory", 1)
            await soon(holder.release())
            assert await soon(waiter)
            await soon(other.release())
            await until_idle(server, key, 1)


# ---- close and the end of loops ----


async def test_close_gives_all_permits_back(server: RedisServer, redis: Redis, key: str) -> None:
    semaphores = [DistributedSemaphore(redis, key, 2 * VALUE) for _ in range(VALUE)]
    for semaphore in semaphores:
        await take(semaphore, 2)
    told = [semaphore.lost for semaphore in semaphores]
    await dsync.close()
    assert look(server, key) == Look(2 * VALUE, 0, 0, 0)
    assert all(lost.is_set() for lost in told)
    for semaphore in semaphores:
        assert semaphore.valid_for() == 0
        for _ in range(2):
            with pytest.raises(LockLostError):
                await semaphore.release()
    await until_idle(server, key, 2 * VALUE)


async def test_close_leaves_what_was_taken_without_a_lease(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE, lease=None)
    await take(semaphore, 2)
    await dsync.close()
    await until_idle(server, key, VALUE - 2)
    await semaphore.release()
    await until_idle(server, key, VALUE - 1)


async def test_close_hands_slots_over_to_other_processes(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await take(semaphore, VALUE)
    child = spawn(semaphore_nodes.hold, server.url, key, VALUE, {"acquire_sleep_delay": NEVER})
    await until_queued(server, key, 1)
    await dsync.close()
    await child.expect("held")
    assert look(server, key) == Look(VALUE - 1, 1, 0, 0)


@each_lease
async def test_close_ends_those_who_wait_and_they_take_nothing(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await take(semaphore, VALUE)
    waiters = await start_waiters(
        server, key, *(DistributedSemaphore(redis, key, VALUE, lease=lease) for _ in range(5))
    )
    await dsync.close()
    for waiter in waiters:
        with pytest.raises(exceptions.ConnectionError, match="closed"):
            await soon(waiter)
    await until_idle(server, key, VALUE)


@pytest.mark.parametrize("life", [semaphore_nodes.live_in_loops, semaphore_nodes.live_in_threads])
async def test_several_loops_of_a_process_share_the_slots(
    server: RedisServer, key: str, spawn: Callable[..., Child], life: Callable[..., None]
) -> None:
    strict = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}
    child = spawn(life, server.url, key, VALUE, environment=strict)
    assert (await child.expect("lived"))["most"] <= VALUE
    assert await child.wait() == 0
    assert child.errors == ""
    await until_idle(server, key, VALUE)


async def test_a_forked_child_holds_nothing_and_takes_no_slot_of_its_parent(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(semaphore_nodes.fork_inside, server.url, key, VALUE)
    told = await child.expect("forked")
    assert told["code"] == 0, child.errors
    assert told["owned"]
    assert await child.wait() == 0, child.errors
    await until_idle(server, key, VALUE)
