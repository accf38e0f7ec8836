"""Ctrl-C while a silent server is asked: it comes at once, and no lock is left behind."""

import os
import signal
from pathlib import Path

import dsync
import pytest
from dsync.key_value import DeleteDistributedLock, KeyValueDistributedLock

from tests.fault.lock_tools import MakeServer, Spawn
from tests.integration.key_values import key_of
from tests.integration.locks import holder, script_calls
from tests.support.child import say
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

NS = "ns"
KEY = key_of(NS)


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def be_interrupted(url: str, when: str) -> None:
    """Enter, or leave, as a server falls silent, and go on living."""
    # Before the first call, so that no thread of dsync takes it instead.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    dsync.configure(url)
    DeleteDistributedLock(NS).run()
    try:
        if when == "it enters":
            meet()
        with KeyValueDistributedLock(NS):
            meet()
    except KeyboardInterrupt:
        say("interrupted")
    # What is still to be done is done by a thread of dsync's.
    signal.pause()


def meet() -> None:
    """Let the test pause the server."""
    say("ready")
    signal.sigwait([signal.SIGUSR1])


def has_unread_input(server: RedisServer) -> bool:
    """Tell whether a client has sent what the server has not read."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f":{server.port:04X}") and int(words[4].split(":")[1], 16) > 0:
            return True
    return False


@pytest.mark.parametrize(("when", "scripts"), [("it enters", 2), ("it leaves", 1)])
async def test_an_interrupted_block_leaves_nothing(
    own: RedisServer, spawn: Spawn, when: str, scripts: int
) -> None:
    child = spawn(be_interrupted, own.url, when)
    await child.expect("ready")
    before = script_calls(own)
    own.pause()
    os.kill(child.pid, signal.SIGUSR1)
    await eventually(lambda: has_unread_input(own), "the question is sent")
    os.kill(child.pid, signal.SIGINT)
    await child.expect("interrupted")
    own.resume()
    # Who entered takes back what it was given; who left has left.
    await eventually(lambda: script_calls(own) >= before + scripts, "the end of the lock")
    await eventually(lambda: holder(own, KEY) is None, "the lock is free")
    assert child.errors == ""
