"""DistributedCondition beside waiters and notifiers that speak the protocol of the old package.

They are plain clients here, which do what they do when the test says so; the package itself is
tested in tests/fleet.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from dsync import DistributedCondition
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from tests.integration.conditions import (
    BOTH,
    channel_name,
    condition_of,
    counter_name,
    crowd,
    notify,
    overhearing,
    until_nothing_is_left,
    until_settled,
    until_waiting,
)
from tests.integration.locks import peek
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT, eventually

TAKE = """
if redis.call('DECR', KEYS[1]) >= 0 then
  return 1
end
redis.call('INCR', KEYS[1])
return 0
"""


class OldProcess:
    """Listens as an old waiter does, and takes notifications as it does."""

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = key
        self._pubsub: PubSub = redis.pubsub(ignore_subscribe_messages=True)

    async def listen(self) -> None:
        """Subscribe, as `wait` begins."""
        await self._pubsub.subscribe(channel_name(self._key))
        await self._pubsub.get_message(timeout=TIMEOUT)

    async def leave(self) -> None:
        """Unsubscribe, as `wait` ends."""
        await self._pubsub.unsubscribe()
        await self._pubsub.get_message(timeout=TIMEOUT)

    async def hear(self) -> bool:
        """Wait for a message, and take a notification; tell whether there was one left."""
        message = await self._pubsub.get_message(timeout=TIMEOUT)
        assert message is not None
        assert message["data"] == b"1"
        return bool(await self._redis.eval(TAKE, 1, counter_name(self._key)))

    async def notify(self, n: int) -> None:
        """Notify, as it does while somebody holds the lock."""
        await self._redis.incrby(counter_name(self._key), n)
        await self._redis.publish(channel_name(self._key), "1")

    async def close(self) -> None:
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]


@pytest.fixture
async def old(redis: Redis, key: str) -> AsyncIterator[list[OldProcess]]:
    """Three old processes, none of which listens yet."""
    async with contextlib.AsyncExitStack() as stack:
        processes = [OldProcess(redis, key) for _ in range(3)]
        for process in processes:
            stack.push_async_callback(process.close)
        yield processes


@pytest.fixture
def condition(server: RedisServer, key: str) -> DistributedCondition:
    return condition_of(server, key, "notifier")


def counter(server: RedisServer, key: str) -> int:
    with peek(server) as client:
        return int(client.get(counter_name(key)) or 0)


async def until_counted(server: RedisServer, key: str, count: int) -> None:
    await eventually(lambda: counter(server, key) == count, f"{count} in the counter")


# ---- old notifiers, waiters of ours ----


@pytest.mark.parametrize("n", [1, 2, 4])
@BOTH
async def test_an_old_notification_wakes_as_many_of_ours_the_oldest_first(
    server: RedisServer, key: str, old: list[OldProcess], n: int, locked: bool
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(4):
            await waiters.add(condition_of(server, key, f"{number % 3}"), locked=locked)
        await old[0].notify(n)
        assert sorted(await waiters.until_woken(n)) == list(range(n))
        await until_settled(server, key, 4 - n)
        assert len(waiters.woken) == n
        assert counter(server, key) == 0


async def test_old_notifications_one_after_another_wake_one_of_ours_each(
    server: RedisServer, key: str, old: list[OldProcess]
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(12):
            await waiters.add(condition_of(server, key, f"{number % 3}"), locked=number % 4 == 0)
        # Without waiting for what the one before has done.
        await asyncio.gather(*(old[number % 3].notify(1) for number in range(9)))
        assert sorted(await waiters.until_woken(9)) == list(range(9))
        await until_settled(server, key, 3)
        assert len(waiters.woken) == 9
        assert counter(server, key) == 0


async def test_an_old_notify_all_wakes_one_of_ours_in_each_process(
    server: RedisServer, redis: Redis, key: str, old: list[OldProcess]
) -> None:
    """It notifies as many as there are connections that listen."""
    async with crowd(server, key) as waiters:
        for number in range(4):
            await waiters.add(condition_of(server, key, f"{number}"), locked=number < 2)
        ((_, count),) = await redis.pubsub_numsub(channel_name(key))
        await old[0].notify(count)
        assert sorted(await waiters.until_done()) == [0, 1, 2, 3]
        await until_settled(server, key)
        assert counter(server, key) == 0


async def test_an_old_notification_while_none_of_ours_waits_wakes_no_newcomer(
    server: RedisServer, key: str, old: list[OldProcess]
) -> None:
    await old[0].notify(3)
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "one"), condition_of(server, key, "two"))
        await until_settled(server, key, 2)
        # The next counts alone.
        await old[0].notify(1)
        assert await waiters.until_woken(1) == [0]
        await until_settled(server, key, 1)
        assert waiters.woken == [0]
        assert counter(server, key) == 0


async def test_an_old_notification_reaches_one_of_ours_that_missed_the_message(
    server: RedisServer, make_proxy: Callable[[], Proxy], key: str, old: list[OldProcess]
) -> None:
    """Its link was broken, and neither a newcomer nor the next notification takes it away."""
    proxy = make_proxy()
    async with crowd(server, key) as waiters:
        await waiters.add(*(condition_of(proxy.port, key, f"{n}") for n in range(3)))
        proxy.refuse()
        proxy.cut()
        await eventually(lambda: server.connections() == [], "nobody is connected")
        await old[0].notify(1)
        waiters.begin(condition_of(server, key, "newcomer"), locked=True)
        await until_waiting(server, key, 1)
        assert waiters.woken == []
        await old[0].notify(1)
        proxy.refuse(False)
        await waiters.until_woken(2)
        await until_settled(server, key, 2)
        assert len(waiters.woken) == 2
        assert counter(server, key) == 0


async def test_a_message_without_a_notification_wakes_nobody(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "one"))
        for data in ("1", "0", "", "release", "\x00"):
            await redis.publish(channel_name(key), data)
        with peek(server) as client:
            client.set(counter_name(key), -3)
        await redis.publish(channel_name(key), "1")
        await waiters.add(condition_of(server, key, "two"))
        await until_settled(server, key, 2)
        assert waiters.woken == []


async def test_an_old_notification_is_passed_on_by_a_cancelled_waiter_of_ours(
    server: RedisServer, key: str, old: list[OldProcess], condition: DistributedCondition
) -> None:
    async with crowd(server, key) as waiters:
        await waiters.add(condition_of(server, key, "one"), condition_of(server, key, "two"))
        async with condition:
            await old[0].notify(1)
            await until_counted(server, key, 0)
            waiters.tasks[0].cancel()
        assert await waiters.until_woken(1) == [1]
        await until_settled(server, key)


# ---- our notifiers, old waiters ----


@pytest.mark.parametrize(("n", "woken"), [(1, 1), (2, 2), (3, 3), (5, 3), (-1, 3), (0, 0)])
async def test_our_notification_counts_as_many_as_old_ones_listen(
    server: RedisServer,
    key: str,
    old: list[OldProcess],
    condition: DistributedCondition,
    n: int,
    woken: int,
) -> None:
    for process in old:
        await process.listen()
    await notify(condition, n)
    assert counter(server, key) == woken
    if woken:
        heard = [await process.hear() for process in old]
        assert heard == [True] * woken + [False] * (3 - woken)
    assert counter(server, key) == 0


async def test_our_notification_publishes_once_and_not_without_old_waiters(
    server: RedisServer, key: str, old: list[OldProcess], condition: DistributedCondition
) -> None:
    with overhearing(server, key) as heard:
        async with crowd(server, key) as waiters:
            await waiters.add(condition_of(server, key, "one"), condition_of(server, key, "two"))
            # Ours are told by their inboxes, and nobody else is there.
            await notify(condition, 3)
            await waiters.until_done()
        assert counter(server, key) == 0
        await old[0].listen()
        await notify(condition, 3)
        with peek(server) as client:
            client.publish(channel_name(key), "mark")
        messages = [heard.get_message(timeout=TIMEOUT) for _ in range(2)]
    assert [message["data"] for message in messages if message] == ["1", "mark"]
    assert counter(server, key) == 1


async def test_who_listened_and_left_is_no_old_waiter_any_more(
    server: RedisServer, key: str, old: list[OldProcess], condition: DistributedCondition
) -> None:
    await old[0].listen()
    await old[0].leave()
    await notify(condition, 2)
    assert counter(server, key) == 0


# ---- both ----


@pytest.mark.parametrize(("n", "woken"), [(1, 1), (3, 3), (4, 4), (9, 4), (-1, 4)])
async def test_our_notification_wakes_ours_and_old_ones_together(
    server: RedisServer,
    key: str,
    old: list[OldProcess],
    condition: DistributedCondition,
    n: int,
    woken: int,
) -> None:
    async with crowd(server, key) as waiters:
        for number in range(2):
            await waiters.add(condition_of(server, key, f"{number}"), locked=number == 0)
        for process in old[:2]:
            await process.listen()
        await notify(condition, n)
        of_old = woken - min(woken, 2)
        if of_old:
            assert sum([await process.hear() for process in old[:2]]) == of_old
        await waiters.until_woken(woken - of_old)
        await until_settled(server, key, 2 - (woken - of_old))
        assert len(waiters.woken) + of_old == woken
        assert counter(server, key) == 0


async def test_what_is_meant_for_an_old_waiter_is_not_taken_by_a_newcomer_of_ours(
    server: RedisServer, key: str, old: list[OldProcess], condition: DistributedCondition
) -> None:
    await old[0].listen()
    async with crowd(server, key) as waiters:
        await notify(condition)
        await waiters.add(condition_of(server, key, "newcomer", acquire_sleep_delay=0.01))
        # The old one is slow, and hears of it only now.
        assert await old[0].hear()
        assert counter(server, key) == 0
        await until_settled(server, key, 1)
        assert waiters.woken == []


async def test_an_old_notification_goes_to_one_of_ours_or_to_an_old_waiter(
    server: RedisServer, key: str, old: list[OldProcess]
) -> None:
    """Both run for it, and one gets it."""
    for _ in range(20):
        async with crowd(server, key) as waiters:
            await old[0].listen()
            await waiters.add(condition_of(server, key, "ours"), locked=False)
            await old[1].notify(1)
            taken = await old[0].hear()
            await until_settled(server, key, int(taken))
            assert len(waiters.woken) == 1 - taken
            assert counter(server, key) == 0
            await old[0].leave()
    with peek(server) as client:
        client.delete(counter_name(key))
    await until_nothing_is_left(server)
