"""The key-value lock without a server, or with one that refuses: which error comes, and when."""

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import dsync
import pytest
import redis
import valkey
from dsync.key_value import (
    CreateDistributedLock,
    CreateKeyValueDistributedLockFailedException,
    DeleteDistributedLock,
    DeleteKeyValueDistributedLockFailedException,
    GetDistributedLock,
    KeyValueDistributedLock,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.fault.lock_tools import MakeProxy, MakeServer
from tests.integration.key_values import key_of, using
from tests.integration.locks import holder, lock_name, peek
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

NS = "ns"
KEY = key_of(NS)
SECRET = "tops3cret"


@pytest.fixture(autouse=True)
def restored(cleanup: ExitStack) -> Iterator[None]:
    # Closed before the servers are, which is quicker.
    with using(None):
        yield


@pytest.fixture
def own(make_server: MakeServer) -> RedisServer:
    """A server that the test may maltreat."""
    return make_server()


def impatient(port: int, **options: Any) -> redis.Redis:
    """Make a client that gives up at the first failure."""
    retry = Retry(NoBackoff(), 0)
    return redis.Redis(host="127.0.0.1", port=port, socket_timeout=5, retry=retry, **options)


def enter() -> None:
    with KeyValueDistributedLock(NS):
        pytest.fail("entered")


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def refusal(act: Callable[[], object], kind: type[Exception]) -> RedisError:
    """Do what fails, and return the error that is the cause."""
    with pytest.raises(kind) as caught:
        act()
    assert SECRET not in shown(caught.value)
    cause = caught.value.__cause__
    assert isinstance(cause, RedisError)
    return cause


def expect_all_refused(text: str) -> None:
    """Check that whatever is done fails in its own way."""
    causes = [
        refusal(enter, CreateKeyValueDistributedLockFailedException),
        refusal(CreateDistributedLock(NS).run, CreateKeyValueDistributedLockFailedException),
        refusal(DeleteDistributedLock(NS).run, DeleteKeyValueDistributedLockFailedException),
    ]
    with pytest.raises(RedisError) as caught:
        GetDistributedLock(NS).run()
    for error in (*causes, caught.value):
        assert text in str(error)
        assert SECRET not in shown(error)


def test_nobody_listens() -> None:
    dsync.configure(impatient(free_port(), password=SECRET))
    expect_all_refused("127.0.0.1")


def test_nobody_listens_for_valkey() -> None:
    # The errors are those of redis, whichever client is configured.
    dsync.configure(valkey.Valkey(host="127.0.0.1", port=free_port(), retry=None))
    expect_all_refused("127.0.0.1")


def test_the_password_is_wrong(make_server: MakeServer) -> None:
    server = make_server(password="right")
    dsync.configure(f"redis://:{SECRET}@127.0.0.1:{server.port}/0")
    expect_all_refused("WRONGPASS")


def test_the_password_is_missing(make_server: MakeServer) -> None:
    dsync.configure(impatient(make_server(password=SECRET).port))
    expect_all_refused("NOAUTH")


def test_the_user_may_not(make_server: MakeServer) -> None:
    user = f"alice on >{SECRET} ~other:* &* +@all"
    server = make_server(users=[user])
    dsync.configure(impatient(server.port, username="alice", password=SECRET))
    expect_all_refused("NOPERM")


def test_the_key_has_a_wrong_type(server: RedisServer) -> None:
    dsync.configure(server.url)
    with peek(server) as client:
        client.rpush(lock_name(KEY), "x")
    for act in (enter, CreateDistributedLock(NS).run):
        cause = refusal(act, CreateKeyValueDistributedLockFailedException)
        assert "WRONGTYPE" in str(cause)
    # Something is there, so the lock is not free; and it can be made so.
    assert GetDistributedLock(NS).run() == {"value": True}
    DeleteDistributedLock(NS).run()
    with KeyValueDistributedLock(NS):
        pass


def test_the_server_has_no_memory(own: RedisServer) -> None:
    dsync.configure(impatient(own.port))
    with own.sync() as client:
        with KeyValueDistributedLock(NS):
            client.config_set("maxmemory", 1)
        assert holder(own, KEY) is None
        cause = refusal(enter, CreateKeyValueDistributedLockFailedException)
        assert "OOM" in str(cause)
        client.config_set("maxmemory", 0)
    with KeyValueDistributedLock(NS):
        pass


def test_the_server_dies_inside_a_block_that_succeeds(
    own: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    dsync.configure(impatient(own.port))
    with (
        caplog.at_level(logging.WARNING, "dsync.key_value"),
        pytest.raises(DeleteKeyValueDistributedLockFailedException) as caught,
        KeyValueDistributedLock(NS),
    ):
        own.kill()
    assert isinstance(caught.value.__cause__, RedisError)
    assert [each.levelno for each in caplog.records if each.name == "dsync.key_value"] == [30]


class Stop(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize(
    "error", [ValueError("of the body"), KeyboardInterrupt(), Stop()], ids=repr
)
def test_the_error_of_the_block_comes_first(own: RedisServer, error: BaseException) -> None:
    def fail() -> None:
        own.kill()
        raise error

    dsync.configure(impatient(own.port))
    with pytest.raises(type(error)) as caught, KeyValueDistributedLock(NS):
        fail()
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert getattr(error, "__notes__", []) == []


def test_a_server_that_comes_back_without_data_frees_nothing_of_others(own: RedisServer) -> None:
    dsync.configure(own.url)
    with ExitStack() as second:
        with KeyValueDistributedLock(NS):
            own.restart(keep_data=False)
            assert GetDistributedLock(NS).run() is None
            second.enter_context(KeyValueDistributedLock(NS))
            theirs = holder(own, KEY)
        assert holder(own, KEY) == theirs
    assert holder(own, KEY) is None


def test_a_server_that_comes_back_with_its_data_still_has_the_lock(own: RedisServer) -> None:
    dsync.configure(own.url)
    with KeyValueDistributedLock(NS):
        own.restart()
        assert GetDistributedLock(NS).run() == {"value": True}
        with pytest.raises(CreateKeyValueDistributedLockFailedException, match="already taken"):
            enter()
    assert holder(own, KEY) is None


def test_a_delete_whose_answer_is_lost_happens_once(
    server: RedisServer, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy()
    dsync.configure(f"redis://127.0.0.1:{proxy.port}/0")
    CreateDistributedLock(NS).run()
    proxy.drop_replies()
    DeleteDistributedLock(NS).run()
    assert proxy.dropped == 1
    assert holder(server, KEY) is None
    # And what is taken next stays.
    CreateDistributedLock(NS).run()
    proxy.cut()
    assert GetDistributedLock(NS).run() == {"value": True}


def test_a_create_whose_answer_is_lost_has_taken_the_lock(
    server: RedisServer, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy()
    dsync.configure(f"redis://127.0.0.1:{proxy.port}/0")
    assert GetDistributedLock(NS).run() is None
    proxy.drop_replies()
    with KeyValueDistributedLock(NS):
        assert proxy.dropped == 1
        assert holder(server, KEY) is not None
        proxy.drop_replies()
    assert proxy.dropped == 2
    assert holder(server, KEY) is None
