"""DistributedCondition refuses bad arguments at once, before anything is sent."""

import inspect
import math
from typing import Any

import pytest
from dsync import DistributedCondition

from tests.unit.test_arguments import NO_NUMBERS, NO_TIMES, NOWHERE, SECONDS

NO_COUNTS = ["1", b"1", True, False, 1.0, 0.5, math.inf, math.nan, None, [1], ...]


@pytest.fixture
def condition() -> DistributedCondition:
    return DistributedCondition(NOWHERE, "key")


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout", "lease"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_a_time_that_is_no_number_raises_type_error(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        DistributedCondition(NOWHERE, "key", **{name: value})


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout", "lease"])
@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_a_negative_or_nan_time_raises_value_error(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        DistributedCondition(NOWHERE, "key", **{name: value})


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", SECONDS, ids=repr)
def test_zero_and_infinity_are_delays_and_timeouts(name: str, value: Any) -> None:
    DistributedCondition(NOWHERE, "key", **{name: value})


@pytest.mark.parametrize("value", [0, 0.0, math.inf], ids=repr)
def test_a_lease_of_zero_or_infinity_raises_value_error(value: float) -> None:
    with pytest.raises(ValueError, match="lease"):
        DistributedCondition(NOWHERE, "key", lease=value)


@pytest.mark.parametrize("value", [None, 0.001, 1], ids=repr)
def test_none_or_a_positive_number_is_a_lease(value: float | None) -> None:
    DistributedCondition(NOWHERE, "key", lease=value)


@pytest.mark.parametrize("key", [None, 1, b"key", ["key"], ...], ids=repr)
def test_a_key_that_is_no_str_raises_type_error(key: Any) -> None:
    with pytest.raises(TypeError, match="key"):
        DistributedCondition(NOWHERE, key)


@pytest.mark.parametrize("key", ["", "\ud800"], ids=ascii)
def test_a_key_that_is_empty_or_no_text_raises_value_error(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        DistributedCondition(NOWHERE, key)


@pytest.mark.parametrize("redis", [None, 1, ..., b"redis://"], ids=repr)
def test_what_is_no_client_raises_type_error(redis: Any) -> None:
    with pytest.raises(TypeError):
        DistributedCondition(redis, "key")


@pytest.mark.parametrize("value", [1, "name", ...], ids=repr)
def test_an_on_lost_that_cannot_be_called_raises_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="on_lost"):
        DistributedCondition(NOWHERE, "key", on_lost=value)


@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), (4000, ValueError), ("1", TypeError)]
)
def test_a_migration_window_that_is_none_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="migration_window"):
        DistributedCondition(NOWHERE, "key", migration_window=value)


def test_positional_parameters_are_those_of_the_old_package() -> None:
    parameters = inspect.signature(DistributedCondition).parameters.values()
    positional = [each for each in parameters if each.kind is not each.KEYWORD_ONLY]
    assert [(each.name, each.default) for each in positional] == [
        ("redis", inspect.Parameter.empty),
        ("key", inspect.Parameter.empty),
        ("acquire_sleep_delay", 0.1),
        ("acquire_timeout", None),
    ]


@pytest.mark.parametrize("n", NO_COUNTS, ids=repr)
async def test_notify_refuses_what_is_no_whole_number(
    condition: DistributedCondition, n: Any
) -> None:
    # Before it looks for the lock, which is not held either.
    with pytest.raises(TypeError, match="n must"):
        await condition.notify(n)


@pytest.mark.parametrize("n", [-1, -(10**30), 2**53, 10**30], ids=repr)
async def test_notify_refuses_negative_and_absurd_numbers(
    condition: DistributedCondition, n: int
) -> None:
    with pytest.raises(ValueError, match="n must"):
        await condition.notify(n)


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", [*NO_TIMES, "1"], ids=repr)
async def test_acquire_refuses_what_is_no_time(
    condition: DistributedCondition, name: str, value: Any
) -> None:
    with pytest.raises((ValueError, TypeError), match=name):
        await condition.acquire(**{name: value})


async def test_notify_and_release_without_the_lock_need_no_server(
    condition: DistributedCondition,
) -> None:
    for call in (condition.notify, condition.notify_all, condition.release):
        with pytest.raises(RuntimeError, match="key"):
            await call()


def test_a_condition_can_be_made_without_an_event_loop() -> None:
    condition = DistributedCondition(NOWHERE, "some key")
    assert "some key" in repr(condition)
    assert "DistributedCondition" in repr(condition)
