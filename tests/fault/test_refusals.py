"""Servers that answer, but refuse: out of memory, replicas, loading."""

import asyncio

import pytest
from dsync import DistributedLock
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.fault.lock_tools import (
    SHORT_LEASE,
    MakeServer,
    Room,
    client_for,
    free,
    polling_lock,
    queued,
    running,
    usable,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


async def test_a_server_out_of_memory_refuses_new_holders_and_serves_the_others(
    own: RedisServer, key: str
) -> None:
    holder, waiter = polling_lock(own, key, "holder"), polling_lock(own, key, "waiter")
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        with own.sync() as client:
            client.config_set("maxmemory", 1)
        for stranger in (
            polling_lock(own, key, "stranger"),
            polling_lock(own, key + "2", "stranger"),
        ):
            with pytest.raises(Exception, match="OOM") as refusal:
                await stranger.acquire()
            assert type(refusal.value).__module__ == "redis.exceptions"
            assert "not held" in repr(stranger)
        await asyncio.sleep(1.5 * SHORT_LEASE)
        assert holder.valid_for() > 0
        await holder.release()
        async with asyncio.timeout(5):
            await acquiring
        await waiter.release()
        with own.sync() as client:
            client.config_set("maxmemory", 0)
    await usable(own, key)
    await free(own, key)


REFUSALS = {"READONLY": "yes", "MASTERDOWN": "no"}


@pytest.mark.parametrize("serve_stale", REFUSALS.values(), ids=REFUSALS)
async def test_a_server_that_became_a_replica_holds_callers_up_until_it_is_a_master(
    own: RedisServer, key: str, serve_stale: str
) -> None:
    holder = polling_lock(own, key, "holder", lease=30)
    waiter, patient = polling_lock(own, key, "waiter"), polling_lock(own, key, "patient")
    room = Room()
    await holder.acquire()
    async with running(room.enter(waiter)) as (waiting,):
        await queued(own, key, 1)
        with own.sync() as client:
            client.config_set("replica-serve-stale-data", serve_stale)
            # Nobody listens there, so the data stay.
            client.replicaof("127.0.0.1", "1")
        hurried = DistributedLock(client_for(own.port, "hurried", retries=3), key)
        with pytest.raises(RedisConnectionError):
            await hurried.acquire()
        with pytest.raises(TimeoutError):
            await hurried.acquire(acquire_timeout=0.3)
        async with running(holder.release(), room.enter(patient)) as (releasing, later):
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in (releasing, later, waiting))
            with own.sync() as client:
                client.replicaof("NO", "ONE")
            async with asyncio.timeout(20):
                await asyncio.gather(releasing, later, waiting)
    assert room.visits == 2
    await free(own, key)


async def test_a_server_that_loads_its_data_is_waited_for(own: RedisServer, key: str) -> None:
    holder = polling_lock(own, key, "holder", lease=5)
    waiter = polling_lock(own, key, "waiter", lease=5)
    with own.sync() as client:
        for number in range(400):
            client.set(f"filler{number}", "x" * 1000)
        client.config_set("key-load-delay", 3000)
        client.config_set("loading-process-events-interval-bytes", 1024)
    await holder.acquire()
    async with running(waiter.acquire()) as (acquiring,):
        await queued(own, key, 1)
        async with running(asyncio.to_thread(reload, own)) as (reloading,):
            await eventually(lambda: is_loading(own), "the server loads")
            hurried = DistributedLock(client_for(own.port, "hurried", retries=2), key + "2")
            with pytest.raises(RedisConnectionError, match="LOADING"):
                await hurried.acquire()
            assert is_loading(own)
            async with asyncio.timeout(20):
                await holder.release()
                await acquiring
            await reloading
    await waiter.release()
    await free(own, key)


def reload(server: RedisServer) -> None:
    with server.sync() as client:
        client.execute_command("DEBUG", "RELOAD")


def is_loading(server: RedisServer) -> bool:
    with server.sync() as client:
        return bool(client.info("persistence")["loading"])
