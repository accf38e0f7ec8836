"""Random programs of the semaphores: as many inside as there are slots, in order, none lost."""

from __future__ import annotations

import random
from typing import Any

from dsync import DistributedBoundedSemaphore, DistributedSemaphore
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.integration.locks import NEVER
from tests.integration.semaphores import permits_name, queue_name, semaphore_name
from tests.property.driver import SESSIONS, play, sessions
from tests.property.visits import Slots, Visits
from tests.support.redis_server import RedisServer


class Semaphores(Visits):
    """Sessions with one semaphore for their visitors, and another that only adds slots."""

    waiting_sessions = passing_sessions = SESSIONS
    kind = DistributedSemaphore
    least = 0

    @initialize(data=st.data(), lease=st.sampled_from((30.0, None)))
    def choose(self, data: st.DataObject, lease: float | None) -> None:
        self.value = data.draw(st.integers(self.least, 3))
        self.lease = lease
        bounded = self.kind is DistributedBoundedSemaphore
        self.model = Slots(self.value, self.value if bounded else None)
        self.semaphores = {session: self._make(session) for session in SESSIONS}
        self.givers = {session: self._make(session) for session in SESSIONS}

    def _make(self, session: str) -> DistributedSemaphore:
        client: Any = self.client(session)
        return self.kind(client, self.key, self.value, acquire_sleep_delay=NEVER, lease=self.lease)

    def primitive(self, session: str) -> DistributedSemaphore:
        return self.semaphores[session]

    def seen(self) -> dict[str, object]:
        with self.eyes.pipeline() as pipe:
            pipe.get(semaphore_name(self.key))
            pipe.zcard(permits_name(self.key))
            pipe.zcard(queue_name(self.key))
            free, permits, waiting = pipe.execute()
        return super().seen() | {
            "free": self.value if free is None else int(free),
            "permits": permits,
            "waiting": waiting,
        }

    def expected(self) -> dict[str, object]:
        model = self.model
        permits = 0 if self.lease is None else len(model.inside)
        return super().expected() | {
            "free": model.free,
            "permits": permits,
            "waiting": len(model.queue),
        }

    @rule(session=sessions)
    def add(self, session: str) -> None:
        self.model.add()
        self.run(self._add(session))

    @rule(session=sessions)
    def ask(self, session: str) -> None:
        assert self.run(self.semaphores[session].locked()) == (self.model.free == 0)

    async def _add(self, session: str) -> None:
        try:
            await self.givers[session].release()
        except ValueError:
            self.refused += 1


class BoundedSemaphores(Semaphores):
    kind = DistributedBoundedSemaphore
    least = 1


def test_semaphores(server: RedisServer, dice: random.Random) -> None:
    play(Semaphores, server, dice)


def test_bounded_semaphores(server: RedisServer, dice: random.Random) -> None:
    play(BoundedSemaphores, server, dice)
