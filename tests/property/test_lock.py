"""Random programs of the lock: one holder at a time, in order, with growing fencing tokens."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from dsync import DistributedLock
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from tests.integration.locks import NEVER, lock_name
from tests.property.driver import Actor, play
from tests.property.visits import Slots, Visits
from tests.support.redis_server import RedisServer


class Locks(Visits):
    """A lock is one slot. Those that wait are of one session, and use two objects."""

    waiting_sessions = ("a", "a too")
    passing_sessions = ("a", "b", "c")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.model = Slots(1)
        self.tokens: list[int] = []
        self.locks = {
            name: DistributedLock(self.client(name[0]), self.key, acquire_sleep_delay=NEVER)
            for name in {*self.waiting_sessions, *self.passing_sessions}
        }

    def primitive(self, session: str) -> DistributedLock:
        return self.locks[session]

    def seen(self) -> dict[str, object]:
        return super().seen() | {"held": self.eyes.exists(lock_name(self.key)) == 1}

    def expected(self) -> dict[str, object]:
        return super().expected() | {"held": not self.model.free}

    def on_entry(self, visitor: Actor) -> None:
        super().on_entry(visitor)
        self.tokens.append(visitor.primitive.fencing_token)

    @rule(name=st.sampled_from(("a", "a too", "b", "c")))
    def ask(self, name: str) -> None:
        lock = self.locks[name]
        holding = [self.actors[number].primitive for number in self.model.inside]
        assert self.run(lock.owned()) == (lock in holding)
        assert self.run(lock.locked()) == bool(holding)

    @invariant()
    def tokens_grow(self) -> None:
        assert all(earlier < later for earlier, later in pairwise(self.tokens))


def test_locks(server: RedisServer, dice: random.Random) -> None:
    play(Locks, server, dice)
