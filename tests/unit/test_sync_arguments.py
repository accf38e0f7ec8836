"""The blocking face refuses what the asynchronous one refuses, and what threads cannot do."""

import functools
import math
from collections.abc import Callable
from typing import Any

import dsync
import pytest
from dsync import sync

from tests.unit.test_arguments import NO_NUMBERS, NO_TIMES, NOWHERE

LEASED: dict[str, Callable[..., Any]] = {
    "lock": functools.partial(sync.DistributedLock, NOWHERE, "key"),
    "semaphore": functools.partial(sync.DistributedSemaphore, NOWHERE, "key", 1),
    "bounded semaphore": functools.partial(sync.DistributedBoundedSemaphore, NOWHERE, "key", 1),
    "condition": functools.partial(sync.DistributedCondition, NOWHERE, "key"),
}
each_leased = pytest.mark.parametrize("make", LEASED.values(), ids=LEASED.keys())

WAITS: dict[str, Callable[..., object]] = {
    "condition": sync.DistributedCondition(NOWHERE, "key").wait,
    "predicate": functools.partial(
        sync.DistributedCondition(NOWHERE, "key").wait_for, lambda: False
    ),
    "barrier": sync.DistributedBarrier(NOWHERE, "key", 2).wait,
    "event": sync.DistributedEvent(NOWHERE, "key").wait,
    "loss": sync.DistributedLock(NOWHERE, "key").lost.wait,
}
each_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())


def refusal(call: Callable[..., object], *args: Any, **kwargs: Any) -> tuple[type, str]:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*args, **kwargs)
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    ("kind", "arguments", "options"),
    [
        ("DistributedLock", ("",), {}),
        ("DistributedLock", (b"key",), {}),
        ("DistributedLock", ("key", "1"), {}),
        ("DistributedLock", ("key", 0.1, math.nan), {}),
        ("DistributedLock", ("key",), {"lease": 0}),
        ("DistributedLock", ("key",), {"on_lost": 1}),
        ("DistributedLock", ("key",), {"migration_window": -1}),
        ("DistributedSemaphore", ("key", -1), {}),
        ("DistributedSemaphore", ("key", True), {}),
        ("DistributedBoundedSemaphore", ("key", "1"), {}),
        ("DistributedCondition", ("key",), {"lease": math.inf}),
        ("DistributedBarrier", ("key", 0), {}),
        ("DistributedBarrier", ("key", 1.0), {}),
        ("DistributedEvent", ("", 5), {}),
        ("DistributedEvent", ("key", -1), {}),
    ],
)
def test_bad_arguments_are_refused_as_by_the_asynchronous_class(
    kind: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    theirs = refusal(getattr(dsync, kind), NOWHERE, *arguments, **options)
    assert refusal(getattr(sync, kind), NOWHERE, *arguments, **options) == theirs


@each_leased
def test_cancel_on_lost_is_refused(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="thread cannot be cancelled"):
        make(cancel_on_lost=True)


@each_leased
def test_a_coroutine_function_as_on_lost_is_refused(make: Callable[..., Any]) -> None:
    async def on_lost(_: object) -> None: ...

    for given in (on_lost, functools.partial(on_lost)):
        with pytest.raises(TypeError, match="on_lost must be a plain function"):
            make(on_lost=given)


@each_wait
@pytest.mark.parametrize("value", [each for each in NO_NUMBERS if each is not False], ids=repr)
def test_a_timeout_that_is_no_number_raises_type_error(
    wait: Callable[..., object], value: Any
) -> None:
    with pytest.raises(TypeError):
        wait(timeout=value)


@each_wait
@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_a_negative_or_nan_timeout_raises_value_error(
    wait: Callable[..., object], value: float
) -> None:
    with pytest.raises(ValueError, match="timeout"):
        wait(timeout=value)


@each_wait
def test_false_is_no_timeout(wait: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="timeout"):
        wait(timeout=False)


@pytest.mark.parametrize("make", [make for name, make in LEASED.items() if name != "condition"])
def test_bad_arguments_of_acquire_and_extend_are_refused(make: Callable[..., Any]) -> None:
    subject = make()
    for value, error in (("1", TypeError), (True, TypeError), (-1, ValueError)):
        with pytest.raises(error, match="acquire_timeout"):
            subject.acquire(acquire_timeout=value)
        with pytest.raises(error, match="acquire_sleep_delay"):
            subject.acquire(value)
        with pytest.raises(error, match="seconds"):
            subject.extend(value)


def test_what_is_not_held_cannot_be_released_extended_or_notified() -> None:
    lock, condition = sync.DistributedLock(NOWHERE, "key"), sync.DistributedCondition(NOWHERE, "k")
    calls: list[Callable[[], object]] = [
        lock.release,
        lambda: lock.extend(1),
        condition.release,
        condition.notify,
        condition.notify_all,
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="does not hold it"):
            call()
    with pytest.raises(TypeError, match="n must be"):
        condition.notify("1")  # type: ignore[arg-type]
    assert not lock.owned()
    assert lock.valid_for() == 0
    assert not lock.lost.is_set()


def test_a_repr_says_what_it_is_and_shows_no_password() -> None:
    url = "redis://user:tops3cret@127.0.0.1:1/0"
    for subject in (
        sync.DistributedLock(url, "key"),
        sync.DistributedBoundedSemaphore(url, "key", 1),
        sync.DistributedCondition(url, "key"),
        sync.DistributedBarrier(url, "key", 2),
        sync.DistributedEvent(url, "key"),
    ):
        assert repr(subject).startswith(f"<dsync.sync.{type(subject).__name__} ")
        assert "tops3cret" not in repr(subject)
