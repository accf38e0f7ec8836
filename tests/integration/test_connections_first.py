"""What the first lock of an event loop waits for: one connect and two round trips."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from dsync import DistributedLock
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.integration.locks import soon
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


async def test_the_first_lock_takes_two_round_trips(
    make_proxy: Callable[[], Proxy], key: str
) -> None:
    proxy = make_proxy()
    proxy.blackhole(direction="replies")
    acquiring = asyncio.create_task(DistributedLock(proxy.url, key).acquire())
    # Neither connection waits for an answer to the greeting of the other.
    await eventually(lambda: proxy.exchanges == [1, 1])
    proxy.blackhole(False)
    assert await soon(acquiring)
    assert proxy.exchanges == [1, 2]


async def test_both_connections_are_made_at_once(
    server: RedisServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    both = asyncio.Barrier(2)
    connect = loop.sock_connect

    async def connect_beside_the_other(sock: Any, address: Any) -> None:
        await both.wait()
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", connect_beside_the_other)
    assert await soon(DistributedLock(server.url, key).acquire())


@pytest.mark.parametrize("failing", [1, 2])
async def test_a_connection_without_the_other_is_closed(
    make_proxy: Callable[[], Proxy], key: str, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    proxy = make_proxy()
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    attempts = 0

    async def connect_all_but_one(sock: Any, address: Any) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == failing:
            await proxy.wait_until(lambda: proxy.accepted == 1)
            raise ConnectionRefusedError("this one only")
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", connect_all_but_one)
    with pytest.raises(RedisConnectionError, match="this one only"):
        await DistributedLock(proxy.url, key).acquire()
    await proxy.wait_connections(0)
