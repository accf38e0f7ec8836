"""Any key is deleted under those that hold and wait: they are told or keep it, and all go on."""

import asyncio
from typing import Any

import pytest
from dsync import LockLostError

from tests.fault.company import Company, company
from tests.fault.lock_tools import client_for
from tests.integration import locks, semaphores
from tests.integration.locks import soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LEASE = 1.0
# As they end, for keys whose names begin with the same.
KEYS = [
    "distributed_lock_{key}",
    "{{distributed_lock_{key}}}:dsync:queue",
    "{{distributed_lock_{key}}}:dsync:fence",
    "distributed_semaphore_{key}",
    "{{distributed_semaphore_{key}}}:dsync:permits",
    "{{distributed_semaphore_{key}}}:dsync:queue",
    "{{distributed_lock_{key}-condition}}:dsync:waiting",
    "distributed_barrier_count_{key}",
    "{{distributed_barrier_count_{key}}}:dsync:parties",
]


def delete(server: RedisServer, name: str) -> None:
    with locks.peek(server) as client:
        assert client.delete(name) == 1, f"there is no {name}"


async def leave(held: Any) -> None:
    """Release, or learn that it was lost."""
    try:
        await soon(held.release())
    except LockLostError:
        assert held.lost.is_set()


async def test_these_are_all_keys(server: RedisServer, key: str) -> None:
    async with company(server, client_for(server.port, "one"), key) as it:
        names = set(locks.leftovers(server))
        await it.end(client_for(server.port, "two"))
    assert names == {name.format(key=key) for name in KEYS}


# Without the permits nobody knows whose slots are taken, so none comes back: see docs/testing.md.
PERMITS = KEYS[4]


@pytest.mark.parametrize("name", [name for name in KEYS if name != PERMITS])
async def test_a_key_is_deleted(server: RedisServer, key: str, name: str) -> None:
    async with company(server, client_for(server.port, "one"), key, LEASE) as it:
        delete(server, name.format(key=key))
        await leave(it.lock)
        await leave(it.semaphore)
        await soon(asyncio.gather(it.waiting["lock"], it.waiting["semaphore"]))
        await eventually(lambda: is_back(server, it), "the others wait again")
        await it.let_go(client_for(server.port, "two"))


async def test_the_permits_are_deleted(server: RedisServer, key: str) -> None:
    """Whoever held one is told, and the others are not disturbed."""
    async with company(server, client_for(server.port, "one"), key, LEASE) as it:
        delete(server, PERMITS.format(key=key))
        await soon(it.semaphore.lost.wait())
        assert it.semaphore.valid_for() == 0
        with pytest.raises(LockLostError):
            await it.semaphore.release()
        assert await it.lock.owned()
        # As an operator would mend it.
        with locks.peek(server) as client:
            client.incr(semaphores.semaphore_name(key))
        await it.lock.release()
        await it.let_go(client_for(server.port, "two"))


def is_back(server: RedisServer, it: Company) -> bool:
    """Tell whether the server knows again those that wait for what nobody holds."""
    return it.known(server)[2:] == [1, 1, 1]
