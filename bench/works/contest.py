"""P3, P4 and P9: processes that want one and the same lock."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass

from bench.contenders import CONTENDERS, DSYNC, DSYNC_UVLOOP, FLOOR, PEERS
from bench.model import Bench, Bound, Case, Metric, Target, Values
from bench.process import Process, run_together, worker
from bench.records import Contest

KEY = "bench:contest"
NAMES = (FLOOR, DSYNC, DSYNC_UVLOOP, *PEERS)
# Seconds: by then the next one is surely waiting, and a stall of the machine is short beside that.
HOLD = 0.002
# How many periods of one who polls are enough for some hand-overs.
PERIODS = 8


@dataclass(frozen=True)
class _Setup:
    """Who contends, how long each holds the lock (seconds), and whether two take turns."""

    processes: int
    tasks: int
    hold: float = 0
    jitter: float = 0
    alternate: bool = False


@contextlib.contextmanager
def _turns(setup: _Setup) -> Iterator[list[list[int]]]:
    """Two pipes, crossed: what one process writes the other reads."""
    if not setup.alternate:
        yield [[] for _ in range(setup.processes)]
        return
    pipes = [os.pipe(), os.pipe()]
    try:
        yield [[pipes[0][0], pipes[1][1]], [pipes[1][0], pipes[0][1]]]
    finally:
        for fd in (*pipes[0], *pipes[1]):
            os.close(fd)


def _start(bench: Bench, contender: str, setup: _Setup, index: int, turns: list[int]) -> Process:
    if contender != FLOOR:
        return worker(
            "contest",
            contender,
            bench.server.url,
            pass_fds=turns,
            key=KEY,
            tasks=setup.tasks,
            hold=setup.hold,
            jitter=setup.jitter,
            turns=turns,
        )
    options = f"--port {bench.server.port} --key {KEY} --session {index:016x}"
    work = f"--waiters {setup.tasks} --hold {setup.hold}"
    return Process([str(bench.floor / "floor_handover"), *options.split(), *work.split()])


def _contend(bench: Bench, contender: str, setup: _Setup) -> Contest:
    seconds = max(bench.settings.contest_seconds, PERIODS * setup.jitter)
    with contextlib.ExitStack() as stack:
        turns = stack.enter_context(_turns(setup))
        group = [
            stack.enter_context(_start(bench, contender, setup, i, turns[i]))
            for i in range(setup.processes)
        ]
        outcome = run_together(group, seconds)
    return Contest.merge(outcome.reports, outcome.warm, outcome.end)


def _rate(bench: Bench, contender: str, *, setup: _Setup) -> Values:
    result = _contend(bench, contender, setup)
    return {"handovers": result.handovers_a_second(), "grants": result.grants_a_second()}


def _latency(bench: Bench, contender: str) -> Values:
    # One who polls must not be released at the same moment of its period each time.
    jitter = CONTENDERS[contender].period if contender in CONTENDERS else 0
    setup = _Setup(processes=2, tasks=1, hold=HOLD, jitter=jitter, alternate=True)
    return _contend(bench, contender, setup).latencies()


def _fairness(bench: Bench, contender: str, *, setup: _Setup) -> Values:
    return {"unfairness": _contend(bench, contender, setup).unfairness()}


def _rate_case(processes: int, tasks: int) -> Case:
    targets = [Target(Bound.AT_LEAST, 0.75, FLOOR)]
    targets += [Target(Bound.AT_LEAST, 100, peer) for peer in PEERS]
    metrics = (
        Metric("P3", "handovers", "hand-overs", "1/s", FLOOR, tuple(targets)),
        Metric("P3", "grants", "grants, those to the last holder too", "1/s", FLOOR),
    )
    return Case(
        f"one lock, {processes} processes of {tasks} tasks",
        metrics,
        NAMES,
        functools.partial(_rate, setup=_Setup(processes, tasks)),
    )


def _fairness_case(processes: int, tasks: int) -> Case:
    target = Target(Bound.AT_MOST, 2)
    return Case(
        f"one lock held for {HOLD * 1000:g} ms, {processes} processes of {tasks} tasks",
        (Metric("P9", "unfairness", "longest wait / mean wait", "", None, (target,)),),
        tuple(name for name in NAMES if name != DSYNC_UVLOOP),
        functools.partial(_fairness, setup=_Setup(processes, tasks, HOLD)),
        brief=True,
    )


def cases() -> list[Case]:
    """Return the rates, the latency and the fairness."""
    latency = (
        Metric(
            "P4", "p50", "release to grant, p50", "µs", FLOOR, (Target(Bound.AT_MOST, 1.3, FLOOR),)
        ),
        Metric(
            "P4", "p99", "release to grant, p99", "µs", FLOOR, (Target(Bound.AT_MOST, 5, FLOOR),)
        ),
    )
    return [
        _rate_case(2, 4),
        _rate_case(4, 4),
        Case("one lock between 2 processes in turn", latency, NAMES, _latency),
        _fairness_case(2, 8),
        _fairness_case(4, 4),
    ]
