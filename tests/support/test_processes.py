import os
import sys
from collections.abc import Callable

import pytest

from tests.support.child import say
from tests.support.processes import Child

Spawn = Callable[..., Child]


async def report(what: str, count: int) -> None:
    print("not an event")
    for number in range(count):
        say(what, number=number)
    print("an error", file=sys.stderr, flush=True)
    os.abort()


async def test_runs_a_function_and_tells_its_events(spawn: Spawn) -> None:
    child = spawn(report, "counted", 2)
    assert await child.expect("counted") == {"event": "counted", "number": 0}
    assert await child.expect("counted") == {"event": "counted", "number": 1}
    assert await child.wait() == -6
    with pytest.raises(AssertionError, match=r"(?s)ended without 'counted'.*an error"):
        await child.expect("counted")


async def test_runs_a_script(spawn: Spawn) -> None:
    child = spawn(
        """
        import os, sys
        say("started", argument=sys.argv[1], variable=os.environ["A"])
        """,
        5,
        environment={"A": "b"},
    )
    event = await child.expect("started")
    assert (event["argument"], event["variable"]) == ("5", "b")
    assert await child.wait() == 0


async def test_a_paused_child_says_nothing(spawn: Spawn) -> None:
    child = spawn("""
        import time
        while True:
            say("alive")
            time.sleep(0.001)
    """)
    await child.expect("alive")
    child.pause()
    with pytest.raises(AssertionError, match="not within"):
        await child.expect("never", within=0.1)
    before = len(child.events)
    with pytest.raises(AssertionError, match="not within"):
        await child.expect("never", within=0.05)
    assert len(child.events) == before
    child.resume()
    await child.expect("alive")
    child.kill()
    assert await child.wait() == -9
