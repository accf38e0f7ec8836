"""A node: its consumers wait on the one condition of all nodes, and take jobs from one list.

Settings (environment): REDIS_URL, HOST, PORT, CONCURRENCY (consumers of this node), WORK_MS
(milliseconds of work for a job).
"""

from __future__ import annotations

import asyncio

from dsync import DistributedCondition
from redis.asyncio import Redis

from examples._service import concurrency, execute_and_time, work_seconds
from examples._workers import run_workers, serve_workers
from examples.distributed_condition.jobs import CONDITION, DONE, JOBS, Done


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
        await run_workers(self._consume for _ in range(self._count))

    async def collect(self) -> list[Done]:
        """Wait until no consumer has anything to do, and give what they did since the last time."""
        await self._all_wait.wait()
        done, self._done = self._done, []
        return done

    async def _consume(self) -> None:
        while True:  # After an error a job in hand is lost.
            done = await self._take()
            await asyncio.sleep(self._work_seconds)  # Others take jobs meanwhile.
            await self._redis.rpush(DONE, done.job)
            self._done.append(done)

    async def _take(self) -> Done:
        async with self._condition:
            while (job := await self._redis.lindex(JOBS, 0)) is None:
                await self._wait()
            # Not LPOP at once, on purpose: without the lock two consumers would look at the same
            # job, and do it twice, and both would remove one.
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.lpop(JOBS)
                _, taken = await execute_and_time(pipe)
            return Done(int(job), taken)

    async def _wait(self) -> None:
        self._waiting += 1
        if self._waiting == self._count:
            self._all_wait.set()
        try:
            await self._condition.wait()
        finally:
            self._waiting -= 1
            self._all_wait.clear()


def main() -> None:
    """Serve `POST /collect`."""
    serve_workers(lambda redis: Consumers(redis, concurrency(), work_seconds()))


if __name__ == "__main__":
    main()
