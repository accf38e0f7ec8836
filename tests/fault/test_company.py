"""All primitives at once through what befalls a server: holders keep or are told, all go on."""

import asyncio
from collections.abc import Callable

import pytest
from dsync import DistributedLock, DistributedSemaphore

from tests.fault.company import Company, company
from tests.fault.lock_tools import MakeServer, client_for
from tests.fault.test_refusals import is_loading, reload
from tests.integration import barriers, locks, semaphores
from tests.integration.locks import NEVER, peek, soon
from tests.integration.test_connections_sentinel import fail_over, patience
from tests.support.redis_server import RedisServer
from tests.support.sentinel import SentinelGroup
from tests.support.waiting import eventually

SHORT_LEASE = 1.0


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


async def assert_kept(it: Company) -> None:
    """Check that what was held is held."""
    assert await soon(it.lock.owned())
    assert await soon(it.semaphore.owned())
    assert not it.lock.lost.is_set()
    assert not it.semaphore.lost.is_set()
    it.assert_waiting()


async def test_a_server_that_is_killed_and_has_its_log_loses_nothing(
    make_server: MakeServer, key: str
) -> None:
    server = make_server(options={"appendonly": "yes", "appendfsync": "always"})
    async with company(server, client_for(server.port, "one"), key) as it:
        for _ in range(2):
            server.kill()
            server.start()
            await eventually(lambda: it.is_known(server), "all wait again")
            await assert_kept(it)
        await it.end(client_for(server.port, "two"))


async def test_a_server_frozen_for_less_than_the_lease_loses_nothing(
    own: RedisServer, key: str
) -> None:
    async with company(own, client_for(own.port, "one", socket_timeout=0.1), key) as it:
        own.pause()
        # Long enough for the clients to give their connections up.
        await asyncio.sleep(0.5)
        it.assert_waiting()
        own.resume()
        await eventually(lambda: it.is_known(own), "all wait again")
        await assert_kept(it)
        await it.end(client_for(own.port, "two"))


async def test_a_server_frozen_for_more_than_the_lease_holders_are_told_and_others_wait_on(
    own: RedisServer, key: str
) -> None:
    redis = client_for(own.port, "one", socket_timeout=0.2)
    async with company(own, redis, key, SHORT_LEASE) as it:
        own.pause()
        await soon(asyncio.gather(it.lock.lost.wait(), it.semaphore.lost.wait()))
        assert (it.lock.valid_for(), it.semaphore.valid_for()) == (0, 0)
        it.assert_waiting()
        own.resume()
        for lost in (it.lock, it.semaphore):
            with pytest.raises(RuntimeError):
                await soon(lost.release())
        await it.let_go(client_for(own.port, "two"))


REFUSALS = {"READONLY": "yes", "MASTERDOWN": "no"}


@pytest.mark.parametrize("serve_stale", REFUSALS.values(), ids=REFUSALS)
async def test_a_server_that_is_a_replica_for_a_while_is_waited_for(
    own: RedisServer, key: str, serve_stale: str
) -> None:
    async with company(own, client_for(own.port, "one"), key) as it:
        with peek(own) as client:
            client.config_set("replica-serve-stale-data", serve_stale)
            # Nobody listens there, so the data stay.
            client.replicaof("127.0.0.1", "1")
        releases = [asyncio.create_task(each.release()) for each in (it.lock, it.semaphore)]
        await asyncio.sleep(0.2)
        it.assert_waiting()
        with peek(own) as client:
            client.replicaof("NO", "ONE")
        await soon(asyncio.gather(*releases))
        await it.let_go(client_for(own.port, "two"))


async def test_a_server_that_loads_its_data_is_waited_for(own: RedisServer, key: str) -> None:
    async with company(own, client_for(own.port, "one"), key) as it:
        with peek(own) as client:
            for number in range(200):
                client.set(f"filler{number}", "x" * 1000)
            client.config_set("key-load-delay", 2000)
            client.config_set("loading-process-events-interval-bytes", 1024)
        loading = asyncio.create_task(asyncio.to_thread(reload, own))
        await eventually(lambda: is_loading(own), "the server loads")
        asking = asyncio.create_task(it.lock.owned())
        it.assert_waiting()
        await soon(loading)
        assert await soon(asking)
        await eventually(lambda: it.is_known(own), "all wait again")
        await assert_kept(it)
        await it.end(client_for(own.port, "two"))


async def test_after_a_failover_all_goes_on_at_the_new_master(
    make_sentinels: Callable[..., SentinelGroup], key: str
) -> None:
    group = make_sentinels()
    async with (
        group.client(retry=patience()) as client,
        company(group.master, client, key) as it,
    ):
        await eventually(lambda: is_replicated(group, key), "the replica knows the holders")
        fail_over(group)
        await eventually(lambda: it.is_known(group.replica), "all wait at the new master")
        await assert_kept(it)
        await it.end(client_for(group.replica.port, "two"))


def is_replicated(group: SentinelGroup, key: str) -> bool:
    has_lock = locks.holder(group.replica, key) is not None
    return has_lock and semaphores.look(group.replica, key).permits == 1


async def test_five_hundred_that_wait_have_two_connections_and_one_wakes_up_for_a_release(
    server: RedisServer, key: str
) -> None:
    first = DistributedLock(client_for(server.port, "other"), key)
    permit = DistributedSemaphore(client_for(server.port, "other"), key, 1)
    await first.acquire()
    await permit.acquire()
    redis = client_for(server.port, "many")
    # Without a lease nothing is renewed, which would be one more connection of the process.
    lock = DistributedLock(redis, key, NEVER, lease=None, fair="strict")
    semaphore = DistributedSemaphore(redis, key, 1, NEVER, lease=None)
    tasks = [asyncio.create_task(each.acquire()) for each in [lock, semaphore] * 250]
    await eventually(lambda: locks.queue_length(server, key) == 250, "250 wait for the lock")
    await eventually(lambda: semaphores.look(server, key).waiting == 250, "250 wait for a permit")
    assert sum(each["name"] == "many" for each in server.connections()) == 2
    releases = [first.release, permit.release] + [lock.release, semaphore.release] * 20
    for number, release in enumerate(releases, 1):
        before = locks.calls(server, "publish")
        await soon(release())
        await barriers.until_done(tasks, number)
        assert locks.calls(server, "publish") == before + 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await lock.release()
    await semaphore.release()
