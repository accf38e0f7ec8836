"""Every public coroutine, cancelled wherever it waits and in every turn of the loop meanwhile."""

import asyncio
from collections import Counter

import pytest

from tests.cancellation import close_cases, condition_cases, leased_cases, meeting_cases
from tests.cancellation.driver import HookedLoop, Moment
from tests.cancellation.registry import CASES, Case, public_coroutines
from tests.cancellation.stage import Stage, World
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

# They enter their cases as they are imported.
MODULES = (leased_cases, condition_cases, meeting_cases, close_cases)
# More places than any case has; see that each comes to its end.
MANY = 300


async def explore(case: Case, moment: Moment, world: World) -> tuple[int, int]:
    """Cancel at one place after the other; return how many there were, and the awaits."""
    for place in range(MANY):
        stage = Stage(world, moment, place)
        try:
            await case.play(stage)
            await stage.check()
        except BaseException as error:
            error.add_note(f"cancelled {moment.value}, at place {place}")
            raise
        if not stage.reached:
            return place, stage.points
    raise AssertionError(f"it never came to its end in {MANY} places")


RUNS = [
    (case, moment) for case in CASES for moment in Moment if case.by_turns or not moment.by_turns
]


@pytest.mark.parametrize(
    ("case", "moment"), RUNS, ids=[f"{case.name}-{moment.name.lower()}" for case, moment in RUNS]
)
def test_cancelled_at_every_place(
    server: RedisServer, shared_proxy: Proxy, key: str, case: Case, moment: Moment
) -> None:
    with asyncio.Runner(loop_factory=HookedLoop) as runner:
        world = World(server, shared_proxy, key)
        places, points = runner.run(explore(case, moment, world))
    print(f"{case.name}: {places} places, {points} awaits")
    assert (points == 0) == case.at_once
    # An answer may come in the turn of the question, and resumes its task in that turn.
    if not moment.by_turns:
        assert (places == 0) == case.at_once


def test_every_public_coroutine_has_cases() -> None:
    public = set(public_coroutines())
    cases = Counter(case.what for case in CASES)
    assert public, "the inspection finds nothing"
    assert public <= set(cases), f"without a case: {public - set(cases)}"


def test_no_case_is_entered_twice() -> None:
    names = Counter(case.name for case in CASES)
    assert max(names.values()) == 1
