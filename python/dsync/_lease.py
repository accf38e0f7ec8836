"""The leases of this process: one table for each server, renewed beside all event loops.

Over TCP and Unix sockets a native thread of the core renews. TLS needs Python, so there a daemon
thread with an event loop of its own does the same work with the same core.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import threading
import time

from dsync import _core
from dsync._connect import Server
from dsync._transport import StreamLink


class Leases:
    """The leases at one server, for all sessions with it; the last to leave ends the thread."""

    def __init__(self, server: Server) -> None:
        self.core = _core.Leases()
        self._server = server
        self.users = 0
        self._thread: _TlsThread | None = None

    def reachable_at(self, address: tuple[str, int], login: _core.Login) -> None:
        """Learn where the server was found just now, and which login it took."""
        if self._server.ssl_context is None:
            self.core.set_server(address[0], address[1], self._server.path, login)
        elif self._thread is None:
            self._thread = _TlsThread(self._server, self.core)

    def stop(self) -> None:
        """End the renewal."""
        if self._thread is not None:
            self._thread.stop()
        self.core.stop()


_tables: dict[Server, Leases] = {}
_lock = threading.Lock()


def join(server: Server) -> Leases:
    """Count one more session among the users of the server's leases."""
    with _lock:
        leases = _tables.get(server)
        if leases is None:
            leases = _tables[server] = Leases(server)
        leases.users += 1
        return leases


def leave(server: Server) -> None:
    """Count one session less."""
    with _lock:
        leases = _tables.get(server)
        if leases is None:
            return
        leases.users -= 1
        if leases.users:
            return
        del _tables[server]
    leases.stop()


class _TlsThread(threading.Thread):
    """Drives the renewal of one table over TLS."""

    def __init__(self, server: Server, leases: _core.Leases) -> None:
        super().__init__(name="dsync-renewal", daemon=True)
        self._server = server
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)
        self._driver = _core.RenewalDriver(leases, self._wake_writer.fileno())
        self._link: StreamLink | None = None
        self._stopped = False
        self.start()

    def stop(self) -> None:
        self._stopped = True
        self._wake_writer.send(b"\0")
        self.join()
        self._driver.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def run(self) -> None:
        asyncio.run(self._drive())

    async def _drive(self) -> None:
        woken = asyncio.Event()

        def drain() -> None:
            with contextlib.suppress(BlockingIOError):
                self._wake_reader.recv(4096)
            woken.set()

        self._woken = woken
        asyncio.get_running_loop().add_reader(self._wake_reader, drain)
        failures = 0
        next_attempt = 0.0
        while not self._stopped:
            woken.clear()
            connect, lost, pause, longest = self._driver.step()
            if lost:
                self._drop("")
            if connect and self._link is None and time.monotonic() >= next_attempt:
                failures = 0 if await self._connect() else failures + 1
                limit = min(0.02 * 2 ** min(failures, 10), longest)
                next_attempt = time.monotonic() + limit * random.uniform(0.5, 1)
            if connect:
                pause = min(pause, max(next_attempt - time.monotonic(), 0.001))
            self._flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, 3600)):
                    await woken.wait()
        self._drop("")

    async def _connect(self) -> bool:
        try:
            async with asyncio.timeout(self._server.connect_timeout):
                login = await self._server.login()
                address = await self._server.address()
                link = StreamLink(
                    self, _core.COMMANDS, self._driver.buffer(), self._driver.take_output
                )
                await self._server.connect(link, address)
                self._link = link
        except Exception:
            # Whatever it is: the next attempt comes, and the leases tell when it is too late.
            self._drop("")
            return False
        self._driver.connected(login)
        return True

    def _flush(self) -> None:
        if self._link is not None:
            self._link.flush()

    def _drop(self, reason: str) -> None:
        if self._link is not None:
            link, self._link = self._link, None
            link.abort()
            self._driver.disconnected(reason)

    def link_received(self, link: StreamLink, size: int) -> None:
        if link is self._link:
            self._driver.received(size)
            self._woken.set()

    def link_drained(self) -> None:
        self._flush()

    def link_lost(self, link: StreamLink, reason: str) -> None:
        if link is self._link:
            self._drop(reason)
            self._woken.set()


def _before_fork() -> None:
    for leases in _tables.values():
        leases.core.before_fork()


def _after_fork_in_parent() -> None:
    for leases in _tables.values():
        leases.core.after_fork(False)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for leases in _tables.values():
        leases.core.after_fork(True)
    # Never destroyed: they belong to threads that do not exist here.
    _inherited.extend(_tables.values())
    _tables.clear()


_inherited: list[Leases] = []
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
