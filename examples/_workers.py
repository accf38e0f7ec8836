"""What the nodes share whose tasks work all the time: `POST /collect` tells what they did."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from aiohttp import web
from redis.asyncio import Redis

from examples._service import REDIS, redis_client, serve

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_RETRY_SECONDS = 1.0


class Workers(Protocol):
    """The tasks of one node."""

    async def run(self) -> None:
        """Work until cancelled."""

    async def collect(self) -> Sequence[DataclassInstance]:
        """Give what they did since the last time."""
        ...


async def run_workers(workers: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Run all of them until cancelled; one that fails begins again."""
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(_run_again_and_again(worker))


async def _run_again_and_again(worker: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await worker()
        except Exception as error:  # The server may be back soon.
            kind = type(error).__name__
            logging.warning("A worker restarts in %s s: %s: %s", _RETRY_SECONDS, kind, error)
            await asyncio.sleep(_RETRY_SECONDS)


def serve_workers(make: Callable[[Redis], Workers]) -> None:
    """Let workers work, and serve `POST /collect`, until SIGTERM or Ctrl-C."""
    key = web.AppKey("workers", Workers)

    async def run(app: web.Application) -> AsyncIterator[None]:
        app[key] = make(app[REDIS])
        task = asyncio.create_task(app[key].run())
        yield
        task.cancel()
        await asyncio.wait([task])

    async def collect(request: web.Request) -> web.Response:
        return web.json_response([asdict(done) for done in await request.app[key].collect()])

    app = web.Application()
    app.cleanup_ctx.extend([redis_client, run])
    app.router.add_post("/collect", collect)
    serve(app)
