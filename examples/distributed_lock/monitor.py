"""The monitor: `GET /gather_stats` has all nodes contend for the lock, and judges the outcome.

Settings (environment): those of examples/_monitor.py.
"""

from __future__ import annotations

from time import perf_counter

from redis.asyncio import Redis
from rich.console import Console

from examples._monitor import Load, contend, progress, serve_monitor
from examples.distributed_lock.report import print_report
from examples.distributed_lock.stats import COUNTER, Grant, Stats, summarize


async def run(redis: Redis, load: Load, console: Console) -> Stats:
    """Ask all nodes, and judge their grants."""
    with progress(console, dict.fromkeys(load.nodes, load.requests)) as advance:
        before = int(await redis.get(COUNTER) or 0)
        started = perf_counter()
        grants = await contend(load, "count", Grant, advance)
        seconds = perf_counter() - started
    counted = int(await redis.get(COUNTER) or 0) - before
    return summarize(grants, counted, seconds)


if __name__ == "__main__":
    serve_monitor(run, print_report)
