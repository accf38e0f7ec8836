"""A node: its consumers wait on the one condition of all nodes, and take jobs from one list.

Settings (environment): REDIS_URL, HOST, PORT, CONCURRENCY (consumers of this node), WORK_MS
(milliseconds of work for a job).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict

from aiohttp import web
from dsync import DistributedCondition
from redis.asyncio import Redis

from examples._service import REDIS, concurrency, redis_client, serve, work_seconds
from examples.distributed_condition.jobs import CONDITION, DONE, JOBS, Done, execute_and_time

_RETRY_SECONDS = 1.0


class Consumers:
    """The consumers of one node, and what they did since they were asked last."""

    def __init__(self, redis: Redis, count: int, work_seconds: float) -> None:
        self._redis = redis
        self._count = count
        self._work_seconds = work_seconds
        self._condition = DistributedCondition(redis, CONDITION)
        self._waiting = 0
        self._all_wait = asyncio.Event()
        self._done: list[Done] = []

    async def run(self) -> None:
        """Consume jobs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._consume())

    async def collect(self) -> list[Done]:
        """Wait until no consumer has anything to do, and give what they did since the last time."""
        await self._all_wait.wait()
        done, self._done = self._done, []
        return done

    async def _consume(self) -> None:
        while True:
            try:
                done = await self._take()
                await asyncio.sleep(self._work_seconds)  # Others take jobs meanwhile.
                await self._redis.rpush(DONE, done.job)
                self._done.append(done)
            except Exception as error:  # A job in hand is lost, but the server may be back soon.
                kind = type(error).__name__
                logging.warning("Consumer restarts in %s s: %s: %s", _RETRY_SECONDS, kind, error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _take(self) -> Done:
        async with self._condition:
            while (job := await self._redis.lindex(JOBS, 0)) is None:
                await self._wait()
            # Not LPOP at once, on purpose: without the lock two consumers would look at the same
            # job, and do it twice, and both would remove one.
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.lpop(JOBS)
                return Done(int(job), await execute_and_time(pipe))

    async def _wait(self) -> None:
        self._waiting += 1
        if self._waiting == self._count:
            self._all_wait.set()
        try:
            await self._condition.wait()
        finally:
            self._waiting -= 1
            self._all_wait.clear()


CONSUMERS = web.AppKey("consumers", Consumers)


async def run_consumers(app: web.Application) -> AsyncIterator[None]:
    """Run the consumers as long as the application."""
    app[CONSUMERS] = Consumers(app[REDIS], concurrency(), work_seconds())
    task = asyncio.create_task(app[CONSUMERS].run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def collect(request: web.Request) -> web.Response:
    """Tell what the consumers did, as soon as all of them wait."""
    return web.json_response([asdict(done) for done in await request.app[CONSUMERS].collect()])


def main() -> None:
    """Serve `POST /collect`."""
    app = web.Application()
    app.cleanup_ctx.extend([redis_client, run_consumers])
    app.router.add_post("/collect", collect)
    serve(app)


if __name__ == "__main__":
    main()
