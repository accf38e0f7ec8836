"""The monitor: `GET /gather_stats` has all nodes contend for the lock, and judges the outcome.

Settings (environment): those of examples/_monitor.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter

import aiohttp
from redis.asyncio import Redis
from rich.console import Console

from examples._monitor import Load, ask, open_session, progress, serve_monitor
from examples.distributed_lock.report import print_report
from examples.distributed_lock.stats import COUNTER, Grant, Stats, summarize


async def run(redis: Redis, load: Load, console: Console) -> Stats:
    """Ask all nodes, and judge their grants."""
    with progress(console, dict.fromkeys(load.nodes, load.requests)) as advance:
        before = int(await redis.get(COUNTER) or 0)
        started = perf_counter()
        grants = await ask_all(load, advance)
        seconds = perf_counter() - started
    counted = int(await redis.get(COUNTER) or 0) - before
    return summarize(grants, counted, seconds)


async def ask_all(load: Load, answered: Callable[[str], None]) -> dict[str, list[Grant]]:
    """Send the requests to all nodes at once, and collect the grants that they report."""
    grants: dict[str, list[Grant]] = {node: [] for node in load.nodes}

    async def count(session: aiohttp.ClientSession, node: str, turns: Iterator[int]) -> None:
        for _ in turns:
            grants[node].append(Grant(**await ask(session, node, "count")))
            answered(node)

    async with open_session() as session, asyncio.TaskGroup() as group:
        for node in load.nodes:
            turns = iter(range(load.requests))
            for _ in range(load.concurrency):
                group.create_task(count(session, node, turns))
    return grants


if __name__ == "__main__":
    serve_monitor(run, print_report)
