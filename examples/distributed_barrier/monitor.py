"""The monitor: `GET /gather_stats` meets all nodes at the barrier, and judges who left when.

Settings (environment): those of examples/_monitor.py; REQUESTS is the number of rounds.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import perf_counter

from dsync import DistributedBarrier
from redis.asyncio import Redis
from rich.console import Console

from examples._monitor import Load, ask_each, patience, progress, serve_monitor
from examples.distributed_barrier.report import print_report
from examples.distributed_barrier.stats import ARRIVED, BARRIER, Passage, Stats, summarize


async def run(redis: Redis, load: Load, console: Console) -> Stats:
    """Be one more party, and judge by what the others saw."""
    rounds, parties = load.requests, load.concurrency * len(load.nodes) + 1
    barrier = DistributedBarrier(redis, BARRIER, parties)
    await barrier.reset()  # Who waits there belongs to a run that failed.
    await redis.delete(ARRIVED)
    with progress(console, {"rounds": rounds}) as advance:
        started = perf_counter()
        async with asyncio.TaskGroup() as group:
            path = f"meet?rounds={rounds}&parties={parties}"
            asked = group.create_task(ask_each(load.nodes, path, Passage))
            with suppress(TimeoutError):
                for _ in range(rounds):
                    await redis.incr(ARRIVED)
                    async with asyncio.timeout(patience()):
                        await barrier.wait()
                    advance("rounds")
            # Who waits still has lost the others, and tells what it saw so far.
            while not (await asyncio.wait([asked], timeout=patience()))[0]:
                await barrier.abort()
        seconds = perf_counter() - started
    return summarize(asked.result(), rounds, parties, seconds)


if __name__ == "__main__":
    serve_monitor(run, print_report)
