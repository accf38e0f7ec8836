"""Bad arguments raise TypeError or ValueError at once, before anything is sent."""

import math
from typing import Any

import pytest
from dsync import DistributedLock

# Nobody listens there, so whatever is sent comes back as another error.
NOWHERE = "redis://127.0.0.1:1/0"

NO_NUMBERS = ["1", b"1", True, False, [1.0], {}, ..., 1j]
NO_TIMES = [-1, -0.001, -math.inf, math.nan]
SECONDS = [0, 0.0, 1, 0.001, 1e300, math.inf]


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout", "lease"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_a_time_that_is_no_number_raises_type_error(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        DistributedLock(NOWHERE, "key", **{name: value})


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout", "lease"])
@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_a_negative_or_nan_time_raises_value_error(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        DistributedLock(NOWHERE, "key", **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", SECONDS, ids=repr)
def test_zero_and_infinity_are_delays_and_timeouts(name: str, value: float) -> None:
    DistributedLock(NOWHERE, "key", **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, 0.0, -0.0, math.inf], ids=repr)
def test_a_lease_of_zero_or_infinity_raises_value_error(value: float) -> None:
    with pytest.raises(ValueError, match="lease"):
        DistributedLock(NOWHERE, "key", lease=value)


@pytest.mark.parametrize("value", [None, 0.001, 1, 1e9], ids=repr)
def test_none_or_a_positive_number_is_a_lease(value: float | None) -> None:
    DistributedLock(NOWHERE, "key", lease=value)


def test_no_delay_at_all_raises_type_error() -> None:
    with pytest.raises(TypeError, match="acquire_sleep_delay"):
        DistributedLock(NOWHERE, "key", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [None, 1, b"key", ["key"], ...], ids=repr)
def test_a_key_that_is_no_str_raises_type_error(key: Any) -> None:
    with pytest.raises(TypeError, match="key"):
        DistributedLock(NOWHERE, key)


@pytest.mark.parametrize("key", ["", "\ud800", "a\udfff"], ids=ascii)
def test_a_key_that_is_empty_or_no_text_raises_value_error(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        DistributedLock(NOWHERE, key)


@pytest.mark.parametrize("value", [1, "name", ...], ids=repr)
def test_an_on_lost_that_cannot_be_called_raises_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="on_lost"):
        DistributedLock(NOWHERE, "key", on_lost=value)


@pytest.mark.parametrize("name", ["lease", "auto_renew", "on_lost", "cancel_on_lost"])
def test_what_the_old_package_does_not_know_is_keyword_only(name: str) -> None:
    with pytest.raises(TypeError, match="positional"):
        DistributedLock(NOWHERE, "key", 0.1, None, 30.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected"):
        DistributedLock(NOWHERE, "key", **{f"{name}_": 1})  # type: ignore[arg-type]


@pytest.fixture
def lock() -> DistributedLock:
    return DistributedLock(NOWHERE, "key")


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
async def test_acquire_refuses_a_time_that_is_no_number(
    lock: DistributedLock, name: str, value: Any
) -> None:
    with pytest.raises(TypeError, match=name):
        await lock.acquire(**{name: value})


@pytest.mark.parametrize("name", ["acquire_sleep_delay", "acquire_timeout"])
@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
async def test_acquire_refuses_a_negative_or_nan_time(
    lock: DistributedLock, name: str, value: float
) -> None:
    with pytest.raises(ValueError, match=name):
        await lock.acquire(**{name: value})


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
async def test_extend_refuses_a_time_that_is_no_number(lock: DistributedLock, value: Any) -> None:
    with pytest.raises(TypeError, match="seconds"):
        await lock.extend(value)


@pytest.mark.parametrize("value", [*NO_TIMES, 0, math.inf], ids=repr)
async def test_extend_refuses_what_is_not_positive_and_finite(
    lock: DistributedLock, value: float
) -> None:
    with pytest.raises(ValueError, match="seconds"):
        await lock.extend(value)


def test_a_lock_can_be_made_without_an_event_loop() -> None:
    lock = DistributedLock(NOWHERE, "key")
    assert lock.valid_for() == 0
    assert "key" in repr(lock)
