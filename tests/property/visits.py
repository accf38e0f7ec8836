"""Programs of visitors, who take a lock or a slot, stay as long as the program wants, and leave."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.integration.conditions import turns
from tests.property.driver import Actor, Machine, some_turns


class Slots:
    """The model: slots, and visitors that enter in the order in which they came.

    :param limit: of a bounded semaphore
    """

    def __init__(self, free: int, limit: int | None = None) -> None:
        self.free = free
        self.limit = limit
        self.inside: list[int] = []
        self.queue: list[int] = []
        self.entered: list[int] = []  # all that ever have, in this order
        self.turned_away: list[int] = []
        self.refused = 0  # releases

    def come(self, visitor: int, *, patient: bool) -> None:
        """Take a slot, or else wait if the visitor is patient."""
        if self.free > 0:
            self.free -= 1
            self._enter(visitor)
        elif patient:
            self.queue.append(visitor)
        else:
            self.turned_away.append(visitor)

    def leave(self, visitor: int) -> None:
        """Give the slot back."""
        if self.add():
            self.inside.remove(visitor)

    def cancel(self, visitor: int) -> None:
        """Wait no longer."""
        self.queue.remove(visitor)

    def add(self) -> bool:
        """Make a slot free for the one who has waited longest, or else for anybody."""
        if self.limit is not None and self.free >= self.limit:
            self.refused += 1
            return False
        if self.queue:
            self._enter(self.queue.pop(0))
        else:
            self.free += 1
        return True

    def _enter(self, visitor: int) -> None:
        self.inside.append(visitor)
        self.entered.append(visitor)


class Visits(Machine):
    """Visitors of one key, whose primitives the subclass makes."""

    waiting_sessions: tuple[str, ...]
    passing_sessions: tuple[str, ...]
    model: Slots

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.entered: list[int] = []
        self.inside: set[int] = set()
        self.turned_away: list[int] = []
        self.refused = 0

    def primitive(self, session: str) -> Any:
        """Return an object of that session, which may be shared."""
        raise NotImplementedError

    def seen(self) -> dict[str, object]:
        return {
            "entered": list(self.entered),
            "inside": sorted(self.inside),
            "turned away": list(self.turned_away),
            "refused": self.refused,
        }

    def expected(self) -> dict[str, object]:
        return {
            "entered": self.model.entered,
            "inside": sorted(self.model.inside),
            "turned away": self.model.turned_away,
            "refused": self.model.refused,
        }

    # ---- steps ----

    @rule(data=st.data())
    def come_and_wait(self, data: st.DataObject) -> None:
        # Several, because most steps need somebody who waits.
        places = st.lists(st.sampled_from(self.waiting_sessions), min_size=1, max_size=4)
        for session in data.draw(places):
            self._come(session, patient=True)

    @rule(data=st.data())
    def come_and_try(self, data: st.DataObject) -> None:
        self._come(data.draw(st.sampled_from(self.passing_sessions)), patient=False)

    @precondition(lambda self: self.model.inside)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.model.inside))
        self.model.leave(number)
        self.run(self._let_go(number))

    @precondition(lambda self: self.model.queue)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.model.queue))
        self.model.cancel(number)
        self.run(self._give_up(number))

    @precondition(lambda self: self.model.queue and self.model.inside)
    @rule(data=st.data(), between=some_turns)
    def leave_while_the_first_gives_up(self, data: st.DataObject, between: int) -> None:
        leaving = data.draw(st.sampled_from(self.model.inside))
        first = self.model.queue[0]
        self.run(self._let_go(leaving))
        self.run(turns(between))
        self.run(self._give_up(first))
        # Both are right, as long as the slot goes on to the next.
        if first in self.entered:
            self.model.leave(leaving)
            self.model.leave(first)
        else:
            self.model.cancel(first)
            self.model.leave(leaving)

    # ---- what visitors do ----

    def _come(self, session: str, *, patient: bool) -> None:
        visitor = self.actor(session, self.primitive(session))
        self.model.come(visitor.number, patient=patient)
        self.run(self._begin(visitor, patient))

    async def _begin(self, visitor: Actor, patient: bool) -> None:
        await self.start(visitor, self._visit(visitor, patient))
        await self._answered(visitor)

    async def _let_go(self, number: int) -> None:
        self.actors[number].may_go.set()

    async def _give_up(self, number: int) -> None:
        await self.cancel(number)
        await self._answered(self.actors[number])

    @staticmethod
    async def _answered(visitor: Actor) -> None:
        # Commands of a session are answered in order, so what it said before has been done.
        await visitor.primitive.locked()

    async def _visit(self, visitor: Actor, patient: bool) -> None:
        if patient:
            await visitor.primitive.acquire()
        elif not await visitor.primitive.try_acquire():
            self.turned_away.append(visitor.number)
            return
        self.on_entry(visitor)
        try:
            while not await self._leave(visitor):
                pass
        finally:
            self.inside.remove(visitor.number)

    def on_entry(self, visitor: Actor) -> None:
        """Note that a visitor has come in."""
        self.entered.append(visitor.number)
        self.inside.add(visitor.number)

    async def _leave(self, visitor: Actor) -> bool:
        """Stay as long as the program wants, and tell whether the release was not refused."""
        try:
            await visitor.may_go.wait()
        finally:
            left = await self._release(visitor)
        return left

    async def _release(self, visitor: Actor) -> bool:
        visitor.may_go.clear()
        try:
            await visitor.primitive.release()
        except ValueError:
            self.refused += 1
            return False
        return True
