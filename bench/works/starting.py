"""P12: what there is to wait for before the first lock."""

from __future__ import annotations

import sys
from statistics import median

from bench.contenders import (
    AIODISTRIBUTOR,
    AIOREDLOCK,
    COREDIS,
    DSYNC,
    DSYNC_UVLOOP,
    FLOOR,
    POTTERY,
    PYTHON_REDIS_LOCK,
    REDIS_PY,
)
from bench.model import Bench, Bound, Case, Metric, Target, Values
from bench.process import Process, worker
from tests.support.proxy import Proxy

KEY = "bench:first"
IMPORTS = 3
FIRST_LOCKS = 20
MILLISECONDS = 1e3
NANOSECONDS_A_MICROSECOND = 1e3
# What dsync cannot do without is the floor.
MODULES = {
    FLOOR: "redis.asyncio",
    DSYNC: "dsync",
    AIODISTRIBUTOR: "aiodistributor.distributed_lock",
    POTTERY: "pottery",
    AIOREDLOCK: "aioredlock",
    PYTHON_REDIS_LOCK: "redis_lock",
    COREDIS: "coredis",
}
IMPORT = """
from time import perf_counter
start = perf_counter()
import {}
print('{{"seconds": %f}}' % (perf_counter() - start))
"""


def _import(_bench: Bench, contender: str) -> Values:
    command = [sys.executable, "-c", IMPORT.format(MODULES[contender])]
    times = []
    for _ in range(IMPORTS):
        with Process(command) as process:
            times.append(process.result()["seconds"] * MILLISECONDS)
    return {"import": median(times)}


def _first(bench: Bench, contender: str) -> Values:
    if contender == FLOOR:
        options = f"--port {bench.server.port} --count {FIRST_LOCKS}"
        process = Process([str(bench.floor / "floor_first"), *options.split()])
    else:
        process = worker("first_locks", contender, bench.server.url, key=KEY, count=FIRST_LOCKS)
    with process:
        return {"first": median(process.result()["stamps"]) / NANOSECONDS_A_MICROSECOND}


def _exchanges(bench: Bench, contender: str) -> Values:
    # Those of a connection follow one another; that of dsync for its inbox has one, meanwhile.
    with Proxy(bench.server.port) as proxy, worker("hold", contender, proxy.url, key=KEY) as holder:
        holder.wait_ready()
        return {"exchanges": max(proxy.exchanges)}


def cases() -> list[Case]:
    """Return the import, and the time and the round trips of the first lock."""
    imported = Metric(
        "P12", "import", "time of the import", "ms", FLOOR, (Target(Bound.AT_MOST, 1.5, FLOOR),)
    )
    exchanges = Metric(
        "P12", "exchanges", "round trips after the connect", "", None, (Target(Bound.AT_MOST, 2),)
    )
    peers = (AIODISTRIBUTOR, REDIS_PY)
    return [
        Case("a new interpreter", (imported,), tuple(MODULES), _import, brief=True),
        Case(
            "the first lock of an event loop",
            (Metric("P12", "first", "time with the connect", "µs", FLOOR),),
            (FLOOR, DSYNC, DSYNC_UVLOOP, *peers),
            _first,
            brief=True,
        ),
        Case(
            "the first lock of a process",
            (exchanges,),
            (DSYNC, *peers, POTTERY, AIOREDLOCK, PYTHON_REDIS_LOCK, COREDIS),
            _exchanges,
            steady=True,
        ),
    ]
