"""What all programs share: several sessions in one event loop, and a look after each step.

A program is a list of steps (rules of hypothesis) that clients take one after another. Each step is
done to the model as well. After it the machine waits until what can be seen of the primitive, from
its callers and from Redis, is what the model says. What its callers have seen is kept for ever, so
what should not have happened, as a second holder, is found even where it was over soon.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hypothesis
import redis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test
from redis.asyncio import Redis

from tests.fault.lock_tools import client_for
from tests.integration.locks import soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

T = TypeVar("T")

SESSIONS = ("a", "b", "c")
sessions = st.sampled_from(SESSIONS)
# Several, because most steps need somebody who waits.
some_sessions = st.lists(sessions, min_size=1, max_size=4)
some_turns = st.sampled_from((0, 1, 2, 5, 20))

_PROGRAMS = 60
_STEPS = 25
_PATIENCE = 10.0
_PATIENCE_AFTER_FAILURE = 0.3  # while hypothesis looks for a shorter program that fails, too
_keys = itertools.count()


@dataclass(eq=False)
class Actor:
    """One task of a program."""

    number: int
    session: str
    primitive: Any
    may_go: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Machine(RuleBasedStateMachine):
    """One program; each has a key of its own."""

    patience = _PATIENCE

    def __init__(self, server: RedisServer, eyes: redis.Redis, runner: asyncio.Runner) -> None:
        super().__init__()
        self.server = server
        self.eyes = eyes  # to look at the server with
        self.key = f"program-{next(_keys)}"
        self.actors: list[Actor] = []
        self._runner = runner

    def seen(self) -> dict[str, object]:
        """Return what can be seen of the primitive at this moment."""
        raise NotImplementedError

    def expected(self) -> dict[str, object]:
        """Return what should be seen, as the model says."""
        raise NotImplementedError

    def client(self, session: str) -> Redis:
        """Make a client; those of one session share their connections."""
        return client_for(self.server.port, session)

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Do something in the event loop, which goes on only meanwhile; it must not hang."""
        return self._runner.run(soon(step))

    def actor(self, session: str, primitive: Any) -> Actor:
        """Make an actor, without a task so far."""
        actor = Actor(len(self.actors), session, primitive)
        self.actors.append(actor)
        return actor

    @staticmethod
    async def start(actor: Actor, work: Coroutine[Any, Any, None]) -> None:
        """Let an actor work, until it waits for the first time."""
        actor.task = asyncio.create_task(work)
        await asyncio.sleep(0)

    def task(self, number: int) -> asyncio.Task[None]:
        """Return the task of an actor."""
        task = self.actors[number].task
        assert task is not None
        return task

    async def cancel(self, number: int) -> None:
        """Cancel an actor, and wait until it has ended."""
        self.task(number).cancel()
        await asyncio.wait([self.task(number)])

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks of all actors."""
        return [actor.task for actor in self.actors if actor.task is not None]

    @invariant()
    def all_is_as_expected(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Wait until what is seen is what is expected."""
        self.run(self._until_as_expected())

    async def _until_as_expected(self) -> None:
        def is_decided() -> bool:
            return bool(self._failures()) or self.seen() == self.expected()

        try:
            await eventually(is_decided, within=self.patience)
        except AssertionError:
            Machine.patience = _PATIENCE_AFTER_FAILURE
            raise AssertionError(f"seen {self.seen()}\nbut expected {self.expected()}") from None
        assert not self._failures()

    def _failures(self) -> list[BaseException]:
        ended = [task for task in self.tasks() if task.done() and not task.cancelled()]
        return [error for task in ended if (error := task.exception()) is not None]

    def teardown(self) -> None:
        """End all actors."""
        self.run(self._end())

    async def _end(self) -> None:
        for task in self.tasks():
            task.cancel()
        await asyncio.gather(*self.tasks(), return_exceptions=True)


def play(
    machine: Callable[[RedisServer, redis.Redis, asyncio.Runner], Machine],
    server: RedisServer,
    dice: random.Random,
) -> None:
    """Play programs; a failure shows the shortest one that fails."""
    settings = hypothesis.settings(
        max_examples=_PROGRAMS,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    Machine.patience = _PATIENCE
    with asyncio.Runner() as runner, server.sync() as eyes:
        factory = hypothesis.seed(dice.getrandbits(64))(lambda: machine(server, eyes, runner))
        run_state_machine_as_test(factory, settings=settings)
