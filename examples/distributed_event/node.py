"""A node: its waiters wait for the events that the monitor sets, one set after another.

Settings (environment): REDIS_URL, HOST, PORT, CONCURRENCY (waiters of this node), WORK_MS
(milliseconds of work after a wake-up).
"""

from __future__ import annotations

import asyncio
from functools import partial

from redis.asyncio import Redis

from examples._service import concurrency, execute_and_time, work_seconds
from examples._workers import run_workers, serve_workers
from examples.distributed_event.wakes import SETS, WOKEN, Wake, event_of_turn


class Waiters:
    """The waiters of one node, and how they were woken since they were asked last."""

    def __init__(self, redis: Redis, count: int, work_seconds: float) -> None:
        self._redis = redis
        self._count = count
        self._work_seconds = work_seconds
        self._woken: list[Wake] = []

    async def run(self) -> None:
        """Wait again and again until cancelled."""
        await run_workers(partial(self._wait, waiter) for waiter in range(self._count))

    async def collect(self) -> list[Wake]:
        """Give the wake-ups since the last time."""
        woken, self._woken = self._woken, []
        return woken

    async def _wait(self, waiter: int) -> None:
        turn = int(await self._redis.get(SETS) or 0)
        while True:
            # The set may come before this, or just now.
            await event_of_turn(self._redis, turn + 1).wait()
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(SETS)
                (sets,), time = await execute_and_time(pipe)
            turn = int(sets or 0)
            self._woken.append(Wake(waiter, turn, time))
            await self._redis.rpush(WOKEN, turn)
            await asyncio.sleep(self._work_seconds)


def main() -> None:
    """Serve `POST /collect`."""
    serve_workers(lambda redis: Waiters(redis, concurrency(), work_seconds()))


if __name__ == "__main__":
    main()
