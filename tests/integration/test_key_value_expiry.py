"""The lock ends by the server's clock, is not renewed, and then belongs to whoever takes it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import dsync
import pytest
from dsync.key_value import (
    CreateDistributedLock,
    CreateKeyValueDistributedLockFailedException,
    GetDistributedLock,
    KeyValueDistributedLock,
)

from tests.integration.blocking import until
from tests.integration.forks import fork
from tests.integration.key_values import exit_codes, forked, key_of, using
from tests.integration.locks import holder, lease_left, lock_name, peek, script_calls
from tests.support.child import say
from tests.support.processes import Child
from tests.support.redis_server import RedisServer

NS = "ns"
KEY = key_of(NS)


@pytest.fixture(autouse=True)
def configured(server: RedisServer) -> Iterator[None]:
    with using(server.url):
        yield


def expire(server: RedisServer) -> None:
    """Let the time of the lock be over, at the server only."""
    with peek(server) as client:
        client.pexpire(lock_name(KEY), 1)
    until(lambda: holder(server, KEY) is None, "the end of the lock")


def expire_and_raise(server: RedisServer, error: Exception) -> None:
    expire(server)
    raise error


def shorten(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(CreateDistributedLock, "lock_expiration", timedelta(seconds=seconds))


def test_it_is_not_renewed(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, 0.4)
    with KeyValueDistributedLock(NS):
        before = script_calls(server)
        left = lease_left(server, KEY)
        assert left <= 0.4
        while (now_left := lease_left(server, KEY)) >= 0:
            assert now_left <= left
            left = now_left
        assert GetDistributedLock(NS).run() is None
        assert script_calls(server) == before


def test_after_its_end_another_enters_and_stays(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, 0.1)
    with ExitStack() as second:
        with KeyValueDistributedLock(NS):
            until(lambda: GetDistributedLock(NS).run() is None, "the end of the lock")
            shorten(monkeypatch, 30)
            second.enter_context(KeyValueDistributedLock(NS))
            theirs = holder(server, KEY)
            left = lease_left(server, KEY)
        assert holder(server, KEY) == theirs
        assert lease_left(server, KEY) >= left - 5
        with (
            pytest.raises(CreateKeyValueDistributedLockFailedException),
            KeyValueDistributedLock(NS),
        ):
            pytest.fail("entered")
    assert holder(server, KEY) is None


def test_the_clock_of_the_server_counts(server: RedisServer) -> None:
    # This process believes that it has half a minute.
    with ExitStack() as second:
        with KeyValueDistributedLock(NS):
            expire(server)
            second.enter_context(KeyValueDistributedLock(NS))
            theirs = holder(server, KEY)
        assert holder(server, KEY) == theirs


def test_a_block_that_outlasts_its_lock_ends_quietly(server: RedisServer) -> None:
    with KeyValueDistributedLock(NS):
        expire(server)
    error = ValueError("bad")
    with pytest.raises(ValueError, match="bad") as caught, KeyValueDistributedLock(NS):
        expire_and_raise(server, error)
    assert caught.value is error
    assert getattr(error, "__notes__", []) == []
    assert error.__context__ is None


def test_a_created_lock_ends_by_itself(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, 0.1)
    CreateDistributedLock(NS).run()
    until(lambda: GetDistributedLock(NS).run() is None, "the end of the lock")
    CreateDistributedLock(NS).run()
    assert holder(server, KEY) is not None


def test_a_subclass_may_have_another_time(server: RedisServer) -> None:
    class Longer(CreateDistributedLock):
        lock_expiration = timedelta(minutes=10)

    Longer(NS).run()
    assert 599 < lease_left(server, KEY) <= 600


def fork_and_exit(url: str) -> None:
    """Let a child leave the block, and then its interpreter, before the parent does."""
    dsync.configure(url)
    with KeyValueDistributedLock(NS):
        pid = fork()
        if pid == 0:
            sys.exit(3)
        say("ended", codes=exit_codes([pid]), found=GetDistributedLock(NS).run())
    say("left", found=GetDistributedLock(NS).run())


async def test_the_exit_of_a_forked_child_frees_nothing(
    server: RedisServer, spawn: Callable[..., Child]
) -> None:
    child = spawn(fork_and_exit, server.url)
    told = await child.expect("ended")
    assert (told["codes"], told["found"]) == ([3], {"value": True}), child.errors
    assert (await child.expect("left"))["found"] is None
    assert await child.wait() == 0
    assert child.errors == ""


def test_a_forked_child_that_leaves_the_block_frees_nothing(server: RedisServer) -> None:
    def leave() -> None:
        block.__exit__(None, None, None)
        with KeyValueDistributedLock("of the child"):
            pass

    block = KeyValueDistributedLock(NS)
    with block:
        mine = holder(server, KEY)
        assert exit_codes([forked(leave)]) == [0]
        assert holder(server, KEY) == mine
    assert holder(server, KEY) is None
