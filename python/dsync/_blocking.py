"""What the primitives of the blocking face have in common."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, TypeVarTuple

from dsync._checks import check_seconds
from dsync._leased import Leased
from dsync._portal import as_caller, run
from dsync._primitive import Primitive
from dsync.condition import DistributedCondition

_S = TypeVar("_S")
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_P = TypeVar("_P", bound=Primitive)
_A = TypeVar("_A", bound=Leased | DistributedCondition)
_L = TypeVar("_L", bound=Leased)


class Blocking(Generic[_P]):
    """Drives the asynchronous object of the same name."""

    __slots__ = ("__weakref__", "_async")
    _async: _P

    def __repr__(self) -> str:
        return f"<dsync.sync.{repr(self._async).removeprefix('<')}"


class Loss:
    """Tells whether a lock or permit was lost since it was acquired."""

    __slots__ = ("_leased",)

    def __init__(self, leased: Leased) -> None:
        self._leased = leased

    def is_set(self) -> bool:
        """Tell whether it was lost; takes no round trip."""
        return self._leased._lost

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a loss.

        :param timeout: seconds, >= 0; None waits for ever
        :returns: whether it was lost
        """

        async def loss() -> None:
            await self._leased.lost

        return self.is_set() or happens(loss, timeout)


class Acquirable(Blocking[_A]):
    """What is acquired, and held for a ``with`` block."""

    __slots__ = ()

    def _leased(self) -> Leased:
        """Give what remembers who holds it."""
        raise NotImplementedError

    def acquire(
        self, acquire_sleep_delay: float | None = None, acquire_timeout: float | None = None
    ) -> bool:
        """Wait until this thread holds it.

        :param acquire_sleep_delay: seconds, instead of the constructor's
        :param acquire_timeout: seconds, instead of the constructor's
        :returns: True
        :raises TimeoutError: if ``acquire_timeout`` seconds pass
        :raises redis.exceptions.RedisError: as the asynchronous method
        """
        acquire = self._async.acquire
        return self._acquiring(lambda: run(acquire, acquire_sleep_delay, acquire_timeout))

    def __enter__(self) -> Self:
        return self._acquiring(self._enter)

    def _enter(self) -> Self:
        run(self._async.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._releasing(self._async.__aexit__, exc_type, exc, tb)

    def _acquiring(self, call: Callable[[], _T]) -> _T:
        """Make a call that acquires, and give it back if the call is interrupted after that.

        An exception of a signal handler may come as late as at the last line of the call.
        """
        leased = self._leased()
        before = leased._holds
        try:
            return call()
        except BaseException:
            if leased._holds is not before:
                run(leased._give_back, before)
            raise

    def _releasing(self, call: Callable[[*_Ts], Coroutine[Any, Any, None]], *args: *_Ts) -> None:
        """Make a call that gives back, and do it all the same if the call is interrupted."""
        leased = self._leased()
        before = leased._holds
        try:
            run(call, *args)
        except ValueError:
            raise  # It was refused, and is held still.
        except BaseException:
            run(leased._finish_release, before)
            raise


class BlockingLeased(Acquirable[_L]):
    """What a lock and the permits of a semaphore have in common.

    A hold belongs to the thread that acquired it, as it belongs to a task in the asynchronous face:
    of several that one object has, ``release`` and the like mean the calling thread's latest.
    """

    __slots__ = ()

    def _leased(self) -> Leased:
        return self._async

    def try_acquire(self) -> bool:
        """Take it if it is free now and nobody waits for it; tells whether this thread holds it."""
        return self._acquiring(lambda: run(self._async.try_acquire))

    def owned(self) -> bool:
        """Ask the server whether this object holds it."""
        return run(self._async.owned)

    def extend(self, seconds: float) -> None:
        """Make the lease last at least ``seconds`` from now; it never gets shorter.

        :raises RuntimeError: if this object does not hold it; LockLostError if it has lost it
        """
        run(self._async.extend, seconds)

    def valid_for(self) -> float:
        """Tell for how many seconds it is surely still held, without a round trip."""
        return as_caller(self._async.valid_for)

    @property
    def lost(self) -> Loss:
        """Whether it was lost since it was acquired, also to be waited for."""
        return Loss(self._async)


def happens(wait: Callable[[], Any], timeout: float | None) -> bool:
    if timeout is not None:
        check_seconds("timeout", timeout)
    with contextlib.suppress(TimeoutError):
        run(wait, timeout=timeout)
        return True
    return False


def refuse_cancelling(cancel_on_lost: object) -> None:
    if cancel_on_lost:
        raise ValueError(
            "cancel_on_lost must be False, since a thread cannot be cancelled: use on_lost or lost"
        )


def in_a_thread(subject: _S, on_lost: Callable[[_S], None] | None) -> Callable[[Any], None] | None:
    """Give what the loop calls: it must not wait for what the user's function does."""
    if on_lost is None or not callable(on_lost):
        return on_lost
    if iscoroutinefunction(on_lost):
        raise TypeError("on_lost must be a plain function, since no event loop would run it")
    # What belongs to the subject must not keep it alive.
    reference = weakref.ref(subject)

    def tell(_: object) -> None:
        if (subject := reference()) is not None:
            threading.Thread(
                target=on_lost, args=(subject,), name="dsync-on-lost", daemon=True
            ).start()

    return tell
