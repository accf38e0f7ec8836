"""The session of one event loop with one server: operations, timers, connections and their end.

What the protocol says and does is in the core; here are only the things of asyncio. All primitives
of a loop share the session of their server. It starts with the first operation, and ends with the
loop (see `_lifetime`) or with `dsync.close()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections import deque
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol
from weakref import ref as weakref

from dsync import _core, _lease
from dsync._links import Links
from dsync.errors import OperationFailedError

if TYPE_CHECKING:
    from dsync._connect import Server

_PING_INTERVAL = 15.0
_CLOSE_TIMEOUT = 1.0
_NEVER = 1e9


class Holder(Protocol):
    """Who holds something that may be lost."""

    def _on_loss(self, operation: int) -> None:
        """Learn that what this operation was granted is held no more."""


class Session:
    """Use `session_for` to get one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        self.loop = loop
        self.closed = False
        self.holders: dict[int, weakref[Holder]] = {}
        self._server = server
        self._leases = _lease.join(server)
        self._loss_reader, self._loss_writer = socket.socketpair()
        for end in (self._loss_reader, self._loss_writer):
            end.setblocking(False)
        loop.add_reader(self._loss_reader, self._on_loss_signal)
        # What the core tells beside outcomes. It leaves here when it is dealt with, since an
        # exception of a signal handler may come at any line.
        self._events: deque[_core._Event] = deque()
        self.core = _core.Session(
            secrets.token_hex(8),
            secrets.randbits(31),
            server.reply_timeout,
            _PING_INTERVAL,
            self._leases.core,
            self._loss_writer.fileno(),
            loop,
            OperationFailedError,
            self._events,
        )
        self._links = Links(self, loop, server, self._leases)
        self._idle: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dirty = False  # the core may have something to send
        self._flush_handle: asyncio.Handle | None = None  # the latest of `_flush_if_dirty`
        self._delivering = False
        # A loop that is closed forgets its timers, whatever it does about its generators.
        self._loop_end = weakref(loop.call_later(_NEVER, self.discard), self._on_loop_closed)
        self._generator = self._lifetime()
        with contextlib.suppress(StopIteration):
            self._generator.__anext__().send(None)

    async def _lifetime(self) -> AsyncGenerator[None, None]:
        # Every runner ends its asynchronous generators before it closes the loop. So this one,
        # started above and never continued, is how a session hears of the end of its loop.
        try:
            yield
        finally:
            await self._close()

    def _on_loop_closed(self, _: weakref[asyncio.TimerHandle]) -> None:
        if not self.closed:
            _sessions.pop((self.loop, self._server), None)
            self.discard()

    # ---- operations ----

    def result_of(self, operation: int) -> _core.Pending:
        """Send an operation that was just started in the core, and give its outcome to be awaited.

        That raises OperationFailedError. Cancelling it changes nothing in the core.
        """
        pending = self.core.outcome(operation, self._flush_handle)
        if self._events and not self._delivering:
            self._deal_with_events()
            self._flush_soon()
        return self._under_way(pending)

    def release(self, operation: int) -> _core.Pending:
        """Free what an operation holds; gives the outcome, as `result_of`."""
        try:
            pending = self.core.release(operation, self._flush_handle)
        finally:
            if self.core.has_news():
                self.deliver()
        return self._under_way(pending)

    def _under_way(self, pending: _core.Pending) -> _core.Pending:
        if pending.done() or self._dirty:
            return pending  # What is still to be sent goes with all else of this turn.
        work = self.core.work()
        if not self._delivering and self.core.is_alone():
            self._do(work)
        elif work != _core.NO_WORK:
            self._flush_soon()
        return pending

    def abandon(self, operation: int) -> None:
        """Give back what an operation has or will get; nobody waits for it any more."""
        self.holders.pop(operation, None)
        if not self.closed:
            self.core.abandon(operation)
            self._flush_soon()

    def rejoin(self, operation: int) -> int:
        """Want the lock of a relock back without a notification; see ``_core.Session.rejoin``."""
        if self.closed:
            return _core.NOT_HELD
        self._flush_soon()
        return self.core.rejoin(operation)

    def settle(self, operation: int, is_used: bool) -> None:
        """Confirm that a caller knows of its grant; see ``_core.Session.settle``."""
        if not self.closed:
            self.core.settle(operation, is_used)
            self._flush_soon()

    def forget(self, operation: int) -> None:
        """Let the lease of what an operation holds run out. May be called by any thread."""
        self.holders.pop(operation, None)
        if not self.closed:
            self.core.forget(operation)

    def recover(self) -> None:
        """Go on after an exception of a signal handler, which may have come at any line."""
        self._delivering = False
        self._advance()

    def _flush_soon(self) -> None:
        """See to it that everything of this turn leaves in one write."""
        if not self._dirty:
            # While replies are delivered, the write comes at the end of that.
            if not self._delivering:
                self._flush_next()
            self._dirty = True

    def _flush_next(self) -> None:
        self._flush_handle = self.loop.call_soon(self._flush_if_dirty)

    def _flush_if_dirty(self) -> None:
        if self._dirty and not self.closed:
            self._do(self.core.work())

    def _do(self, work: int) -> None:
        self._dirty = False
        if work == _core.ADVANCE or self.core.has_news():
            self._advance()
        elif work == _core.SEND:
            self._links.write(_core.COMMANDS)

    def _advance(self) -> None:
        try:
            self.core.tick()
        finally:
            self.deliver()
        self.flush()

    def flush(self) -> None:
        """Send what there is to send, or see to it that there is a connection; set the timer."""
        self._dirty = False
        if self._links.up:
            self._links.write(_core.COMMANDS)
            self._links.write(_core.INBOX)
        elif self.core.wants_link(False):
            self._links.open()
        due = self.core.due_in()
        if due >= 0:
            self._set_timer(min(due, 3600))

    def _set_timer(self, due: float) -> None:
        at = self.loop.time() + due
        if self._timer is not None:
            # One that comes too early does no harm, and finds out when the next is due.
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._advance()

    # ---- events ----

    def _deliver_all(self, *, at_once: bool) -> None:
        """Resume the tasks whose outcomes have come.

        Before a task goes on, all that has happened is known, what the one before it did included.
        """
        try:
            self._delivering = True
            while (work := self.core.resume(at_once)) != _core.NO_WORK:
                if work == _core.SEND:
                    self._links.write(_core.COMMANDS)
                self._deal_with_events()
        finally:
            self._delivering = False
            if self.core.has_news():
                self._dirty = True
        if self._idle is not None and not self._idle.done() and not self.core.wants_link(False):
            self._idle.set_result(None)

    def _deal_with_events(self) -> None:
        while self._events:
            self._on_event(*self._events[0])
            self._events.popleft()

    def _on_event(self, operation: int, number: int, error: tuple[int, str] | None) -> None:
        if number in (_core.OUTPUT, _core.LINK_READY):
            # Ready links are healthy if there was nothing to send anew; the next tick tells.
            self._flush_soon()
        elif operation == 0:
            self._links.on_event(number, error)
        elif number == _core.LOST:
            self._tell_loss(operation)
        elif number == _core.GRANTED:
            # An exception of a signal handler came between its start and the wait for it.
            self.core.abandon(operation)
            self._flush_soon()

    def _tell_loss(self, operation: int) -> None:
        reference = self.holders.pop(operation, None)
        holder = reference() if reference is not None else None
        if holder is not None:
            holder._on_loss(operation)

    def _on_loss_signal(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._loss_reader.recv(4096)
        self._advance()

    # ---- for the links ----

    def deliver(self) -> None:
        """Complete what is complete; its tasks run in the next turn of the loop."""
        if self._delivering:
            return
        try:
            self._deliver_all(at_once=False)
        finally:
            if self._dirty:
                self._flush_next()

    def received(self) -> None:
        """Take what came over a link, run the tasks that waited for it, and send their answer."""
        # Never in the middle of another task.
        free = asyncio.current_task(self.loop) is None
        try:
            self._deliver_all(at_once=free)
        finally:
            if self._dirty:
                self._do(self.core.work())

    def fail_all(self, error: OperationFailedError) -> None:
        """Fail every caller."""
        self.core.fail_all(error.kind, error.text)
        self.deliver()

    # ---- end ----

    async def close(self) -> None:
        """Give everything back, tell the holders, and end the connections."""
        holders = dict(self.holders)
        try:
            await self._generator.aclose()
        finally:
            for operation, reference in holders.items():
                if holder := reference():
                    holder._on_loss(operation)

    async def _close(self) -> None:
        if self.closed:
            return
        _sessions.pop((self.loop, self._server), None)
        # A cancellation ends one of the waits; nobody else would do the rest.
        try:
            if self._links.up:
                await self._give_back()
        finally:
            self.closed = True
            try:
                await self._links.stop()
            finally:
                await self._end()

    async def _end(self) -> None:
        self.fail_all(OperationFailedError(_core.CONNECTION_ERROR, "dsync was closed"))
        self.holders.clear()
        for timer in (self._timer, self._loop_end()):
            if timer is not None:
                timer.cancel()
        try:
            await self._links.close(_CLOSE_TIMEOUT)
        finally:
            self.loop.remove_reader(self._loss_reader)
            self._release_resources()

    async def _give_back(self) -> None:
        self._idle = self.loop.create_future()
        self.core.abandon_all()
        self.flush()
        if self.core.wants_link(False):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    await self._idle

    def _release_resources(self) -> None:
        self.core.close()
        _lease.leave(self._server)
        self._loss_reader.close()
        self._loss_writer.close()

    def discard(self) -> None:
        """End after the loop was closed without the end of its generators; its leases run out."""
        self.closed = True
        self._links.forget()
        self._release_resources()

    def orphan(self) -> None:
        """In a forked child: be closed, and keep no connection of the parent alive."""
        self.closed = True
        self._links.orphan()


_sessions: dict[tuple[asyncio.AbstractEventLoop, Server], Session] = {}


def session_for(loop: asyncio.AbstractEventLoop, server: Server) -> Session:
    """Give a loop's session with a server."""
    session = _sessions.get((loop, server))
    if session is None:
        session = _sessions[loop, server] = Session(loop, server)
    return session


def sessions_of(loop: asyncio.AbstractEventLoop) -> list[Session]:
    """Give the sessions of a loop."""
    return [session for key, session in _sessions.items() if key[0] is loop]


async def close() -> None:
    """Free every lock of the running event loop, and close its connections.

    A loop that is run by ``asyncio.run`` or the like does this by itself when it ends. The loop may
    use dsync again afterwards. Locks that were held count as lost.

    A task that is cancelled here leaves no session half closed; calling it again closes those that
    it has not come to.
    """
    for session in sessions_of(asyncio.get_running_loop()):
        await session.close()


def _after_fork_in_child() -> None:
    for session in _sessions.values():
        session.orphan()
    # Never ended here, because that would say good-bye to the parent's server.
    _inherited.extend(_sessions.values())
    _sessions.clear()


_inherited: list[Session] = []
os.register_at_fork(after_in_child=_after_fork_in_child)
