"""Holders and waiters that die, hang, or lose their loop."""

import asyncio
import gc
import os
import signal
from typing import Any

import dsync
import pytest
from dsync import DistributedLock
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.fault import lock_nodes
from tests.fault.lock_tools import (
    MakeServer,
    Spawn,
    block_loop,
    client_for,
    free,
    lock_name,
    queue_name,
    queued,
    released_or_lost,
    running,
    usable,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.tls import TlsFiles
from tests.support.waiting import eventually

LEASE = 0.6


def waiter(server: RedisServer, key: str, **options: Any) -> DistributedLock:
    # Polls so seldom that only a message or the end of a lease can bring the lock in time.
    return DistributedLock(server.client(), key, acquire_sleep_delay=30, lease=5, **options)


@pytest.mark.parametrize("used", [False, True], ids=["new session", "used session"])
async def test_a_killed_holder_frees_the_lock_within_its_lease(
    server: RedisServer, spawn: Spawn, key: str, used: bool
) -> None:
    lock = waiter(server, key)
    if used:
        await lock.acquire()
        await lock.release()
    child = spawn(lock_nodes.hold, server.url, key, {"lease": 1.0})
    fence = (await child.expect("held"))["fence"]
    async with running(lock.acquire()) as (acquiring,):
        await queued(server, key, 1)
        with server.sync() as client:
            child.kill()
            left = client.pttl(lock_name(key)) / 1000
        assert left <= 1.0
        async with asyncio.timeout(left + 2):
            assert await acquiring
    assert lock.fencing_token > fence
    await lock.release()


async def test_a_killed_waiter_is_skipped_at_the_next_release(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    lock, second = waiter(server, key), waiter(server, key)
    await lock.acquire()
    for count in (1, 2):
        child = spawn(lock_nodes.hold, server.url, key, {"lease": 30})
        await queued(server, key, count)
        child.kill()
    await eventually(lambda: len(server.connections()) <= 3, "the server has seen the ends")
    async with running(second.acquire()) as (acquiring,):
        await queued(server, key, 3)
        await lock.release()
        async with asyncio.timeout(5):
            assert await acquiring
    await second.release()
    await free(server, key)


async def test_a_waiter_killed_with_the_grant_on_its_way_costs_no_more_than_a_lease(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    lock, second = waiter(server, key), DistributedLock(server.client(), key, lease=5)
    await lock.acquire()
    child = spawn(lock_nodes.hold, server.url, key, {"lease": LEASE})
    await queued(server, key, 1)
    child.pause()
    async with running(second.acquire()) as (acquiring,):
        await queued(server, key, 2)
        await lock.release()
        with server.sync() as client:
            assert client.pttl(lock_name(key)) <= LEASE * 1000
        child.kill()
        async with asyncio.timeout(5):
            assert await acquiring
    await second.release()


def url_of(server: RedisServer, transport: str, files: TlsFiles) -> str:
    if transport == "tcp":
        return server.url
    if transport == "unix":
        return server.unix_url
    options = f"ssl_ca_certs={files.ca}&ssl_certfile={files.client}&ssl_keyfile={files.client}"
    return f"rediss://127.0.0.1:{server.tls_port}/0?{options}"


@pytest.mark.parametrize("settled", [True, False], ids=["later", "at once"])
@pytest.mark.parametrize(
    ("transport", "how"),
    [
        ("tcp", "loop"),
        ("unix", "loop"),
        ("tls", "loop"),
        ("tcp", "interpreter"),
        ("unix", "interpreter"),
    ],
)
async def test_a_process_blocked_for_three_leases_keeps_its_lock(
    make_server: MakeServer,
    tls_files: TlsFiles,
    spawn: Spawn,
    key: str,
    transport: str,
    how: str,
    settled: bool,
) -> None:
    server = make_server(tls=tls_files)
    url = url_of(server, transport, tls_files)
    child = spawn(lock_nodes.block, url, key, LEASE, how, settled)
    await child.expect("held")
    lock = waiter(server, key)
    async with running(lock.acquire()) as (acquiring,):
        unblocked = await child.expect("unblocked")
        assert unblocked["valid_for"] > 0
        assert not unblocked["lost"]
        assert (await child.expect("released"))["losses"] == 0
        assert await acquiring
    await lock.release()
    assert await child.wait() == 0


async def test_the_first_lock_of_a_process_is_renewed(server: RedisServer, key: str) -> None:
    lock = DistributedLock(client_for(server.port, key), key, lease=LEASE)
    await lock.acquire()
    with server.sync() as client:
        # Renewed in Redis: the time to live, which only falls otherwise, grows.
        before = client.pttl(lock_name(key))
        await eventually(lambda: client.pttl(lock_name(key)) > before, "a renewal", 3)
    await asyncio.sleep(2 * LEASE)
    assert lock.valid_for() > 0
    await lock.release()


async def test_the_first_lock_of_a_process_tells_of_its_loss(server: RedisServer, key: str) -> None:
    lock = DistributedLock(client_for(server.port, key), key, lease=LEASE, auto_renew=False)
    await lock.acquire()
    async with asyncio.timeout(LEASE + 3):
        await lock.lost
    assert lock.valid_for() == 0
    assert not await released_or_lost(lock)


# ---- stopped for longer than the lease ----


async def stopped(server: RedisServer, child: Child, key: str) -> DistributedLock:
    """Stop the child that holds the lock, take it over, and let the child go on."""
    fence = (await child.expect("held"))["fence"]
    child.pause()
    lock = waiter(server, key)
    async with asyncio.timeout(10):
        await lock.acquire()
    assert lock.fencing_token > fence
    child.resume()
    return lock


async def test_a_stopped_holder_learns_of_its_loss_in_every_way(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(lock_nodes.be_stopped_in_block, server.url, key, LEASE)
    lock = await stopped(server, child, key)
    assert await child.wait() == 0, child.errors
    events = {event["event"]: event for event in child.events}
    assert events["on_lost"]["valid_for"] == 0
    assert events["cancelled"]["valid_for"] == 0
    assert events["cancelled"]["fence"] == events["held"]["fence"]
    assert events["block raised"]["cancelling"] == 0
    assert "lost is set" in events
    assert events["release raised"]["type"] == "RuntimeError"
    assert await lock.owned()
    await lock.release()


async def test_a_stopped_holder_gets_lock_lost_error_from_its_methods(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(lock_nodes.be_stopped_and_release, server.url, key, LEASE)
    lock = await stopped(server, child, key)
    lost = await child.expect("lost")
    assert (lost["valid_for"], lost["owned"]) == (0, False)
    assert "lost" in lost["text"]
    await child.expect("extend raised")
    assert (await child.expect("release raised"))["type"] == "LockLostError"
    assert (await child.expect("release raised"))["type"] == "RuntimeError"
    assert await child.wait() == 0
    assert await lock.owned()
    await lock.release()


async def test_the_release_of_a_stopped_holder_harms_nobody(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(lock_nodes.be_stopped_before_release, server.url, key, LEASE)
    lock = await stopped(server, child, key)
    assert (await child.expect("release raised"))["type"] == "LockLostError"
    assert await child.wait() == 0
    assert await lock.owned()
    await lock.release()


async def test_a_process_stopped_for_less_than_its_lease_keeps_the_lock(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    child = spawn(lock_nodes.hold, server.url, key, {"lease": 2.0})
    fence = (await child.expect("held"))["fence"]
    lock = waiter(server, key)
    async with running(lock.acquire()) as (acquiring,):
        for _ in range(3):
            child.pause()
            await asyncio.sleep(0.8)
            child.resume()
            await asyncio.sleep(0.8)
        assert not acquiring.done()
        child.kill()
        await acquiring
    assert lock.fencing_token > fence
    await lock.release()


# ---- a loop that is blocked while the lock is granted ----


@pytest.mark.parametrize("auto_renew", [True, False])
async def test_a_grant_that_was_read_too_late_is_not_returned(
    server: RedisServer, key: str, auto_renew: bool
) -> None:
    losses: list[DistributedLock] = []
    lock = DistributedLock(
        server.client(),
        key,
        lease=LEASE,
        auto_renew=auto_renew,
        on_lost=losses.append,
        cancel_on_lost=True,
    )
    await lock.locked()
    async with running(lock.acquire()) as (acquiring,):
        await asyncio.sleep(0)
        block_loop(1.5 * LEASE)
        assert await acquiring
        assert lock.valid_for() > 0
        assert await lock.owned()
        # Nobody was ever told that it holds the lock, so nobody can lose it.
        assert not losses
        assert not lock.lost.is_set()
    await lock.release()
    await free(server, key)


@pytest.mark.parametrize("auto_renew", [True, False])
async def test_a_hand_over_that_was_read_too_late_is_not_returned(
    server: RedisServer, spawn: Spawn, key: str, auto_renew: bool
) -> None:
    losses: list[DistributedLock] = []
    child = spawn(lock_nodes.hold_for, server.url, key, {"lease": 5}, LEASE)
    await child.expect("held")
    lock = DistributedLock(
        server.client(),
        key,
        acquire_sleep_delay=30,
        lease=LEASE,
        auto_renew=auto_renew,
        on_lost=losses.append,
        cancel_on_lost=True,
    )
    async with running(lock.acquire()) as (acquiring,):
        await queued(server, key, 1)
        while not any(event["event"] == "released" for event in child.events):
            block_loop(0.01)
        block_loop(1.5 * LEASE)
        assert await acquiring
        assert lock.valid_for() > 0
        assert await lock.owned()
        assert not losses
    await lock.release()
    await free(server, key)


async def test_a_grant_that_cannot_be_confirmed_is_not_held(
    make_server: MakeServer, key: str
) -> None:
    server = make_server()
    client = client_for(server.port, retries=1)
    lock = DistributedLock(client, key, lease=LEASE, auto_renew=False)
    await lock.locked()
    async with running(lock.acquire()) as (acquiring,):
        await asyncio.sleep(0)
        block_loop(0.2)
        server.kill()
        block_loop(LEASE)
        with pytest.raises(RedisConnectionError):
            await acquiring
    assert "not held" in repr(lock)
    server.start()
    await lock.acquire()
    assert lock.valid_for() > 0
    await lock.release()
    await free(server, key)


# ---- locks, loops and interpreters that end ----


async def test_a_collected_lock_is_not_renewed(server: RedisServer, key: str) -> None:
    lock = DistributedLock(server.client(), key, lease=LEASE)
    await lock.acquire()
    del lock
    gc.collect()
    second = waiter(server, key)
    async with asyncio.timeout(LEASE + 3):
        await second.acquire()
    await second.release()


@pytest.mark.parametrize("how", ["return", "error", "exit", "signal"])
async def test_the_end_of_asyncio_run_frees_the_lock_at_once(
    server: RedisServer, spawn: Spawn, key: str, how: str
) -> None:
    child = spawn(
        lock_nodes.end_loop,
        server.url,
        key,
        {"lease": 60},
        how,
        environment={"PYTHONWARNINGS": "always"},
    )
    await child.expect("held")
    if how == "signal":
        os.kill(child.pid, signal.SIGINT)
    assert (await child.expect("ended"))["valid_for"] == 0
    with server.sync() as client:
        assert not client.exists(lock_name(key), queue_name(key))
    assert child.errors == ""


@pytest.mark.parametrize("held", [False, True])
async def test_closing_waits_for_nothing_but_the_server(
    server: RedisServer, key: str, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that running into it is noticed.
    monkeypatch.setattr("dsync._session._CLOSE_TIMEOUT", 600)
    lock = DistributedLock(client_for(server.port, key, socket_timeout=600), key)
    await lock.acquire()
    if not held:
        await lock.release()
    async with asyncio.timeout(10):
        await dsync.close()
    with server.sync() as client:
        assert not client.exists(lock_name(key), queue_name(key))


@pytest.mark.parametrize("keep", [False, True], ids=["collected", "kept"])
async def test_a_lock_whose_loop_was_closed_is_not_renewed(
    server: RedisServer, spawn: Spawn, key: str, keep: bool
) -> None:
    child = spawn(lock_nodes.close_loop, server.url, key, {"lease": LEASE}, keep)
    await child.expect("closed")
    await free(server, key, LEASE + 3)


@pytest.mark.parametrize("how", ["return", "thread", "os._exit"])
async def test_an_interpreter_that_ends_while_holding_ends_well(
    server: RedisServer, spawn: Spawn, key: str, how: str
) -> None:
    child = spawn(lock_nodes.end_interpreter, server.url, key, {"lease": LEASE}, how)
    await child.expect("held")
    assert await child.wait() == 0
    await free(server, key, LEASE + 3)
    await usable(server, key)
    assert "Fatal" not in child.errors
