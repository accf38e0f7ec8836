"""DistributedBarrier: bad arguments raise TypeError or ValueError at once."""

import math
from typing import Any

import pytest
from dsync import DistributedBarrier

# Nobody listens there, so whatever is sent comes back as another error.
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    "parties", ["3", b"3", 3.0, None, True, False, [3], math.nan, ...], ids=repr
)
def test_parties_that_are_no_int_raise_type_error(parties: Any) -> None:
    with pytest.raises(TypeError, match="parties"):
        DistributedBarrier(NOWHERE, "key", parties)


@pytest.mark.parametrize("parties", [0, -1, -(2**70), 2**53, 2**70])
def test_a_number_of_parties_that_cannot_be_raises_value_error(parties: int) -> None:
    with pytest.raises(ValueError, match="parties"):
        DistributedBarrier(NOWHERE, "key", parties)


@pytest.mark.parametrize("parties", [1, 2, 1000, 2**53 - 1])
def test_any_positive_int_is_a_number_of_parties(parties: int) -> None:
    assert DistributedBarrier(NOWHERE, "key", parties).parties == parties


@pytest.mark.parametrize("key", [None, 1, b"key", ["key"], ...], ids=repr)
def test_a_key_that_is_no_str_raises_type_error(key: Any) -> None:
    with pytest.raises(TypeError, match="key"):
        DistributedBarrier(NOWHERE, key, 2)


@pytest.mark.parametrize("key", ["", "\ud800", "a\udfff"], ids=ascii)
def test_a_key_that_is_empty_or_no_text_raises_value_error(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        DistributedBarrier(NOWHERE, key, 2)


@pytest.mark.parametrize("redis", [None, 1, ..., NOWHERE.encode()], ids=repr)
def test_what_is_no_client_raises_type_error(redis: Any) -> None:
    with pytest.raises(TypeError, match="redis"):
        DistributedBarrier(redis, "key", 2)


def test_the_number_of_parties_has_no_default_and_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="parties"):
        DistributedBarrier(NOWHERE, "key")  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        DistributedBarrier(NOWHERE, "key", 2).parties = 3  # type: ignore[misc]


def test_the_documented_names_are_those_of_the_contract() -> None:
    barrier = DistributedBarrier(NOWHERE, "some key", 2)
    assert barrier._count_key == "distributed_barrier_count_some key"
    assert barrier._channel_name == "distributed_barrier_channelsome key"
