"""One connection through the proxy, and the faults that are switched on."""

import asyncio
import contextlib
import re
import socket
import struct
from typing import Literal

from tests.support.resp import ReplySplitter

Direction = Literal["both", "requests", "replies"]

_SUBSCRIBE = re.compile(rb"\r\nP?SUBSCRIBE\r\n", re.IGNORECASE)


class Faults:
    """What the proxy does to all its links."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.byte_by_byte = False
        self.forgets_late = False
        self._gates = {"requests": asyncio.Event(), "replies": asyncio.Event()}
        self._deliver: int | None = None
        self._drop_only = "all"
        self.hold(False, "both")

    def hold(self, on: bool, direction: Direction) -> None:
        """Close or open the gate of a direction."""
        for name, gate in self._gates.items():
            if direction in ("both", name):
                gate.clear() if on else gate.set()

    def heal(self) -> None:
        """Do nothing any more, but for what is held back."""
        self.delay = 0.0
        self.byte_by_byte = False
        self._deliver = None

    def drop(self, after: int, only: str) -> None:
        """Swallow one reply of a kind of link, after so many others."""
        self._deliver, self._drop_only = after, only

    async def passed_gate(self, direction: str) -> None:
        """Wait until the direction is open."""
        await self._gates[direction].wait()

    def take_reply(self, kind: str) -> bool:
        """Count one reply; return whether it is the one to swallow."""
        if self._deliver is None or self._drop_only not in ("all", kind):
            return False
        self._deliver -= 1
        if self._deliver >= 0:
            return False
        self._deliver = None
        return True


class Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults
    ) -> None:
        self.kind = "command"
        self.dropped = 0
        self.exchanges = 0
        self._answered = True
        self._client = (reader, writer)
        self._writers = [writer]
        self._faults = faults
        self._replies = ReplySplitter()
        self._recent = b""
        self._ended: set[asyncio.StreamWriter] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, upstream_port: int) -> None:
        """Forward until both sides have ended or the link is cut."""
        try:
            server = await asyncio.open_connection("127.0.0.1", upstream_port)
        except OSError:
            self.cut()
            return
        self._writers.append(server[1])
        if self._client[1].is_closing():
            self.cut()
            return
        self._tasks = [
            asyncio.ensure_future(self._forward("requests", self._client[0], server[1])),
            asyncio.ensure_future(self._forward("replies", server[0], self._client[1])),
        ]
        ended, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        if all(not task.cancelled() and task.exception() is None for task in ended):
            for writer in self._writers:
                writer.close()
        else:
            self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset both connections."""
        for writer in self._writers:
            raw = writer.get_extra_info("socket")
            if raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def half_close(self) -> None:
        """Send the client an end of stream."""
        self._end_stream(self._client[1])

    def inject(self, data: bytes) -> None:
        """Send the client bytes that did not come from the server."""
        if self._client[1] not in self._ended:
            self._client[1].write(data)

    async def _forward(
        self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes | Exception]] = asyncio.Queue()
        feeder = asyncio.ensure_future(self._feed(direction, reader, queue))
        try:
            while True:
                due, item = await queue.get()
                await asyncio.sleep(due - asyncio.get_running_loop().time())
                await self._faults.passed_gate(direction)
                if isinstance(item, Exception):
                    raise item
                if not item:
                    self._end_stream(writer)
                    return
                await self._write(writer, item)
        finally:
            feeder.cancel()

    async def _feed(
        self,
        direction: str,
        reader: asyncio.StreamReader,
        queue: asyncio.Queue[tuple[float, bytes | Exception]],
    ) -> None:
        # Reading goes on while older bytes are late, so that each is late by the same time.
        see = self._see_request if direction == "requests" else self._see_reply
        data = b" "
        while data:
            items: list[bytes | Exception]
            try:
                data = await reader.read(65536)
                items = see(data) if data else [b""]
            except OSError as error:
                data, items = b"", [error]
            if direction == "requests" and not data and self._faults.forgets_late:
                self.cut()
            due = asyncio.get_running_loop().time() + self._faults.delay
            for item in items:
                queue.put_nowait((due, item))

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer in self._ended:
            return
        self._answered = self._answered or writer is self._client[1]
        size = 1 if self._faults.byte_by_byte else len(data)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            # drain() returns at once while the buffer is small; others must have their turn.
            await asyncio.sleep(0)

    def _end_stream(self, writer: asyncio.StreamWriter) -> None:
        if writer not in self._ended and not writer.is_closing():
            self._ended.add(writer)
            # The peer may have reset the connection, and nobody has noticed it yet.
            with contextlib.suppress(OSError):
                writer.write_eof()

    def _see_request(self, data: bytes) -> list[bytes | Exception]:
        self.exchanges += self._answered
        self._answered = False
        # The command may be split between two reads.
        self._recent = self._recent[-20:] + data
        if _SUBSCRIBE.search(self._recent):
            self.kind = "subscription"
        return [data]

    def _see_reply(self, data: bytes) -> list[bytes | Exception]:
        items: list[bytes | Exception] = []
        for reply in self._replies.feed(data):
            if self._faults.take_reply(self.kind):
                self.dropped += 1
                return [*items, ConnectionResetError("a reply was dropped")]
            items.append(reply)
        return items
