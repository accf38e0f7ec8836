"""Bad arguments of semaphores raise TypeError or ValueError at once, before anything is sent."""

import math
from typing import Any

import pytest
from dsync import DistributedBoundedSemaphore, DistributedSemaphore

from tests.unit.test_arguments import NO_NUMBERS, NO_TIMES, NOWHERE, SECONDS

Kind = type[DistributedSemaphore]
WINDOW = "DSYNC_MIGRATION_WINDOW"


@pytest.fixture(params=[DistributedSemaphore, DistributedBoundedSemaphore])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each of the two classes."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def semaphore(kind: Kind) -> DistributedSemaphore:
    return kind(NOWHERE, "key", 1)


# ---- value ----


@pytest.mark.parametrize(
    "value", [-1, -(10**9), 2**53, 10**400], ids=["-1", "-1e9", "2**53", "1e400"]
)
def test_an_impossible_value_raises_value_error(kind: Kind, value: int) -> None:
    with pytest.raises(ValueError, match="value"):
        kind(NOWHERE, "key", value)


@pytest.mark.parametrize("value", [None, 1.0, math.nan, math.inf, "1", b"1", True, [1]], ids=repr)
def test_a_value_that_is_no_int_raises_type_error(kind: Kind, value: Any) -> None:
    with pytest.raises(TypeError, match="value"):
        kind(NOWHERE, "key", value)


@pytest.mark.parametrize("value", [0, 1, 2**53 - 1])
def test_zero_or_more_is_a_value(kind: Kind, value: int) -> None:
    kind(NOWHERE, "key", value)


def test_the_value_is_required(kind: Kind) -> None:
    with pytest.raises(TypeError, match="value"):
        kind(NOWHERE, "key")  # type: ignore[call-arg]


# ---- key and redis ----


@pytest.mark.parametrize("key", [None, 1, b"key", ["key"], ...], ids=repr)
def test_a_key_that_is_no_str_raises_type_error(kind: Kind, key: Any) -> None:
    with pytest.raises(TypeError, match="key"):
        kind(NOWHERE, key, 1)


@pytest.mark.parametrize("key", ["", "\ud800", "a\udfff"], ids=ascii)
def test_a_key_that_is_empty_or_no_text_raises_value_error(kind: Kind, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        kind(NOWHERE, key, 1)


@pytest.mark.parametrize("redis", [None, 1, ..., b"redis://localhost"], ids=repr)
def test_what_is_no_client_raises_type_error(kind: Kind, redis: Any) -> None:
    with pytest.raises(TypeError):
        kind(redis, "key", 1)


# ---- times ----


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout", "lease"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_a_time_that_is_no_number_raises_type_error(kind: Kind, name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        kind(NOWHERE, "key", 1, **{name: value})


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout", "lease"])
@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_a_negative_or_nan_time_raises_value_error(kind: Kind, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        kind(NOWHERE, "key", 1, **{name: value})


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", SECONDS, ids=repr)
def test_zero_and_infinity_are_delays_and_timeouts(kind: Kind, name: str, value: Any) -> None:
    kind(NOWHERE, "key", 1, **{name: value})


@pytest.mark.parametrize("value", [0, 0.0, -0.0, math.inf], ids=repr)
def test_a_lease_of_zero_or_infinity_raises_value_error(kind: Kind, value: float) -> None:
    with pytest.raises(ValueError, match="lease"):
        kind(NOWHERE, "key", 1, lease=value)


@pytest.mark.parametrize("value", [None, 0.001, 1, 1e9], ids=repr)
def test_none_or_a_positive_number_is_a_lease(kind: Kind, value: float | None) -> None:
    kind(NOWHERE, "key", 1, lease=value)


@pytest.mark.parametrize("value", [1, "name", ...], ids=repr)
def test_an_on_lost_that_cannot_be_called_raises_type_error(kind: Kind, value: Any) -> None:
    with pytest.raises(TypeError, match="on_lost"):
        kind(NOWHERE, "key", 1, on_lost=value)


def test_what_the_old_package_does_not_know_is_keyword_only(kind: Kind) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind(NOWHERE, "key", 1, 0.1, None, 30.0)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout", "lease"])
@pytest.mark.parametrize("value", [10**400, -(10**400)], ids=["1e400", "-1e400"])
def test_an_int_beyond_all_floats_raises_value_error(kind: Kind, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        kind(NOWHERE, "key", 1, **{name: value})


# ---- migration_window ----


@pytest.mark.parametrize("value", ["1", True, [1.0], ...], ids=repr)
def test_a_window_that_is_no_number_raises_type_error(kind: Kind, value: Any) -> None:
    with pytest.raises(TypeError, match="migration_window"):
        kind(NOWHERE, "key", 1, migration_window=value)


@pytest.mark.parametrize("value", [*NO_TIMES, 3600.1, math.inf], ids=repr)
def test_an_impossible_window_raises_value_error(kind: Kind, value: float) -> None:
    with pytest.raises(ValueError, match="migration_window"):
        kind(NOWHERE, "key", 1, migration_window=value)


@pytest.mark.parametrize("value", [None, 0, 0.01, 3600], ids=repr)
def test_up_to_an_hour_is_a_window(kind: Kind, value: float | None) -> None:
    kind(NOWHERE, "key", 1, migration_window=value)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "3601", "1,5"])
def test_an_impossible_window_of_the_environment_raises_value_error(
    kind: Kind, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WINDOW, text)
    with pytest.raises(ValueError, match=WINDOW):
        kind(NOWHERE, "key", 1)
    # The argument goes before the environment.
    kind(NOWHERE, "key", 1, migration_window=0)


@pytest.mark.parametrize("text", ["", "0", "0.05", "3600"])
def test_a_window_of_the_environment_is_taken(
    kind: Kind, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WINDOW, text)
    kind(NOWHERE, "key", 1)


# ---- methods ----


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
async def test_acquire_refuses_a_time_that_is_no_number(
    semaphore: DistributedSemaphore, name: str, value: Any
) -> None:
    with pytest.raises(TypeError, match=name):
        await semaphore.acquire(**{name: value})


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
async def test_acquire_refuses_a_negative_or_nan_time(
    semaphore: DistributedSemaphore, name: str, value: float
) -> None:
    with pytest.raises(ValueError, match=name):
        await semaphore.acquire(**{name: value})


@pytest.mark.parametrize("value", [*NO_TIMES, 0, math.inf], ids=repr)
async def test_extend_refuses_what_is_not_positive_and_finite(
    semaphore: DistributedSemaphore, value: float
) -> None:
    with pytest.raises(ValueError, match="seconds"):
        await semaphore.extend(value)


async def test_extend_without_a_permit_raises_runtime_error(
    semaphore: DistributedSemaphore,
) -> None:
    with pytest.raises(RuntimeError, match="key"):
        await semaphore.extend(1)


def test_a_semaphore_can_be_made_without_an_event_loop(semaphore: DistributedSemaphore) -> None:
    assert semaphore.valid_for() == 0
    assert not semaphore.lost.is_set()
    assert "key" in repr(semaphore)
