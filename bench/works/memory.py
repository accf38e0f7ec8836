"""P7: the memory of a lock object, and of a task that waits for one."""

from __future__ import annotations

import functools

from bench.contenders import AIODISTRIBUTOR, DSYNC, LOCK, PLAIN_EVENT, POTTERY, REDIS_PY, SLOT
from bench.model import Bench, Bound, Case, Metric, Target, Values
from bench.process import worker

KEY = "bench:memory"
COUNT = 10_000
# A polling peer opens a connection for each waiter that asks just now.
PEER_COUNT = 500
SETTLE = 0.5
# Waiters that a process gets into the queue in a second, at the very least.
ENQUEUED_A_SECOND = 5000


def _bytes(bench: Bench, contender: str, count: int, primitive: str) -> Values:
    # All memory comes from one allocator, which can tell how much it has given out.
    malloc = {"PYTHONMALLOC": "malloc"}
    process = worker(
        "memory",
        contender,
        bench.server.url,
        environment=malloc,
        key=KEY,
        primitive=primitive,
        count=count,
        settle=SETTLE + count / ENQUEUED_A_SECOND,
        first=contender != PLAIN_EVENT,
    )
    with process:
        return process.result()


def _measure(bench: Bench, contender: str, *, primitive: str) -> Values:
    count = COUNT if contender == DSYNC else PEER_COUNT
    plain = _bytes(bench, PLAIN_EVENT, count, LOCK)
    with worker("hold", contender, bench.server.url, key=KEY, primitive=primitive) as holder:
        holder.wait_ready()
        report = _bytes(bench, contender, count, primitive)
    return {
        "lock": report["lock"],
        "waiter": report["waiter"] - plain["waiter"],
        "resident": report["resident"] - plain["resident"],
    }


def _case(title: str, contenders: tuple[str, ...], primitive: str) -> Case:
    metrics = (
        Metric(
            "P7", "waiter", "a waiter beyond its task", "B", None, (Target(Bound.AT_MOST, 1024),)
        ),
        Metric("P7", "lock", "an idle object", "B", None, (Target(Bound.AT_MOST, 600),)),
        Metric("P7", "resident", "the waiter, as resident memory", "B"),
    )
    measure = functools.partial(_measure, primitive=primitive)
    return Case(title, metrics, contenders, measure, steady=True)


def cases() -> list[Case]:
    """Return the locks and the semaphores."""
    return [
        _case("locks and the waiters for them", (DSYNC, AIODISTRIBUTOR, REDIS_PY, POTTERY), LOCK),
        _case("semaphores and the waiters for them", (DSYNC, AIODISTRIBUTOR), SLOT),
    ]
