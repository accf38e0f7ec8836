"""Random programs of the event: each set wakes all that wait, and only they are woken."""

from __future__ import annotations

import random
from typing import Any

from dsync import DistributedEvent
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.integration.events import event_name
from tests.integration.locks import NEVER, calls
from tests.property.driver import SESSIONS, Actor, Machine, play, sessions, some_sessions
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


class Flag:
    """The model: the flag, who waits for it, and who has been woken."""

    def __init__(self) -> None:
        self.is_set = False
        self.waiting: list[int] = []
        self.woken: list[int] = []

    def wait(self, waiter: int) -> None:
        """Wait until the flag is set."""
        (self.woken if self.is_set else self.waiting).append(waiter)

    def set(self) -> None:
        """Set the flag, and wake all."""
        self.is_set = True
        self.woken += self.waiting
        self.waiting.clear()


class Events(Machine):
    """Waiters that only a message wakes: they do not look again."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.model = Flag()
        self.woken: list[int] = []
        self.events = {
            session: DistributedEvent(self.client(session), self.key, NEVER) for session in SESSIONS
        }

    def seen(self) -> dict[str, object]:
        return {
            "woken": sorted(self.woken),
            "set": self.eyes.get(event_name(self.key)) == "1",
        }

    def expected(self) -> dict[str, object]:
        model = self.model
        return {
            "woken": sorted(model.woken),
            "set": model.is_set,
        }

    @rule(places=some_sessions)
    def wait(self, places: list[str]) -> None:
        looks = calls(self.server, "get") + len(places)
        for session in places:
            self.model.wait(self.run(self._begin(session)))
        self.run(eventually(lambda: calls(self.server, "get") >= looks, "looks by who listens"))

    @rule(waiting=sessions, setting=sessions)
    def wait_while_it_is_set(self, waiting: str, setting: str) -> None:
        self.model.wait(self.run(self._begin(waiting)))
        self.set(setting)

    @rule(session=sessions)
    def set(self, session: str) -> None:
        self.model.set()
        self.run(self.events[session].set())

    @rule(session=sessions)
    def clear(self, session: str) -> None:
        self.model.is_set = False
        self.run(self.events[session].clear())

    @rule(setting=sessions, clearing=sessions)
    def set_and_clear_at_once(self, setting: str, clearing: str) -> None:
        self.set(setting)
        self.clear(clearing)

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.model.waiting))
        self.model.waiting.remove(number)
        self.run(self.cancel(number))

    @rule(session=sessions)
    def ask(self, session: str) -> None:
        assert self.run(self.events[session].is_set()) == self.model.is_set

    async def _begin(self, session: str) -> int:
        waiter = self.actor(session, self.events[session])
        await self.start(waiter, self._wait(waiter))
        return waiter.number

    async def _wait(self, waiter: Actor) -> None:
        assert await waiter.primitive.wait() is True
        self.woken.append(waiter.number)


def test_events(server: RedisServer, dice: random.Random) -> None:
    play(Events, server, dice)
