"""The monitor: `GET /gather_stats` notifies the nodes of jobs, and judges who did them.

Settings (environment): those of examples/_monitor.py, and WORK_MS as for the nodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter

from dsync import DistributedCondition
from redis.asyncio import Redis
from rich.console import Console

from examples._monitor import Load, ask_each, hear, progress, serve_monitor
from examples._service import execute_and_time
from examples.distributed_condition.jobs import CONDITION, DONE, JOBS, Done
from examples.distributed_condition.report import print_report
from examples.distributed_condition.stats import Stats, summarize


async def run(redis: Redis, load: Load, console: Console) -> Stats:
    """Produce jobs, wait until they are done, and judge by what the nodes say that they did."""
    condition = DistributedCondition(redis, CONDITION)
    jobs = load.requests * len(load.nodes)
    # One job for each consumer, as long as that leaves half of them.
    burst = min(load.concurrency * len(load.nodes), (jobs + 1) // 2)
    # What they did before does not count, and all consumers wait now.
    await ask_each(load.nodes, "collect", Done)
    with progress(console, {"notified": jobs, "done": jobs}) as advance:
        started = perf_counter()
        notified = await notify_all(redis, condition, burst, lambda: advance("notified"))
        # Were they not woken, then the next notification would hide that.
        if await watch(redis, range(burst), lambda: advance("done")):
            rest = range(burst, jobs)
            async with asyncio.TaskGroup() as group:
                each = notify_each(redis, condition, rest, lambda: advance("notified"))
                producer = group.create_task(each)
                group.create_task(watch(redis, rest, lambda: advance("done")))
            notified += producer.result()
        done = await ask_each(load.nodes, "collect", Done)
        seconds = perf_counter() - started
    return summarize(done, notified, seconds)


async def notify_all(
    redis: Redis, condition: DistributedCondition, count: int, notified: Callable[[], None]
) -> list[float]:
    """Produce the first jobs at once, and wake all consumers; gives the time for each job."""
    async with condition:
        await redis.delete(JOBS, DONE)  # Left from a run that failed.
        time = await push(redis, range(count))
        await condition.notify_all()
    for _ in range(count):
        notified()
    return [time] * count


async def notify_each(
    redis: Redis, condition: DistributedCondition, jobs: range, notified: Callable[[], None]
) -> list[float]:
    """Produce jobs one by one, and wake one consumer for each; gives the times."""
    times: list[float] = []
    for job in jobs:
        async with condition:
            times.append(await push(redis, [job]))
            await condition.notify()
        notified()
    return times


async def push(redis: Redis, jobs: Iterable[int]) -> float:
    """Append jobs to the list, and give the time."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.rpush(JOBS, *jobs)
        _, time = await execute_and_time(pipe)
    return time


async def watch(redis: Redis, jobs: range, done: Callable[[], None]) -> bool:
    """Follow the consumers until each of the jobs is done, or nothing happens any more."""
    missing = set(jobs)
    while missing:
        if (job := await hear(redis, DONE)) is None:
            return False
        missing.discard(job)
        done()
    return True


if __name__ == "__main__":
    serve_monitor(run, print_report)
