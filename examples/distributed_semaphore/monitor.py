"""The monitor: `GET /gather_stats` has all nodes contend for the slots, and judges the outcome.

Settings (environment): those of examples/_monitor.py.
"""

from __future__ import annotations

from time import perf_counter

from redis.asyncio import Redis
from rich.console import Console

from examples._monitor import Load, contend, progress, serve_monitor
from examples.distributed_semaphore.report import print_report
from examples.distributed_semaphore.stats import INSIDE, SEMAPHORE, Stats, Visit, summarize


async def run(redis: Redis, load: Load, console: Console) -> Stats:
    """Ask all nodes, and judge by how many they saw inside."""
    await redis.delete(INSIDE)  # Left from a run that failed.
    with progress(console, dict.fromkeys(load.nodes, load.requests)) as advance:
        started = perf_counter()
        visits = await contend(load, "visit", Visit, advance)
        seconds = perf_counter() - started
    free = int(await redis.get(f"distributed_semaphore_{SEMAPHORE}") or 0)
    return summarize(visits, load.requests * len(load.nodes), free, seconds)


if __name__ == "__main__":
    serve_monitor(run, print_report)
