"""Random programs of the condition: a notification wakes the oldest, as many as it says."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from dsync import DistributedCondition
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.integration.conditions import ASIDE, condition_of, waiting_name
from tests.integration.locks import lock_name
from tests.property.driver import SESSIONS, Actor, Machine, play, some_sessions
from tests.support.redis_server import RedisServer


class Waiters:
    """The model: who waits, who has been told, and who has woken.

    Who came with the lock wakes when it is free; the others at once.
    """

    def __init__(self) -> None:
        self.held = False
        self.waiting: dict[int, bool] = {}  # Whether it came with the lock; the oldest first.
        self.told: list[int] = []
        self.woken: list[int] = []

    def notify(self, count: int) -> None:
        """Tell the oldest; -1 is all."""
        oldest = list(self.waiting)[: count if count >= 0 else None]
        for number in oldest:
            with_lock = self.waiting.pop(number)
            (self.told if with_lock else self.woken).append(number)

    def release(self) -> None:
        """Free the lock, so that those that were told wake one after another."""
        self.held = False
        self.woken += self.told
        self.told.clear()


class Conditions(Machine):
    """Waiters with the lock and without, and one that notifies."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.model = Waiters()
        self.with_lock: set[int] = set()
        self.woken: list[int] = []
        self.conditions = {
            name: condition_of(self.server, self.key, name) for name in (*SESSIONS, "notifier")
        }
        self.notifier = self.conditions["notifier"]

    def seen(self) -> dict[str, object]:
        return {
            "held": self.eyes.exists(lock_name(self.key)) == 1,
            "waiting": self.eyes.zcount(waiting_name(self.key), "-inf", ASIDE),
            "woken": sorted(self.woken),
            "in order": self._in_order(self.woken),
        }

    def expected(self) -> dict[str, object]:
        return {
            "held": self.model.held,
            "waiting": len(self.model.waiting),
            "woken": sorted(self.model.woken),
            "in order": self._in_order(self.model.woken),
        }

    def _in_order(self, woken: list[int]) -> dict[str, list[int]]:
        """Return those of each session that came with the lock: they are inside by turns."""
        result = defaultdict[str, list[int]](list)
        for number in woken:
            if number in self.with_lock:
                result[self.actors[number].session].append(number)
        return result

    @rule(places=some_sessions)
    def wait_without_lock(self, places: list[str]) -> None:
        for session in places:
            self._begin(session, with_lock=False)

    @precondition(lambda self: not self.model.held)
    @rule(places=some_sessions)
    def wait_with_lock(self, places: list[str]) -> None:
        for session in places:
            self._begin(session, with_lock=True)

    @precondition(lambda self: not self.model.held)
    @rule()
    def acquire(self) -> None:
        self.model.held = True
        self.run(self.notifier.acquire())

    @precondition(lambda self: self.model.held)
    @rule()
    def release(self) -> None:
        self.model.release()
        self.run(self.notifier.release())

    @precondition(lambda self: self.model.held)
    @rule(count=st.integers(-1, 3))
    def notify(self, count: int) -> None:
        self.model.notify(count)
        self.run(self.notifier.notify_all() if count < 0 else self.notifier.notify(count))

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(list(self.model.waiting)))
        del self.model.waiting[number]
        self.task(number).cancel()  # Who came with the lock ends only when it has it again.

    def _begin(self, session: str, *, with_lock: bool) -> None:
        waiter = self.actor(session, self.conditions[session])
        self.model.waiting[waiter.number] = with_lock
        if with_lock:
            self.with_lock.add(waiter.number)
        self.run(self.start(waiter, self._wait(waiter, with_lock)))
        self.settle()  # So that the next one waits behind it.

    async def _wait(self, waiter: Actor, with_lock: bool) -> None:
        condition: DistributedCondition = waiter.primitive
        if with_lock:
            async with condition:
                assert await condition.wait() is True
                self.woken.append(waiter.number)
        else:
            assert await condition.wait() is True
            self.woken.append(waiter.number)

    def teardown(self) -> None:
        if self.model.held:
            self.run(self.notifier.release())
        super().teardown()


def test_conditions(server: RedisServer, dice: random.Random) -> None:
    play(Conditions, server, dice)
