"""Servers that forget, restart, freeze and refuse while tasks wait for an event."""

import asyncio
from typing import Any

import pytest
from dsync import DistributedEvent
from redis import exceptions

from tests.fault.lock_tools import MakeServer, client_for
from tests.fault.test_barrier_server import FORGETS, REMEMBERS, Damage, name_of
from tests.integration.barriers import Listener, done
from tests.integration.events import (
    channel_name,
    event_name,
    set_by_old,
    start_waiters,
    until_listened,
)
from tests.integration.locks import NEVER, peek, soon
from tests.support.redis_server import RedisServer


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def event_at(server: RedisServer, key: str, name: str = "") -> DistributedEvent:
    """Make an event whose session has connections of its own, and which only messages bring on."""
    return DistributedEvent(client_for(server.port, name, socket_timeout=0.5), key, NEVER)


@pytest.mark.parametrize("damage", FORGETS + REMEMBERS, ids=name_of)
async def test_waiters_wait_on_and_hear_of_the_next_set(
    own: RedisServer, key: str, damage: Damage
) -> None:
    event, setter = event_at(own, key, "waiter"), event_at(own, key, "setter")
    tasks = await start_waiters(own, *[event] * 3)
    for _ in range(2):
        damage(own)
        await until_listened(own, key)
    assert not await soon(event.is_set())
    assert done(tasks) == 0
    await soon(setter.set())
    assert await soon(asyncio.gather(*tasks)) == [True] * 3


@pytest.mark.parametrize("damage", FORGETS, ids=name_of)
async def test_a_flag_that_the_server_has_forgotten_is_not_set(
    own: RedisServer, key: str, damage: Damage
) -> None:
    event = event_at(own, key)
    await event.set()
    damage(own)
    assert await soon(event.is_set()) is False
    tasks = await start_waiters(own, event)
    await event.set()
    assert await soon(tasks[0])


async def test_a_restart_with_data_keeps_the_flag(own: RedisServer, key: str) -> None:
    event = event_at(own, key)
    await event.set()
    own.restart(keep_data=True)
    assert await soon(event.is_set())
    assert await soon(event.wait())


async def test_a_flag_set_before_the_waiters_are_back_is_found(own: RedisServer, key: str) -> None:
    event = event_at(own, key)
    tasks = await start_waiters(own, event, event)
    own.stop()
    own.start()
    with peek(own) as client:
        client.set(event_name(key), 1)
    await soon(asyncio.gather(*tasks))


async def test_a_frozen_server_delays_waiters_and_setters(own: RedisServer, key: str) -> None:
    event, setter = event_at(own, key, "waiter"), event_at(own, key, "setter")
    tasks: list[asyncio.Task[Any]] = [*await start_waiters(own, event, event)]
    await setter.is_set()
    own.pause()
    tasks.append(asyncio.create_task(setter.set()))
    # Longer than anybody waits for a reply, so they all give their connections up.
    await asyncio.sleep(1.2)
    assert done(tasks) == 0
    own.resume()
    await soon(asyncio.gather(*tasks))


async def test_a_setter_finds_its_script_forgotten(own: RedisServer, key: str) -> None:
    event = event_at(own, key)
    with peek(own) as client, Listener(own, pattern=channel_name(key)) as listener:
        for number in range(1, 4):
            client.script_flush()
            tasks = await start_waiters(own, event)
            client.script_flush()
            await event.set()
            assert await soon(tasks[0])
            client.script_flush()
            await event.clear()
            assert listener.words() == ["1"] * number


async def test_callers_learn_that_the_server_stays_away(own: RedisServer, key: str) -> None:
    event = DistributedEvent(client_for(own.port, retries=3), key, 0.05)
    tasks = await start_waiters(own, event, event)
    own.stop()
    for task in tasks:
        with pytest.raises(exceptions.ConnectionError, match=key):
            await soon(task)
    for method in (event.wait, event.is_set, event.set, event.clear):
        with pytest.raises(exceptions.ConnectionError, match=key):
            await soon(method())
    own.start()
    (waiting,) = await start_waiters(own, event)
    set_by_old(own, key)
    assert await soon(waiting)


# ---- refusals ----


async def test_without_the_right_to_the_channel_no_permission_error_is_raised(
    make_server: MakeServer, key: str
) -> None:
    server = make_server(users=["small on >secret ~* &dsync:inbox:* +@all"])
    async with server.client(username="small", password="secret") as client:
        event = DistributedEvent(client, key, NEVER)
        for _ in range(2):
            tasks = [asyncio.create_task(event.wait()) for _ in range(3)]
            for task in tasks:
                with pytest.raises(exceptions.NoPermissionError, match=key):
                    await soon(task)
        assert not await event.is_set()
        with peek(server) as admin:
            rule = f"&{channel_name(key)}"
            admin.execute_command("ACL", "SETUSER", "small", rule)  # type: ignore[no-untyped-call]
        # Rights are looked up with each command, so the same connection will do.
        tasks = await start_waiters(server, event)
        await event.set()
        assert await soon(tasks[0])


async def test_a_set_without_the_right_to_the_channel_raises_and_changes_nothing(
    make_server: MakeServer, key: str
) -> None:
    server = make_server(users=["small on >secret ~* &dsync:inbox:* +@all"])
    async with server.client(username="small", password="secret") as client:
        event = DistributedEvent(client, key, NEVER)
        with pytest.raises(exceptions.NoPermissionError, match=key):
            await soon(event.set())
        assert not await event.is_set()


async def test_without_the_right_to_the_key_no_permission_error_is_raised(
    make_server: MakeServer, key: str
) -> None:
    server = make_server(users=["small on >secret ~other* &* +@all"])
    async with server.client(username="small", password="secret") as client:
        event = DistributedEvent(client, key, NEVER)
        for method in (event.wait, event.is_set, event.set, event.clear):
            with pytest.raises(exceptions.NoPermissionError, match=key):
                await soon(method())


async def test_a_server_out_of_memory_refuses_set_and_lets_others_wait(
    own: RedisServer, key: str
) -> None:
    event = event_at(own, key)
    tasks = await start_waiters(own, event)
    with peek(own) as client, Listener(own, pattern=channel_name(key)) as listener:
        client.config_set("maxmemory", 1)
        with pytest.raises(exceptions.OutOfMemoryError, match=key):
            await soon(event.set())
        assert not await event.is_set()
        assert listener.words() == []
        assert done(tasks) == 0
        client.config_set("maxmemory", 0)
    await event.set()
    assert await soon(tasks[0])


async def test_a_key_of_another_type_raises_response_error(server: RedisServer, key: str) -> None:
    event = event_at(server, key)
    with peek(server) as client:
        client.rpush(event_name(key), "a list")
        for method in (event.wait, event.is_set):
            with pytest.raises(exceptions.ResponseError, match="another program"):
                await soon(method())
        assert client.lrange(event_name(key), 0, -1) == ["a list"]
        client.delete(event_name(key))
    assert not await event.is_set()
