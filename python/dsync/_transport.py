"""The connections of a session, as the event loop sees them; they know nothing of the protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

from dsync import _core


class StreamReceiver(Protocol):
    """Who owns a stream link and hears of it."""

    def link_received(self, link: StreamLink, size: int) -> None:
        """Take the first ``size`` bytes of the link's buffer."""

    def link_drained(self) -> None:
        """Learn that there is room for more to send."""

    def link_lost(self, link: StreamLink, reason: str) -> None:
        """Learn that nothing will come any more."""


class StreamLink(asyncio.BufferedProtocol):
    """A connection over TLS: asyncio's transport writes what arrives into the core's memory."""

    def __init__(
        self,
        receiver: StreamReceiver,
        channel: int,
        buffer: _core.ReceiveBuffer,
        take_output: Callable[[], bytes | None],
    ) -> None:
        self.channel = channel
        self._receiver = receiver
        self._view = memoryview(buffer)
        self._take_output = take_output
        self._transport: asyncio.Transport | None = None
        self._writing = False  # the transport has more than enough
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._receiver.link_received(self, nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        self._receiver.link_lost(self, str(exc) if exc else "the server closed the connection")

    def start(self) -> None:
        """Do nothing: it has been reading since the connection was made."""

    def flush(self) -> None:
        """Send what there is to send; what the socket does not take at once goes later."""
        if not self._writing:
            self._write()

    def _write(self) -> None:
        if self._transport is not None and (output := self._take_output()):
            self._transport.write(output)

    def pause_writing(self) -> None:
        self._writing = True

    def resume_writing(self) -> None:
        self._writing = False
        self._receiver.link_drained()

    def close(self) -> None:
        """Send what is left, then end the connection."""
        self._write()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now: a command still on its way must not overtake later ones."""
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        """Leave the connection to the garbage collection: its loop is closed."""

    def fileno(self) -> int:
        """Give the socket's descriptor, -1 when there is none."""
        found = self._transport.get_extra_info("socket") if self._transport else None
        return -1 if found is None else found.fileno()


class SocketReceiver(Protocol):
    """Who owns a socket link and hears of it."""

    def link_readable(self, link: SocketLink) -> None:
        """Read from the link's socket."""

    def link_drained(self) -> None:
        """Learn that there is room for more to send."""

    def link_lost(self, link: SocketLink, reason: str) -> None:
        """Learn that nothing will come any more."""


class SocketLink:
    """A connection over TCP or a Unix socket, which the core reads and writes itself.

    The loop only tells when.
    """

    def __init__(
        self, receiver: SocketReceiver, channel: int, core: _core.Session, sock: socket.socket
    ) -> None:
        self.channel = channel
        self._receiver = receiver
        self._core = core
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._writing = False  # the socket has no room now
        self._closing = False  # to be closed when everything is sent
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        """Begin to listen."""
        self._loop.add_reader(self._socket.fileno(), self._receiver.link_readable, self)

    def flush(self) -> None:
        """Send what there is to send; what the socket does not take at once goes later."""
        if not self._writing:
            self._send()

    def _send(self) -> None:
        try:
            sent = self._core.send(self.channel, self._socket.fileno())
        except OSError as error:
            self._stop()
            # Later, since the caller may be in the middle of something.
            self._loop.call_soon(self._receiver.link_lost, self, str(error))
            sent = True
        was_writing, self._writing = self._writing, not sent
        if sent and self._closing:
            self.abort()
        elif sent and was_writing:
            self._loop.remove_writer(self._socket.fileno())
            self._receiver.link_drained()
        elif not sent and not was_writing:
            self._loop.add_writer(self._socket.fileno(), self._send)

    def close(self) -> None:
        """Send what is left, then end the connection."""
        self._closing = True
        self._loop.remove_reader(self._socket.fileno())
        if not self._writing:
            self._send()

    def abort(self) -> None:
        """End the connection now: a command still on its way must not overtake later ones."""
        self._stop()
        self._socket.close()
        if not self.closed.done():
            self.closed.set_result(None)

    def _stop(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())

    def forget(self) -> None:
        """End the connection after its loop was closed."""
        self._socket.close()

    def fileno(self) -> int:
        """Give the socket's descriptor, -1 when there is none."""
        return self._socket.fileno()
