"""Processes that do the work of one measurement and report in JSON."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic_ns
from types import TracebackType
from typing import Any

from bench.cpu import CpuTime
from bench.errors import BenchError

# No single measurement is meant to take longer (seconds).
PATIENCE = 60.0
NANOSECONDS = 1_000_000_000
# The processes get the word one after the other, and then start together.
HEAD_START = NANOSECONDS // 20
# The share of the time that the first grants, connections and caches may take.
WARMUP_SHARE = 0.2


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

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """Return what is readable once the process says something, or has ended."""
        assert self._process.stdout
        return self._process.stdout.fileno()

    def wait_ready(self) -> None:
        """Wait until the process is set up."""
        self.wait_for("ready")

    def wait_for(self, word: str) -> None:
        """Wait until the process says this."""
        if self._read_line() != word:
            raise BenchError(f"a worker did not say {word!r}")

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


@dataclass(frozen=True)
class Outcome:
    """What processes that worked side by side report of the time from `start` (ns) to `end`.

    Until `warm` they may still open connections and fill caches; `cpu` is of the time after that.
    """

    reports: list[dict[str, Any]]
    start: int
    warm: int
    end: int
    cpu: CpuTime


def run_together(group: Sequence[Process], seconds: float, server: int) -> Outcome:
    """Let processes that wait for it start together, and stop after some seconds.

    :param server: the process id of the server
    """
    for process in group:
        process.wait_ready()
    start = monotonic_ns() + HEAD_START
    duration = int(seconds * NANOSECONDS)
    for process in group:
        process.tell(f"go {start} {start + duration}")
    warm, end = start + int(duration * WARMUP_SHARE), start + duration
    clients = [process.pid for process in group]
    _sleep_until(warm, group)
    before = CpuTime.now(clients, server)
    _sleep_until(end, group)
    cpu = CpuTime.now(clients, server).since(before)
    return Outcome([process.result() for process in group], start, warm, end, cpu)


def _sleep_until(moment: int, group: Sequence[Process]) -> None:
    """Return earlier when one of the processes is done, or has failed."""
    select.select(group, (), (), max(0, moment - monotonic_ns()) / NANOSECONDS)


def result_and_cpu(process: Process, server: int) -> tuple[dict[str, Any], CpuTime]:
    """Return the report, and the processor time from the word "begin" to the word "end"."""
    process.wait_for("begin")
    before = CpuTime.now([process.pid], server)
    process.wait_for("end")
    cpu = CpuTime.now([process.pid], server).since(before)
    return process.result(), cpu


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
