"""DistributedEvent: bad arguments raise TypeError or ValueError at once."""

import math
from typing import Any

import pytest
from dsync import DistributedEvent

# Nobody listens there, so whatever is sent comes back as another error.
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize("value", ["1", b"1", None, True, False, [1.0], {}, ..., 1j], ids=repr)
def test_a_consumer_timeout_that_is_no_number_raises_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="consumer_timeout"):
        DistributedEvent(NOWHERE, "name", value)
    with pytest.raises(TypeError, match="consumer_timeout"):
        DistributedEvent(NOWHERE, "name", consumer_timeout=value)


@pytest.mark.parametrize("value", [-1, -0.001, -math.inf, math.nan], ids=repr)
def test_a_negative_or_nan_consumer_timeout_raises_value_error(value: float) -> None:
    with pytest.raises(ValueError, match="consumer_timeout"):
        DistributedEvent(NOWHERE, "name", value)


@pytest.mark.parametrize("value", [0, 0.0, 0.001, 5, 1e300, math.inf], ids=repr)
def test_any_other_number_is_a_consumer_timeout(value: float) -> None:
    DistributedEvent(NOWHERE, "name", value)


@pytest.mark.parametrize("name", [None, 1, b"name", ["name"], ...], ids=repr)
def test_a_name_that_is_no_str_raises_type_error(name: Any) -> None:
    with pytest.raises(TypeError, match="name"):
        DistributedEvent(NOWHERE, name)


@pytest.mark.parametrize("name", ["", "\ud800", "a\udfff"], ids=ascii)
def test_a_name_that_is_empty_or_no_text_raises_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        DistributedEvent(NOWHERE, name)


@pytest.mark.parametrize("redis", [None, 1, ..., NOWHERE.encode()], ids=repr)
def test_what_is_no_client_raises_type_error(redis: Any) -> None:
    with pytest.raises(TypeError, match="redis"):
        DistributedEvent(redis, "name")


def test_there_is_nothing_behind_the_consumer_timeout() -> None:
    with pytest.raises(TypeError, match="positional"):
        DistributedEvent(NOWHERE, "name", 5, None)  # type: ignore[call-arg]
