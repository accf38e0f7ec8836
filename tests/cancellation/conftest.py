"""Fixtures of the cancellation tests."""

from collections.abc import Iterator

import pytest

from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="module")
def shared_proxy(shared_server: RedisServer) -> Iterator[Proxy]:
    """One proxy for many cases, each of which leaves it open."""
    with Proxy(shared_server.port) as proxy:
        yield proxy
