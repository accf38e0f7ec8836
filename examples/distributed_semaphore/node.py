"""A node: each request takes one of the few slots of all nodes, and counts who else is inside.

Settings (environment): REDIS_URL, HOST, PORT, WORK_MS (milliseconds of work with a slot).
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from time import perf_counter

from aiohttp import web
from dsync import DistributedSemaphore

from examples._service import REDIS, redis_client, serve, work_seconds
from examples.distributed_semaphore.stats import INSIDE, SEMAPHORE, SLOTS, Visit


async def visit(request: web.Request) -> web.Response:
    """Be inside for a moment, and tell how long that took and how many were there."""
    redis = request.app[REDIS]
    asked = perf_counter()
    async with DistributedSemaphore(redis, SEMAPHORE, SLOTS):
        taken = perf_counter()
        # The semaphore itself does not look at this number.
        inside = await redis.incr(INSIDE)
        try:
            await asyncio.sleep(work_seconds())
        finally:
            await redis.decr(INSIDE)
        done = perf_counter()
    answer = Visit(inside, wait_ms=(taken - asked) * 1e3, hold_ms=(done - taken) * 1e3)
    return web.json_response(asdict(answer))


def main() -> None:
    """Serve `POST /visit`."""
    app = web.Application()
    app.cleanup_ctx.append(redis_client)
    app.router.add_post("/visit", visit)
    serve(app)


if __name__ == "__main__":
    main()
