"""Checks of arguments, before anything is sent."""

from __future__ import annotations

import math
import os


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
    try:
        value = float(value)
    except OverflowError:
        raise ValueError(f"{name} must not be greater than any float") from None
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must not be negative or NaN, but is {value!r}")
    if positive and not 0 < value < math.inf:
        raise ValueError(f"{name} must be finite and greater than 0, but is {value!r}")


def check_fair(value: object) -> None:
    """Refuse what is not one of the two kinds of fairness."""
    if value not in ("bounded", "strict"):
        raise ValueError(f"fair must be 'bounded' or 'strict', but is {value!r}")


def check_count(name: str, value: object, least: int) -> None:
    """Refuse what is not a whole number, or too small."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, but is {value}")
    if value >= 2**53:
        raise ValueError(f"{name} must be less than 2**53, but is {value}")


_WINDOW_VARIABLE = "DSYNC_MIGRATION_WINDOW"


def migration_window_of(value: float | None) -> float:
    """Give the window in seconds: the argument, or what the environment says; 0 is none."""
    name = "migration_window"
    if value is None:
        text = os.environ.get(_WINDOW_VARIABLE)
        if not text:
            return 0.0
        name = f"the environment variable {_WINDOW_VARIABLE}"
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{name} must be a number of seconds, but is {text!r}") from None
    check_seconds(name, value)
    if value > 3600:
        raise ValueError(f"{name} must not be longer than an hour, but is {value!r}")
    return value
