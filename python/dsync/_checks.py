"""Checks of arguments, before anything is sent."""

from __future__ import annotations

import math


def check_key(name: str, value: object) -> None:
    """Refuse what cannot be the name of a key."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} {value!r} cannot be encoded as UTF-8") from error


def check_seconds(name: str, value: object, *, positive: bool = False) -> None:
    """Refuse what is not a time in seconds; 0 is one unless ``positive``, infinity likewise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must not be negative or NaN, but is {value!r}")
    if positive and not 0 < value < math.inf:
        raise ValueError(f"{name} must be finite and greater than 0, but is {value!r}")
