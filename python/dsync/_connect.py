"""Where a session connects to, read from a caller's client, and how a connection is made.

Only public attributes of the client are used, and none of its connections.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from dsync import _core

if TYPE_CHECKING:
    import ssl

    from dsync._transport import StreamLink

_DEFAULT_CONNECT_TIMEOUT = 5.0
_DEFAULT_REPLY_TIMEOUT = 5.0


@dataclass(frozen=True, eq=False)
class Server:
    """One server and one way to log in there. The same configuration gives the same object."""

    host: str
    port: int
    path: str
    database: int
    client_name: str
    connect_timeout: float
    reply_timeout: float
    keepalive_options: tuple[tuple[int, int | bytes], ...] | None
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    credential_provider: Any = field(repr=False)
    ssl_options: tuple[tuple[str, str], ...] | None = field(repr=False)
    ssl_context: Callable[[], ssl.SSLContext] | None = field(repr=False)
    sentinel: Any = field(repr=False)
    service_name: str = ""
    retry: Any = field(default=None, repr=False)

    def identity(self) -> tuple[object, ...]:
        """Tell servers apart: equal for clients of the same configuration."""
        return (
            (self.host, self.port, self.path, self.database, self.client_name),
            (self.connect_timeout, self.reply_timeout, self.keepalive_options),
            (self.username, self.password, self.credential_provider, self.ssl_options),
            (_sentinel_identity(self.sentinel), self.service_name),
            (retries_of(self.retry),),
        )

    async def login(self) -> _core.Login:
        """Ask for the credentials anew, since a provider may change them."""
        username, password = self.username, self.password
        if self.credential_provider is not None:
            credentials = await _credentials(self.credential_provider)
            username, password = (None, *credentials) if len(credentials) == 1 else credentials
        return _core.Login(username or None, password, self.database, self.client_name)

    async def address(self) -> tuple[str, int]:
        """Ask where the server is now."""
        if self.sentinel is None:
            return self.host, self.port
        # With clients of its own: those of the caller may belong to another event loop.
        nodes = [
            (
                node.connection_pool.connection_kwargs["host"],
                node.connection_pool.connection_kwargs["port"],
            )
            for node in self.sentinel.sentinels
        ]
        sentinel = type(self.sentinel)(nodes, sentinel_kwargs=self.sentinel.sentinel_kwargs)
        try:
            host, port = await sentinel.discover_master(self.service_name)
        finally:
            for node in sentinel.sentinels:
                # redis 5.0.0 calls it close().
                await (node.aclose() if hasattr(node, "aclose") else node.close())
        return host, port

    async def open_socket(self, address: tuple[str, int]) -> socket.socket:
        """Connect without TLS. Raises OSError; the caller limits the time."""
        if self.path:
            return await self._connected_socket(socket.AF_UNIX, self.path)
        problem: OSError | None = None
        for family, _, _, _, target in await _resolved(address):
            try:
                return await self._connected_socket(family, target)
            except OSError as error:
                problem = problem or error
        raise problem or OSError(f"{address[0]!r} has no address")

    async def _connected_socket(self, family: int, target: Any) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, target)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._keep_alive(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    async def connect(self, link: StreamLink, address: tuple[str, int]) -> None:
        """Give the link a connection over TLS. Raises OSError; the caller limits the time."""
        assert self.ssl_context is not None
        host, port = address
        context = self.ssl_context()
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: link, host, port, ssl=context, server_hostname=host)
        if link.fileno() >= 0:
            # Loops give no socket that can be used, only its descriptor, which stays theirs.
            sock = socket.socket(fileno=link.fileno())
            try:
                self._keep_alive(sock)
            finally:
                sock.detach()

    def _keep_alive(self, sock: socket.socket) -> None:
        if self.keepalive_options is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in self.keepalive_options:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)

    async def retrying(
        self, attempt: Callable[[], Awaitable[None]], failed: Callable[[Exception], Awaitable[None]]
    ) -> None:
        """Call ``attempt`` as often as the client's own retry settings say."""
        # A copy, because its backoff counts, and clients share it.
        await copy.deepcopy(self.retry).call_with_retry(attempt, failed)

    @property
    def connection_error(self) -> type[Exception]:
        """The error that the retry settings of this client count as worth another attempt."""
        package = type(self.retry).__module__.partition(".")[0]
        return cast(type[Exception], sys.modules[f"{package}.exceptions"].ConnectionError)


_by_client: WeakKeyDictionary[object, Server] = WeakKeyDictionary()
_by_url: dict[str, Server] = {}
_by_identity: dict[tuple[object, ...], Server] = {}


def server_of(redis: object) -> Server:
    """Give the server that a client, or a URL, is configured for; a server is given back.

    :raises TypeError: for what is no usable client
    :raises ValueError: for a URL that is none
    """
    if isinstance(redis, Server):
        return redis
    if isinstance(redis, str):
        if redis not in _by_url:
            _by_url[redis] = _read(_client_for(redis))
        return _by_url[redis]
    try:
        return _by_client[redis]
    except (KeyError, TypeError):
        server = _read(redis)
        _by_client[redis] = server
        return server


