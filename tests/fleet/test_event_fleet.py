"""Events that old processes (`aiodistributor` 0.0.3.3) and new ones set and wait for."""

import itertools
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from tests.fleet.remote import Remote
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT, eventually

Start = Callable[..., Awaitable[Remote]]

NAME = "DistributedEvent"
FLEET = ["old", "new", "old", "new"]
# So that nobody looks whether it is set, and only the message can wake the waiters.
NEVER_ASK = 10 * TIMEOUT

both_ways = pytest.mark.parametrize(("first", "second"), [("old", "new"), ("new", "old")])


async def listening(server: RedisServer, key: str, count: int) -> None:
    """Wait until so many processes listen for the event."""
    with server.sync() as client:
        channel = f"event_{key}_channel"
        await eventually(
            lambda: client.pubsub_numsub(channel)[0][1] == count, f"{count} on {channel}"
        )


@pytest.mark.parametrize("setter", ["old", "new"])
async def test_each_kind_wakes_both_kinds(
    server: RedisServer, start: Start, key: str, setter: str
) -> None:
    giver = await start(setter, NAME, key)
    fleet = [await start(kind, NAME, key, consumer_timeout=NEVER_ASK) for kind in FLEET]
    for number in range(50):
        # A new one each time, so that nobody listens yet.
        event = f"{key}-{number}"
        for node in fleet:
            node.order("wait", other=event)
        await listening(server, event, len(fleet))
        await giver.call("set", other=event)
        for node in fleet:
            assert await node.done("wait") is True


@both_ways
async def test_each_kind_sees_what_the_other_sets_and_clears(
    redis: Redis, start: Start, key: str, first: str, second: str
) -> None:
    one, other = await start(first, NAME, key), await start(second, NAME, key)
    assert not await other.call("is_set")
    for setter, clearer in itertools.product((one, other), repeat=2):
        await setter.call("set")
        assert await redis.get(f"event_{key}") == b"1"
        for node in (one, other):
            assert await node.call("is_set") is True
            assert await node.call("wait") is True
        await clearer.call("clear")
        assert await redis.get(f"event_{key}") == b"0"
        for node in (one, other):
            assert await node.call("is_set") is False


@both_ways
async def test_each_kind_tells_the_other_whose_turn_it_is(
    server: RedisServer, start: Start, key: str, first: str, second: str
) -> None:
    waiter = await start(first, NAME, key, consumer_timeout=NEVER_ASK)
    setter = await start(second, NAME, key, consumer_timeout=NEVER_ASK)
    for number in range(100):
        event = f"{key}-{number}"
        waiter.order("wait", other=event)
        await listening(server, event, 1)
        await setter.call("set", other=event)
        assert await waiter.done("wait") is True
        waiter, setter = setter, waiter


@pytest.mark.parametrize("setter", ["old", "new"])
async def test_new_waiters_take_no_message_of_the_last_time(
    start: Start, key: str, setter: str
) -> None:
    # Old ones do (see test_old_package_messages.py), so none is among the waiters.
    giver = await start(setter, NAME, key)
    fleet = [await start("new", NAME, key, consumer_timeout=NEVER_ASK) for _ in range(2)]
    for turn in range(50):
        for node in fleet:
            node.order("wait")
            # Asked after it has begun to wait.
            assert await node.call("is_set") is False
            assert node.count("wait done") == turn
        await giver.call("set")
        for node in fleet:
            assert await node.done("wait") is True
        await giver.call("clear")
