"""A Redis server of the benchmark's own, on the loopback address, without persistence."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Any

import redis

from bench.errors import BenchError
from bench.machine import split_cores

START_SECONDS = 10.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """The server, and what it tells about the work it did."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dsync-bench-")
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = f"--bind 127.0.0.1 --port {self.port} --maxclients 20000 --appendonly no"
        self._cores = os.sched_getaffinity(0)
        core, others = split_cores()
        # A child starts on the cores of its parent: first the server on its own, then all others.
        os.sched_setaffinity(0, core)
        self._process = subprocess.Popen(
            [program, *options.split(), "--save", "", "--dir", self._folder.name],
            stdout=subprocess.DEVNULL,
        )
        os.sched_setaffinity(0, others)
        self._admin = redis.Redis(port=self.port, decode_responses=True)

    def __enter__(self) -> Server:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._admin.ping()
                return self
            except redis.ConnectionError:
                if self._process.poll() is not None or time.monotonic() > end:
                    self.__exit__(None, None, None)
                    raise BenchError("the server did not start") from None
                time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admin.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()
        os.sched_setaffinity(0, self._cores)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def version(self) -> str:
        info: dict[str, Any] = self._admin.info("server")
        return str(info["redis_version"])

    def reset(self) -> None:
        """Forget the data, the scripts and the statistics of the last measurement."""
        self._admin.flushall()
        self._admin.script_flush()
        self._admin.config_resetstat()

    def script_microseconds(self) -> float:
        """Return the time that scripts took since the last reset, with the commands they called."""
        stats: dict[str, Any] = self._admin.info("commandstats")
        names = ("cmdstat_evalsha", "cmdstat_eval")
        return float(sum(stats[name]["usec"] for name in names if name in stats))

    def connections(self) -> int:
        """Return how many clients are connected, without the benchmark itself."""
        clients: list[Any] = self._admin.client_list()
        return len(clients) - 1

    def count_commands(self, seconds: float) -> float:
        """Return the commands a second that clients send during the next `seconds`.

        INFO counts a command that a script calls like one that a client sends; MONITOR tells them
        apart, and costs nothing that is measured here.
        """
        count = 0
        rest = b""
        with socket.create_connection(("127.0.0.1", self.port)) as link:
            link.sendall(b"MONITOR\r\n")
            start = time.monotonic()
            while (left := start + seconds - time.monotonic()) > 0:
                link.settimeout(left)
                try:
                    *lines, rest = (rest + link.recv(1 << 20)).split(b"\r\n")
                except TimeoutError:
                    break
                # +1700000000.000000 [0 127.0.0.1:5000] "set" …, or [0 lua] for one of a script
                count += sum(1 for line in lines if b"] " in line and b" lua] " not in line[:40])
        return count / seconds
