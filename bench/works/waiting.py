"""P5 and P6: what a crowd of waiters costs the server."""

from __future__ import annotations

import contextlib
import functools
import time

from bench.contenders import (
    AIODISTRIBUTOR,
    CONDITION,
    DSYNC,
    LOCK,
    PEERS,
    PYTHON_REDIS_LOCK,
    SLOT,
)
from bench.model import Bench, Bound, Case, Metric, Settings, Target, Values
from bench.process import worker

KEY = "bench:waiting"
# Waiters that a process gets into the queue in a second, at the very least.
ENQUEUED_A_SECOND = 5000
# Each waiter of this one costs a thread.
THREADED_LIMIT = 100


def _measure(
    bench: Bench, contender: str, *, waiters: int, own: bool = False, primitive: str = LOCK
) -> Values:
    server, settings = bench.server, bench.settings
    what = {"key": KEY, "primitive": primitive}
    with contextlib.ExitStack() as stack:
        if primitive != CONDITION:
            stack.enter_context(worker("hold", contender, server.url, **what)).wait_ready()
        before = server.connections()
        wait = {"waiters": waiters, "own": own, "method": "acquire"}
        if primitive == CONDITION:
            wait["method"] = "wait"
        with worker("wait", contender, server.url, **what, **wait) as process:
            process.wait_ready()
            time.sleep(settings.settle + waiters / ENQUEUED_A_SECOND)
            commands = server.count_commands(settings.window)
            connections = server.connections() - before
            process.tell("stop")
            process.result()
    return {"commands": commands, "connections": connections}


def _case(
    waiters: int, contenders: tuple[str, ...], *, own: bool = False, primitive: str = LOCK
) -> Case:
    connections = Metric(
        "P6", "connections", "connections of the process", "", None, (Target(Bound.AT_MOST, 3),)
    )
    commands = Metric(
        "P5", "commands", "commands that the server gets", "1/s", None, (Target(Bound.AT_MOST, 20),)
    )
    wish = {LOCK: "", SLOT: " for a semaphore,", CONDITION: " for a notification,"}[primitive]
    title = f"waiters{wish} of one process: {waiters}"
    return Case(
        f"{title}, which holds another lock" if own else title,
        (connections,) if own else (commands, connections),
        contenders,
        functools.partial(_measure, waiters=waiters, own=own, primitive=primitive),
        steady=True,
    )


def cases(settings: Settings) -> list[Case]:
    """Return one, many and very many waiters."""
    counts = sorted({1, 100, 10_000, *settings.peer_waiters})
    asked = []
    for waiters in counts:
        peers = tuple(
            peer
            for peer in PEERS
            if waiters in settings.peer_waiters
            and (peer != PYTHON_REDIS_LOCK or waiters <= THREADED_LIMIT)
        )
        asked.append(_case(waiters, (DSYNC, *peers)))
    others = [
        _case(waiters, names, primitive=primitive)
        for waiters, names in ((100, (DSYNC, AIODISTRIBUTOR)), (10_000, (DSYNC,)))
        for primitive in (SLOT, CONDITION)
    ]
    return [*asked, _case(100, (DSYNC,), own=True), *others]
