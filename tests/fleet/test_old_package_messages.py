"""What conditions, events and barriers of `aiodistributor` 0.0.3.3 do wrong, without dsync.

No process beside them can mend this, so docs/migration.md tells it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiodistributor.distributed_barrier import DistributedBarrier
from aiodistributor.distributed_condition import DistributedCondition
from aiodistributor.distributed_event import DistributedEvent
from aiodistributor.distributed_lock import DistributedLock

from tests.fleet import nodes
from tests.fleet.clients import WatchedClient
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT, eventually

Spawn = Callable[..., Child]
MakeClient = Callable[..., WatchedClient]
Task = asyncio.Task[Any]


@pytest.fixture
async def make_client(server: RedisServer) -> AsyncIterator[MakeClient]:
    """Make clients that are closed after the test, with the subscriptions made from them."""
    async with AsyncExitStack() as stack:
        made: list[WatchedClient] = []

        def make(**options: Any) -> WatchedClient:
            made.append(WatchedClient(server.port, **options))
            return made[-1]

        yield make
        for client in made:
            await stack.enter_async_context(client)


@pytest.fixture
async def begin() -> AsyncIterator[Callable[..., Task]]:
    """Run coroutines as tasks, which do not outlive the test."""
    tasks: list[Task] = []

    def start(work: Any) -> Task:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield start
    # Again and again: a library may swallow a cancellation.
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)


Begin = Callable[..., Task]


async def listeners(server: RedisServer, channel: str, count: int) -> None:
    """Wait until so many connections listen to a channel."""
    with server.sync() as client:
        await eventually(
            lambda: client.pubsub_numsub(channel)[0][1] == count, f"{count} on {channel}"
        )


async def ended(*tasks: Task) -> None:
    """Wait for tasks that end without an error."""
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*tasks)


async def has_read_all(server: RedisServer, client: WatchedClient, key: str) -> None:
    """Wait until the only subscription of a client has read all that was published before."""
    seen = asyncio.Event()
    await client.subscriptions[0].subscribe(**{f"{key}-probe": lambda _: seen.set()})
    await listeners(server, f"{key}-probe", 1)
    await client.publish(f"{key}-probe", "")
    async with asyncio.timeout(TIMEOUT):
        await seen.wait()


# ---- the condition ----


async def notify(client: WatchedClient, key: str, *count: int) -> None:
    """Notify as one should."""
    async with DistributedCondition(client, key) as condition:
        await condition.notify(*count)


async def two_wait(server: RedisServer, make_client: MakeClient, begin: Begin, key: str) -> Any:
    """Let two wait for a condition, each with an object of its own."""
    tasks = [begin(DistributedCondition(make_client(), key).wait()) for _ in range(2)]
    await listeners(server, f"condition_{key}_channel", 2)
    return tasks


async def test_a_notification_without_waiters_makes_a_later_one_wake_two(
    server: RedisServer, make_client: MakeClient, begin: Begin, key: str
) -> None:
    client = make_client()
    await notify(client, key)
    assert await client.get(f"condition_{key}_channel_notify_counter") == "1"
    waiters = await two_wait(server, make_client, begin, key)
    await notify(client, key, 1)
    await ended(*waiters)


async def test_a_notification_for_a_waiter_that_died_makes_a_later_one_wake_two(
    server: RedisServer, make_client: MakeClient, begin: Begin, spawn: Spawn, key: str
) -> None:
    client = make_client()
    name = "DistributedCondition"
    child = spawn(nodes.obey, "old", name, server.url, key, "orders", {})
    await client.rpush("orders", nodes.order("wait"))
    await listeners(server, f"condition_{key}_channel", 1)
    child.pause()
    async with DistributedCondition(client, key) as condition:
        await condition.notify_all()
    child.kill()
    await listeners(server, f"condition_{key}_channel", 0)
    waiters = await two_wait(server, make_client, begin, key)
    await notify(client, key, 1)
    await ended(*waiters)


async def test_a_waiter_keeps_the_lock_so_nobody_can_notify_it(
    server: RedisServer, make_client: MakeClient, begin: Begin, key: str
) -> None:
    condition = DistributedCondition(make_client(), key)
    async with condition:
        waiter = begin(condition.wait())
        await listeners(server, f"condition_{key}_channel", 1)
        with server.sync() as client:
            assert client.get(f"distributed_lock_{key}") == condition._lock._token
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter


async def test_anybody_can_notify_while_another_holds_the_lock(
    make_client: MakeClient, key: str
) -> None:
    client = make_client()
    async with DistributedLock(client, key):
        await DistributedCondition(client, key).notify()
    assert await client.get(f"condition_{key}_channel_notify_counter") == "1"


async def one_fails_and_the_other_is_deaf(
    server: RedisServer, channel: str, first: Task, second: Task
) -> None:
    """See what becomes of two tasks that wait with one object."""
    tasks = (first, second)
    done, _ = await asyncio.wait(tasks, timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
    (failed,) = done
    with pytest.raises(RuntimeError, match="another coroutine is already waiting"):
        await failed
    # It has ended the subscription, which is also that of the other.
    await listeners(server, channel, 0)
    assert sum(task.done() for task in tasks) == 1


async def test_of_two_waiters_of_one_condition_one_fails_and_the_other_is_deaf(
    server: RedisServer, make_client: MakeClient, begin: Begin, key: str
) -> None:
    condition = DistributedCondition(make_client(), key)
    channel = f"condition_{key}_channel"
    first = begin(condition.wait())
    await listeners(server, channel, 1)
    await one_fails_and_the_other_is_deaf(server, channel, first, begin(condition.wait()))


# ---- the event ----


async def test_of_two_waiters_of_one_event_one_fails_and_the_other_is_deaf(
    server: RedisServer, make_client: MakeClient, begin: Begin, key: str
) -> None:
    # The other one asks whether the event is set when its consumer_timeout is over, and only then.
    event = DistributedEvent(make_client(), key, consumer_timeout=60)
    channel = f"event_{key}_channel"
    first = begin(event.wait())
    await listeners(server, channel, 1)
    await one_fails_and_the_other_is_deaf(server, channel, first, begin(event.wait()))


async def test_an_event_that_was_set_twice_is_not_cleared_for_a_waiter_that_comes_back(
    server: RedisServer, make_client: MakeClient, spawn: Spawn, key: str
) -> None:
    client = make_client()
    event = DistributedEvent(client, key)
    child = spawn(nodes.obey, "old", "DistributedEvent", server.url, key, "orders", {})
    await client.rpush("orders", nodes.order("wait"))
    await listeners(server, f"event_{key}_channel", 1)
    child.pause()
    await event.set()
    await event.set()
    child.resume()
    await child.expect("wait done")
    await event.clear()
    # The second message is still to be read. With one `set` it happens too, to a waiter that has
    # seen the flag before it reads the message.
    await client.rpush("orders", nodes.order("wait"))
    await child.expect("wait done")
    assert not await event.is_set()


# ---- the barrier ----


async def arrived(server: RedisServer, key: str, count: int) -> None:
    """Wait until so many parties are counted, and none is being counted."""
    with server.sync() as client:
        name = f"distributed_barrier_count_{key}"
        await eventually(lambda: client.get(name) == str(count), f"{count} parties")
        await eventually(lambda: not client.exists(f"distributed_lock_barrier_{key}"))


async def test_a_party_that_comes_back_at_once_passes_the_next_round_alone(
    server: RedisServer, make_client: MakeClient, begin: Begin, key: str
) -> None:
    quick = DistributedBarrier(make_client(), key, 2)
    slow_client = make_client(slow_after="PUBLISH")
    first = begin(quick.wait())
    await arrived(server, key, 1)
    last = begin(DistributedBarrier(slow_client, key, 2).wait())
    await slow_client.slowed.wait()
    await ended(first)
    await listeners(server, f"distributed_barrier_channel{key}", 1)
    again = begin(quick.wait())
    await listeners(server, f"distributed_barrier_channel{key}", 2)
    # The release is published once for each party, and the second one reaches the next round.
    slow_client.go_on.set()
    await ended(last, again)
    await arrived(server, key, 1)


async def test_a_party_too_many_passes_with_the_others(
    server: RedisServer, make_client: MakeClient, begin: Begin, key: str
) -> None:
    client = make_client()
    async with DistributedLock(client, f"barrier_{key}"):
        tasks = [begin(DistributedBarrier(make_client(), key, 2).wait()) for _ in range(3)]
        await listeners(server, f"distributed_barrier_channel{key}", 3)
    # It listened before it was counted, so the message for the two before it is still to be read.
    await ended(*tasks)
    await arrived(server, key, 1)


async def test_a_party_that_was_cancelled_still_counts(
    server: RedisServer, make_client: MakeClient, begin: Begin, key: str
) -> None:
    gone = begin(DistributedBarrier(make_client(), key, 2).wait())
    await arrived(server, key, 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await ended(begin(DistributedBarrier(make_client(), key, 2).wait()))


async def test_a_party_that_was_killed_while_it_arrived_blocks_the_barrier(
    server: RedisServer, make_client: MakeClient, begin: Begin, spawn: Spawn, key: str
) -> None:
    script = """
        import asyncio, sys
        from aiodistributor.distributed_barrier import DistributedBarrier
        from tests.fleet.clients import WatchedClient
        async def main():
            client = WatchedClient(int(sys.argv[1]), slow_after="SET")
            task = asyncio.create_task(DistributedBarrier(client, sys.argv[2], 2).wait())
            await client.slowed.wait()
            say("arriving")
            await task
        asyncio.run(main())
    """
    child = spawn(script, server.port, key)
    # It has the barrier's own lock.
    await child.expect("arriving")
    child.kill()
    with server.sync() as client:
        assert client.pttl(f"distributed_lock_barrier_{key}") == -1
    party = begin(DistributedBarrier(make_client(), key, 2).wait())
    await eventually(lambda: server.commandstats()["set"]["calls"] > 3, "it asks again and again")
    assert not party.done()


async def test_each_wait_at_a_barrier_keeps_one_connection_more(
    server: RedisServer, make_client: MakeClient, key: str
) -> None:
    barrier = DistributedBarrier(make_client(), key, 1)
    await barrier.wait()
    before = len(server.connections())
    for _ in range(3):
        await barrier.wait()
    assert len(server.connections()) == before + 3


# ---- clients with decode_responses=False ----


@pytest.mark.parametrize(
    ("name", "channel", "message"),
    [
        ("DistributedCondition", "condition_{}_channel", "1"),
        ("DistributedEvent", "event_{}_channel", "1"),
        ("DistributedBarrier", "distributed_barrier_channel{}", "release"),
    ],
)
async def test_a_wait_with_a_client_of_bytes_understands_no_message(
    server: RedisServer,
    make_client: MakeClient,
    begin: Begin,
    key: str,
    name: str,
    channel: str,
    message: str,
) -> None:
    client = make_client(decode_responses=False)
    options = {"parties": 2} if name == "DistributedBarrier" else {}
    waiter = begin(nodes.make("old", name, client, key, **options).wait())
    await listeners(server, channel.format(key), 1)
    if name == "DistributedCondition":
        # Else a waiter that understands would go on waiting too.
        await client.incr(f"condition_{key}_channel_notify_counter")
    assert await client.publish(channel.format(key), message) == 1
    await has_read_all(server, client, key)
    assert not waiter.done()


async def test_an_event_with_a_client_of_bytes_is_never_set(
    make_client: MakeClient, key: str
) -> None:
    event = DistributedEvent(make_client(decode_responses=False), key)
    await event.set()
    assert not await event.is_set()
