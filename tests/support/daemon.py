"""A redis program as a child process: what servers and sentinels have in common."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.support.ports import free_port

STARTUP_TIMEOUT = 20.0


def die_with_parent(*command: str) -> list[str]:
    """Return the command that runs `command` and has the kernel kill it when its parent dies.

    To the kernel the parent is the thread that starts it: start it from the main thread.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


class Daemon(ABC):
    """Runs redis-server in a directory of its own, on 127.0.0.1 and a random port."""

    def __init__(self) -> None:
        self.port = 0
        self.directory = Path(tempfile.mkdtemp(prefix="dsync-"))
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.environment: Mapping[str, str] = {}

    @abstractmethod
    def configuration(self) -> list[str]:
        """Return the lines of the configuration file, without the port."""

    @abstractmethod
    def sync(self) -> redis.Redis:
        """Return a blocking client that may do everything, for assertions."""

    def start(self) -> None:
        """Start, on the port that it had before or else on a free one, and wait until it serves."""
        if self.running:
            raise RuntimeError("already running")
        fresh = self.port == 0
        for _ in range(10 if fresh else 1):
            if fresh:
                self._choose_ports()
            self._spawn()
            if self._wait_until_ready():
                return
            if "already in use" not in self.log():
                break
        raise RuntimeError(f"redis-server did not start:\n{self.log()[-2000:]}")

    def stop(self) -> None:
        """End the process in good order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a crash does (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): it keeps its connections and answers nothing."""
        self._alive().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._alive().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether the process lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._alive().pid

    def log(self) -> str:
        """Return what the process has logged so far."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _arguments(self) -> list[str]:
        return []

    def _spawn(self) -> None:
        path = self.directory / "redis.conf"
        lines = ["bind 127.0.0.1", f"port {self.port}", f"dir {self.directory}"]
        path.write_text("\n".join([*lines, *self.configuration(), ""]))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                die_with_parent("redis-server", str(path), *self._arguments()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + STARTUP_TIMEOUT
        while time.monotonic() < deadline and self.running:
            try:
                # PING fails while data is loaded; the pid tells ours from a stranger on its port.
                if self.sync().ping() and self.sync().info("server")["process_id"] == self.pid:
                    return True
            except redis.RedisError:
                pass
            time.sleep(0.005)
        self.kill()
        return False

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None or not self.running:
            raise RuntimeError("not running")
        return self._process

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        # A frozen process sees SIGTERM only when it goes on.
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STARTUP_TIMEOUT)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None
