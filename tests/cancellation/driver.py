"""Runs a coroutine in a task, counts where it waits, and cancels it at one place."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from enum import Enum
from typing import Any

from tests.support.loops import TurnLoop

Hook = Callable[[], None]


class Moment(Enum):
    """When the cancellation comes, relative to the place."""

    # Places are the awaits of the coroutine that reach the loop.
    AT = "as it begins to wait"
    LATE = "with what it waited for"
    # Places are turns of the loop since the coroutine began.
    BEFORE = "in the turn of an event, before it"
    AFTER = "in the turn of an event, after it"

    @property
    def by_turns(self) -> bool:
        """Whether places are turns of the loop."""
        return self in (Moment.BEFORE, Moment.AFTER)


class HookedLoop(TurnLoop):
    """Calls a hook in each turn, before and after the callbacks of the turn's events are queued.

    What a hook gives to `call_soon` runs in that very turn, and thus directly before or after them.
    """

    before: Hook | None = None
    after: Hook | None = None

    def _process_events(self, events: list[Any]) -> None:
        if self.before is not None:
            self.before()
        super()._process_events(events)  # type: ignore[misc]
        if self.after is not None:
            self.after()


class Steps:
    """A coroutine whose awaits are counted, and which is cancelled at one of its places."""

    def __init__(self, work: Coroutine[Any, Any, Any], moment: Moment, place: int) -> None:
        self._work = work
        self._moment = moment
        self._place = place
        self._task: asyncio.Task[Any] | None = None
        self.points = 0
        self.turns = 0
        self.reached = False

    async def run(self) -> Any:
        """Do the work, in a task of its own."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        if self._moment.by_turns:
            assert isinstance(loop, HookedLoop)
            name = self._moment.name.lower()
            setattr(loop, name, lambda: loop.call_soon(self._on_turn))
            try:
                return await self
            finally:
                setattr(loop, name, None)
        return await self

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                awaited = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration as end:
                return end.value
            error = None
            here = not self._moment.by_turns and self.points == self._place and not self.reached
            self.points += 1
            if here and self._moment is Moment.AT:
                self._cancel()
            try:
                yield awaited
            except BaseException as thrown:
                error = thrown
            if here and self._moment is Moment.LATE and error is None:
                # So a task does that is cancelled when its future is done, but it has not run yet.
                self.reached = True
                error = asyncio.CancelledError()

    def _on_turn(self) -> None:
        assert self._task is not None
        if self.turns == self._place and not self._task.done():
            self._cancel()
        self.turns += 1

    def _cancel(self) -> None:
        assert self._task is not None
        self.reached = True
        assert self._task.cancel()
