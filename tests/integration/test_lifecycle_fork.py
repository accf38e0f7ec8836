"""After fork the child holds nothing and shares nothing; the parent goes on as before."""

import os
import signal
from collections.abc import Callable

from tests.integration import forks
from tests.integration.locks import (
    holder,
    script_calls,
    until_nothing_is_left,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


async def test_the_child_holds_nothing_and_can_lock_and_the_parent_still_holds(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(forks.fork_inside, server.url, key)
    told = await child.expect("forked")
    assert told["codes"] == [0, 0, 0], child.errors
    assert told["owned"]
    assert told["same"]
    # By the renewal of the parent: the children are gone.
    before = script_calls(server)
    await eventually(lambda: script_calls(server) > before + 4, "renewals after the forks")
    assert holder(server, key) == told["token"]
    child.terminate()
    told = await child.expect("kept")
    assert told["owned"]
    assert not told["lost"]
    await child.expect("released")
    assert await child.wait() == 0, child.errors
    assert child.errors == ""
    await until_nothing_is_left(server)


async def test_the_exit_of_a_child_does_not_free_the_locks_of_the_parent(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(forks.exit_beside_a_holder, server.url, key)
    assert (await child.expect("ended"))["code"] == 0, child.errors
    told = await child.expect("kept")
    assert told["owned"]
    assert not told["lost"]
    assert await child.wait() == 0, child.errors
    assert child.errors == ""
    await until_nothing_is_left(server)


async def test_a_child_that_outlives_its_parent_does_not_keep_its_locks(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(forks.child_that_outlives_its_parent, server.url, key)
    orphan = (await child.expect("forked"))["child"]
    assert await child.wait() == -signal.SIGKILL
    # Though the child has inherited the sockets, the server sees that their owner is gone.
    await eventually(lambda: server.connections() == [], "the connections are closed")
    await eventually(lambda: holder(server, key) is None, "the end of the lease")
    os.kill(orphan, signal.SIGKILL)


async def test_parent_and_child_can_both_use_an_object_after_a_fork(
    server: RedisServer, key: str, spawn: Callable[..., Child]
) -> None:
    child = spawn(forks.fork_between_loops, server.url, key)
    assert (await child.expect("done"))["code"] == 0, child.errors
    assert await child.wait() == 0
    assert child.errors == ""
    await until_nothing_is_left(server)
