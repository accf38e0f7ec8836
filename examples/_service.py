"""What the web services of every demo share: settings, the server's clock, and a clean end."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

REDIS = web.AppKey("redis", Redis)


async def redis_client(app: web.Application) -> AsyncIterator[None]:
    """Open the Redis client of an application (REDIS_URL), and close it at the end."""
    url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
    app[REDIS] = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
    yield
    await app[REDIS].aclose()


def concurrency() -> int:
    """Return how much a node does at a time (CONCURRENCY)."""
    return int(os.environ.get("CONCURRENCY", "8"))


def work_seconds() -> float:
    """Return how long a node works for one request or job (WORK_MS)."""
    return float(os.environ.get("WORK_MS", "1")) / 1e3


async def execute_and_time(pipe: Pipeline) -> tuple[list[Any], float]:
    """Execute a pipeline, and give its results and the time after them, in seconds.

    It is that of the server, because the clocks of the processes may differ.
    """
    pipe.time()  # pyright: ignore[reportUnknownMemberType]
    *results, (seconds, microseconds) = await pipe.execute()
    return results, float(seconds + microseconds / 1e6)


def serve(app: web.Application) -> None:
    """Serve until SIGTERM or Ctrl-C, on HOST and PORT or on the listening socket LISTEN_FD."""
    web.run_app(
        app,
        **_where(),
        shutdown_timeout=1,
        access_log=None,
        # The launcher, or the log of the container, says who serves where.
        print=None,
    )


def _where() -> dict[str, Any]:
    inherited = os.environ.get("LISTEN_FD")
    if inherited is not None:
        return {"sock": socket.socket(fileno=int(inherited))}
    return {
        "host": os.environ.get("HOST", "127.0.0.1"),
        "port": int(os.environ.get("PORT", "8080")),
    }
