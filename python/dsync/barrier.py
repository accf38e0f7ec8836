"""The distributed barrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsync import _core
from dsync._checks import check_count, check_key
from dsync._primitive import Primitive
from dsync.errors import BrokenBarrierError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_POLL_DELAY = (
    1.0  # seconds between two looks for what no message tells: a server that came back empty
)


class DistributedBarrier(Primitive):
    """A place where ``parties`` tasks, of whatever processes, wait until all of them are there.

    It opens for exactly ``parties`` that live and still wait: one that was cancelled or whose
    process is gone does not count. It can be used again at once, for round after round, and no
    round sees anything of another.

    One object may be used by many tasks. Connections are as with ``DistributedLock``; a party that
    waits while the server stays away gets ``redis.exceptions.ConnectionError``, and does not count.

    :param redis: a ``redis.asyncio.Redis``, a ``valkey.asyncio.Valkey`` or a URL
    :param key: name of the barrier; ``distributed_barrier_count_{key}`` in Redis counts the
        arrivals
    :param parties: how many open it, >= 1; the same for all objects of a key
    :raises TypeError: if an argument is of a wrong type, or ``redis`` is no usable client
    :raises ValueError: if an argument has an impossible value

    Source: the document of ``DistributedBarrier``, and ``asyncio.Barrier``.
    """

    __slots__ = ("_channel_name", "_parties")

    def __init__(self, redis: Redis | Any | str, key: str, parties: int) -> None:
        check_key("key", key)
        check_count("parties", parties, 1)
        super().__init__(redis, f"distributed_barrier_count_{key}")
        self._channel_name = f"distributed_barrier_channel{key}"
        self._parties = parties

    @property
    def _count_key(self) -> str:
        return self._key

    @property
    def parties(self) -> int:
        """How many open the barrier."""
        return self._parties

    async def wait(self) -> None:
        """Wait until all parties are there.

        A party that is cancelled here is not counted, unless the barrier has opened meanwhile.

        :raises BrokenBarrierError: if the round was reset or aborted
        :raises ValueError: if those that wait already want another number of parties
        :raises redis.exceptions.ConnectionError: if the server stays away
        :raises redis.exceptions.RedisError: if the server refuses the login or the command
        """
        session = self._open_session()
        operation = session.core.wait_for_parties(self._key, self._parties, _POLL_DELAY)
        outcome = await self._outcome(session, operation, "wait for")
        if outcome == _core.BROKEN:
            raise BrokenBarrierError(f"{self._key!r} was reset or aborted while this party waited")
        if outcome == _core.DISAGREES:
            raise ValueError(
                f"{self._key!r} has parties that wait for another number than {self._parties}:"
                " all objects of a key must have the same"
            )

    async def n_waiting(self) -> int:
        """Ask the server how many parties wait.

        :raises redis.exceptions.RedisError: as ``wait``
        """
        session = self._open_session()
        question = session.core.parties_waiting(self._key)
        return await self._outcome(session, question, "ask for")

    async def reset(self) -> None:
        """Break the round for all its parties; those that come later begin another.

        :raises redis.exceptions.RedisError: as ``wait``
        """
        await self._end_round("reset")

    async def abort(self) -> None:
        """Break the round for all its parties, as ``reset`` does; old processes hear another word.

        :raises redis.exceptions.RedisError: as ``wait``
        """
        await self._end_round("abort")

    async def _reset_count(self) -> None:
        """Set the number of arrivals to 0, and tell nobody.

        Those that wait hear from ``_publish_release``, ``reset`` or ``abort``, or their round is
        broken after a second.
        """
        await self._end_round("")

    async def _publish_release(self) -> None:
        """Let those that wait go on, however many they are."""
        await self._end_round("release")

    async def _end_round(self, word: str) -> None:
        session = self._open_session()
        await self._outcome(session, session.core.end_round(self._key, word), "change")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key!r}, {self._parties} parties>"
