"""P1, P2 and P13: free locks, one after the other or many at once."""

from __future__ import annotations

import functools

from bench.contenders import (
    AIODISTRIBUTOR,
    BARE_FLOOR,
    DSYNC,
    DSYNC_UVLOOP,
    FLOOR,
    PEERS,
    REDIS_PY,
)
from bench.errors import BenchError
from bench.model import Bench, Bound, Case, Metric, Target, Values
from bench.process import Process, worker

MANY = 256
CONTENDERS = (FLOOR, BARE_FLOOR, DSYNC, DSYNC_UVLOOP, *PEERS)
MICROSECONDS = 1e6


def _start(bench: Bench, contender: str, tasks: int) -> Process:
    settings = bench.settings
    if contender not in (FLOOR, BARE_FLOOR):
        return worker(
            "cycles",
            contender,
            bench.server.url,
            tasks=tasks,
            warmup=settings.warmup,
            seconds=settings.seconds,
        )
    scripts = "dsync" if contender == FLOOR else "bare"
    options = f"--port {bench.server.port} --scripts {scripts} --depth {tasks}"
    times = f"--warmup {settings.warmup} --seconds {settings.seconds}"
    return Process([str(bench.floor / "floor_cycles"), *options.split(), *times.split()])


def _measure(bench: Bench, contender: str, *, tasks: int) -> Values:
    with _start(bench, contender, tasks) as process:
        report = process.result()
    if not report["cycles"]:
        raise BenchError("not one cycle ended in the measured time")
    values = {
        "time": report["seconds"] / report["cycles"] * MICROSECONDS,
        "rate": report["cycles"] / report["seconds"],
    }
    # The peers send commands that are no scripts too, and do less in those that are.
    if contender not in PEERS:
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
SERVER_TIME = Metric(
    "P13",
    "server",
    "server time of the scripts of a cycle",
    "µs",
    BARE_FLOOR,
    (Target(Bound.AT_MOST, 2, BARE_FLOOR),),
)


def cases() -> list[Case]:
    """Return the sequence and the crowd."""
    return [
        Case(
            "one task, a free lock",
            (SEQUENCE, SERVER_TIME),
            CONTENDERS,
            functools.partial(_measure, tasks=1),
        ),
        Case(
            f"{MANY} tasks, each its own free lock",
            (CROWD,),
            CONTENDERS,
            functools.partial(_measure, tasks=MANY),
        ),
    ]
