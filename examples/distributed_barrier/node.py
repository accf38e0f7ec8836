"""A node: its parties pass the one barrier of all nodes, round after round.

Settings (environment): REDIS_URL, HOST, PORT, CONCURRENCY (parties of this node), WORK_MS
(milliseconds of work before a party arrives, at most).
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import asdict
from time import perf_counter

from aiohttp import web
from dsync import BrokenBarrierError, DistributedBarrier
from redis.asyncio import Redis

from examples._service import REDIS, concurrency, redis_client, serve, work_seconds
from examples.distributed_barrier.stats import ARRIVED, BARRIER, Passage


async def meet(request: web.Request) -> web.Response:
    """Have all parties of this node pass so many rounds, and tell what each saw."""
    redis = request.app[REDIS]
    rounds = int(request.query["rounds"])
    barrier = DistributedBarrier(redis, BARRIER, int(request.query["parties"]))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(pass_rounds(redis, barrier, rounds)) for _ in range(concurrency())
        ]
    return web.json_response([asdict(passage) for task in tasks for passage in task.result()])


async def pass_rounds(redis: Redis, barrier: DistributedBarrier, rounds: int) -> list[Passage]:
    """Be one party in all rounds, or until the monitor gives up."""
    passages: list[Passage] = []
    for number in range(rounds):
        await asyncio.sleep(work_seconds() * random.random())  # So that they come apart.
        # The barrier itself does not look at this number.
        await redis.incr(ARRIVED)
        came = perf_counter()
        try:
            await barrier.wait()
        except BrokenBarrierError:
            break
        wait_ms = (perf_counter() - came) * 1e3
        passages.append(Passage(number, int(await redis.get(ARRIVED) or 0), wait_ms))
    return passages


def main() -> None:
    """Serve `POST /meet`."""
    app = web.Application()
    app.cleanup_ctx.append(redis_client)
    app.router.add_post("/meet", meet)
    serve(app)


if __name__ == "__main__":
    main()
