"""The process of a Python contender: `python -m bench.worker '<order as JSON>'`.

It may print "ready" and wait for a line on its standard input; its last line is the result as JSON.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
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


def main() -> None:
    """Carry out one order and end the process."""
    order = json.loads(sys.argv[1])
    runner = asyncio.Runner(loop_factory=_loop_factory(order["contender"]))
    result = _block(order) if order["job"] == "blocking_cycles" else runner.run(_work(order))
    print(json.dumps(result), flush=True)
    # A thread that is blocked inside a peer would hold up an orderly end for the length of a lease.
    os._exit(0)


if __name__ == "__main__":
    main()
