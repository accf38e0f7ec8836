"""Passwords are in no text that dsync makes: reprs, errors, logs, warnings, asyncio's debugging."""

import asyncio
import contextlib
import gc
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dsync
import dsync.sync
import pytest
from dsync import DistributedLock, _session, locked
from dsync.key_value import KeyValueDistributedLock
from redis import CredentialProvider, Redis, exceptions
from redis.asyncio import Redis as AsyncRedis

from tests.fault.lock_tools import MakeServer
from tests.integration.key_values import using
from tests.integration.locks import lose, soon
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

SECRET = "the-password-in-the-test"


class Provider(CredentialProvider):
    def get_credentials(self) -> Any:
        return "user", SECRET


def url(port: int) -> str:
    return f"redis://user:{SECRET}@127.0.0.1:{port}/0"


WAYS: dict[str, Callable[[type, int], Any]] = {
    "a password": lambda cls, port: cls(port=port, username="user", password=SECRET),
    "a URL": lambda cls, port: url(port),
    "a client of a URL": lambda cls, port: cls.from_url(url(port)),
    "a provider": lambda cls, port: cls(port=port, credential_provider=Provider()),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


class Shown:
    """All that is said where somebody may read it."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self._log = log
        self.texts: list[str] = []

    def add(self, *things: object) -> None:
        for thing in things:
            self.texts += [repr(thing), str(thing), f"{thing}"]
            if isinstance(thing, BaseException):
                self.texts += traceback.format_exception(thing)

    def on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.add(context, *context.values())
        loop.default_exception_handler(context)

    def check(self, *expected: str) -> None:
        everything = "\n".join([*self.texts, self._log.text])
        assert SECRET not in everything
        for text in expected:
            assert text in everything


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Iterator[Shown]:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="asyncio")
    result = Shown(caplog)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield result
        gc.collect()
    # What the clients of this test warn of, because nobody closes them, is said by redis.
    result.add(*(each.message for each in caught))
    result.check()


@pytest.fixture
def guarded(make_server: MakeServer) -> RedisServer:
    return make_server(users=["default off", f"user on >{SECRET} ~* &* +@all"])


async def use_in_debug_mode(server: RedisServer, redis: Any, key: str, shown: Shown) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0  # It logs every callback, with what it is about.
    loop.set_exception_handler(shown.on_error)

    def complain(lock: DistributedLock) -> None:
        raise ValueError(f"{lock} was lost")

    lock = DistributedLock(redis, key, on_lost=complain)
    await lock.acquire()
    waiter = asyncio.create_task(DistributedLock(redis, key).acquire(), name="waiter")
    await asyncio.sleep(0)
    session = next(iter(_session._sessions.values()))
    shown.add(lock, lock._server, session, session.core, session._links, waiter, lock._holds)
    shown.add(*session._links._links, session._leases, *asyncio.all_tasks())
    await lose(server, key, lock)
    with server.sync() as admin:
        admin.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0)
    waiter.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiter
    with pytest.raises(dsync.LockLostError) as lost:
        await lock.release()
    shown.add(lost.value)
    await dsync.close()


@each_way
def test_an_event_loop_in_debug_mode_says_none(
    guarded: RedisServer, key: str, shown: Shown, way: Callable[[type, int], Any]
) -> None:
    asyncio.run(use_in_debug_mode(guarded, way(AsyncRedis, guarded.port), key, shown))
    shown.check("was lost", "Executing")


@each_way
@pytest.mark.parametrize("problem", ["a wrong password", "no server"])
async def test_errors_say_none(
    make_server: MakeServer,
    key: str,
    shown: Shown,
    way: Callable[[type, int], Any],
    problem: str,
) -> None:
    wrong = problem == "a wrong password"
    port = make_server(users=["user on >another ~* &* +@all"]).port if wrong else free_port()
    redis = way(AsyncRedis, port)
    with pytest.raises(exceptions.ConnectionError) as refused:
        await soon(DistributedLock(redis, key).acquire())
    shown.add(refused.value, redis if not isinstance(redis, str) else "")
    await dsync.close()


@each_way
def test_the_face_for_threads_says_none(
    guarded: RedisServer, key: str, shown: Shown, way: Callable[[type, int], Any]
) -> None:
    redis = way(Redis, guarded.port)
    lock = dsync.sync.DistributedLock(redis, key)
    with using(redis), lock, KeyValueDistributedLock("ns", user=key):

        @locked("{name}")
        def work(name: str) -> None:
            shown.add(lock, work)

        work(f"{key}-work")
    away = dsync.sync.DistributedLock(way(Redis, free_port()), key)
    with pytest.raises(exceptions.ConnectionError) as refused:
        away.acquire()
    shown.add(refused.value, away)
    dsync.sync.close()


def test_the_login_shows_none(shown: Shown) -> None:
    shown.add(dsync._core.Login("user", SECRET, 0, "name"))