def _client_for(url: str) -> object:
    # Imported here, since who passes a client need not wait for it.
    redis: Any = importlib.import_module("redis.asyncio")
    try:
        return cast(object, redis.Redis.from_url(url))
    except ValueError as error:
        # The text of the error may hold the URL's password.
        raise ValueError(
            "the Redis URL cannot be used: it must be redis://, rediss:// or unix://, "
            "with valid numbers for port, database and options"
        ) from (None if "@" in url else error)


def _read(redis: object) -> Server:
    pool = getattr(redis, "connection_pool", None)
    connection_class = getattr(pool, "connection_class", None)
    if pool is None or connection_class is None:
        raise TypeError(
            f"redis must be a redis.asyncio.Redis, a valkey.asyncio.Valkey or a URL, "
            f"not {type(redis).__module__}.{type(redis).__qualname__}"
            + (" (a cluster client is not supported)" if "Cluster" in type(redis).__name__ else "")
        )
    _check_connection_class(redis, connection_class)
    sentinel = getattr(pool, "sentinel_manager", None)
    if sentinel is not None and not pool.is_master:
        raise TypeError("redis must be a client for the master, not one for replicas (slave_for)")
    options = _without_metadata(connection_class) | pool.connection_kwargs
    server = _from_connection(connection_class(**options), pool, sentinel)
    return _by_identity.setdefault(server.identity(), server)


def _without_metadata(connection_class: type) -> dict[str, None]:
    """Give what keeps a connection from looking up the version of its package on the disk.

    That takes a third of the time of a first lock. Older packages do it once, when imported.
    """
    package = connection_class.__module__.partition(".")[0]
    return {"driver_info": None} if f"{package}.driver_info" in sys.modules else {}


def _check_connection_class(redis: object, connection_class: type) -> None:
    """Refuse clients that do not talk to a server over sockets of asyncio."""
    for method in ("connect", "_connect"):
        owner = next((cls for cls in connection_class.__mro__ if method in vars(cls)), None)
        module = owner.__module__ if owner else ""
        if module.partition(".")[0] not in ("redis", "valkey") or ".asyncio." not in module:
            raise TypeError(
                f"redis must be a client that connects to a real server with asyncio; "
                f"{type(redis).__module__}.{type(redis).__qualname__} makes its own connections "
                f"({connection_class.__module__}.{connection_class.__qualname__})"
            )


def _from_connection(connection: Any, pool: Any, sentinel: Any) -> Server:
    """Read what an unconnected connection of the client's own class knows."""
    kwargs = pool.connection_kwargs
    context = getattr(connection, "ssl_context", None)
    keepalive = getattr(connection, "socket_keepalive", False)
    options: dict[int, int | bytes] = getattr(connection, "socket_keepalive_options", None) or {}
    ssl_options = {name: repr(value) for name, value in kwargs.items() if name.startswith("ssl")}
    return Server(
        host="" if sentinel else getattr(connection, "host", ""),
        port=0 if sentinel else int(getattr(connection, "port", 0)),
        path=getattr(connection, "path", ""),
        database=int(connection.db or 0),
        client_name=connection.client_name or "",
        connect_timeout=getattr(connection, "socket_connect_timeout", None)
        or _DEFAULT_CONNECT_TIMEOUT,
        reply_timeout=connection.socket_timeout or _DEFAULT_REPLY_TIMEOUT,
        keepalive_options=tuple(sorted(options.items())) if keepalive else None,
        username=connection.username,
        password=connection.password,
        credential_provider=connection.credential_provider,
        ssl_options=tuple(sorted(ssl_options.items())) if context else None,
        ssl_context=context.get if context else None,
        sentinel=sentinel,
        service_name=pool.service_name if sentinel else "",
        retry=connection.retry,
    )


def _sentinel_identity(sentinel: Any) -> tuple[object, ...]:
    if sentinel is None:
        return ()
    nodes = (node.connection_pool.connection_kwargs for node in sentinel.sentinels)
    return (
        tuple((kwargs.get("host"), kwargs.get("port")) for kwargs in nodes),
        tuple(sorted((name, repr(value)) for name, value in sentinel.sentinel_kwargs.items())),
    )


async def _resolved(address: tuple[str, int]) -> list[tuple[Any, ...]]:
    host, port = address
    try:
        # What is no name is not looked up, which would take a thread.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return cast(list[tuple[Any, ...]], found)


async def _credentials(provider: Any) -> tuple[str, ...]:
    # redis 5.0 has only the synchronous method.
    if hasattr(provider, "get_credentials_async"):
        return tuple(await provider.get_credentials_async())
    return tuple(provider.get_credentials())


def retries_of(retry: Any) -> int:
    """Tell how often the retry settings of a client let it try again."""
    # Before redis 6 there is no method for it.
    return int(retry.get_retries() if hasattr(retry, "get_retries") else retry._retries)
