"""Python code in a process of its own, which tells the test what happens to it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.daemon import die_with_parent
from tests.support.waiting import TIMEOUT, eventually

ROOT = Path(__file__).parents[2]
Event = dict[str, Any]


class Child:
    """A child process that reports events with `say` (see child.py); it starts at once.

    :param code: a function of a module, called with the arguments (as JSON takes them), or the text
        of a script, where `say` is defined and the arguments are in `sys.argv[1:]`
    :param environment: variables to add
    """

    def __init__(
        self,
        code: str | Callable[..., object],
        *arguments: object,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.events: list[Event] = []
        self._next = 0
        self._ended = False
        self._directory = tempfile.TemporaryDirectory(prefix="dsync-")
        self._stderr = Path(self._directory.name, "stderr")
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                die_with_parent(sys.executable, *_python_arguments(code, arguments)),
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """What it has written to stderr so far."""
        return self._stderr.read_text(errors="replace")

    async def expect(self, event: str, within: float = TIMEOUT) -> Event:
        """Return the next event of that name; those before it are passed over (see `events`)."""
        try:
            return await eventually(lambda: self._take(event), f"event {event!r}", within)
        except AssertionError as error:
            raise AssertionError(f"{error}\nevents: {self.events[-20:]}\n{self.errors}") from None

    async def wait(self, within: float = TIMEOUT) -> int:
        """Wait until it has ended; return the exit code (negative: the signal that ended it)."""
        return await eventually(self._process.poll, f"end of process {self.pid}", within)

    def kill(self) -> None:
        """Let it vanish (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._process.terminate()

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it with the processes that it forked, and free what belongs to it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.kill()
        self._reader.join(TIMEOUT)
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        # Always reading, so that a child that says much is not stopped by a full pipe.
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.events.append(_parse(line))
        self._ended = True

    def _take(self, event: str) -> Event | None:
        # Asked first: an event may come between the search and the end.
        ended = self._ended
        for place in range(self._next, len(self.events)):
            if self.events[place]["event"] == event:
                self._next = place + 1
                return self.events[place]
        if ended:
            raise AssertionError(f"it ended without {event!r}")
        return None


def _python_arguments(
    code: str | Callable[..., object], arguments: tuple[object, ...]
) -> list[str]:
    if isinstance(code, str):
        script = f"from tests.support.child import say\n{textwrap.dedent(code)}"
        return ["-c", script, *map(str, arguments)]
    child = "tests.support.child"
    return ["-m", child, code.__module__, code.__qualname__, json.dumps(arguments)]


def _parse(line: str) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict) and "event" in event:
        return event
    return {"event": "output", "text": line}
