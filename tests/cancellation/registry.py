"""The cases by the public coroutine that they are about, and the list of those coroutines."""

import inspect
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple

import dsync

from tests.cancellation.stage import Stage

Play = Callable[..., Coroutine[Any, Any, None]]


class Case(NamedTuple):
    """One situation in which a public coroutine is cancelled."""

    what: str
    situation: str
    play: Callable[[Stage], Coroutine[Any, Any, None]]
    # Whether it never waits, so that there is nothing to cancel.
    at_once: bool = False
    # Whether it is worth the time to cancel in each turn of the loop too.
    by_turns: bool = True

    @property
    def name(self) -> str:
        """How the test is called."""
        return f"{self.what}-{self.situation}"


CASES: list[Case] = []


def add(what: str, play: Play, *arguments: Any, **options: bool) -> None:
    """Enter a case, whose situation is the name of the function; for options see `Case`."""
    situation = play.__name__.replace("_", " ")
    CASES.append(Case(what, situation, lambda stage: play(stage, *arguments), **options))


def case(what: str, **options: bool) -> Callable[[Play], Play]:
    """Enter the function as a case of a coroutine."""

    def enter(play: Play) -> Play:
        add(what, play, **options)
        return play

    return enter


def public_coroutines() -> Iterator[str]:
    """Name every coroutine function that users can call, as the package itself tells."""
    for name in dsync.__all__:
        member = getattr(dsync, name)
        if inspect.iscoroutinefunction(member):
            yield name
        elif inspect.isclass(member):
            for method, _ in inspect.getmembers(member, inspect.iscoroutinefunction):
                if not method.startswith("_") or method in ("__aenter__", "__aexit__"):
                    yield f"{name}.{method}"
