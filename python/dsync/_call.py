"""A coroutine for which a thread waits, driven step by step by whoever runs the portal's loop."""

from __future__ import annotations

import asyncio
import contextlib
import operator
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from threading import Lock
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

# The thread for which the running code works; unset in tasks of other event loops.
caller: ContextVar[int | None] = ContextVar("dsync_caller", default=None)


class Call(Generic[_T]):
    """Does what a task does, but its first step needs no turn of the event loop.

    All but `pause` and `wake` is for the thread that may run the loop.
    """

    __slots__ = (
        "_awaited",
        "_cancelling",
        "_coroutines",
        "_error",
        "_expired",
        "_function",
        "_loop",
        "_on_done",
        "_result",
        "_signal",
        "_timeout",
        "_timer",
        "begun",
        "done",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[[], Coroutine[Any, Any, _T]],
        timeout: float | None,
        on_done: Callable[[Call[Any]], None],
    ) -> None:
        self._loop = loop
        self._function = function
        self._coroutines: list[Coroutine[Any, Any, _T]] = []  # at most one
        self._timeout = timeout
        self._on_done = on_done
        self._awaited: asyncio.Future[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cancelling = False
        self._expired = False
        self._result: _T
        self._error: BaseException | None = None
        self._signal: Lock | None = None
        self.begun = False
        self.done = False

    def begin(self) -> None:
        """Take the first step, unless it was taken before; from now on the timeout runs."""
        if self.begun:
            return
        self.begun = True
        if self._timeout is not None:
            self._timer = self._loop.call_later(self._timeout, self._expire)
        self._step()

    def _step(self, awaited: asyncio.Future[Any] | None = None) -> None:
        """Run the coroutine until it waits again or ends."""
        if self.done or awaited is not self._awaited:
            return  # What it has waited for was given up, see `interrupt`.
        try:
            self._awaited = None
            if not self._coroutines:
                # In one step, so that no exception of a signal handler comes between making it and
                # having it.
                self._coroutines.extend(map(operator.call, (self._function,)))
            (coroutine,) = self._coroutines
            if self._cancelling:
                self._cancelling = False
                future = coroutine.throw(asyncio.CancelledError())
            else:
                future = coroutine.send(None)
            future._asyncio_future_blocking = False
            future.add_done_callback(self._step)
            self._awaited = future
            return
        except StopIteration as stop:
            self._result = stop.value
        except BaseException as error:
            self._error = error
            # Where it was not the coroutine but a signal handler that raised.
            for coroutine in self._coroutines:
                coroutine.close()
        self._end()

    def _end(self) -> None:
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        self._on_done(self)

    def cancel(self) -> None:
        """Raise CancelledError where the coroutine waits, unless it has ended."""
        if not self.done and (self._awaited is None or not self._awaited.cancel()):
            self._cancelling = True

    def interrupt(self) -> None:
        """Cancel it after an exception came from outside, perhaps between two lines of it."""
        self.cancel()
        if self._cancelling:
            # Whoever was to resume it may have been interrupted before that.
            self._awaited = None
            self._loop.call_soon(self._step)

    def go_on(self) -> None:
        """Resume it after an exception came from outside, which may have lost that."""
        if self._awaited is not None and self._awaited.done():
            self._loop.call_soon(self._step, self._awaited)

    def _expire(self) -> None:
        self._expired = True
        self.cancel()

    @property
    def failed(self) -> bool:
        """Whether it ended by an exception."""
        return self._error is not None

    def outcome(self) -> _T:
        """Give the result of the coroutine, or raise its error.

        :raises TimeoutError: if it was cancelled because its time was over
        """
        if self._error is None:
            return self._result
        try:
            if self._expired and isinstance(self._error, asyncio.CancelledError):
                raise TimeoutError(f"it did not happen within {self._timeout} seconds") from None
            raise self._error
        finally:
            # The error and this frame would keep each other alive.
            self._error = None

    # ---- the thread that sleeps while another runs the loop ----

    def prepare_to_pause(self) -> None:
        """Do this before anybody can wake it."""
        self._signal = Lock()
        self._signal.acquire()

    def pause(self) -> None:
        """Sleep until it is woken, or not at all if it was since the last time."""
        if self._signal is not None:
            self._signal.acquire()

    def wake(self) -> None:
        """Let the thread look again."""
        if self._signal is not None:
            with contextlib.suppress(RuntimeError):  # It was woken before, and has not looked yet.
                self._signal.release()
