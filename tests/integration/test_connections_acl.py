"""The smallest set of rights that a user of the lock needs, and what happens without them."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dsync import (
    DistributedBarrier,
    DistributedBoundedSemaphore,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
)
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
PAGE = LUA.parent / "docs" / "security.md"


def documented(user: str) -> list[str]:
    """Give the rules that the page gives a user, in words."""
    found = re.search(
        rf"^ACL SETUSER {user} (on .*?)\n\n?(?=ACL|```)", PAGE.read_text(), re.M | re.S
    )
    assert found is not None, f"the page gives no user {user!r}"
    return found[1].split()


LOCKS, EVERYTHING = documented("locks"), documented("all")
KEYS = tuple(word for word in LOCKS if word[0] == "~")
CHANNELS = tuple(word for word in LOCKS if word[0] == "&")
# Of the other primitives, beside these.
OTHER_CHANNELS = tuple(word for word in EVERYTHING if word[0] == "&" and word not in CHANNELS)
# What the client itself sends; the rest is what the scripts call.
COMMANDS = {"eval", "evalsha", "exists", "subscribe", "ping"}


def with_includes(script: Path) -> str:
    text = script.read_text()
    names = re.findall(r"--@include (\S+)", text)
    return text + "".join(with_includes(LUA / "include" / name) for name in names)


def commands_of(scripts: str) -> set[str]:
    """What the scripts call whose names match the pattern."""
    text = "".join(with_includes(path) for path in LUA.glob(scripts))
    return {name.lower() for name in re.findall(r"redis\.p?call\(\s*'(\w+)'", text)}


def rules(commands: set[str], *others: str) -> str:
    return " ".join(["on", ">secret", *others, *(f"+{name}" for name in sorted(commands))])


ALL = COMMANDS | commands_of("lock_*.lua")
OF_OTHERS = COMMANDS | {"get", "unsubscribe"} | commands_of("*.lua")
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
    async with DistributedLock(client, key, lease=0.6) as lock:
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


async def use_the_others(client: Redis, key: str) -> None:
    """Let each of the other primitives take its usual ways."""
    for lease in (30.0, None):
        bounded = DistributedBoundedSemaphore(client, key, 1, lease=lease)
        async with bounded:
            assert await bounded.locked()
    await DistributedSemaphore(client, key, 1).release()
    async with DistributedSemaphore(client, key, 1, lease=0.6) as semaphore:
        assert await semaphore.owned()
        await semaphore.extend(1)
    condition = DistributedCondition(client, key)
    waiter = asyncio.create_task(condition.wait())
    async with condition:
        async with asyncio.timeout(10):
            while not waiter.done():
                await condition.notify()
    await waiter
    await use_barrier_and_event(client, key)


async def use_barrier_and_event(client: Redis, key: str) -> None:
    barrier = DistributedBarrier(client, key, 2)
    await asyncio.gather(barrier.wait(), barrier.wait())
    cancelled = asyncio.create_task(barrier.wait())
    async with asyncio.timeout(10):
        while not cancelled.done() and await barrier.n_waiting() == 0:
            pass
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    await barrier.reset()
    event = DistributedEvent(client, key)
    waiter = asyncio.create_task(event.wait())
    await event.set()
    await waiter
    assert await event.is_set()
    await event.clear()


OF_OTHERS_RULES = ("resetchannels", *(word for word in EVERYTHING if word[0] in "~&"))


def test_the_page_gives_no_right_too_few_or_too_many() -> None:
    def given(words: list[str]) -> set[str]:
        return {word[1:] for word in words if word[0] == "+"}

    assert given(LOCKS) == ALL - {"ping"}
    assert given(EVERYTHING) == OF_OTHERS - {"ping"}


async def test_a_user_with_the_rights_that_the_page_gives_can_use_all_primitives(
    make_server: Callable[..., RedisServer], key: str
) -> None:
    server = make_server(users=[f"small resetchannels {' '.join(EVERYTHING)}"])
    async with server.client(username="small", password="secret") as client:
        await soon(use_the_others(client, key))
        await soon(use_the_others(client, f"{{{key}}}"))
    # PING is not among them: the client does without.
    assert {entry["object"] for entry in refusals(server)} <= {"ping"}


def refusals(server: RedisServer) -> list[dict[str, Any]]:
    with server.sync() as admin:
        return list(admin.acl_log())


async def test_a_program_can_be_kept_to_keys_with_a_common_beginning(
    make_server: Callable[..., RedisServer],
) -> None:
    own = [f"{word[:-1]}orders*" if word[0] == "~" else word for word in LOCKS]
    server = make_server(users=[f"small resetchannels {' '.join(own)}"])
    async with server.client(username="small", password="secret") as client:
        await use_everything(server, client, "orders-1")
        with pytest.raises(exceptions.NoPermissionError, match="bills"):
            await soon(DistributedLock(client, "bills").acquire())


@pytest.mark.parametrize("missing", ["hset", "pubsub", "zrange", "incr", "zrangebyscore"])
async def test_without_a_right_that_another_primitive_needs_it_says_so(
    make_server: Callable[..., RedisServer], key: str, missing: str
) -> None:
    small = rules(OF_OTHERS - {missing}, *OF_OTHERS_RULES)
    server = make_server(users=[f"small {small}"])
    async with server.client(username="small", password="secret") as client:
        with pytest.raises(exceptions.NoPermissionError, match=key) as caught:
            await soon(use_the_others(client, key))
        assert "README" in str(caught.value)


@pytest.mark.parametrize("missing", OTHER_CHANNELS)
async def test_without_the_right_to_a_channel_of_old_processes_the_waiter_is_told(
    make_server: Callable[..., RedisServer], key: str, missing: str
) -> None:
    others = [each for each in OF_OTHERS_RULES if each != missing]
    server = make_server(users=[f"small {rules(OF_OTHERS, *others)}"])
    tagged = f"{{{key}}}" if missing == "&distributed_lock_*" else key
    async with server.client(username="small", password="secret") as client:
        with pytest.raises(exceptions.NoPermissionError, match=key):
            await soon(use_the_others(client, tagged))


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
