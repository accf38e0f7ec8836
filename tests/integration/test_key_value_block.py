"""KeyValueDistributedLock: one block at a time, the others are refused at once."""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import dsync.sync
import pytest
from dsync.key_value import (
    CreateDistributedLock,
    CreateKeyValueDistributedLockFailedException,
    DeleteDistributedLock,
    GetDistributedLock,
    KeyValueDistributedLock,
    get_key,
)

from tests.integration.blocking import all_ended, ended, start
from tests.integration.key_values import key_of, using
from tests.integration.locks import holder, lease_left, leftovers, script_calls
from tests.support.redis_server import RedisServer

NS = "token_refresh"


@pytest.fixture(autouse=True)
def configured(server: RedisServer) -> Iterator[None]:
    with using(server.url):
        yield


def is_taken(server: RedisServer, namespace: str = NS, **params: Any) -> bool:
    return holder(server, key_of(namespace, **params)) is not None


def refused(namespace: str = NS, **params: Any) -> CreateKeyValueDistributedLockFailedException:
    """Try to enter, and return the error."""
    with (
        pytest.raises(CreateKeyValueDistributedLockFailedException) as caught,
        KeyValueDistributedLock(namespace, **params),
    ):
        pytest.fail("entered")
    return caught.value


def test_the_block_has_the_key(server: RedisServer) -> None:
    with KeyValueDistributedLock(NS, user_id=1) as key:
        assert isinstance(key, uuid.UUID)
        assert key == get_key(NS, user_id=1)
        assert is_taken(server, user_id=1)
    assert not is_taken(server, user_id=1)
    with KeyValueDistributedLock(namespace=NS, user_id=1) as again:
        assert again == key


def test_who_comes_second_is_refused(server: RedisServer) -> None:
    with KeyValueDistributedLock(NS, a=1, b={"c": 2, "d": 3}):
        before = holder(server, key_of(NS, a=1, b={"c": 2, "d": 3}))
        error = refused(b={"d": 3, "c": 2}, a=1)
        assert str(error) == "Lock already taken"
        assert error.__cause__ is None
        assert holder(server, key_of(NS, a=1, b={"c": 2, "d": 3})) == before
    with KeyValueDistributedLock(NS, a=1, b={"c": 2, "d": 3}):
        pass


def test_a_refusal_takes_one_question(server: RedisServer) -> None:
    with KeyValueDistributedLock(NS):
        refused()
        before = script_calls(server)
        refused()
        assert script_calls(server) == before + 1
    # And it waits for nothing: nobody stands in a queue, or is given the lock later.
    assert set(leftovers(server)) == {f"{{distributed_lock_{key_of(NS)}}}:dsync:fence"}


def test_other_locks_are_beside_it() -> None:
    with ExitStack() as stack:
        for namespace in (NS, "other"):
            for params in ({}, {"user_id": 1}, {"user_id": 2}, {"user_id": "1"}):
                stack.enter_context(KeyValueDistributedLock(namespace, **params))


def test_it_ends_by_itself_after_half_a_minute(server: RedisServer) -> None:
    assert CreateDistributedLock.lock_expiration.total_seconds() == 30
    with KeyValueDistributedLock(NS):
        assert 29 < lease_left(server, key_of(NS)) <= 30
    CreateDistributedLock(NS).run()
    assert 29 < lease_left(server, key_of(NS)) <= 30


class GeneratorExitLike(BaseException):
    """What is no Exception."""


