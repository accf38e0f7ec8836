"""The server's clock jumps by an hour, which moves all that Redis lets expire."""

import asyncio
from pathlib import Path

import pytest
from dsync import DistributedLock, LockLostError

from tests.fault.lock_tools import MakeServer, client_for
from tests.integration.locks import NEVER, lease_left, queue_length, soon, start_waiters
from tests.support.clock import ServerClock
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LEASE = 3.0
HOUR = 3600


@pytest.fixture
def clock(tmp_path: Path) -> ServerClock:
    return ServerClock(tmp_path)


@pytest.fixture
def own(make_server: MakeServer, clock: ServerClock) -> RedisServer:
    """A server with that clock."""
    return make_server(environment=clock.environment)


def lock_at(server: RedisServer, key: str, name: str) -> DistributedLock:
    return DistributedLock(client_for(server.port, name), key, 0.05, lease=LEASE)


async def jump(server: RedisServer, clock: ServerClock, offset: int) -> None:
    """Let the server's clock jump, and wait until the server has noticed."""
    before = server_time(server)
    clock.set(offset)
    await eventually(lambda: abs(server_time(server) - before) > HOUR / 2, "the clock jumps")


def server_time(server: RedisServer) -> int:
    with server.sync() as admin:
        return int(admin.time()[0])


async def test_a_jump_forward_ends_leases_and_holders_are_told(
    own: RedisServer, clock: ServerClock, key: str
) -> None:
    first, second = lock_at(own, key, "first"), lock_at(own, key, "second")
    await first.acquire()
    token = first.fencing_token
    (waiter,) = await start_waiters(own, key, second)
    await jump(own, clock, HOUR)
    await soon(waiter)
    assert second.fencing_token > token
    await soon(first.lost.wait())
    with pytest.raises(LockLostError):
        await first.release()
    assert await second.owned()
    await second.release()


async def test_a_jump_back_lets_nobody_in(own: RedisServer, clock: ServerClock, key: str) -> None:
    first, second = lock_at(own, key, "first"), lock_at(own, key, "second")
    await first.acquire()
    token = first.fencing_token
    (waiter,) = await start_waiters(own, key, second)
    await jump(own, clock, -HOUR)
    # Several renewals and questions later.
    await asyncio.sleep(2 * LEASE)
    assert first.valid_for() > 0
    assert await first.owned()
    assert not waiter.done()
    await first.release()
    await soon(waiter)
    assert second.fencing_token > token
    await second.release()


async def test_who_asks_after_a_jump_back_has_a_greater_token(
    own: RedisServer, clock: ServerClock, key: str
) -> None:
    lock = DistributedLock(client_for(own.port), key, NEVER, lease=LEASE)
    tokens = []
    for offset in (0, -HOUR, -2 * HOUR):
        if tokens:
            await jump(own, clock, offset)
        async with lock:
            tokens.append(lock.fencing_token)
            assert 0 < lease_left(own, key) <= LEASE
        assert queue_length(own, key) == 0
    assert tokens == sorted(set(tokens))
