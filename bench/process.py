"""Processes that do the work of one measurement and report in JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from bench.errors import BenchError

# No single measurement is meant to take longer (seconds).
PATIENCE = 60.0


class Process:
    """One process; it is killed at the end of the block, whatever it does."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **(environment or {})},
            pass_fds=pass_fds,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def wait_ready(self) -> None:
        """Wait until the process is set up."""
        if self._read_line() != "ready":
            raise BenchError("a worker did not say that it is ready")

    def tell(self, line: str) -> None:
        """Send one line to the process."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Return what the process reports at its end."""
        report: dict[str, Any] = json.loads(self._read_line())
        return report

    def _read_line(self) -> str:
        assert self._process.stdout
        alarm = threading.Timer(PATIENCE, self._process.kill)
        alarm.start()
        try:
            line = self._process.stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-1:] or ["it gave no result in time"]
            raise BenchError(f"a worker failed: {last[0]}")
        return line.strip()


def worker(
    job: str,
    contender: str,
    url: str,
    *,
    environment: dict[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    **parameters: object,
) -> Process:
    """Start a Python worker for one job of bench.jobs."""
    order = {"job": job, "contender": contender, "url": url, **parameters}
    command = [sys.executable, "-m", "bench.worker", json.dumps(order)]
    return Process(command, environment=environment, pass_fds=pass_fds)