ERRORS = [
    ValueError("bad"),
    CreateKeyValueDistributedLockFailedException("of the body"),
    KeyError("a"),
    StopIteration(5),
    KeyboardInterrupt(),
    SystemExit(3),
    GeneratorExit(),
    GeneratorExitLike(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_exception_goes_on_unchanged_and_frees(
    server: RedisServer, error: BaseException
) -> None:
    cause, context = LookupError("cause"), LookupError("context")
    error.__cause__, error.__context__ = cause, context
    with pytest.raises(type(error)) as caught, KeyValueDistributedLock(NS):
        raise error
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)
    assert getattr(error, "__notes__", []) == []
    assert not is_taken(server)


def test_an_exception_without_a_cause_gets_none(server: RedisServer) -> None:
    error = ValueError("bad")
    with pytest.raises(ValueError, match="bad"), KeyValueDistributedLock(NS):
        _lose_and_raise(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert getattr(error, "__notes__", []) == []


def _lose_and_raise(error: Exception) -> None:
    DeleteDistributedLock(NS).run()
    raise error


def test_every_way_out_frees(server: RedisServer) -> None:
    def by_return() -> int:
        with KeyValueDistributedLock(NS):
            return 5

    def by_yield() -> Iterator[int]:
        with KeyValueDistributedLock(NS):
            yield 1

    assert by_return() == 5
    assert not is_taken(server)
    for _ in range(2):
        with KeyValueDistributedLock(NS):
            continue
    for _ in range(1):
        with KeyValueDistributedLock(NS):
            break
    assert not is_taken(server)
    values = by_yield()
    assert next(values) == 1
    assert is_taken(server)
    values.close()  # type: ignore[attr-defined]
    assert not is_taken(server)


def test_it_decorates_a_function(server: RedisServer) -> None:
    @KeyValueDistributedLock(NS, user_id=1)
    def refresh() -> bool:
        return is_taken(server, user_id=1)

    assert refresh()
    assert refresh()
    assert not is_taken(server, user_id=1)


def test_nothing_is_taken_before_the_block(server: RedisServer) -> None:
    entering = KeyValueDistributedLock(NS)
    assert not is_taken(server)
    with entering:
        assert is_taken(server)


def test_what_others_have_taken_meanwhile_stays_theirs(server: RedisServer) -> None:
    with ExitStack() as second:
        with KeyValueDistributedLock(NS):
            DeleteDistributedLock(NS).run()
            second.enter_context(KeyValueDistributedLock(NS))
            theirs = holder(server, key_of(NS))
        assert holder(server, key_of(NS)) == theirs
        refused()
    assert not is_taken(server)


def test_of_many_threads_one_enters(server: RedisServer) -> None:
    together, all_tried = threading.Barrier(20), threading.Barrier(20)

    def enter() -> bool:
        together.wait(20)
        try:
            with KeyValueDistributedLock(NS):
                all_tried.wait(20)
                return True
        except CreateKeyValueDistributedLockFailedException:
            all_tried.wait(20)
            return False

    assert sum(all_ended([start(enter) for _ in range(20)])) == 1
    assert not is_taken(server)


def test_another_thread_may_end_the_block(server: RedisServer) -> None:
    # As frameworks do with the generators of a request.
    block = KeyValueDistributedLock(NS)
    ended(start(block.__enter__))
    assert is_taken(server)
    refused()
    ended(start(block.__exit__, None, None, None))
    assert not is_taken(server)


def test_a_block_whose_connections_were_closed_ends_quietly(server: RedisServer) -> None:
    with KeyValueDistributedLock(NS):
        dsync.sync.close()
        assert not is_taken(server)
        CreateDistributedLock(NS).run()
    assert is_taken(server)


async def test_it_works_beside_a_running_loop(server: RedisServer) -> None:
    with KeyValueDistributedLock(NS):
        refused()
        assert GetDistributedLock(NS).run() == {"value": True}
    assert not is_taken(server)


def test_it_logs_what_it_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "dsync.key_value")
    key = get_key(NS, user_id=1)

    def lines() -> list[str]:
        records = [each for each in caplog.records if each.name == "dsync.key_value"]
        caplog.clear()
        assert all(each.levelno == logging.DEBUG for each in records)
        return [each.getMessage() for each in records]

    with KeyValueDistributedLock(NS, user_id=1):
        assert lines() == [f"Acquiring lock on namespace {NS} for key {key}"]
        refused(user_id=1)
        assert lines()[-1] == f"Lock on namespace {NS} for key {key} already taken"
    assert lines() == [f"Removed lock on namespace {NS} for key {key}"]
    with KeyValueDistributedLock(NS, user_id=1):
        DeleteDistributedLock(NS, {"user_id": 1}).run()
        assert lines()[-1] == f"Removed lock on namespace {NS} for key {key}"
    assert len(lines()) == 1
