"""The three commands: the lock outlives who took it, and anyone may free it."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from dsync import DistributedLock, LockLostError
from dsync.key_value import (
    CreateDistributedLock,
    CreateKeyValueDistributedLockFailedException,
    DeleteDistributedLock,
    GetDistributedLock,
    KeyValueDistributedLock,
    LockValue,
)

from tests.integration.blocking import all_ended, start
from tests.integration.key_values import key_of, using
from tests.integration.locks import (
    NEVER,
    holder,
    lease_left,
    leftovers,
    lock_name,
    peek,
    soon,
    start_waiters,
)
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

NS = "ns"
PARAMS = {"user_id": 1}
KEY = key_of(NS, user_id=1)
Spawn = Callable[..., Child]


@pytest.fixture(autouse=True)
def configured(server: RedisServer) -> Iterator[None]:
    with using(server.url):
        yield


def create() -> None:
    CreateDistributedLock(NS, PARAMS).run()


def get() -> LockValue | None:
    return GetDistributedLock(NS, PARAMS).run()


def delete() -> None:
    DeleteDistributedLock(NS, PARAMS).run()


def create_and_end(end: str) -> None:
    """Take the lock as one process, which ends as it is told."""
    create()
    say("created")
    if end == "by a crash":
        os.kill(os.getpid(), signal.SIGKILL)


def delete_and_end() -> None:
    """Free the lock as one process."""
    say("deleted", found=get())
    delete()


def test_create_get_delete(server: RedisServer) -> None:
    assert get() is None
    create()
    assert get() == {"value": True}
    with pytest.raises(CreateKeyValueDistributedLockFailedException, match="Lock already taken"):
        create()
    delete()
    assert get() is None
    create()
    assert holder(server, KEY) is not None


def test_a_command_may_be_run_again() -> None:
    command = CreateDistributedLock(namespace=NS, params=PARAMS)
    command.run()
    with pytest.raises(CreateKeyValueDistributedLockFailedException):
        command.run()
    delete()
    command.run()
    assert get() == {"value": True}


def test_commands_and_block_mean_the_same_lock() -> None:
    create()
    with (
        pytest.raises(CreateKeyValueDistributedLockFailedException),
        KeyValueDistributedLock(NS, user_id=1),
    ):
        pytest.fail("entered")
    assert GetDistributedLock(NS, {"user_id": 2}).run() is None
    assert GetDistributedLock("other", PARAMS).run() is None
    delete()
    with KeyValueDistributedLock(NS, user_id=1):
        assert get() == {"value": True}
        with pytest.raises(CreateKeyValueDistributedLockFailedException):
            create()
    assert get() is None


def test_delete_of_a_free_lock_does_nothing(server: RedisServer) -> None:
    delete()
    delete()
    assert get() is None
    assert lock_name(KEY) not in leftovers(server)
    assert all(left > 0 for left in leftovers(server).values())
    create()
    delete()
    delete()
    assert get() is None


@pytest.mark.parametrize("end", ["in good order", "by a crash"])
async def test_the_lock_outlives_the_process(server: RedisServer, spawn: Spawn, end: str) -> None:
    child = spawn(create_and_end, end, environment={"DSYNC_REDIS_URL": server.url})
    await child.expect("created")
    assert await child.wait() == (0 if end == "in good order" else -signal.SIGKILL), child.errors
    await eventually(lambda: len(server.connections()) == 0, "the connections are closed")
    assert get() == {"value": True}
    assert 0 < lease_left(server, KEY) <= 30
    with pytest.raises(CreateKeyValueDistributedLockFailedException):
        create()
    other = spawn(delete_and_end, environment={"DSYNC_REDIS_URL": server.url})
    assert (await other.expect("deleted"))["found"] == {"value": True}
    assert await other.wait() == 0, other.errors
    assert get() is None
    create()


async def test_the_lock_of_a_process_that_ended_expires(
    server: RedisServer, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = spawn(create_and_end, "", environment={"DSYNC_REDIS_URL": server.url})
    assert await child.wait() == 0, child.errors
    with peek(server) as client:
        client.pexpire(lock_name(KEY), 100)
    await eventually(lambda: get() is None, "the end of the lock")
    monkeypatch.setattr(CreateDistributedLock, "lock_expiration", timedelta(seconds=5))
    create()
    assert 4 < lease_left(server, KEY) <= 5


async def test_delete_frees_whoever_has_the_lock(server: RedisServer) -> None:
    other = DistributedLock(server.url, KEY, NEVER)
    await other.acquire()
    assert get() == {"value": True}
    delete()
    assert get() is None
    create()
    mine = holder(server, KEY)
    # Who had it before learns that it has it no more, and harms nobody.
    with pytest.raises(LockLostError):
        await other.release()
    assert holder(server, KEY) == mine


async def test_delete_hands_over_to_who_waits(server: RedisServer) -> None:
    create()
    first, second = (DistributedLock(server.url, KEY, NEVER) for _ in range(2))
    tasks = await start_waiters(server, KEY, first, second)
    delete()
    await soon(tasks[0])
    assert holder(server, KEY) == first._token
    assert not tasks[1].done()
    delete()
    await soon(tasks[1])
    assert holder(server, KEY) == second._token
    with pytest.raises(LockLostError):
        await first.release()
    assert holder(server, KEY) == second._token
    await second.release()
    assert get() is None


async def test_the_end_of_a_block_hands_over_to_who_waits(server: RedisServer) -> None:
    lock = DistributedLock(server.url, KEY, NEVER)
    with KeyValueDistributedLock(NS, user_id=1):
        (task,) = await start_waiters(server, KEY, lock)
        assert get() == {"value": True}
    await soon(task)
    with pytest.raises(CreateKeyValueDistributedLockFailedException):
        create()
    await lock.release()


async def test_whoever_waits_comes_before_who_does_not(server: RedisServer) -> None:
    create()
    lock = DistributedLock(server.url, KEY, NEVER)
    (task,) = await start_waiters(server, KEY, lock)
    delete()
    with pytest.raises(CreateKeyValueDistributedLockFailedException):
        create()
    await soon(task)
    await lock.release()
    create()


def test_of_many_threads_one_creates(server: RedisServer) -> None:
    def created() -> bool:
        try:
            create()
        except CreateKeyValueDistributedLockFailedException:
            return False
        return True

    for _ in range(5):
        assert sum(all_ended([start(created) for _ in range(20)])) == 1
        all_ended([start(delete) for _ in range(3)])
        assert get() is None
