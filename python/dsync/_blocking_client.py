"""The configuration of a blocking client, read by way of an asynchronous one that has the same."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, cast
from weakref import WeakKeyDictionary

from dsync._connect import Server, retries_of, server_of

_by_client: WeakKeyDictionary[object, Server] = WeakKeyDictionary()


def server_of_any(redis: object) -> Server:
    """Give the server that a blocking or asynchronous client, or a URL, is configured for.

    :raises TypeError: for what is no usable client
    :raises ValueError: for a URL that is none
    """
    if isinstance(redis, (str, Server)):
        return server_of(redis)
    pool = getattr(redis, "connection_pool", None)
    package = _package(getattr(pool, "connection_class", None))
    if package is None:
        return server_of(redis)
    server = _by_client.get(redis)
    if server is None:
        server = _by_client[redis] = server_of(_asynchronous(package, pool))
    return server


def _package(connection_class: type | None) -> str | None:
    """Name the package of a blocking connection that opens its sockets as its package does."""
    if connection_class is None:
        return None
    packages = set[str]()
    for method in ("connect", "_connect"):
        owner = next((cls for cls in connection_class.__mro__ if method in vars(cls)), None)
        package, _, module = (owner.__module__ if owner else "").partition(".")
        if package not in ("redis", "valkey") or module not in ("connection", "sentinel"):
            return None
        packages.add(package)
    return packages.pop()


def _asynchronous(package: str, pool: Any) -> object:
    """Make a client of the same configuration; it is only read."""
    asyncio = importlib.import_module(f"{package}.asyncio")
    connection_class = _counterpart(package, pool.connection_class)
    options = _translated(package, connection_class, pool.connection_kwargs)
    manager = getattr(pool, "sentinel_manager", None)
    if manager is None:
        counterpart = asyncio.ConnectionPool(connection_class=connection_class, **options)
    else:
        counterpart = importlib.import_module(f"{package}.asyncio.sentinel").SentinelConnectionPool(
            pool.service_name,
            _asynchronous_sentinel(package, manager),
            is_master=pool.is_master,
            ssl=connection_class.__name__ == "SSLConnection",
            **options,
        )
    client = asyncio.Redis if package == "redis" else asyncio.Valkey
    return cast(object, client(connection_pool=counterpart))


def _asynchronous_sentinel(package: str, manager: Any) -> object:
    nodes = [node.connection_pool.connection_kwargs for node in manager.sentinels]
    sentinel = importlib.import_module(f"{package}.asyncio.sentinel").Sentinel
    return cast(
        object,
        sentinel(
            [(node["host"], node["port"]) for node in nodes],
            sentinel_kwargs={
                name: _translated_retry(package, value) if name == "retry" else value
                for name, value in manager.sentinel_kwargs.items()
            },
        ),
    )


def _counterpart(package: str, connection_class: type) -> type:
    blocking = importlib.import_module(f"{package}.connection")
    asyncio = importlib.import_module(f"{package}.asyncio.connection")
    for name in ("SSLConnection", "UnixDomainSocketConnection"):
        if issubclass(connection_class, getattr(blocking, name)):
            return cast(type, getattr(asyncio, name))
    return cast(type, asyncio.Connection)


def _translated(
    package: str, connection_class: type, options: dict[str, object]
) -> dict[str, object]:
    """Leave out what only matters to blocking connections, but nothing that makes them safe."""
    known = {name for cls in connection_class.__mro__ for name in inspect.signature(cls).parameters}
    for name, value in options.items():
        if name.startswith("ssl_") and name not in known and value:
            raise TypeError(
                f"redis must be a client without {name}, which {package}.asyncio does not know"
            )
    return {
        name: _translated_retry(package, value) if name == "retry" else value
        for name, value in options.items()
        if name in known
    }


def _translated_retry(package: str, retry: Any) -> object:
    if retry is None:
        return None
    asynchronous = importlib.import_module(f"{package}.asyncio.retry").Retry
    return cast(object, asynchronous(retry._backoff, retries_of(retry)))
