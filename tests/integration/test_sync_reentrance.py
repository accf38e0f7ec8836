"""A call inside of another call of the same thread is answered or refused, and never hangs.

Signal handlers and destructors run between any two lines, also of a call that is under way.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable

import dsync
import pytest
from dsync import sync

from tests.integration.blocking import ended, start
from tests.integration.locks import NEVER, queue_length
from tests.integration.test_lifecycle import STRICT, assert_ended_well
from tests.integration.test_sync_signals import prepare, signal_at_moments_that_vary
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]


def outcome(call: Callable[[], object]) -> str:
    try:
        return repr(call())
    except RuntimeError as error:
        return str(error)


class Asks:
    """Calls when it is destroyed."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def __del__(self) -> None:
        say("inner", outcome=outcome(self._call))


def call_inside(url: str, key: str, role: str, how: str) -> None:
    """Wait, and call once more in a signal handler or a destructor meanwhile."""
    other = sync.DistributedLock(url, f"{key}-other")
    kept = [Asks(other.locked)]

    def handle(*_: object) -> None:
        if how == "destructor":
            kept.clear()
        else:
            say("inner", outcome=outcome(other.locked))

    signal.signal(signal.SIGALRM, handle)
    end = prepare(url, key, role)
    with sync.DistributedLock(url, key, NEVER) as lock:
        say("holds", owned=lock.owned(), other=other.locked())
    end()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


@pytest.mark.parametrize("how", ["signal handler", "destructor"])
@pytest.mark.parametrize("role", ["leader", "follower"])
async def test_a_call_inside_another_that_waits_is_refused(
    server: RedisServer, key: str, spawn: Spawn, role: str, how: str
) -> None:
    async with dsync.DistributedLock(server.url, key):
        child = spawn(call_inside, server.url, key, role, how, environment=STRICT)
        await eventually(lambda: queue_length(server, key) == 1, "it waits")
        os.kill(child.pid, signal.SIGALRM)
        told = (await child.expect("inner"))["outcome"]
        assert "signal handler or a destructor" in told
        assert queue_length(server, key) == 1
    assert await child.expect("holds") == {"event": "holds", "owned": True, "other": False}
    await assert_ended_well(child)


def call_inside_at_any_moment(url: str, key: str, times: int) -> None:
    """Call again and again, and in signal handlers that come at moments that vary."""
    lock, other = sync.DistributedLock(url, key), sync.DistributedLock(url, f"{key}-other")
    outcomes: Counter[str] = Counter()

    def handle(*_: object) -> None:
        outcomes[outcome(other.locked)] += 1

    with lock:
        pass
    signal.signal(signal.SIGALRM, handle)
    go, sent = threading.Event(), threading.Event()
    sending = start(signal_at_moments_that_vary, int(signal.SIGALRM), times, go, sent)
    for _ in range(times):
        sent.clear()
        go.set()
        while not sent.is_set():
            with lock:
                pass
    ended(sending)
    say("done", outcomes=dict(outcomes), total=outcomes.total())


async def test_calls_inside_others_at_any_moment_do_not_hang(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(call_inside_at_any_moment, server.url, key, 500)
    done = await child.expect("done", within=15)
    # Two signals that come together are one.
    assert done["total"] > 250
    assert len(done["outcomes"]) <= 2
    await assert_ended_well(child)
