"""The smallest set of rights that a user of the lock needs, and what happens without them."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from dsync import DistributedLock
from redis import exceptions
from redis.asyncio import Redis

from tests.integration.locks import (
    NEVER,
    lock_name,
    queue_length,
    soon,
    until_queued,
    until_renewed,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LUA = Path(__file__).parents[2] / "lua"
KEYS = ("~distributed_lock_*", "~{distributed_lock_*")
CHANNELS = ("&dsync:inbox:*",)
# What the client itself sends; the rest is what the scripts call.
COMMANDS = {"eval", "evalsha", "exists", "subscribe", "ping"}


def commands_of_the_scripts() -> set[str]:
    text = "".join(path.read_text() for path in LUA.rglob("*.lua"))
    return {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", text)}


def rules(commands: set[str], *others: str) -> str:
    return " ".join(["on", ">secret", *others, *(f"+{name}" for name in sorted(commands))])


ALL = COMMANDS | commands_of_the_scripts()
MINIMAL = rules(ALL, *KEYS, *CHANNELS)


async def queued(
    server: RedisServer, key: str, lock: DistributedLock, place: int
) -> asyncio.Task[bool]:
    """Let a lock wait; raises at once what its waiting raises."""
    task = asyncio.create_task(lock.acquire())
    await eventually(lambda: task.done() or queue_length(server, key) == place)
    if task.done():
        await task
    return task


async def use_everything(server: RedisServer, client: Redis, key: str) -> None:
    """Let each script take each of its ways."""
    async with DistributedLock(client, key):
        pass
    for lease in (30.0, None):
        first, second, third = (DistributedLock(client, key, NEVER, lease=lease) for _ in range(3))
        assert await first.acquire()
        assert await first.locked()
        assert await first.owned()
        await first.extend(60)
        assert not await second.try_acquire()
        waiter = await queued(server, key, second, 1)
        cancelled = await queued(server, key, third, 2)
        cancelled.cancel()
        await until_queued(server, key, 1)
        await first.release()
        assert await soon(waiter)
        await second.release()
    async with DistributedLock(client, key, lease=0.2) as lock:
        await until_renewed(server, 3)
        assert await lock.owned()


async def test_a_user_with_the_smallest_set_of_rights_can_do_everything(
    make_server: Callable[..., RedisServer], key: str
) -> None:
    server = make_server(users=[f"small {MINIMAL}"])
    async with server.client(username="small", password="secret") as client:
        await use_everything(server, client, key)
    with server.sync() as admin:
        assert admin.acl_log() == []


def pings(server: RedisServer) -> float:
    stats = server.commandstats().get("ping", {"calls": 0, "rejected_calls": 0})
    return stats["calls"] + stats["rejected_calls"]


@pytest.mark.parametrize("commands", [ALL, ALL - {"ping"}], ids=["with PING", "without PING"])
async def test_the_inbox_of_such_a_user_stays_when_it_is_pinged(
    make_server: Callable[..., RedisServer],
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    commands: set[str],
) -> None:
    monkeypatch.setattr("dsync._session._PING_INTERVAL", 0.02)
    server = make_server(users=[f"small {rules(commands, *KEYS, *CHANNELS)}"])
    async with server.client(username="small", password="secret") as client:
        lock = DistributedLock(client, key)
        await lock.acquire()
        before = {each["id"] for each in server.connections() if each["sub"] == "1"}
        known = pings(server)
        await eventually(lambda: pings(server) > known + 3)
        after = {each["id"] for each in server.connections() if each["sub"] == "1"}
        assert before == after
        assert len(before) == 1
        await lock.release()


# What the inbox or a cancelled waiter must not do nobody is there to be told, and some is rare.
UNTOLD = {"ping", "zrem", "zscore"}


@pytest.mark.parametrize("missing", sorted(ALL - UNTOLD))
async def test_without_one_of_the_rights_no_permission_error_is_raised(
    make_server: Callable[..., RedisServer], key: str, missing: str
) -> None:
    server = make_server(users=[f"small {rules(ALL - {missing}, *KEYS, *CHANNELS)}"])
    async with server.client(username="small", password="secret") as client:
        with pytest.raises(exceptions.NoPermissionError, match=key) as caught:
            await soon(use_everything(server, client, key))
        assert "README" in str(caught.value)
    with server.sync() as admin:
        assert admin.acl_log()[0]["object"] == missing


@pytest.mark.parametrize("others", [KEYS[:1] + CHANNELS, KEYS[1:] + CHANNELS, KEYS])
async def test_without_the_right_to_its_keys_or_channel_no_permission_error_is_raised(
    make_server: Callable[..., RedisServer], key: str, others: tuple[str, ...]
) -> None:
    server = make_server(users=[f"small resetchannels {rules(ALL, *others)}"])
    async with server.client(username="small", password="secret") as client:
        with pytest.raises(exceptions.NoPermissionError, match=key):
            await soon(DistributedLock(client, key).acquire())
    with server.sync() as admin:
        assert admin.keys() == []


async def test_rights_that_are_withdrawn_while_a_lock_is_held_are_told_by_release(
    make_server: Callable[..., RedisServer], key: str
) -> None:
    server = make_server(users=[f"small {MINIMAL}"])
    async with server.client(username="small", password="secret") as client:
        lock = DistributedLock(client, key)
        await lock.acquire()
        with server.sync() as admin:
            admin.execute_command("ACL", "SETUSER", "small", "-del", "-evalsha", "-eval")
        with pytest.raises(exceptions.NoPermissionError, match=key):
            await soon(lock.release())
        with server.sync() as admin:
            # Not freed, and not said to be.
            assert admin.exists(lock_name(key))
            admin.execute_command("ACL", "SETUSER", "small", "+del", "+evalsha", "+eval")
