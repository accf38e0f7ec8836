"""A signal may come between any two lines: here it comes at each line of a call, one after another.

The child traces its own lines, so nothing depends on the time.
"""

import asyncio
import faulthandler
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import dsync
import pytest
from dsync import sync

from tests.integration.blocking import ended, start, until_a_caller_leads
from tests.integration.test_lifecycle import assert_ended_well
from tests.integration.test_sync_signals import SoftTimeLimit
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

Spawn = Callable[..., Child]
Where = Callable[[str, str, str, int], None]
PACKAGE = str(Path(dsync.__file__ or "").parent)


def is_destruction(frame: FrameType | None) -> bool:
    """Tell whether a frame is part of what Python itself calls, and drops the exceptions of."""
    callbacks = ("__del__", "_lifetime", "_on_loop_closed")
    while frame is not None and frame.f_code.co_name not in callbacks:
        frame = frame.f_back
    return frame is not None


class AtLine:
    """Does something once: before the n-th line of the package that this thread runs."""

    def __init__(self, number: int, action: Callable[[], object]) -> None:
        self._left = number
        self._action = action
        self.place = ""

    def __enter__(self) -> "AtLine":
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self._left -= 1
            if self._left <= 0 and not self.place and not is_destruction(frame):
                self.place = f"{Path(code.co_filename).name}:{frame.f_lineno}"
                self._action()
        return self._trace


def call_at_each_line(url: str, key: str) -> None:
    """Call once more at each line of a call, as a signal handler or a destructor may."""
    lock, other = sync.DistributedLock(url, key), sync.DistributedLock(url, f"{key}-other")
    outcomes: Counter[str] = Counter()

    def call() -> None:
        try:
            outcomes[str(other.locked())] += 1
        except RuntimeError as error:
            outcomes[str(error)] += 1

    with lock:
        pass
    number, place = 0, "none"
    while place:
        number += 1
        # A call that hangs shows where.
        faulthandler.dump_traceback_later(5, exit=True)
        with AtLine(number, call) as line, lock:
            pass
        place = line.place
    faulthandler.cancel_dump_traceback_later()
    say("done", outcomes=dict(outcomes), lines=number)


async def test_a_call_at_any_line_of_another_is_answered_or_refused(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(call_at_each_line, server.url, key)
    done = await child.expect("done")
    assert done["lines"] > 100
    refused = [text for text in done["outcomes"] if text != "False"]
    assert all("signal handler or a destructor" in text for text in refused)
    await assert_ended_well(child)


def interrupt_at_each_line(url: str, key: str, what: str, number: int) -> None:
    """Let a signal handler raise at each line of a call; the first one makes the connections."""

    def limit(*_: object) -> None:
        raise SoftTimeLimit

    signal.signal(signal.SIGALRM, limit)
    lost, kept, others = [], [], []
    with sync.DistributedLock(url, key):
        pass
    turn, place = 0, "none"
    while place:
        turn += 1
        faulthandler.dump_traceback_later(5, exit=True)
        lock = sync.DistributedLock(url, key, lease=60)
        if what == "first acquire":
            sync.close()
        if what == "release":
            lock.acquire()
        line = AtLine(turn, lambda: signal.raise_signal(number))
        try:
            with line:
                lock.release() if what == "release" else lock.acquire()
            if line.place:
                lost.append(line.place)
        except (SoftTimeLimit, KeyboardInterrupt):
            kept.extend([line.place] * len(lock._async._holds))
        except Exception as error:
            others.append((line.place, repr(error)))
        place = line.place
        if lock._async._holds:
            lock.release()
        if lock.locked():
            kept.append(f"{place}, at the server")
            break
    faulthandler.cancel_dump_traceback_later()
    say("done", lost=lost, kept=kept, others=others, lines=turn)


def interrupt_a_follower(url: str, key: str, what: str, number: int) -> None:
    """Do it while another thread runs the loop for all."""
    taken = f"{key}-taken"
    with sync.DistributedLock(url, taken):
        waiting = start(sync.DistributedLock(url, taken).acquire)
        until_a_caller_leads()
        interrupt_at_each_line(url, key, what, number)
    ended(waiting)


def interrupt_inside_a_loop(url: str, key: str, what: str, number: int) -> None:
    """Do it in a thread whose own event loop stands still meanwhile."""

    async def main() -> None:
        interrupt_at_each_line(url, key, what, number)
        await asyncio.sleep(0)

    asyncio.run(main())


WHERE: list[tuple[Where, str, list[str]]] = [
    (interrupt_at_each_line, "SIGINT", ["first acquire", "acquire", "release"]),
    (interrupt_at_each_line, "SIGALRM", ["first acquire", "acquire", "release"]),
    # The thread that leads has made the connections.
    (interrupt_a_follower, "SIGINT", ["acquire", "release"]),
    (interrupt_a_follower, "SIGALRM", ["acquire", "release"]),
    # There asyncio has SIGINT.
    (interrupt_inside_a_loop, "SIGALRM", ["first acquire", "acquire", "release"]),
]


@pytest.mark.parametrize(
    ("where", "how", "what"), [(where, how, what) for where, how, calls in WHERE for what in calls]
)
async def test_an_interrupt_at_any_line_is_raised_and_leaves_nothing(
    server: RedisServer, key: str, spawn: Spawn, where: Where, how: str, what: str
) -> None:
    child = spawn(where, server.url, key, what, int(signal.Signals[how]))
    done = await child.expect("done")
    assert done["lost"] == []
    assert done["others"] == []
    # Before a release has begun nothing is released; there are few lines to that.
    begun = [place for place in done["kept"] if not place.startswith(("sync.py", "_blocking.py"))]
    assert (begun if what == "release" else done["kept"]) == []
    assert done["lines"] > 80
    assert await child.wait() == 0
