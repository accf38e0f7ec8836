"""Writes the history of one process."""

import itertools
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.history.events import Event


class Recorder:
    """Appends events to a file of its own; its threads share it.

    Each event is one `write`, so a process that is killed leaves all that it has written.
    """

    def __init__(self, path: Path, process: str) -> None:
        self._process = process
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._numbers = itertools.count(1)
        self._mutex = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def write(
        self,
        kind: str,
        op: str,
        *,
        key: str = "",
        task: str = "",
        number: int = 0,
        at: int | None = None,
        **value: Any,
    ) -> int:
        """Append an event; stamped now, unless `at` says when."""
        at = time.monotonic_ns() if at is None else at
        event = Event(at, self._process, kind, number, task, op, key, value)
        with self._mutex:
            os.write(self._file, event.to_json().encode() + b"\n")
        return at

    def next_number(self) -> int:
        """Number an operation."""
        with self._mutex:
            return next(self._numbers)


class TaskRecorder:
    """What one task or thread writes, about one key at a time."""

    def __init__(self, recorder: Recorder, task: str) -> None:
        self._recorder = recorder
        self._task = task
        self._open: dict[int, tuple[str, str]] = {}

    def invoke(self, op: str, key: str, **value: Any) -> int:
        """Say that an operation begins; returns its number."""
        number = self._recorder.next_number()
        self._open[number] = (op, key)
        self._recorder.write("invoke", op, key=key, task=self._task, number=number, **value)
        return number

    def end(self, kind: str, number: int, **value: Any) -> None:
        """Say how an operation ended: ok, fail or info."""
        # First, so that nothing that is done here makes the operation longer than it was.
        at = time.monotonic_ns()
        op, key = self._open.pop(number)
        self._recorder.write(kind, op, key=key, task=self._task, number=number, at=at, **value)

    def claim(self, hold: int, key: str, valid_for: Callable[[], float]) -> float:
        """Ask how long something is surely held, and write it down."""
        # Before the question: a process that is stopped between the two then claims less.
        at = time.monotonic_ns()
        seconds = valid_for()
        until = None if math.isinf(seconds) else at + int(seconds * 1e9)
        if seconds > 0:
            self._recorder.write(
                "claim", "acquire", key=key, task=self._task, number=hold, at=at, until=until
            )
        return seconds
