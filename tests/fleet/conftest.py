"""Fixtures of fleets: processes of either kind that work together on one key."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.fleet.remote import Remote
from tests.support.redis_server import RedisServer


@pytest.fixture
def start(cleanup: ExitStack, server: RedisServer) -> Callable[..., Awaitable[Remote]]:
    """Start processes with one primitive each: `await start("old", "DistributedLock", key)`."""

    async def make(
        kind: str,
        name: str,
        key: str,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Remote:
        remote = cleanup.enter_context(Remote(server, kind, name, key, options, environment))
        await remote.child.expect("ready")
        return remote

    return make
