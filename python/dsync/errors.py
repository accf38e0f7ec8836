"""The errors of dsync, and the way from an error of the core to one of ``redis.exceptions``."""

from __future__ import annotations

import asyncio

from redis import exceptions

from dsync import _core


class LockLostError(RuntimeError):
    """The lease of a lock or permit ended before its release: somebody else may be inside.

    Raised by ``release()`` and ``extend()``, by a condition's methods that need its lock, and at
    the end of an ``async with`` block. What was done after the loss must be checked; see
    ``DistributedLock.fencing_token``.
    """


class BrokenBarrierError(ValueError, asyncio.BrokenBarrierError):
    """The round of a barrier was reset or aborted while this party waited.

    A ``ValueError`` as that of ``aiodistributor``, and an ``asyncio.BrokenBarrierError``.
    """


class OperationFailedError(Exception):
    """An error event of the core, not yet told which key it is about. Never leaves dsync."""

    def __init__(self, kind: int, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


_BY_CODE: dict[str, type[exceptions.RedisError]] = {
    "NOPERM": exceptions.NoPermissionError,
    "OOM": getattr(exceptions, "OutOfMemoryError", exceptions.ResponseError),
}

# How Redis 7.0, and later versions, say that a script must not do something.
_NOPERM_IN_SCRIPT = ("The user executing the script can't", "ACL failure in script")

# What the caller can do about an error that says little by itself.
_ADVICE = {
    "NOPERM": "give this user the rights that dsync needs: see the README",
    "WRONGTYPE": "another program uses this key or one of its auxiliary keys",
    "OOM": "the server is out of memory and takes no new locks",
}


def translated(failure: OperationFailedError, what: str, key: str) -> exceptions.RedisError:
    """Give the public error for a failed operation, ``what`` of it being "acquire" or the like."""
    if failure.kind in (_core.CONNECTION_ERROR, _core.PROTOCOL_ERROR):
        return exceptions.ConnectionError(
            f"cannot {what} {key!r}: no connection to the server ({failure.text})"
        )
    if failure.kind == _core.AUTHENTICATION_ERROR:
        return exceptions.AuthenticationError(
            f"cannot {what} {key!r}: the server refuses the login ({failure.text})"
        )
    # Servers before 7 put the text of a script's error behind one of their own.
    text = (
        failure.text.rpartition(": -")[2] if failure.text.startswith("ERR Error") else failure.text
    )
    code = text.partition(" ")[0]
    if any(words in text for words in _NOPERM_IN_SCRIPT):
        code = "NOPERM"
    advice = _ADVICE.get(code)
    message = f"cannot {what} {key!r}: {text}" + (f"; {advice}" if advice else "")
    return _BY_CODE.get(code, exceptions.ResponseError)(message)
