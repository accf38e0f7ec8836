"""A node: each request takes the one lock of all nodes and counts up by one in Redis.

Settings (environment): REDIS_URL, HOST, PORT, WORK_MS (milliseconds of work under the lock).
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from time import perf_counter

from aiohttp import web
from dsync import DistributedLock

from examples._service import REDIS, redis_client, serve, work_seconds
from examples.distributed_lock.stats import COUNTER, Grant

WORK_SECONDS = web.AppKey("work_seconds", float)


async def count(request: web.Request) -> web.Response:
    """Count up by one, and tell how long that took and which grant of the lock it was."""
    redis = request.app[REDIS]
    lock = DistributedLock(redis, "demo")
    asked = perf_counter()
    async with lock:
        taken = perf_counter()
        token = lock.fencing_token
        # Not INCR, on purpose: without the lock two nodes would read the same number, and one of
        # their updates would be lost.
        value = int(await redis.get(COUNTER) or 0) + 1
        await asyncio.sleep(request.app[WORK_SECONDS])
        await redis.set(COUNTER, value)
        done = perf_counter()
    grant = Grant(token, value, wait_ms=(taken - asked) * 1e3, hold_ms=(done - taken) * 1e3)
    return web.json_response(asdict(grant))


def main() -> None:
    """Serve `POST /count`."""
    app = web.Application()
    app[WORK_SECONDS] = work_seconds()
    app.cleanup_ctx.append(redis_client)
    app.router.add_post("/count", count)
    serve(app)


if __name__ == "__main__":
    main()
