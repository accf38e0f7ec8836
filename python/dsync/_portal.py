"""The event loop behind the blocking face: one for all threads of a process, run by its callers.

A thread that calls runs the loop itself until it has its answer; to pass the work to another thread
and back would take as long as a server nearby. Who may run the loop has the *turn*:

- A thread that finds the turn free takes it and becomes the leader, until its call is done.
- A thread that finds it taken hands its call to the loop, and sleeps. It is woken when the call is
  done, or to lead when the leader has left.
- While nobody calls, the keeper, a thread of ours, has the turn: connections break, losses are to
  be told, and a grant that nobody wants any more goes on to others. It leaves when anybody calls.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import asyncio
import atexit
import contextlib
import functools
import os
import select
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from types import FrameType
from typing import Any, TypeVar, TypeVarTuple, cast

from redis import exceptions

from dsync._call import Call, caller
from dsync._greenlets import refuse_greenlets
from dsync._session import close as close_sessions
from dsync._session import sessions_of
from dsync._turn import Turn

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

# Those of `signal` make enumerations of numbers, which takes longer than all else here.
_signals = cast(Any, _signal)

# Seconds without a call after which the keeper takes the turn.
_KEEPER_DELAY = 0.02
_CLOSE_TIMEOUT = 3.0


class Portal:
    """The loop of this process, and the turns of its threads."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._loop.set_exception_handler(self._on_error)
        self._error: BaseException | None = None
        self._main_thread = threading.main_thread().ident
        self._turn = Turn()
        self._leader: Call[Any] | None = None
        # One of them is woken when a leader leaves.
        self._sleepers: dict[Call[Any], None] = {}
        self._calls = 0
        self.closed = False
        self._keeper_sleeps = False
        self._keeper_signal = threading.Lock()
        self._keeper_signal.acquire()
        self._keeper = threading.Thread(target=self._keep, name="dsync-keeper", daemon=True)
        self._keeper.start()

    def run(self, function: Callable[[], Coroutine[Any, Any, _T]], timeout: float | None) -> _T:
        """Run a coroutine function to its end, while the calling thread waits.

        Ctrl-C, or whatever else a signal handler raises, cancels it first.

        :param timeout: seconds after which it is cancelled, or None
        :raises TimeoutError: if it was
        :raises RuntimeError: if the thread is in another call
        """
        if self._turn.owner is not None:
            self._refuse_inner_calls()
        call = Call(self._loop, function, timeout, self._on_done)
        self._calls += 1
        thread = threading.get_ident()
        token = caller.set(thread)
        try:
            if thread == self._main_thread:
                self._wait_uninterrupted(call)
            else:
                self._wait(call)
        finally:
            try:
                caller.reset(token)
            finally:
                # Once more, since what a signal handler raises may have come just there.
                self._leave()
        return call.outcome()

    def _refuse_inner_calls(self) -> None:
        if _is_inside(sys._getframe()):
            raise RuntimeError(
                "dsync.sync was called from a signal handler or a destructor"
                " while another call of the same thread was under way"
            )
        # It may be ours all the same, if we were interrupted just when we were to leave.
        self._leave()

    def _wait_uninterrupted(self, call: Call[Any]) -> None:
        """Let no KeyboardInterrupt come between two lines of what all threads share."""
        default = signal.default_int_handler
        if _signals.getsignal(signal.SIGINT) is not default:
            self._wait(call)
            return
        interrupts: list[int] = []

        def interrupt(_: int, frame: FrameType | None) -> None:
            interrupts.append(1)
            if not _is_inside(frame):
                _signals.signal(signal.SIGINT, default)
            elif len(interrupts) == 1:
                self._loop.call_soon_threadsafe(call.cancel)
                return
            raise KeyboardInterrupt

        try:
            _signals.signal(signal.SIGINT, interrupt)
            self._wait(call)
        finally:
            _signals.signal(signal.SIGINT, default)
        if interrupts:
            raise KeyboardInterrupt

    def _wait(self, call: Call[Any]) -> None:
        running = asyncio._get_running_loop()
        try:
            try:
                self._finish(call)
                if call.failed:  # Perhaps by an exception of a signal handler, amid what all share.
                    self._recover_soon(call)
            except BaseException:
                # From a signal handler, at any line. If another comes, the keeper does the rest.
                self._recover_soon(call)
                self._finish(call)
                raise
        finally:
            try:
                asyncio._set_running_loop(running)
            finally:
                self._leave()

    def _finish(self, call: Call[Any]) -> None:
        """See to it that the call gets done. May be begun anew when it was interrupted."""
        if self._turn.take():
            self._lead(call)
        else:
            self._follow(call)

    def _recover_soon(self, interrupted: Call[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed, and nothing left to go on.
            self._loop.call_soon_threadsafe(self._recover, interrupted)

    def _recover(self, interrupted: Call[Any]) -> None:
        for session in sessions_of(self._loop):
            session.recover()
        for call in list(self._sleepers):
            call.go_on()
        interrupted.interrupt()

    def _on_done(self, call: Call[Any]) -> None:
        if call is self._leader:
            if self._loop.is_running():
                self._loop.stop()
        else:
            call.wake()

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The loop catches what a signal handler raises while a callback runs.
        error = context.get("exception")
        if isinstance(error, BaseException) and self._turn.owner == self._main_thread:
            self._error = error
            loop.stop()
        else:
            loop.default_exception_handler(context)

    # ---- to lead ----

    def _lead(self, call: Call[Any]) -> None:
        """Run the loop until the call is done. The turn is ours."""
        self._leader = call
        if asyncio._get_running_loop() is not None:
            # The calling thread runs a loop of its own, which stands still meanwhile.
            asyncio._set_running_loop(None)
            self._loop.call_soon(call.begin)
        elif not call.begun:
            self._begin_here(call)
        while not call.done:
            self._run_loop()

    def _begin_here(self, call: Call[Any]) -> None:
        """Take the first step of a call without the loop; most calls need no more."""
        try:
            asyncio._set_running_loop(self._loop)
            call.begin()
        finally:
            asyncio._set_running_loop(None)

    def _run_loop(self) -> None:
        if self.closed:
            raise exceptions.ConnectionError("dsync was closed")
        self._loop.run_forever()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _leave(self) -> None:
        """Leave the turn, if it is ours."""
        if self._turn.owner != threading.get_ident():
            return
        self._leader = None
        self._turn.leave()
        # Who came before that has not seen it, so must be seen now.
        self._wake_a_sleeper()
        if self._keeper_sleeps:
            self._wake_keeper()

    # ---- to follow ----

    def _follow(self, call: Call[Any]) -> None:
        """Wait until the call is done, in the turn of others or, when they leave, in our own."""
        call.prepare_to_pause()
        try:
            self._loop.call_soon_threadsafe(self._begin, call, context=copy_context())
            while not call.done:
                self._sleepers[call] = None
                if self._turn.take():
                    self._sleepers.pop(call, None)
                    self._lead(call)
                    break
                call.pause()
        finally:
            self._sleepers.pop(call, None)
            # It may have been woken to lead.
            self._wake_a_sleeper()

    def _begin(self, call: Call[Any]) -> None:
        call.begin()
        if self._leader is None:
            self._loop.stop()  # The keeper makes room for the caller.

    def _wake_a_sleeper(self) -> None:
        while self._sleepers and self._turn.owner is None:
            with contextlib.suppress(KeyError):
                sleeper, _ = self._sleepers.popitem()
                sleeper.wake()
                return

    # ---- to keep ----

    def _keep(self) -> None:
        while not self.closed:
            self._keeper_sleeps = True
            if self._turn.owner is not None:
                self._keeper_signal.acquire()
            self._keeper_sleeps = False
            calls = self._calls
            time.sleep(_KEEPER_DELAY)
            if calls == self._calls and not self.closed and self._turn.take():
                try:
                    if not self._sleepers:
                        self._loop.run_forever()
                finally:
                    self._turn.leave()
                    self._wake_a_sleeper()

    def _wake_keeper(self) -> None:
        with contextlib.suppress(RuntimeError):  # It was woken before, and has not looked yet.
            self._keeper_signal.release()

    # ---- end ----

    def close(self) -> None:
        """Free everything that is held, and end; calls that still wait fail."""
        self.closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._wake_keeper()
        end = time.monotonic() + _CLOSE_TIMEOUT
        while not self._turn.take():
            if time.monotonic() > end:
                return
            time.sleep(0.001)  # Whoever leads was told to leave.
        # One stop for all that were asked for before.
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()
        self._loop.run_until_complete(close_sessions())
        self._loop.close()

    def orphan(self) -> None:
        """In a forked child: keep away from the parent's sockets."""
        if isinstance(self._selector, selectors.EpollSelector):
            # The kernel's list is shared, so whatever ends this loop would change the parent's.
            with select.epoll() as nothing:
                os.dup2(nothing.fileno(), self._selector.fileno(), inheritable=False)


_portal: Portal | None = None
_lock = threading.Lock()
_inherited: list[Portal] = []


def run(
    function: Callable[[*_Ts], Coroutine[Any, Any, _T]],
    *args: *_Ts,
    timeout: float | None = None,
) -> _T:
    """Run a coroutine function of dsync to its end; see ``Portal.run``."""
    portal = _portal
    if portal is None or portal.closed:
        portal = _open()
    return portal.run(functools.partial(function, *args), timeout)


def as_caller(function: Callable[[], _T]) -> _T:
    """Call what is no coroutine function, but asks for whom it runs."""
    token = caller.set(threading.get_ident())
    try:
        return function()
    finally:
        caller.reset(token)


def _is_inside(frame: FrameType | None) -> bool:
    """Tell whether a frame is part of a call that waits."""
    while frame is not None and frame.f_code is not Portal._wait.__code__:
        frame = frame.f_back
    return frame is not None


def _open() -> Portal:
    global _portal
    refuse_greenlets()
    with _lock:
        if _portal is None or _portal.closed:
            _portal = Portal()
        return _portal


async def _close_sessions() -> None:
    # In a task, since it sets itself a time limit.
    await asyncio.get_running_loop().create_task(close_sessions())


def close() -> None:
    """Free every lock of the blocking face, in all threads, and close its connections.

    Happens by itself when the interpreter ends. The process may use dsync again afterwards. Locks
    that were held count as lost.
    """
    if _portal is not None and not _portal.closed:
        run(_close_sessions)


@atexit.register
def _close_at_exit() -> None:
    if _portal is not None and not _portal.closed:
        _portal.close()


def _after_fork_in_child() -> None:
    global _portal, _lock
    _lock = threading.Lock()
    if _portal is not None:
        _portal.orphan()
        # Never destroyed, because its end would reach for what the parent uses.
        _inherited.append(_portal)
        _portal = None


os.register_at_fork(after_in_child=_after_fork_in_child)
