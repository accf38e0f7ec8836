"""The server that is used where the caller names none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dsync._blocking_client import server_of_any
from dsync._connect import Server

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

_VARIABLE = "DSYNC_REDIS_URL"
_URL = "redis://localhost:6379/0"

_configured: Server | None = None


def configure(redis: Redis | AsyncRedis | Any | str | None, /) -> None:
    """Say once for this process which server ``KeyValueDistributedLock`` and ``locked`` use.

    Without it that is the URL in the environment variable ``DSYNC_REDIS_URL``, or else
    ``redis://localhost:6379/0``. Nothing is sent yet. May be called by any thread; holds for all of
    them, and for processes that are forked afterwards. What is held already stays where it is.

    :param redis: a client, asynchronous or blocking, of which only the configuration is used; or a
        URL; None goes back to the environment
    :raises TypeError: for what is no usable client
    :raises ValueError: for a URL that is none
    """
    global _configured
    _configured = None if redis is None else server_of_any(redis)


def default_server() -> Server:
    """Give the configured server.

    :raises ValueError: if the environment has a URL that is none
    """
    server = _configured
    if server is not None:
        return server
    try:
        return server_of_any(os.environ.get(_VARIABLE) or _URL)
    except ValueError as error:
        # Its text shows no password.
        raise ValueError(f"{_VARIABLE}: {error}") from None
