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
        # What is raised in a destructor Python itself drops.
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE) or code.co_name == "__del__":
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
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
    """Let a signal handler raise at each line of a call."""

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
        if what == "release":
            lock.acquire()
        line = AtLine(turn, lambda: signal.raise_signal(number))
        try:
            with line:
                getattr(lock, what)()
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


@pytest.mark.parametrize("what", ["acquire", "release"])
@pytest.mark.parametrize(
    ("where", "how"),
    [
        (interrupt_at_each_line, "SIGINT"),
        (interrupt_at_each_line, "SIGALRM"),
        (interrupt_a_follower, "SIGINT"),
        (interrupt_a_follower, "SIGALRM"),
        # There asyncio has SIGINT.
        (interrupt_inside_a_loop, "SIGALRM"),
    ],
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
