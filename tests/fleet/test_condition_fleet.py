"""Conditions that old processes (`aiodistributor` 0.0.3.3) and new ones share."""

import random
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.fleet.meeting import Meeting, notify
from tests.fleet.remote import Remote
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Start = Callable[..., Awaitable[Remote]]

FLEET = ["old", "new", "old", "new"]

each_notifier = pytest.mark.parametrize("notifier", ["old", "new"])
with_lock_or_without = pytest.mark.parametrize("inside", [False, True], ids=["", "with the lock"])
# An old waiter would keep the lock while it waits.
each_waiter = pytest.mark.parametrize(
    ("kind", "inside"),
    [("old", False), ("new", False), ("new", True)],
    ids=["old", "new", "new with the lock"],
)


@pytest.fixture
def meeting(server: RedisServer, start: Start, key: str) -> Iterator[Meeting]:
    with server.sync() as client:
        yield Meeting(client, start, key)


@each_notifier
@each_waiter
async def test_each_kind_wakes_each_kind(
    meeting: Meeting, notifier: str, kind: str, inside: bool
) -> None:
    giver, waiter = await meeting.join(notifier), await meeting.join(kind)
    for _ in range(20):
        await meeting.wait(waiter, inside=inside)
        await notify(giver)
        assert await waiter.done("wait") is True
        await meeting.ends()


@each_notifier
@with_lock_or_without
async def test_notify_all_wakes_one_waiter_in_each_process(
    meeting: Meeting, notifier: str, inside: bool
) -> None:
    giver = await meeting.join(notifier)
    fleet = [await meeting.join(kind) for kind in FLEET]
    for _ in range(20):
        await meeting.wait(*fleet, inside=inside)
        await giver.call("notify_all", inside=True)
        for node in fleet:
            await node.done("wait")
        await meeting.ends()


@each_notifier
@with_lock_or_without
async def test_a_notification_of_two_wakes_two_of_four(
    meeting: Meeting, notifier: str, inside: bool
) -> None:
    giver = await meeting.join(notifier)
    fleet = [await meeting.join(kind) for kind in FLEET]
    for done in range(0, 40, 4):
        await meeting.wait(*fleet, inside=inside)
        await notify(giver, 2)
        await meeting.woken(fleet, done + 2)
        await notify(giver, 2)
        await meeting.woken(fleet, done + 4)
        # Had the first one woken more, then a part of the second would be left over.
        await meeting.ends()


async def test_as_many_wake_up_as_were_notified(meeting: Meeting, dice: random.Random) -> None:
    givers = [await meeting.join(kind) for kind in ("old", "new")]
    fleet = [await meeting.join(kind) for kind in FLEET]
    sleeping: list[Remote] = []
    expected = 0
    for _ in range(100):
        for node in fleet:
            if node not in sleeping:
                node.order("wait", inside=node.kind == "new" and dice.random() < 0.5)
        await meeting.has_waiters(*fleet)
        count = dice.randrange(1, 5)
        await notify(dice.choice(givers), count)
        expected += count
        await meeting.woken(fleet, expected)
        sleeping = [node for node in fleet if node.count("wait done") < node.ordered["wait"]]
        await meeting.has_waiters(*sleeping)
    await givers[0].call("notify_all", inside=True)
    await meeting.woken(fleet, expected + len(sleeping))
    await meeting.ends()
    assert all(node.count("wait done") for node in fleet)


@each_notifier
@pytest.mark.parametrize("method", ["notify", "notify_all"])
async def test_a_new_waiter_that_was_cancelled_takes_no_notification(
    meeting: Meeting, notifier: str, method: str
) -> None:
    giver, old, new = [await meeting.join(kind) for kind in (notifier, "old", "new")]
    for _ in range(10):
        await meeting.wait(old, new)
        new.order("cancel")
        await new.child.expect("wait cancelled")
        await meeting.has_waiters(old)
        await giver.call(method, inside=True)
        await old.done("wait")
        await meeting.ends()


@each_notifier
@pytest.mark.parametrize("method", ["notify", "notify_all"])
async def test_a_new_waiter_that_was_killed_takes_no_notification(
    meeting: Meeting, notifier: str, method: str
) -> None:
    giver, old, new = [await meeting.join(kind) for kind in (notifier, "old", "new")]
    await meeting.wait(old, new)
    new.child.kill()
    await eventually(lambda: meeting.listeners() == 1, "its connections are closed")
    await giver.call(method, inside=True)
    await old.done("wait")
    await eventually(lambda: meeting.listeners() == 0, "nobody waits")
    meeting.nothing_left_over()
