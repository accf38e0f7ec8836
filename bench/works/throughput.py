"""P1, P2, P8, P11, P13 and P14: free locks and semaphores, one after the other or many at once."""

from __future__ import annotations

import dataclasses
import functools

from bench.contenders import (
    AIODISTRIBUTOR,
    BARE_FLOOR,
    BLOCKING,
    DSYNC,
    DSYNC_UVLOOP,
    FLOOR,
    LOCK,
    PEERS,
    PORTALOCKER,
    PYTHON_REDIS_LOCK,
    REDIS_PY,
    SEMAPHORE,
)
from bench.errors import BenchError
from bench.model import Bench, Bound, Case, Metric, Target, Values
from bench.process import Process, result_and_cpu, worker

MANY = 256
# So many that a cliff would show, if there is one.
VERY_MANY = 10_000
CONTENDERS = (FLOOR, BARE_FLOOR, DSYNC, DSYNC_UVLOOP, *PEERS)
BLOCKING_PEERS = (REDIS_PY, PYTHON_REDIS_LOCK, PORTALOCKER)
# No other package has one.
SEMAPHORE_CONTENDERS = (FLOOR, BARE_FLOOR, DSYNC, DSYNC_UVLOOP, AIODISTRIBUTOR)
MICROSECONDS = 1e6


def _start(bench: Bench, contender: str, primitive: str, tasks: int, seconds: float) -> Process:
    warmup = bench.settings.warmup
    if contender not in (FLOOR, BARE_FLOOR):
        if primitive == BLOCKING:
            return worker(
                "blocking_cycles",
                contender,
                bench.server.url,
                primitive=primitive,
                warmup=warmup,
                seconds=seconds,
            )
        return worker(
            "cycles",
            contender,
            bench.server.url,
            primitive=primitive,
            tasks=tasks,
            warmup=warmup,
            seconds=seconds,
        )
    kind = LOCK if primitive == BLOCKING else primitive
    scripts = kind if contender == FLOOR else f"bare-{kind}"
    options = f"--port {bench.server.port} --scripts {scripts} --depth {tasks}"
    times = f"--warmup {warmup} --seconds {seconds}"
    return Process([str(bench.floor / "floor_cycles"), *options.split(), *times.split()])


def _measure(bench: Bench, contender: str, *, primitive: str, tasks: int) -> Values:
    settings = bench.settings
    seconds = settings.seconds if primitive in (LOCK, BLOCKING) else settings.brief_seconds
    with _start(bench, contender, primitive, tasks, seconds) as process:
        report, cpu = result_and_cpu(process, bench.server.pid)
    if not report["cycles"]:
        raise BenchError("not one cycle ended in the measured time")
    values = {
        "time": report["seconds"] / report["cycles"] * MICROSECONDS,
        "rate": report["cycles"] / report["seconds"],
        **cpu.each(report["cycles"]),
    }
    # The peers send commands that are no scripts too, and do less in those that are.
    if contender not in (*PEERS, PORTALOCKER):
        values["server"] = bench.server.script_microseconds() / report["total"]
    return values


SEQUENCE = Metric(
    "P1",
    "time",
    "time of acquire and release",
    "µs",
    FLOOR,
    (Target(Bound.AT_MOST, 1.15, FLOOR),),
)
CROWD = Metric(
    "P2",
    "rate",
    "acquire and release",
    "1/s",
    FLOOR,
    (
        Target(Bound.AT_LEAST, 0.85, FLOOR),
        Target(Bound.AT_LEAST, 12, AIODISTRIBUTOR),
        Target(Bound.AT_LEAST, 12, REDIS_PY),
    ),
)
HUGE_CROWD = dataclasses.replace(
    CROWD, row="P11", targets=(Target(Bound.AT_LEAST, 0.7, FLOOR, "P2"),)
)
SERVER_TIME = Metric(
    "P13",
    "server",
    "server time of the scripts of a cycle",
    "µs",
    BARE_FLOOR,
    (Target(Bound.AT_MOST, 2, BARE_FLOOR),),
)

BLOCKING_SEQUENCE = dataclasses.replace(
    SEQUENCE,
    row="P14",
    targets=(
        Target(Bound.AT_MOST, 1.5, FLOOR),
        *(Target(Bound.AT_MOST, 1, peer) for peer in BLOCKING_PEERS),
    ),
)
SEMAPHORE_SEQUENCE = dataclasses.replace(
    SEQUENCE, row="P8", targets=(Target(Bound.AT_MOST, 1.25, FLOOR),)
)
SEMAPHORE_CROWD = dataclasses.replace(
    CROWD, row="P8", targets=(Target(Bound.AT_LEAST, 1 / 1.25, FLOOR),)
)


def cases() -> list[Case]:
    """Return the sequences and the crowds."""
    return [
        Case(
            "one task, a free lock",
            (SEQUENCE, SERVER_TIME),
            CONTENDERS,
            functools.partial(_measure, primitive=LOCK, tasks=1),
        ),
        Case(
            f"{MANY} tasks, each its own free lock",
            (CROWD,),
            CONTENDERS,
            functools.partial(_measure, primitive=LOCK, tasks=MANY),
        ),
        Case(
            f"{VERY_MANY // 1000} 000 tasks, each its own free lock",
            (HUGE_CROWD,),
            (FLOOR, DSYNC, DSYNC_UVLOOP),
            functools.partial(_measure, primitive=LOCK, tasks=VERY_MANY),
            brief=True,
        ),
        Case(
            "one task, a free semaphore",
            (SEMAPHORE_SEQUENCE, SERVER_TIME),
            SEMAPHORE_CONTENDERS,
            functools.partial(_measure, primitive=SEMAPHORE, tasks=1),
            brief=True,
        ),
        Case(
            f"{MANY} tasks, each its own free semaphore",
            (SEMAPHORE_CROWD,),
            tuple(name for name in SEMAPHORE_CONTENDERS if name != BARE_FLOOR),
            functools.partial(_measure, primitive=SEMAPHORE, tasks=MANY),
            brief=True,
        ),
        Case(
            "one thread, a free lock",
            (BLOCKING_SEQUENCE,),
            (FLOOR, BARE_FLOOR, DSYNC, *BLOCKING_PEERS),
            functools.partial(_measure, primitive=BLOCKING, tasks=1),
        ),
    ]
