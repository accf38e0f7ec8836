"""One connection: an asyncio protocol that writes what arrives straight into the core's memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from dsync import _core


class Receiver(Protocol):
    """Who owns links and hears of them."""

    def link_received(self, link: Link, size: int) -> None:
        """Take the first ``size`` bytes of the link's buffer."""

    def link_lost(self, link: Link, reason: str) -> None:
        """Learn that nothing will come any more."""


class Link(asyncio.BufferedProtocol):
    """A connection for one channel; it holds no state of the protocol that it carries."""

    def __init__(self, receiver: Receiver, channel: int, buffer: _core.ReceiveBuffer) -> None:
        self.channel = channel
        self._receiver = receiver
        self._view = memoryview(buffer)
        self._transport: asyncio.Transport | None = None
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

    def write(self, data: bytes) -> None:
        """Send; what the socket does not take at once goes later."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is left, then end the connection."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection now: a command still on its way must not overtake later ones."""
        if self._transport is not None:
            self._transport.abort()

    def fileno(self) -> int:
        """Give the socket's descriptor, -1 when there is none."""
        socket = self._transport.get_extra_info("socket") if self._transport else None
        return -1 if socket is None else socket.fileno()
