"""Servers that refuse what a condition asks for: an error, and the lock is held as before."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from dsync import DistributedCondition
from redis.exceptions import NoPermissionError, OutOfMemoryError, ResponseError

from tests.fault.lock_tools import MakeServer, client_for
from tests.integration import conditions
from tests.integration.locks import lock_name, peek, soon
from tests.support.redis_server import RedisServer

Call = Callable[[DistributedCondition], Coroutine[Any, Any, Any]]

CALLS: dict[str, Call] = {
    "wait": DistributedCondition.wait,
    "notify": DistributedCondition.notify,
    "notify_all": DistributedCondition.notify_all,
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


async def assert_refused(
    condition: DistributedCondition, call: Call, error: type[Exception]
) -> None:
    """Check that the call raises, and that the lock is held all the same."""
    with pytest.raises(error):
        await soon(call(condition))
    assert await conditions.holds(condition)


async def assert_usable(server: RedisServer, key: str) -> None:
    """Check that a notification reaches who waits, and that nobody else is in the way."""
    one, two = (conditions.condition_of(server, key, name) for name in ("one", "two"))
    async with conditions.crowd(server, key) as crowd:
        await crowd.add(one)
        await conditions.notify(two)
        assert await crowd.until_done() == [0]
    await conditions.until_settled(server, key)


@each_call
async def test_a_key_of_another_type_raises_response_error(
    server: RedisServer, key: str, call: Call
) -> None:
    condition = conditions.condition_of(server, key)
    await condition.acquire()
    with peek(server) as client:
        client.set(conditions.waiting_name(key), "x")
        await assert_refused(condition, call, ResponseError)
        client.delete(conditions.waiting_name(key))
    await condition.release()
    await assert_usable(server, key)


@each_call
async def test_without_the_right_to_the_key_no_permission_error_is_raised(
    make_server: MakeServer, key: str, call: Call
) -> None:
    rights = f"~{lock_name(key)} ~{{{lock_name(key)}}}:dsync:[qf]* &* +@all"
    server = make_server(users=[f"limited on >secret {rights}"])
    client = client_for(server.port, username="limited", password="secret")
    condition = DistributedCondition(client, key)
    await condition.acquire()
    await assert_refused(condition, call, NoPermissionError)
    await condition.release()
    await assert_usable(server, key)


async def test_a_server_out_of_memory_refuses_to_let_wait_and_lets_others_wake(
    make_server: MakeServer, key: str
) -> None:
    server = make_server()
    condition = conditions.condition_of(server, key)
    async with conditions.crowd(server, key) as crowd:
        await crowd.add(conditions.condition_of(server, key, "waiter"), locked=False)
        await condition.acquire()
        with peek(server) as client:
            client.config_set("maxmemory", 1)
            await assert_refused(condition, CALLS["wait"], OutOfMemoryError)
            client.config_set("maxmemory", 0)
        await soon(condition.notify())
        await condition.release()
        assert await crowd.until_done() == [0]
    await assert_usable(server, key)
