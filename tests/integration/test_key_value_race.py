"""Two hundred processes want one namespace: one is inside at a time, and nobody waits."""

import contextlib
import os
from collections.abc import Callable

import dsync
from dsync.key_value import (
    CreateKeyValueDistributedLockFailedException,
    KeyValueDistributedLock,
)
from redis import Redis

from tests.integration.key_values import exit_codes, forked, key_of
from tests.integration.locks import holder
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT

PROCESSES = 200
NS = "race"
Spawn = Callable[..., Child]


def race(url: str, contest: str) -> None:
    """Fork, since interpreters start slowly, and let all begin at one moment."""
    dsync.configure(url)
    contests = {"one": be_the_one, "in turn": have_a_turn}
    waiting, start = os.pipe()

    def run() -> None:
        os.close(start)
        with Redis.from_url(url, decode_responses=True) as client:
            client.rpush("ready", 1)
            # The end of the pipe is the start of the race.
            os.read(waiting, 1)
            contests[contest](client)

    pids = [forked(run) for _ in range(PROCESSES)]
    with Redis.from_url(url) as client:
        for _ in range(PROCESSES):
            assert client.blpop(["ready"], timeout=TIMEOUT)
    os.close(start)
    say("ended", codes=exit_codes(pids))


def be_inside(client: Redis) -> None:
    """Do what only one may do at a time."""
    assert client.incr("inside") == 1, "two inside at once"
    client.rpush("entered", os.getpid())


def leave(client: Redis) -> None:
    assert client.decr("inside") == 0, "two inside at once"


def be_the_one(client: Redis) -> None:
    """Enter, and stay until all others have been refused: so they cannot have waited."""
    try:
        with KeyValueDistributedLock(NS, user_id=1):
            be_inside(client)
            for _ in range(PROCESSES - 1):
                assert client.blpop(["refused"], timeout=TIMEOUT), "somebody waits"
            leave(client)
    except CreateKeyValueDistributedLockFailedException:
        client.rpush("refused", os.getpid())


def have_a_turn(client: Redis) -> None:
    """Try again whenever another has left, until it enters."""
    while True:
        with contextlib.suppress(CreateKeyValueDistributedLockFailedException):
            with KeyValueDistributedLock(NS, user_id=1):
                be_inside(client)
                leave(client)
            client.rpush("left", os.getpid())
            return
        assert client.blpop(["left"], timeout=TIMEOUT), "nobody leaves"


async def run_race(server: RedisServer, spawn: Spawn, contest: str) -> list[str]:
    """Return which processes were inside, in their order."""
    child = spawn(race, server.url, contest)
    codes = (await child.expect("ended", within=60))["codes"]
    assert codes == [0] * PROCESSES, child.errors
    assert await child.wait() == 0, child.errors
    assert holder(server, key_of(NS, user_id=1)) is None
    with server.sync() as client:
        assert client.get("inside") == "0"
        return [str(pid) for pid in client.lrange("entered", 0, -1)]


async def test_one_enters_and_the_others_are_refused_at_once(
    server: RedisServer, spawn: Spawn
) -> None:
    assert len(await run_race(server, spawn, "one")) == 1


async def test_they_enter_one_after_another(server: RedisServer, spawn: Spawn) -> None:
    entered = await run_race(server, spawn, "in turn")
    assert len(set(entered)) == len(entered) == PROCESSES
