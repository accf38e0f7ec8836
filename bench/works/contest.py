"""P3, P4, P9, P10 and P11: tasks of one or more processes that want the same locks."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass

from bench.contenders import (
    AIODISTRIBUTOR,
    CONTENDERS,
    DSYNC,
    DSYNC_UVLOOP,
    FLOOR,
    LOCK,
    PEERS,
    PLAIN_LOCK,
    SLOT,
)
from bench.model import Bench, Bound, Case, Metric, Target, Values
from bench.process import Process, run_together, worker
from bench.records import Contest

KEY = "bench:contest"
NAMES = (FLOOR, DSYNC, DSYNC_UVLOOP, *PEERS)
# Seconds: by then the next one is surely waiting, and a stall of the machine is short beside that.
HOLD = 0.002
GRANT = "grant"
# How many periods of one who polls are enough for some hand-overs.
PERIODS = 8


@dataclass(frozen=True)
class _Setup:
    """Who contends, how long each holds the lock (seconds), and whether two take turns.

    Task number i of a process wants lock number i % keys.
    """

    processes: int
    tasks: int
    keys: int = 1
    hold: float = 0
    jitter: float = 0
    alternate: bool = False
    primitive: str = LOCK


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
            keys=setup.keys,
            tasks=setup.tasks,
            hold=setup.hold,
            jitter=setup.jitter,
            turns=turns,
            primitive=setup.primitive,
        )
    scripts = "semaphore" if setup.primitive == SLOT else "lock"
    keys = f"--key {KEY} --keys {setup.keys}"
    options = f"--scripts {scripts} --port {bench.server.port} {keys} --session {index:016x}"
    work = f"--waiters {setup.tasks} --hold {setup.hold}"
    return Process([str(bench.floor / "floor_handover"), *options.split(), *work.split()])


def _contend(bench: Bench, contender: str, setup: _Setup) -> tuple[Contest, Values]:
    """Return who had the locks when, and the processor time of a grant."""
    seconds = max(bench.settings.contest_seconds, PERIODS * setup.jitter)
    with contextlib.ExitStack() as stack:
        turns = stack.enter_context(_turns(setup))
        group = [
            stack.enter_context(_start(bench, contender, setup, i, turns[i]))
            for i in range(setup.processes)
        ]
        outcome = run_together(group, seconds, bench.server.pid)
    result = Contest.merge(outcome.reports, outcome.warm, outcome.end, setup.keys)
    return result, outcome.cpu.each(len(result.holds))


def _rate(
    bench: Bench, contender: str, *, setup: _Setup, floor_setup: _Setup | None = None
) -> Values:
    if contender == FLOOR:
        setup = floor_setup or setup
    result, cpu = _contend(bench, contender, setup)
    return {"handovers": result.handovers_a_second(), "grants": result.grants_a_second(), **cpu}


def _latency(bench: Bench, contender: str) -> Values:
    # One who polls must not be released at the same moment of its period each time.
    jitter = CONTENDERS[contender].period if contender in CONTENDERS else 0
    setup = _Setup(processes=2, tasks=1, hold=HOLD, jitter=jitter, alternate=True)
    result, cpu = _contend(bench, contender, setup)
    return {**result.latencies(), **cpu}


def _fairness(bench: Bench, contender: str, *, setup: _Setup) -> Values:
    result, cpu = _contend(bench, contender, setup)
    return {"unfairness": result.unfairness(), **cpu}


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
        unit=GRANT,
    )


def _slot_case() -> Case:
    metrics = (
        Metric("P3", "handovers", "hand-overs", "1/s", FLOOR),
        Metric("P3", "grants", "grants, those to the last holder too", "1/s", FLOOR),
    )
    return Case(
        "a semaphore of one slot, 2 processes of 4 tasks",
        metrics,
        (FLOOR, DSYNC, DSYNC_UVLOOP, AIODISTRIBUTOR),
        functools.partial(_rate, setup=_Setup(2, 4, primitive=SLOT)),
        unit=GRANT,
        brief=True,
    )


def _local_case() -> Case:
    target = Target(Bound.AT_LEAST, 3, FLOOR)
    metrics = (
        Metric("P10", "handovers", "hand-overs", "1/s", FLOOR, (target,)),
        Metric("P10", "grants", "grants, those to the last holder too", "1/s", FLOOR),
    )
    # The floor is that of P3: it is faster with two processes than with one, or with more tasks.
    return Case(
        "one lock, 1 process of 100 tasks",
        metrics,
        (*NAMES, PLAIN_LOCK),
        functools.partial(_rate, setup=_Setup(1, 100), floor_setup=_Setup(2, 4)),
        unit=GRANT,
        brief=True,
    )


def _many_locks_case() -> Case:
    target = Target(Bound.AT_LEAST, 0.7, FLOOR, "P2")
    return Case(
        "100 locks, 4 processes of 250 tasks",
        (Metric("P11", "grants", "grants", "1/s", FLOOR, (target,)),),
        (FLOOR, DSYNC, DSYNC_UVLOOP),
        functools.partial(_rate, setup=_Setup(4, 250, keys=100)),
        unit=GRANT,
        brief=True,
    )


def _fairness_case(processes: int, tasks: int) -> Case:
    target = Target(Bound.AT_MOST, 2)
    return Case(
        f"one lock held for {HOLD * 1000:g} ms, {processes} processes of {tasks} tasks",
        (Metric("P9", "unfairness", "longest wait / mean wait", "", None, (target,)),),
        tuple(name for name in NAMES if name != DSYNC_UVLOOP),
        functools.partial(_fairness, setup=_Setup(processes, tasks, hold=HOLD)),
        unit=GRANT,
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
        _slot_case(),
        _local_case(),
        _many_locks_case(),
        Case("one lock between 2 processes in turn", latency, NAMES, _latency, unit=GRANT),
        _fairness_case(2, 8),
        _fairness_case(4, 4),
    ]
