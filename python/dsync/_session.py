"""The session of one event loop with one server: operations, timers, connections and their end.

What the protocol says and does is in the core; here are only the things of asyncio. All primitives
of a loop share the session of their server. It starts with the first operation, and ends with the
loop (see `_lifetime`) or with `dsync.close()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol
from weakref import ref as weakref

from redis import exceptions

from dsync import _core, _lease
from dsync._pending import Pending
from dsync._transport import Link
from dsync.errors import OperationFailedError

if TYPE_CHECKING:
    from dsync._connect import Server

_PING_INTERVAL = 15.0
_CLOSE_TIMEOUT = 1.0
_LONGEST_PAUSE = 1.0
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
        self.core = _core.Session(
            secrets.token_hex(8),
            secrets.randbits(31),
            server.reply_timeout,
            _PING_INTERVAL,
            self._leases.core,
            self._loss_writer.fileno(),
        )
        self._pending: dict[int, Pending] = {}
        self._links: tuple[Link, ...] = ()
        self._connecting: asyncio.Task[None] | None = None
        self._healthy: asyncio.Future[OperationFailedError | None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dirty = False  # the core may have something to send
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

    def usable(self) -> bool:
        """Tell whether it belongs to the running loop, and goes on."""
        return not self.closed and self.loop is asyncio.get_running_loop()

    def result_of(self, operation: int) -> Pending:
        """Give the future outcome of an operation that was just started in the core, and send it.

        The future raises OperationFailedError. Cancelling it changes nothing in the core.
        """
        pending = self._pending[operation] = Pending(loop=self.loop)
        # A caller that is alone need not wait for others.
        if len(self._pending) == 1 and not self._dirty and not self._delivering:
            self._flush()
        else:
            self._flush_soon()
        return pending

    def abandon(self, operation: int) -> None:
        """Give back what an operation has or will get; nobody waits for it any more."""
        self._pending.pop(operation, None)
        self.holders.pop(operation, None)
        if not self.closed:
            self.core.abandon(operation)
            self._flush_soon()

    def forget(self, operation: int) -> None:
        """Let the lease of what an operation holds run out. May be called by any thread."""
        self.holders.pop(operation, None)
        if not self.closed:
            self.core.forget(operation)

    def _flush_soon(self) -> None:
        """See to it that everything of this turn leaves in one write."""
        if not self._dirty:
            self._dirty = True
            # While replies are delivered, the write comes at the end of that.
            if not self._delivering:
                self.loop.call_soon(self._flush_if_dirty)

    def _flush_if_dirty(self) -> None:
        if self._dirty and not self.closed:
            # Some operations are answered by the core itself.
            self._deliver(self.core.tick())
            self._flush()

    def _flush(self) -> None:
        self._dirty = False
        if self._links:
            if output := self.core.take_output(_core.COMMANDS):
                self._links[_core.COMMANDS].write(output)
        elif self._connecting is None and self.core.wants_link(False):
            self._connecting = self.loop.create_task(self._connect(), name="dsync-connect")
        due = self.core.due_in()
        if due >= 0:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(min(due, 3600), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._deliver(self.core.tick())
        self._flush()
        # Only time makes the inbox say anything.
        if self._links and (output := self.core.take_output(_core.INBOX)):
            self._links[_core.INBOX].write(output)

    # ---- events ----

    def _deliver(self, events: list[_core._Event]) -> None:
        for pending in self._complete(events):
            pending.resume_soon()

    def _deliver_at_once(self, events: list[_core._Event]) -> None:
        """Do as `_deliver`, but run the tasks; not while a task is running."""
        if asyncio.current_task(self.loop) is not None:
            return self._deliver(events)
        self._delivering = True
        ready = iter(self._complete(events))
        try:
            for pending in ready:
                pending.resume()
        finally:
            self._delivering = False
            # Whatever ended the loop's turn (a KeyboardInterrupt), the others have their outcome.
            for pending in ready:
                pending.resume_soon()

    def _complete(self, events: list[_core._Event]) -> list[Pending]:
        """Set the outcomes; gives those whose tasks are to be resumed."""
        ready: list[Pending] = []
        for operation, number, error in events:
            pending = self._pending.pop(operation, None)
            if pending is None:
                self._on_other_event(operation, number, error)
            elif not pending.done():
                if error is None:
                    pending.set_result(number)
                else:
                    pending.set_exception(OperationFailedError(*error))
                ready.append(pending)
        if self._idle is not None and not self._idle.done() and not self.core.wants_link(False):
            self._idle.set_result(None)
        return ready

    def _on_other_event(self, operation: int, number: int, error: tuple[int, str] | None) -> None:
        if operation == 0:
            self._on_link_event(number, error)
        elif number == _core.LOST:
            self._tell_loss(operation)

    def _tell_loss(self, operation: int) -> None:
        reference = self.holders.pop(operation, None)
        holder = reference() if reference is not None else None
        if holder is not None:
            holder._on_loss(operation)

    def _on_link_event(self, number: int, error: tuple[int, str] | None) -> None:
        healthy = self._healthy
        if number in (_core.OUTPUT, _core.LINK_READY):
            self._flush_soon()
        elif number == _core.LINK_HEALTHY:
            if healthy is not None and not healthy.done():
                healthy.set_result(None)
        elif error is not None:  # The link was lost.
            self._abort_links()
            if healthy is None:
                self._reconnect_soon()
            elif not healthy.done():
                healthy.set_result(OperationFailedError(*error))

    def _on_loss_signal(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._loss_reader.recv(4096)
        self._deliver(self.core.tick())
        self._flush()

    # ---- links ----

    def link_received(self, link: Link, size: int) -> None:
        if link in self._links:
            try:
                self._deliver_at_once(self.core.received(link.channel, size))
            finally:
                if self._dirty:
                    self._deliver(self.core.tick())
                    self._flush()

    def link_lost(self, link: Link, reason: str) -> None:
        if link in self._links:
            self._deliver(self.core.disconnected(reason))

    def _abort_links(self) -> None:
        links, self._links = self._links, ()
        for link in links:
            link.abort()

    def _reconnect_soon(self) -> None:
        # Processes that lost their server together do not come back together.
        if not self.closed:
            self.loop.call_later(random.uniform(0, 0.05), self._flush_if_open)

    def _flush_if_open(self) -> None:
        if not self.closed:
            self._flush()

    async def _connect(self) -> None:
        failures = 0
        try:
            while not self.closed and self.core.wants_link(False):
                try:
                    await self._server.retrying(self._attempt, self._attempt_failed)
                    return
                except OperationFailedError as error:
                    # Another attempt would not end better.
                    self._fail_all(error)
                    return
                except Exception as error:
                    self._deliver(self.core.give_up(str(error)))
                if not self.core.wants_link(True):
                    return
                # Only callers with a timeout of their own wait now.
                failures += 1
                limit = min(0.05 * 2.0 ** min(failures, 10), _LONGEST_PAUSE)
                await asyncio.sleep(limit * random.uniform(0.5, 1))
        finally:
            self._connecting = None
            if not self.closed and self.core.wants_link(True):
                # Somebody has cancelled this task, but not those who need it.
                self.loop.call_soon(self._flush_if_open)

    async def _attempt(self) -> None:
        self._healthy = self.loop.create_future()
        try:
            async with asyncio.timeout(self._server.connect_timeout):
                login = await self._server.login()
                address = await self._server.address()
                # Before the first grant, which may be the last that this loop does for a while.
                self._leases.reachable_at(address, login)
                await self._open_links(address, login)
                error = await self._healthy
            if error is not None:
                raise error
        except BaseException as error:
            healthy = self._healthy
            if healthy.done() and not healthy.cancelled() and healthy.result() is None:
                raise  # It was cancelled, but the links are good.
            self._abort_links()
            self._deliver(self.core.disconnected("the attempt to connect failed"))
            raise self._judged(error) from None
        finally:
            self._healthy = None

    def _judged(self, error: BaseException) -> BaseException:
        """Give an error that the retry settings understand, if another attempt may end better."""
        if isinstance(error, OperationFailedError):
            if error.kind in (_core.AUTHENTICATION_ERROR, _core.SERVER_ERROR):
                return error
            return self._server.unreachable(error.text)
        if isinstance(error, (OSError, TimeoutError, exceptions.ConnectionError)):
            return self._server.unreachable(str(error) or "no answer in time")
        return error

    async def _open_links(self, address: tuple[str, int], login: _core.Login) -> None:
        links: list[Link] = []
        try:
            for channel in (_core.COMMANDS, _core.INBOX):
                link = Link(self, channel, self.core.buffer(channel))
                await self._server.connect(link, address)
                links.append(link)
        except BaseException:
            for link in links:
                link.abort()
            raise
        self._links = tuple(links)
        for link in links:
            self.core.connected(link.channel, login)
            link.write(self.core.take_output(link.channel) or b"")
        self._flush()

    async def _attempt_failed(self, error: Exception) -> None:
        """Nothing to do: the attempt has cleaned up after itself."""

    def _fail_all(self, error: OperationFailedError) -> None:
        for operation in self._pending:
            self.core.abandon(operation)
        self._deliver(
            [(operation, _core.FAILED, (error.kind, error.text)) for operation in self._pending]
        )

    # ---- end ----

    async def close(self) -> None:
        """Give everything back, tell the holders, and end the connections."""
        holders = dict(self.holders)
        await self._generator.aclose()
        for operation, reference in holders.items():
            if holder := reference():
                holder._on_loss(operation)

    async def _close(self) -> None:
        if self.closed:
            return
        _sessions.pop((self.loop, self._server), None)
        if self._links:
            await self._give_back()
        self.closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        self._fail_all(OperationFailedError(_core.CONNECTION_ERROR, "dsync was closed"))
        self.holders.clear()
        for timer in (self._timer, self._loop_end()):
            if timer is not None:
                timer.cancel()
        links, self._links = self._links, ()
        for link in links:
            link.close()
        if links:
            _, slow = await asyncio.wait([link.closed for link in links], timeout=_CLOSE_TIMEOUT)
            for link in links:
                if link.closed in slow:
                    link.abort()
        self.loop.remove_reader(self._loss_reader)
        self._release_resources()

    async def _give_back(self) -> None:
        self._idle = self.loop.create_future()
        self.core.abandon_all()
        self._flush()
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
        self._links = ()
        self._release_resources()

    def orphan(self) -> None:
        """In a forked child: be closed, and keep no connection of the parent alive."""
        self.closed = True
        with open(os.devnull, "rb") as nothing:
            for link in self._links:
                # The number stays taken, because the parent's transport believes to own it.
                if link.fileno() >= 0:
                    os.dup2(nothing.fileno(), link.fileno())


_sessions: dict[tuple[asyncio.AbstractEventLoop, Server], Session] = {}


def session_for(server: Server) -> Session:
    """Give the running loop's session with a server."""
    loop = asyncio.get_running_loop()
    session = _sessions.get((loop, server))
    if session is None:
        session = _sessions[loop, server] = Session(loop, server)
    return session


async def close() -> None:
    """Free every lock of the running event loop, and close its connections.

    A loop that is run by ``asyncio.run`` or the like does this by itself when it ends. The loop may
    use dsync again afterwards. Locks that were held count as lost.
    """
    loop = asyncio.get_running_loop()
    for session in [session for key, session in _sessions.items() if key[0] is loop]:
        await session.close()


def _after_fork_in_child() -> None:
    for session in _sessions.values():
        session.orphan()
    # Never ended here, because that would say good-bye to the parent's server.
    _inherited.extend(_sessions.values())
    _sessions.clear()


_inherited: list[Session] = []
os.register_at_fork(after_in_child=_after_fork_in_child)
