"""What the monitors of every demo share: `GET /gather_stats`, the progress of a run, the nodes.

Settings (environment): REDIS_URL, HOST, PORT, NODES (host:port of each, separated by commas),
REQUESTS and CONCURRENCY (see `Load`).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from aiohttp import web
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from examples._service import REDIS, concurrency, redis_client, serve, work_seconds

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Stats = TypeVar("Stats", bound="DataclassInstance")
Part = TypeVar("Part")

_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Load:
    """How hard the nodes are asked: how many requests for each, and how many of them at a time."""

    nodes: Sequence[str]
    requests: int
    concurrency: int


def serve_monitor(
    run: Callable[[Redis, Load, Console], Awaitable[Stats]],
    print_report: Callable[[Console, Stats], None],
) -> None:
    """Serve `GET /gather_stats`.

    :param run: does one run, and judges it; its ExceptionGroup becomes the first error in it.
    :param print_report: shows the outcome on the terminal.
    """
    load = Load(
        nodes=os.environ["NODES"].split(","),
        requests=int(os.environ.get("REQUESTS", "200")),
        concurrency=concurrency(),
    )
    turn = asyncio.Lock()

    async def gather_stats(request: web.Request) -> web.Response:
        console = Console()
        try:
            # Two runs at a time would spoil each other's numbers.
            async with turn:
                stats = await run(request.app[REDIS], load, console)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # One is enough to tell what failed, and why.
        print_report(console, stats)
        return web.json_response(asdict(stats), dumps=partial(json.dumps, indent=2))

    app = web.Application()
    app.cleanup_ctx.append(redis_client)
    app.router.add_get("/gather_stats", gather_stats)
    serve(app)


@contextmanager
def progress(
    console: Console, totals: Mapping[str, int]
) -> Generator[Callable[[str], None], None, None]:
    """Show a bar for each name where the output is a terminal; gives what moves a bar by one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        bars = {name: bar.add_task(name, total=total) for name, total in totals.items()}
        yield lambda name: bar.advance(bars[name])


def open_session() -> aiohttp.ClientSession:
    """Open a session that sends any number of requests at a time."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), raise_for_status=True)


async def ask(session: aiohttp.ClientSession, node: str, path: str) -> Any:
    """Send a POST to a node, and give the JSON of its answer.

    :raises web.HTTPBadGateway: if it fails.
    """
    try:
        async with session.post(f"http://{node}/{path}") as response:
            return await response.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise web.HTTPBadGateway(text=f"{node} failed: {error!r}\n") from error


async def ask_each(
    nodes: Sequence[str], path: str, make: Callable[..., Part]
) -> dict[str, list[Part]]:
    """Send one POST to each node; each answers with a list of what `make` takes."""
    async with open_session() as session, asyncio.TaskGroup() as group:
        asked = {node: group.create_task(ask(session, node, path)) for node in nodes}
    return {node: [make(**part) for part in task.result()] for node, task in asked.items()}


async def contend(
    load: Load, path: str, make: Callable[..., Part], answered: Callable[[str], None]
) -> dict[str, list[Part]]:
    """Send all the requests of a run to all nodes at once; each answers with what `make` takes."""
    parts: dict[str, list[Part]] = {node: [] for node in load.nodes}

    async def client(session: aiohttp.ClientSession, node: str, turns: Iterator[int]) -> None:
        for _ in turns:
            parts[node].append(make(**await ask(session, node, path)))
            answered(node)

    async with open_session() as session, asyncio.TaskGroup() as group:
        for node in load.nodes:
            turns = iter(range(load.requests))
            for _ in range(load.concurrency):
                group.create_task(client(session, node, turns))
    return parts


def patience() -> float:
    """Return the seconds of silence that mean that something was lost."""
    return _PATIENCE_SECONDS + work_seconds()


async def hear(redis: Redis, name: str) -> int | None:
    """Take the next number off a list, or give None when nothing happens any more."""
    deadline = perf_counter() + patience()
    while perf_counter() < deadline:
        # In short steps, because redis-py itself waits only 5 s for a reply.
        message = await redis.blpop([name], timeout=1)
        if message is not None:
            return int(message[1])
    return None
