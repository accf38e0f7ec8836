"""The checker alone: histories written by hand, good ones and bad ones."""

from collections.abc import Iterable

import pytest

from tests.history.check_locks import (
    check_elements,
    check_order,
    check_permits,
    check_refusals,
    check_tokens,
)
from tests.history.check_meetings import ALL, check_barrier, check_notifications
from tests.history.checker import check_end
from tests.history.events import Event, Violation
from tests.history.matching import match


class History:
    """Writes events; times are small numbers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._numbers = 0

    def add(self, at: int, kind: str, op: str, number: int = 0, who: str = "p", **value: object):  # type: ignore[no-untyped-def]
        self.events.append(Event(at, who, kind, number, "t", op, "k", value))

    def call(
        self,
        op: str,
        start: int,
        end: int | None = None,
        outcome: str = "ok",
        *,
        who: str = "p",
        **value: object,
    ) -> int:
        """Write an operation; without an end nobody knows how it ended."""
        self._numbers += 1
        self.add(start, "invoke", op, self._numbers, who, **value)
        if end is not None:
            self.add(end, outcome, op, self._numbers, who, **value)
        return self._numbers

    def hold(self, ask: int, got: int, until: int, *, free: int | None = None, how: str = "ok"):  # type: ignore[no-untyped-def]
        """Write a hold that was claimed until some time, and freed at another."""
        number = self.call("acquire", ask, got, fence=got)
        self.add(got, "claim", "acquire", number, until=until)
        if free is not None:
            self.call("release", free, free + 1, how, hold=number)
        return number

    def found(self, violations: Iterable[Violation]) -> list[str]:
        """Return the rules that are broken; the generator was made with `merged`."""
        return [violation.rule for violation in violations]

    @property
    def merged(self) -> list[Event]:
        """The events by time."""
        return sorted(self.events, key=lambda event: event.at)


@pytest.fixture
def history() -> History:
    return History()


# ---- locks and semaphores ----


def test_holds_one_after_another(history: History) -> None:
    history.hold(0, 10, 50, free=20)  # Freed before the claim is over.
    history.hold(5, 21, 50, free=60, how="fail")  # Lost, and told so in time.
    history.hold(6, 51, 90)  # Killed; the claim is over at some time.
    history.hold(7, 91, 100, free=300)  # Renewed, as the release says.
    assert not history.found(check_permits(history.merged))
    assert not history.found(check_tokens(history.merged))


@pytest.mark.parametrize(
    ("until", "free", "how"), [(50, 60, "fail"), (30, 60, "ok"), (50, None, ""), (99, 60, "info")]
)
def test_two_hold_at_once(history: History, until: int, free: int | None, how: str) -> None:
    history.hold(0, 10, until, free=free, how=how)
    history.hold(5, 40, 70)
    assert history.found(check_permits(history.merged)) == ["exclusion"]


def test_a_hold_without_an_end(history: History) -> None:
    number = history.call("acquire", 0, 1)
    history.add(1, "claim", "acquire", number, until=None)
    history.hold(5, 40, 70)
    assert history.found(check_permits(history.merged)) == ["exclusion"]


@pytest.mark.parametrize(("count", "found"), [(2, []), (3, ["permits"])])
def test_permits(history: History, count: int, found: list[str]) -> None:
    for number in range(count):
        history.hold(0, 10 + number, 50)
    history.hold(0, 51, 90)
    assert history.found(check_permits(history.merged, 2)) == found


def test_tokens_of_overlapping_calls_have_no_order(history: History) -> None:
    history.call("acquire", 0, 10, fence=2)
    history.call("acquire", 9, 20, fence=1)
    assert not history.found(check_tokens(history.merged))


@pytest.mark.parametrize("fence", [2, 1])
def test_tokens_that_do_not_grow(history: History, fence: int) -> None:
    history.call("acquire", 0, 10, fence=2)
    history.call("acquire", 11, 20, fence=3)
    history.call("acquire", 12, 20, "fail", fence=0)
    history.call("acquire", 21, 30, fence=fence)
    assert set(history.found(check_tokens(history.merged))) == {"tokens"}


@pytest.mark.parametrize(
    ("op", "until", "found"),
    [("write", 100, ["refusals"]), ("read", 100, ["refusals"]), ("write", 35, [])],
)
def test_refusals(history: History, op: str, until: int, found: list[str]) -> None:
    number = history.hold(0, 10, until)
    history.call(op, 30, 40, "fail", hold=number)
    history.call(op, 50, 60, "ok", hold=number)
    assert history.found(check_refusals(history.merged)) == found


def written(history: History, element: str, outcome: str, until: int = 100) -> None:
    hold = history.hold(0, 10, until)
    read = history.call("read", 20, 21, hold=hold)
    history.call("write", 30, 40, outcome, hold=hold, element=element, read=read)


@pytest.mark.parametrize(
    ("elements", "found"),
    [
        (["a"], []),
        (["a", "b"], []),  # Nobody knows of b.
        ([], ["elements"]),
        (["b"], ["elements"]),
        (["a", "a"], ["elements"]),
        (["a", "c"], ["elements"]),
    ],
)
def test_elements(history: History, elements: list[str], found: list[str]) -> None:
    written(history, "a", "ok")
    written(history, "b", "info")
    written(history, "c", "fail")
    history.add(200, "final", "elements", elements=elements)
    for guarded in (True, False):
        assert history.found(check_elements(history.merged, guarded)) == found


def test_a_late_write_excuses_an_unguarded_store_only(history: History) -> None:
    written(history, "a", "ok")
    written(history, "b", "ok", until=35)
    history.add(200, "final", "elements", elements=["b"])
    assert not history.found(check_elements(history.merged, False))
    assert history.found(check_elements(history.merged, True)) == ["elements"]


@pytest.mark.parametrize(
    ("calm", "seen", "asked", "fences", "found"),
    [
        ("first", 10, 11, (1, 2), []),
        ("first", 10, 11, (2, 1), ["order"]),
        ("first", 10, 30, (9, 1), ["order"]),
        ("first", 12, 11, (2, 1), []),  # Asked before the first was surely queued.
        ("second", 10, 11, (2, 1), []),  # The first may have lost its place.
    ],
)
def test_order(
    history: History, calm: str, seen: int, asked: int, fences: tuple[int, int], found: list[str]
) -> None:
    history.events.append(Event(0, "run", "calm", 0, "", "process", calm))
    history.call("acquire", 1, 50, who="first", token="a", fence=fences[0])
    history.add(seen, "seen", "queue", asked=seen - 1, tokens=["a"])
    history.call("acquire", asked, 60, who="second", token="b", fence=fences[1])
    assert history.found(check_order(history.merged)) == found


def test_a_look_that_began_before_the_call_tells_nothing(history: History) -> None:
    history.events.append(Event(0, "run", "calm", 0, "", "process", "first"))
    history.add(5, "seen", "queue", asked=2, tokens=["a"])
    history.call("acquire", 3, 50, who="first", token="a", fence=2)
    history.call("acquire", 11, 60, who="second", token="b", fence=1)
    assert not history.found(check_order(history.merged))


# ---- conditions ----


def test_each_wakes_by_a_notification_of_its_own(history: History) -> None:
    history.call("wait", 0, 30, fence=1)
    history.call("wait", 2, 31, fence=2)
    history.call("wait", 4, 90, "fail", fence=3, why="end")
    history.call("notify", 10, 11, fence=4, n=1)
    history.call("notify", 12, None, fence=5, n=1)  # It may have happened.
    history.call("notify", 13, 14, "fail", fence=6, n=1)
    assert not history.found(check_notifications(history.merged))


@pytest.mark.parametrize(
    ("start", "fence", "n", "outcome"),
    [(10, 4, 1, "ok"), (10, 0, 2, "ok"), (35, 4, 2, "ok"), (10, 4, 2, "fail")],
)
def test_wakes_without_a_notification(
    history: History, start: int, fence: int, n: int, outcome: str
) -> None:
    history.call("wait", 0, 30, fence=1)
    history.call("wait", 2, 31, fence=2)
    history.call("notify", start, start + 1, outcome, fence=fence, n=n)
    assert "wakes" in history.found(check_notifications(history.merged))


@pytest.mark.parametrize("n", [1, ALL])
def test_a_notification_that_nobody_got(history: History, n: int) -> None:
    history.call("wait", 0, 90, "fail", fence=1, why="end")
    history.call("notify", 10, 11, fence=2, n=n)
    assert history.found(check_notifications(history.merged)) == ["losses"]


def test_the_second_notification_was_lost(history: History) -> None:
    history.call("wait", 0, 30, fence=1)
    history.call("wait", 2, 60, fence=2)
    history.call("notify", 10, 11, fence=3, n=1)
    history.call("notify", 12, 13, fence=4, n=1)
    assert not history.found(check_notifications(history.merged))
    history.call("wait", 5, 90, "fail", fence=2.5, why="end")
    history.call("notify", 14, 15, fence=5, n=1)
    assert history.found(check_notifications(history.merged)) == ["losses"]


def test_a_cancelled_waiter_passes_its_notification_on(history: History) -> None:
    history.call("wait", 0, 20, "fail", fence=1, why="timeout")
    history.call("wait", 2, 90, "fail", fence=2, why="end")
    history.call("notify", 10, 11, fence=3, n=1)
    assert history.found(check_notifications(history.merged)) == ["losses"]


def test_what_nobody_surely_waited_for_may_wake_nobody(history: History) -> None:
    history.call("wait", 0, 20, "fail", fence=1, why="timeout")
    history.call("wait", 40, 90, "fail", fence=4, why="end")
    history.call("notify", 10, 11, fence=3, n=2)
    assert not history.found(check_notifications(history.merged))


def test_a_killed_waiter_may_have_woken(history: History) -> None:
    history.call("wait", 0, None, fence=1)
    history.call("wait", 2, 90, "fail", fence=2, why="end")
    history.call("notify", 10, 11, fence=3, n=1)
    assert not history.found(check_notifications(history.merged))
    history.call("notify", 12, 13, fence=4, n=1)
    assert history.found(check_notifications(history.merged)) == ["losses"]


# ---- barriers ----


def test_rounds(history: History) -> None:
    for start, end in [(0, 10), (5, 11), (11, 20), (12, 21)]:
        history.call("meet", start, end)
    history.call("meet", 30, 90, "fail", why="end")
    assert not history.found(check_barrier(history.merged, 2))


@pytest.mark.parametrize(
    "calls", [[(0, 10), (11, 12)], [(0, 10), (5, 11), (6, 12)], [(0, 10), (5, 40), (10, 30)]]
)
def test_a_party_leaves_early(history: History, calls: list[tuple[int, int]]) -> None:
    for start, end in calls:
        history.call("meet", start, end)
    assert "barrier" in history.found(check_barrier(history.merged, 2))


def test_a_killed_party_counts_once(history: History) -> None:
    history.call("meet", 0, None)
    history.call("meet", 5, 10)
    assert not history.found(check_barrier(history.merged, 2))
    history.call("meet", 11, 12)
    assert history.found(check_barrier(history.merged, 2)) == ["barrier"]


def test_a_full_round_that_does_not_open(history: History) -> None:
    history.call("meet", 0, 90, "fail", why="end")
    history.call("meet", 5, 90, "fail", why="end")
    assert not history.found(check_barrier(history.merged, 3))
    assert history.found(check_barrier(history.merged, 2)) == ["barrier"]


# ---- the rest ----


def test_a_process_that_does_not_end(history: History) -> None:
    history.call("acquire", 0, 1)
    history.call("acquire", 2)
    assert not history.found(check_end(history.merged))
    history.events.append(Event(90, "run", "stuck", 0, "", "process", "p"))
    (violation,) = check_end(history.merged)
    assert [event.at for event in violation.events] == [90, 2]


def test_the_largest_matching() -> None:
    assert match([[0], [0, 1], [1, 2]]) == [0, 1, 2]
    assert sorted(match([[1, 0], [1], [0]]), key=str) == [0, 1, None]
    assert match([[], [3]]) == [None, 3]
