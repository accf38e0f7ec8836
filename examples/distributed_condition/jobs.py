"""What the nodes and the monitor share: names in Redis, and the clock of the server."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio.client import Pipeline

CONDITION = "demo"
JOBS = "demo_jobs"  # The list of the numbers of the jobs that nobody has taken yet.
DONE = "demo_done"  # The list of those that are done, for the monitor to follow.


@dataclass(frozen=True)
class Done:
    """A job that a consumer has done, and when it was taken, in seconds of the server's clock."""

    job: int
    taken: float


async def execute_and_time(pipe: Pipeline) -> float:
    """Execute a pipeline, and give the time after it.

    It is that of the server, because the clocks of the processes may differ.
    """
    pipe.time()  # pyright: ignore[reportUnknownMemberType]
    seconds, microseconds = (await pipe.execute())[-1]
    return float(seconds + microseconds / 1e6)
