"""The process of a Python contender: `python -m bench.worker '<order as JSON>'`.

It may print "ready" and wait for a line on its standard input; its last line is the result as JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from bench.contenders import CONTENDERS, LOCK, opener
from bench.jobs import JOBS, blocking_cycles
from bench.meetings import MEETINGS


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    contender = CONTENDERS.get(name)
    if contender is None or not contender.uvloop:
        return None
    import uvloop

    return uvloop.new_event_loop


async def _work(order: dict[str, Any]) -> object:
    make = await _opened(order)
    jobs = JOBS | MEETINGS
    return await jobs[order.pop("job")](make, **order)


async def _opened(order: dict[str, Any]) -> Callable[..., Any]:
    open_contender = opener(order.pop("contender"), order.pop("primitive", LOCK))
    return await open_contender(order.pop("url"))


def _block(order: dict[str, Any]) -> object:
    make = asyncio.run(_opened(order))
    del order["job"]
    return blocking_cycles(make, **order)


def _first_locks(order: dict[str, Any]) -> dict[str, list[int]]:
    """Take the first lock of one event loop after the other."""
    del order["job"]
    key, count = order.pop("key"), order.pop("count")
    loop_factory = _loop_factory(order["contender"])
    stamps = []
    # The first one also imports what is imported at first use.
    for _ in range(count + 1):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            stamps.append(runner.run(_first_lock(dict(order), key)))
    return {"stamps": stamps[1:]}


async def _first_lock(order: dict[str, Any], key: str) -> int:
    make = await _opened(order)
    start = monotonic_ns()
    lock = make(key)
    await lock.acquire()
    passed = monotonic_ns() - start
    await lock.release()
    return passed


# Jobs that run when no event loop does.
WITHOUT_LOOP: dict[str, Callable[[dict[str, Any]], object]] = {
    "blocking_cycles": _block,
    "first_locks": _first_locks,
}


def main() -> None:
    """Carry out one order and end the process."""
    order = json.loads(sys.argv[1])
    job = WITHOUT_LOOP.get(order["job"])
    runner = asyncio.Runner(loop_factory=_loop_factory(order["contender"]))
    result = job(order) if job else runner.run(_work(order))
    print(json.dumps(result), flush=True)
    # A thread that is blocked inside a peer would hold up an orderly end for the length of a lease.
    os._exit(0)


if __name__ == "__main__":
    main()
