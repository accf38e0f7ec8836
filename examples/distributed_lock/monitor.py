"""The monitor: `GET /gather_stats` has all nodes contend for the lock, and judges the outcome.

Settings (environment): REDIS_URL, HOST, PORT, NODES (host:port of each, separated by commas),
REQUESTS (to each node in one run), CONCURRENCY (how many of them wait at a node at a time).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter

import aiohttp
from aiohttp import web
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from examples._service import REDIS, redis_client, serve
from examples.distributed_lock.report import print_report
from examples.distributed_lock.stats import COUNTER, Grant, Stats, summarize


@dataclass(frozen=True)
class Load:
    """How hard the nodes are asked."""

    nodes: Sequence[str]
    requests: int
    concurrency: int


LOAD = web.AppKey("load", Load)
TURN = web.AppKey("turn", asyncio.Lock)


async def gather_stats(request: web.Request) -> web.Response:
    """Run once; the answer, and a table on the terminal, tell how it went."""
    app, console = request.app, Console()
    try:
        # Two runs at a time would count each other's updates.
        async with app[TURN]:
            stats = await run(app[REDIS], app[LOAD], console)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # One is enough to tell which node failed, and why.
    print_report(console, stats)
    return web.json_response(asdict(stats), dumps=partial(json.dumps, indent=2))


async def run(redis: Redis, load: Load, console: Console) -> Stats:
    """Ask all nodes, with a progress bar for each where the output is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        bars = {node: bar.add_task(node, total=load.requests) for node in load.nodes}
        before = int(await redis.get(COUNTER) or 0)
        started = perf_counter()
        grants = await ask_all(load, lambda node: bar.advance(bars[node]))
        seconds = perf_counter() - started
    counted = int(await redis.get(COUNTER) or 0) - before
    return summarize(grants, counted, seconds)


async def ask_all(load: Load, answered: Callable[[str], None]) -> dict[str, list[Grant]]:
    """Send the requests to all nodes at once, and collect the grants that they report."""
    grants: dict[str, list[Grant]] = {node: [] for node in load.nodes}

    async def ask(session: aiohttp.ClientSession, node: str, turns: Iterator[int]) -> None:
        for _ in turns:
            try:
                async with session.post(f"http://{node}/count") as response:
                    grants[node].append(Grant(**await response.json()))
            except (aiohttp.ClientError, TimeoutError) as error:
                raise web.HTTPBadGateway(text=f"{node} failed: {error!r}\n") from error
            answered(node)

    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, raise_for_status=True) as session,
        asyncio.TaskGroup() as group,
    ):
        for node in load.nodes:
            turns = iter(range(load.requests))
            for _ in range(load.concurrency):
                group.create_task(ask(session, node, turns))
    return grants


def main() -> None:
    """Serve `GET /gather_stats`."""
    app = web.Application()
    app[LOAD] = Load(
        nodes=os.environ["NODES"].split(","),
        requests=int(os.environ.get("REQUESTS", "200")),
        concurrency=int(os.environ.get("CONCURRENCY", "8")),
    )
    app[TURN] = asyncio.Lock()
    app.cleanup_ctx.append(redis_client)
    app.router.add_get("/gather_stats", gather_stats)
    serve(app)


if __name__ == "__main__":
    main()
