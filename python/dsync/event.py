"""The distributed event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsync._checks import check_key, check_seconds
from dsync._primitive import Primitive

if TYPE_CHECKING:
    from redis.asyncio import Redis


class DistributedEvent(Primitive):
    """A flag that tasks of all processes of a fleet set, clear, and wait for.

    One object may be used by many tasks. Connections are as with ``DistributedLock``; a task that
    waits while the server stays away gets ``redis.exceptions.ConnectionError``.

    :param redis: a ``redis.asyncio.Redis``, a ``valkey.asyncio.Valkey`` or a URL
    :param name: name of the event; ``event_{name}`` in Redis is ``1`` or ``0``
    :param consumer_timeout: seconds, >= 0; the longest time between two looks at the flag. A
        ``set`` is told at once all the same; the looks find a flag that somebody set without
        telling
    :raises TypeError: if an argument is of a wrong type, or ``redis`` is no usable client
    :raises ValueError: if an argument has an impossible value

    Source: ``DistributedEvent`` of ``aiodistributor``, and ``asyncio.Event``.
    """

    __slots__ = ("_consumer_timeout",)

    def __init__(self, redis: Redis | Any | str, name: str, consumer_timeout: float = 5) -> None:
        check_key("name", name)
        check_seconds("consumer_timeout", consumer_timeout)
        super().__init__(redis, f"event_{name}")
        self._consumer_timeout = consumer_timeout

    async def is_set(self) -> bool:
        """Ask the server whether the flag is set.

        :raises redis.exceptions.ConnectionError: if the server stays away
        :raises redis.exceptions.RedisError: if the server refuses the login or the command
        """
        session = self._open_session()
        return await self._outcome(session, session.core.is_set(self._key), "ask for") == 1

    async def set(self) -> None:
        """Set the flag, and wake all that wait for it.

        :raises redis.exceptions.RedisError: as ``is_set``
        """
        await self._set(True)

    async def clear(self) -> None:
        """Clear the flag.

        :raises redis.exceptions.RedisError: as ``is_set``
        """
        await self._set(False)

    async def _set(self, value: bool) -> None:
        session = self._open_session()
        await self._outcome(session, session.core.set_event(self._key, value), "set")

    async def wait(self) -> bool:
        """Wait until the flag is set; returns at once where it is.

        A ``set`` that comes meanwhile wakes this task even if a ``clear`` follows at once, unless
        the connection breaks at that moment. One that was cleared just before may still be on its
        way to this process, and wake it too. A task that is cancelled here leaves nothing behind.

        :returns: True
        :raises redis.exceptions.RedisError: as ``is_set``
        """
        session = self._open_session()
        operation = session.core.wait_for_event(self._key, self._consumer_timeout)
        await self._outcome(session, operation, "wait for")
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key!r}>"
