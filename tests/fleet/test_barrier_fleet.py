"""Barriers at which old processes (`aiodistributor` 0.0.3.3) and new ones meet."""

from collections.abc import Awaitable, Callable

import pytest

from tests.fleet import nodes
from tests.fleet.remote import Remote
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]
Start = Callable[..., Awaitable[Remote]]

NAME = "DistributedBarrier"
FLEET = ["old", "new", "old", "new"]

each_kind = pytest.mark.parametrize("kind", ["old", "new"])


async def arrived(server: RedisServer, key: str, count: int) -> None:
    """Wait until so many parties are counted, and no old one is being counted."""
    with server.sync() as client:
        name = f"distributed_barrier_count_{key}"
        await eventually(lambda: int(client.get(name) or 0) == count, f"{count} parties")
        await eventually(lambda: not client.exists(f"distributed_lock_barrier_{key}"))


async def nobody_listens(server: RedisServer, key: str) -> None:
    """Wait until nobody listens to what is said at the barrier."""
    with server.sync() as client:
        channel = f"distributed_barrier_channel{key}"
        await eventually(lambda: client.pubsub_numsub(channel)[0][1] == 0, "nobody listens")


def listed(server: RedisServer, key: str) -> set[str]:
    """Return how new parties stand in Redis: in a sorted set, whatever its name is."""
    with server.sync() as client:
        names = client.scan_iter(f"*{key}*", 1000, "zset")
        return {str(party) for name in names for party in client.zrange(name, 0, -1)}


async def all_meet(*parties: Remote) -> None:
    """Let all parties wait, and wait until they have met."""
    for party in parties:
        party.order("wait")
    for party in parties:
        await party.done("wait")


async def test_old_and_new_parties_meet_again_and_again(
    server: RedisServer, spawn: Spawn, key: str
) -> None:
    rounds, groups = 25, 12
    fleet = [spawn(nodes.meet, kind, server.url, key, len(FLEET), rounds, groups) for kind in FLEET]
    for node in fleet:
        await node.expect("done", within=60)
        assert await node.wait() == 0, node.errors
        assert not [event for event in node.events if event["event"] == "early"]
    for group in range(groups):
        await arrived(server, f"{key}-{group}", 0)


@each_kind
async def test_the_last_one_lets_both_kinds_go(
    server: RedisServer, start: Start, key: str, kind: str
) -> None:
    first = [await start(each, NAME, key, parties=3) for each in ("old", "new")]
    last = await start(kind, NAME, key, parties=3)
    for _ in range(15):
        for count, party in enumerate(first, 1):
            party.order("wait")
            await arrived(server, key, count)
        await last.call("wait")
        for party in first:
            await party.done("wait")
        await arrived(server, key, 0)
        first.reverse()


@each_kind
@pytest.mark.parametrize("method", ["reset", "abort"])
async def test_each_kind_breaks_the_round_of_both(
    server: RedisServer, start: Start, key: str, kind: str, method: str
) -> None:
    parties = [await start(each, NAME, key, parties=3) for each in ("old", "new")]
    breaker = await start(kind, NAME, key, parties=3)
    for _ in range(5):
        for count, party in enumerate(parties, 1):
            party.order("wait")
            await arrived(server, key, count)
        await breaker.call(method)
        for party in parties:
            failure = await party.child.expect("wait failed")
            assert {"BrokenBarrierError", "ValueError"} <= set(failure["classes"])
        await arrived(server, key, 0)
        # The next round is as good as any.
        await all_meet(*parties, breaker)
        await arrived(server, key, 0)


async def test_a_new_party_that_was_cancelled_does_not_let_old_ones_go(
    server: RedisServer, start: Start, key: str
) -> None:
    new = await start("new", NAME, key, parties=2)
    old = [await start("old", NAME, key, parties=2) for _ in range(2)]
    for _ in range(5):
        new.order("wait")
        await arrived(server, key, 1)
        new.order("cancel")
        await new.child.expect("wait cancelled")
        await arrived(server, key, 0)
        old[0].order("wait")
        await arrived(server, key, 1)
        # With the cancelled one it would be gone, and with it the next one would wait for another.
        await old[1].call("wait")
        await old[0].done("wait")
        await arrived(server, key, 0)


async def test_a_new_party_that_was_killed_makes_room_for_another(
    server: RedisServer, start: Start, key: str
) -> None:
    killed, new, old = [await start(kind, NAME, key, parties=2) for kind in ("new", "new", "old")]
    killed.order("wait")
    await arrived(server, key, 1)
    dead = listed(server, key)
    killed.child.kill()
    await nobody_listens(server, key)
    # Only a process of dsync sees that it is gone, and takes its place when it arrives itself.
    new.order("wait")
    await eventually(lambda: bool(listed(server, key) - dead), "the new one waits")
    await arrived(server, key, 1)
    await old.call("wait")
    await new.done("wait")
    await arrived(server, key, 0)
