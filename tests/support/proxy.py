"""A TCP proxy that does to a connection what networks do.

It runs in a thread with a loop of its own, so a test that blocks its loop does not block the proxy.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from tests.support.ports import free_port
from tests.support.proxy_link import Direction, Faults, Link

T = TypeVar("T")
Which = Literal["all", "command", "subscription"]

TIMEOUT = 10.0


class Proxy:
    """Listens on 127.0.0.1 and forwards each connection to a server's TCP port.

    Methods take effect before they return. `only` picks connections: those that have sent SUBSCRIBE
    are "subscription" links, all others "command" links.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.port = 0
        self.accepted = 0
        self.dropped = 0
        self._faults = Faults()
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        """URL of the server behind this proxy."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def connections(self) -> int:
        """The number of connections that are open now."""
        return len(self._links)

    @property
    def exchanges(self) -> list[int]:
        """How often each open connection has sent something new after an answer, or at first."""
        return sorted(link.exchanges for link in list(self._links))

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        self._run(self._listen())

    def close(self) -> None:
        """Cut everything and end the thread."""
        self._run(self._shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT)
        self._loop.close()

    def cut(self, only: Which = "all") -> None:
        """Reset (RST) the connections on both sides."""
        self._on_links(only, Link.cut)

    def half_close(self, only: Which = "all") -> None:
        """End the stream towards the clients (FIN), and go on forwarding what they send."""
        self._on_links(only, Link.half_close)

    def inject(self, data: bytes, only: Which = "command") -> None:
        """Send bytes to the clients as if the server had."""
        self._on_links(only, lambda link: link.inject(data))

    def blackhole(self, on: bool = True, direction: Direction = "both") -> None:
        """Accept everything and forward nothing; what was held back is delivered when it ends."""
        self._set(lambda faults: faults.hold(on, direction))

    def delay(self, seconds: float) -> None:
        """Deliver whatever is sent from now on later by so much, in each direction."""
        self._set(lambda faults: setattr(faults, "delay", seconds))

    def byte_by_byte(self, on: bool = True) -> None:
        """Send each byte in a packet of its own."""
        self._set(lambda faults: setattr(faults, "byte_by_byte", on))

    def heal(self) -> None:
        """Deliver everything at once and as it comes from now on."""
        self.blackhole(False)
        self._set(Faults.heal)

    def forget_late(self) -> None:
        """Lose what a client has sent and what was held back when the client gives a link up.

        Else the server gets it after what the client sends over its next connection, as from a
        network that delivers after a reset (docs/decisions.md, 9 and 47).
        """
        self._set(lambda faults: setattr(faults, "forgets_late", True))

    def drop_replies(self, after: int = 0, only: Which = "command") -> None:
        """Deliver `after` more replies, swallow the next one and reset its link.

        So the server has executed what the client cannot know of. Happens once; `dropped` counts
        it. Replies are counted over all links that `only` picks.
        """
        self._set(lambda faults: faults.drop(after, only))

    def refuse(self, on: bool = True) -> None:
        """Refuse new connections (the port is closed); those that are open stay."""
        self._run(self._stop_listening() if on else self._listen())

    async def wait_connections(self, count: int, within: float = TIMEOUT) -> None:
        """Wait until exactly so many connections are open."""
        await self.wait_until(lambda: self.connections == count, within)

    async def wait_until(self, condition: Callable[[], bool], within: float = TIMEOUT) -> None:
        """Wait for a condition on `connections`, `accepted` and `dropped`."""
        future = asyncio.run_coroutine_threadsafe(self._until(condition), self._loop)
        await asyncio.wait_for(asyncio.wrap_future(future), within)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT)

    def _set(self, change: Callable[[Faults], None]) -> None:
        async def apply() -> None:
            change(self._faults)

        self._run(apply())

    def _on_links(self, only: Which, action: Callable[[Link], None]) -> None:
        async def apply() -> None:
            for link in [link for link in self._links if only in ("all", link.kind)]:
                action(link)

        self._run(apply())

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _listen(self) -> None:
        for last_try in [False] * 9 + [True]:
            port = self.port or free_port()
            try:
                self._listener = await asyncio.start_server(self._accept, "127.0.0.1", port)
            except OSError:
                if last_try:
                    raise
                await asyncio.sleep(0.01)
            else:
                self.port = port
                return

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _shut_down(self) -> None:
        await self._stop_listening()
        for link in list(self._links):
            link.cut()
        await asyncio.gather(*self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(reader, writer, self._faults)
        self._links.add(link)
        self.accepted += 1
        self._notify()
        try:
            await link.run(self.upstream_port)
        finally:
            self._links.discard(link)
            self.dropped += link.dropped
            self._notify()
