"""Random programs of the barrier: rounds of exactly the parties, and none sees another."""

from __future__ import annotations

import random

from dsync import BrokenBarrierError, DistributedBarrier
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.integration.barriers import count_name
from tests.property.driver import SESSIONS, Actor, Machine, play, sessions
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

PASSED, BROKEN = "passed", "broken"


class Rounds:
    """The model: parties that wait, and how the others fared."""

    def __init__(self, parties: int) -> None:
        self.parties = parties
        self.waiting: list[int] = []
        self.outcomes: dict[int, str] = {}

    def arrive(self, party: int) -> None:
        """Wait, and open the round as the last of it."""
        self.waiting.append(party)
        if len(self.waiting) == self.parties:
            self.end(PASSED)

    def end(self, outcome: str) -> None:
        """End the round for all that wait."""
        self.outcomes |= dict.fromkeys(self.waiting, outcome)
        self.waiting.clear()


class Barriers(Machine):
    """Parties that arrive alone or together, give up, and break the round."""

    @initialize(parties=st.integers(1, 4))
    def choose(self, parties: int) -> None:
        self.model = Rounds(parties)
        self.outcomes: dict[int, str] = {}
        self.barriers = {
            session: DistributedBarrier(self.client(session), self.key, parties)
            for session in SESSIONS
        }

    def seen(self) -> dict[str, object]:
        return {
            "outcomes": dict(self.outcomes),
            "arrived": int(self.eyes.get(count_name(self.key)) or 0),
        }

    def expected(self) -> dict[str, object]:
        return {"outcomes": self.model.outcomes, "arrived": len(self.model.waiting)}

    @rule(session=sessions)
    def arrive(self, session: str) -> None:
        self.model.arrive(self.run(self._arrive(session)))

    @rule(places=st.lists(sessions, min_size=2, max_size=6))
    def arrive_together(self, places: list[str]) -> None:
        earlier, model = list(self.model.waiting), self.model
        numbers = [self.run(self._arrive(session)) for session in places]
        passing = (len(earlier) + len(places)) // model.parties * model.parties
        self.run(self._until_passed([*earlier, *numbers], passing))
        # Nobody knows which of these came first, but those before them did.
        for number in [*earlier, *sorted(numbers, key=lambda n: n not in self.outcomes)]:
            if number not in earlier:
                model.arrive(number)

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.model.waiting))
        self.model.waiting.remove(number)
        self.run(self.cancel(number))

    @rule(session=sessions, how=st.sampled_from(("reset", "abort")))
    def break_round(self, session: str, how: str) -> None:
        self.model.end(BROKEN)
        self.run(getattr(self.barriers[session], how)())

    @rule(session=sessions)
    def ask(self, session: str) -> None:
        assert self.run(self.barriers[session].n_waiting()) == len(self.model.waiting)

    async def _arrive(self, session: str) -> int:
        party = self.actor(session, self.barriers[session])
        await self.start(party, self._wait(party))
        return party.number

    async def _until_passed(self, numbers: list[int], count: int) -> None:
        await eventually(
            lambda: sum(number in self.outcomes for number in numbers) >= count,
            f"{count} of the parties {numbers} go on",
        )

    async def _wait(self, party: Actor) -> None:
        try:
            await party.primitive.wait()
            self.outcomes[party.number] = PASSED
        except BrokenBarrierError:
            self.outcomes[party.number] = BROKEN


def test_barriers(server: RedisServer, dice: random.Random) -> None:
    play(Barriers, server, dice)
