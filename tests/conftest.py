"""Fixtures for all tests: servers, clients, proxies and child processes, closed after the test."""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis

from tests.support.loops import TurnLoop
from tests.support.processes import Child
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.sentinel import SentinelGroup
from tests.support.tls import TlsFiles, make_tls_files


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the loop that a test runs in."""
    if item.get_closest_marker("by_turns"):
        return {"by turns": TurnLoop}
    return {"usual": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    """One server for the session; tests use `server`, which is this one made empty."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """A server without data and scripts; a test that stops it or sets it up makes its own."""
    shared_server.flush()
    return shared_server


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    """An asyncio client of `server`."""
    async with server.client() as client:
        yield client


@pytest.fixture
def dice() -> random.Random:
    """Randomness whose seed is shown when the test fails, and can be set to repeat it."""
    seed = int(os.environ.get("DSYNC_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"DSYNC_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"key-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    """Closes, after the test, what the factories below have made, the newest first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_server(cleanup: ExitStack) -> Callable[..., RedisServer]:
    """Make servers of the test's own: `make_server(**options of RedisServer)`."""
    return lambda **options: cleanup.enter_context(RedisServer(**options))


@pytest.fixture
def make_sentinels(cleanup: ExitStack) -> Callable[..., SentinelGroup]:
    """Make a master, a replica and sentinels: `make_sentinels(sentinels=1, password=None)`."""
    return lambda *args, **options: cleanup.enter_context(SentinelGroup(*args, **options))


@pytest.fixture
def make_proxy(cleanup: ExitStack, server: RedisServer) -> Callable[..., Proxy]:
    """Make proxies: `make_proxy()` in front of `server`, `make_proxy(port)` in front of another."""
    return lambda port=None: cleanup.enter_context(Proxy(port or server.port))


@pytest.fixture
def spawn(cleanup: ExitStack) -> Callable[..., Child]:
    """Run code in a child process: `spawn(function or script, *arguments)`."""
    return lambda *args, **options: cleanup.enter_context(Child(*args, **options))


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """Certificates for a TLS server and its clients: `make_server(tls=tls_files)`."""
    return make_tls_files(tmp_path_factory.mktemp("tls"))
