"""The monitor: `GET /gather_stats` sets events, and judges who woke up.

Settings (environment): those of examples/_monitor.py, and WORK_MS as for the nodes; REQUESTS is
how often an event is set.
"""

from __future__ import annotations

from time import perf_counter

from redis.asyncio import Redis
from rich.console import Console

from examples._monitor import Load, ask_each, hear, progress, serve_monitor
from examples._service import execute_and_time
from examples.distributed_event.report import print_report
from examples.distributed_event.stats import Stats, summarize
from examples.distributed_event.wakes import SETS, WOKEN, Wake, event_of_turn


async def run(redis: Redis, load: Load, console: Console) -> Stats:
    """Set an event, wait until all have woken, and so on; judge by what the nodes say of it."""
    waiters = load.concurrency * len(load.nodes)
    set_times: dict[int, float] = {}
    # What happened before does not count.
    await ask_each(load.nodes, "collect", Wake)
    await redis.delete(WOKEN)
    with progress(console, {"set": load.requests}) as advance:
        started = perf_counter()
        for _ in range(load.requests):
            turn, time = await set_next(redis)
            set_times[turn] = time
            if not await all_woke(redis, turn, waiters):
                break
            advance("set")
        seconds = perf_counter() - started
    woken = await ask_each(load.nodes, "collect", Wake)
    return summarize(woken, set_times, waiters, seconds)


async def set_next(redis: Redis) -> tuple[int, float]:
    """Set the event of the next turn; gives the turn, and the time just before."""
    turn = int(await redis.get(SETS) or 0) + 1
    # All have woken from it, so nobody waits for it before the turn after this one.
    await event_of_turn(redis, turn - 1).clear()
    async with redis.pipeline(transaction=False) as pipe:
        pipe.set(SETS, turn)
        _, time = await execute_and_time(pipe)
    await event_of_turn(redis, turn).set()
    return turn, time


async def all_woke(redis: Redis, turn: int, waiters: int) -> bool:
    """Follow the waiters until all have woken for this turn, or nothing happens any more."""
    while waiters:
        if (woken := await hear(redis, WOKEN)) is None:
            return False
        waiters -= woken == turn
    return True


if __name__ == "__main__":
    serve_monitor(run, print_report)
