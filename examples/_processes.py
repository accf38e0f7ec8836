"""What the launcher needs: child processes that never outlive it, and a Redis server of its own."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType

HOST = "127.0.0.1"
# Below those that Linux gives to outgoing connections by default.
RANDOM_PORTS = range(20_000, 32_768)
INTERRUPTED = 130  # the exit code after Ctrl-C
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None)


class DemoError(Exception):
    """Something that ends the demo, told to the user in one line instead of a traceback."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Child:
    """A service that the launcher started, and the port it listens on."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def wait_until_listening(self) -> None:
        """Block until the service accepts connections."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    message = f"{self.name} does not listen on port {self.port}: {error}"
                    raise DemoError(message) from error
                time.sleep(0.02)

    def stop(self) -> None:
        """End the service: ask first, then insist."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def uninterrupted() -> Generator[None, None, None]:
    """Let Ctrl-C wait while a process is started, and until it is known how to stop it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Children:
    """The services of one demo; leaving the `with` block stops them, last started first.

    Inside the block the unexpected end of any of them raises DemoError, even where the launcher
    waits for something else: the handler of SIGCHLD raises it. So use it in the main thread.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Children:
        signal.signal(signal.SIGCHLD, lambda _number, _frame: self._check())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while self._children:
            self._children.pop().stop()

    def start(
        self,
        name: str,
        port: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        listener: socket.socket | None = None,
    ) -> Child:
        """Start a service on `port`; it is told of the socket that listens there, if given."""
        environment = {**os.environ, **environment}
        descriptors: tuple[int, ...] = ()
        if listener is not None:
            descriptors = (listener.fileno(),)
            environment["LISTEN_FD"] = str(listener.fileno())
        with uninterrupted():
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    env=environment,
                    pass_fds=descriptors,
                    # A group of its own: Ctrl-C reaches the launcher alone, which stops the rest.
                    process_group=0,
                    preexec_fn=partial(die_with, os.getpid()),
                )
            except FileNotFoundError as error:
                raise DemoError(f"{command[0]} is not installed.", exit_code=2) from error
            child = Child(name, port, process)
            self._children.append(child)
        self._check()  # It may have ended, and SIGCHLD come, before it was in the list.
        return child

    def _check(self) -> None:
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise DemoError(f"{child.name} (port {child.port}) ended with exit code {code}.")


def start_redis(children: Children, directory: str) -> str:
    """Start an empty Redis server that stores nothing, and return its URL."""
    port = random_free_port()
    options = {
        "port": str(port),
        "bind": HOST,
        "dir": directory,
        "logfile": f"{directory}/redis.log",
        "save": "",
        "appendonly": "no",
    }
    command = ["redis-server"]
    for option, value in options.items():
        command += [f"--{option}", value]
    children.start("redis-server", port, command, {}).wait_until_listening()
    return f"redis://{HOST}:{port}/0"


def listen(port: int, port_help: str) -> socket.socket:
    """Return a socket that listens on the port, for a service to inherit.

    :raises DemoError: if the port is taken.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        message = f"Port {port} is taken: choose others with --port P. {port_help}."
        raise DemoError(message, exit_code=2) from error


def is_free(port: int) -> bool:
    """Tell whether a service could listen on the port."""
    with socket.socket() as probe:
        # As servers do, so that connections that ended a moment ago do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def random_free_port() -> int:
    """Return a port of `RANDOM_PORTS` that was free just now."""
    while not is_free(port := random.choice(RANDOM_PORTS)):
        pass
    return port


def die_with(launcher: int) -> None:
    """Have the kernel kill this process with the launcher, even by SIGKILL; runs in the child."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The launcher may have died before the kernel was told.
    if os.getppid() != launcher:
        os._exit(1)
