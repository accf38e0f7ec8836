"""The two connections of a session: made together, lost together, and made again."""

from __future__ import annotations

import asyncio
import functools
import os
import random
from typing import TYPE_CHECKING, Protocol

from redis import exceptions

from dsync import _core
from dsync._transport import SocketLink, StreamLink
from dsync.errors import OperationFailedError

if TYPE_CHECKING:
    from dsync._connect import Server
    from dsync._lease import Leases

_LONGEST_PAUSE = 1.0
_MOST_INTERRUPTIONS = 5  # of an attempt to connect; what comes more often is no signal

Link = SocketLink | StreamLink


class Owner(Protocol):
    """The session, as far as its links need it."""

    core: _core.Session
    closed: bool

    def deliver(self) -> None: ...
    def received(self) -> None: ...
    def fail_all(self, error: OperationFailedError) -> None: ...
    def flush(self) -> None: ...


class Links:
    """Keeps the connections up while the core wants them."""

    def __init__(
        self, owner: Owner, loop: asyncio.AbstractEventLoop, server: Server, leases: Leases
    ) -> None:
        self._owner = owner
        self._loop = loop
        self._server = server
        self._leases = leases
        self._connection_error = server.connection_error
        self._links: tuple[Link, ...] = ()
        self._opening: asyncio.Task[None] | None = None
        # While an attempt to connect goes on: its end, with the error if there was one.
        self._healthy: asyncio.Future[OperationFailedError | None] | None = None

    @property
    def up(self) -> bool:
        """Whether there are connections; they may still be greeting."""
        return bool(self._links)

    def write(self, channel: int) -> None:
        """Send what the core has for a channel."""
        if self._links:
            self._links[channel].flush()

    def open(self) -> None:
        """Begin to connect, unless that is under way."""
        if self._opening is None or self._opening.done():
            self._opening = self._loop.create_task(self._open(), name="dsync-connect")
            self._opening.add_done_callback(self._opened)

    # ---- what the links and the core tell ----

    def link_received(self, link: StreamLink, size: int) -> None:
        if link in self._links:
            try:
                self._owner.core.received(link.channel, size)
            finally:
                self._owner.received()

    def link_readable(self, link: SocketLink) -> None:
        if link not in self._links:
            return
        try:
            if not self._owner.core.receive(link.channel, link.fileno()):
                self.link_lost(link, "the server closed the connection")
        except OSError as error:
            self.link_lost(link, str(error))
        finally:
            self._owner.received()

    def link_drained(self) -> None:
        if not self._owner.closed:
            self._owner.flush()

    def link_lost(self, link: Link, reason: str) -> None:
        if link in self._links:
            self._owner.core.disconnected(reason)
            self._owner.deliver()

    def on_event(self, number: int, error: tuple[int, str] | None) -> None:
        """Learn from the core that the links are healthy or lost."""
        lost = None if error is None else OperationFailedError(*error)
        if lost is not None:
            self._abort()
        if self._healthy is not None:
            if not self._healthy.done():
                self._healthy.set_result(lost)
        elif lost is not None:
            # Processes that lost their server together do not come back together.
            self._loop.call_later(random.uniform(0, 0.05), self._flush)

    def _abort(self) -> None:
        for link in self._take_links():
            link.abort()

    def _take_links(self) -> tuple[Link, ...]:
        """Take the links away to close them: a closed descriptor may be another's at once."""
        self._owner.core.take_back()
        links, self._links = self._links, ()
        return links

    def _flush(self) -> None:
        if not self._owner.closed:
            self._owner.flush()

    # ---- connecting ----

    async def _open(self) -> None:
        core = self._owner.core
        failures = interruptions = 0
        while not self._owner.closed and core.wants_link(False):
            try:
                await self._server.retrying(self._attempt, self._attempt_failed)
                return
            except OperationFailedError as error:
                # Another attempt would not end better.
                self._owner.fail_all(error)
                return
            except Exception as error:
                if not self._is_expected(error):
                    # Of a signal handler, so it is for one caller, and not about the connection.
                    self._tell_interruption(error)
                    interruptions += 1
                    if self.up:
                        return
                    if interruptions < _MOST_INTERRUPTIONS:
                        continue
                self._give_up(error)
            if not core.wants_link(True):
                return
            # Only callers with a timeout of their own wait now.
            failures += 1
            limit = min(0.05 * 2.0 ** min(failures, 10), _LONGEST_PAUSE)
            await asyncio.sleep(limit * random.uniform(0.5, 1))

    def _is_expected(self, error: Exception) -> bool:
        """Tell whether an attempt to connect may have raised it; else a signal handler has."""
        if self._server.credential_provider is not None or self._server.sentinel is not None:
            return True  # They raise what they like.
        # A ValueError is an impossible host name.
        return isinstance(error, (ValueError, self._connection_error))

    def _opened(self, opening: asyncio.Task[None]) -> None:
        self._opening = None
        if not opening.cancelled() and (error := opening.exception()) is not None:
            self._tell_interruption(error)
            # Nobody is left to wait for ever.
            self._give_up(error)
        if not self._owner.closed and self._owner.core.wants_link(True):
            # Somebody has ended this task, but not those who need it.
            self._loop.call_later(random.uniform(0, 0.05), self._flush)

    def _tell_interruption(self, error: BaseException) -> None:
        # Whoever it is for hears of it only here.
        context = {"message": "dsync was interrupted", "exception": error}
        self._loop.call_exception_handler(context)

    def _give_up(self, error: BaseException) -> None:
        """Fail those who would not wait for another attempt."""
        self._owner.core.give_up(str(error) or type(error).__name__)
        self._owner.deliver()

    async def _attempt(self) -> None:
        self._healthy = healthy = self._loop.create_future()
        try:
            async with asyncio.timeout(self._server.connect_timeout):
                login = await self._server.login()
                address = await self._server.address()
                # Before the first grant, which may be the last that this loop does for a while.
                self._leases.reachable_at(address, login)
                await self._connect(address, login)
                error = await healthy
            if error is not None:
                raise error
        except BaseException as error:
            if healthy.done() and not healthy.cancelled() and healthy.result() is None:
                raise  # It was cancelled, but the links are good.
            self._abort()
            self._owner.core.disconnected("the attempt to connect failed")
            self._owner.deliver()
            raise self._judged(error) from None
        finally:
            self._healthy = None

    async def _connect(self, address: tuple[str, int], login: _core.Login) -> None:
        self._links = await self._opened_together(address)
        if self._server.ssl_context is None:
            # Over TLS, what has arrived may wait inside the transport.
            self._owner.core.lend(*(link.fileno() for link in self._links))
        for link in self._links:
            self._owner.core.connected(link.channel, login)
            link.start()
            link.flush()
        self._owner.flush()

    async def _opened_together(self, address: tuple[str, int]) -> tuple[Link, ...]:
        """Give both links after the time that one takes."""
        channels = (_core.COMMANDS, _core.INBOX)
        tasks = [self._loop.create_task(self._link(channel, address)) for channel in channels]
        try:
            # What fails one of them mostly fails both, and nothing is left running.
            await asyncio.gather(*tasks, return_exceptions=True)
            return tuple(task.result() for task in tasks)
        except BaseException:
            for task in tasks:
                if task.done() and not task.cancelled() and task.exception() is None:
                    task.result().abort()
            raise

    async def _link(self, channel: int, address: tuple[str, int]) -> Link:
        core = self._owner.core
        if self._server.ssl_context is None:
            return SocketLink(self, channel, core, await self._server.open_socket(address))
        take_output = functools.partial(core.take_output, channel)
        link = StreamLink(self, channel, core.buffer(channel), take_output)
        await self._server.connect(link, address)
        return link

    async def _attempt_failed(self, error: Exception) -> None:
        """Nothing to do: the attempt has cleaned up after itself."""

    def _judged(self, error: BaseException) -> BaseException:
        """Give an error that the retry settings understand, if another attempt may end better."""
        if isinstance(error, OperationFailedError):
            if error.kind in (_core.AUTHENTICATION_ERROR, _core.SERVER_ERROR):
                return error
            return self._connection_error(error.text)
        if isinstance(error, (OSError, TimeoutError, exceptions.ConnectionError)):
            return self._connection_error(str(error) or "no answer in time")
        return error

    # ---- end ----

    async def stop(self) -> None:
        """Connect no more."""
        if self._opening is None:
            return
        opening = self._opening
        opening.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not opening.done():
            try:
                await asyncio.wait([opening])
            except asyncio.CancelledError as error:
                # It ends in a moment, and what it uses must not be gone before.
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109, closing never fails
        """End the connections in good order, or after ``timeout`` seconds all the same."""
        links = self._take_links()
        for link in links:
            link.close()
        if links:
            try:
                await asyncio.wait([link.closed for link in links], timeout=timeout)
            finally:
                for link in links:
                    if not link.closed.done():
                        link.abort()

    def forget(self) -> None:
        """End the connections after their loop was closed."""
        for link in self._take_links():
            link.forget()

    def orphan(self) -> None:
        """In a forked child: keep no connection of the parent alive."""
        with open(os.devnull, "rb") as nothing:
            for link in self._links:
                # The number stays taken, because the parent's transport believes to own it.
                if link.fileno() >= 0:
                    os.dup2(nothing.fileno(), link.fileno())
