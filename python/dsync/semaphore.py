"""The distributed semaphores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from dsync import _core
from dsync._checks import check_count, check_key
from dsync._hold import Hold, latest
from dsync._leased import Leased
from dsync._session import Session

if TYPE_CHECKING:
    from redis.asyncio import Redis


class DistributedSemaphore(Leased):
    """Slots that at most ``value`` tasks of all processes of a fleet hold at a time.

    Use it as ``async with DistributedSemaphore(redis, key, value):``. Tasks get slots in the order
    they asked. One object may be used by many tasks, and may hold several permits; all objects of a
    key should have the same ``value``.

    A permit is a lease, as with ``DistributedLock``: the slots of a process that is gone come back
    when the lease ends. A holder that lost its permit is told by ``on_lost``, ``lost`` and
    LockLostError. With ``lease=None`` a permit belongs to nobody: anyone may give the slot back,
    and nobody does it for a process that is gone. That is the semaphore that counts things, where
    one side acquires and another releases.

    Connections, and what happens while the server is away, are as with ``DistributedLock``.

    :param redis: a ``redis.asyncio.Redis``, a ``valkey.asyncio.Valkey`` or a URL
    :param key: name of the semaphore; ``distributed_semaphore_{key}`` in Redis has the number of
        free slots, and is absent until the first acquire
    :param value: slots, >= 0
    :param acquire_sleep_delay: seconds, >= 0, between two looks for an old process that frees a
        slot without telling anybody; a slot that is freed by dsync is handed over at once
    :param acquire_timeout: seconds, >= 0, that ``acquire`` waits; 0 tries once, None waits for ever
    :param lease: seconds, > 0, after which the slot of a holder that is gone is free again; None:
        never
    :param auto_renew: whether the lease is renewed while the permit is held
    :param on_lost: called with this semaphore, in the event loop, when a permit is lost; may be a
        coroutine function
    :param cancel_on_lost: whether the task that acquired a permit is cancelled when it is lost
    :param migration_window: seconds, >= 0, for which a slot is left free now and then while others
        wait, as with ``DistributedLock``
    :raises TypeError: if an argument is of a wrong type, or ``redis`` is no usable client
    :raises ValueError: if an argument has an impossible value

    Source: the document of ``DistributedSemaphore``; everything keyword-only is dsync's.
    """

    __slots__ = ("_value",)

    _bounded = False

    def __init__(
        self,
        redis: Redis | Any | str,
        key: str,
        value: int,
        acquire_sleep_delay: float = 0.1,
        acquire_timeout: float | None = None,
        *,
        lease: float | None = 30.0,
        auto_renew: bool = True,
        on_lost: Callable[[DistributedSemaphore], Awaitable[None] | None] | None = None,
        cancel_on_lost: bool = False,
        migration_window: float | None = None,
    ) -> None:
        check_key("key", key)
        check_count("value", value, 0)
        super().__init__(
            redis,
            f"distributed_semaphore_{key}",
            acquire_sleep_delay,
            acquire_timeout,
            lease=lease,
            auto_renew=auto_renew,
            on_lost=on_lost,
            cancel_on_lost=cancel_on_lost,
            migration_window=migration_window,
        )
        self._value = value

    def _start(self, session: Session, queueing: bool, delay: float, timeout: float) -> int:
        return session.core.acquire_permit(
            self._key,
            self._value,
            self._bounded,
            self._lease or 0.0,
            self._auto_renew,
            queueing,
            delay,
            timeout,
            self._window,
        )

    def _accept(self, session: Session, operation: int) -> bool:
        if self._lease is not None:
            return super()._accept(session, operation)
        session.settle(operation, True)
        return True

    async def release(self) -> None:
        """Give back the slot that this task, or else this object, took last; without one, add a
        slot.

        The slot goes to the task that has waited longest, in whatever process. A task that is
        cancelled here, or loses its connection, gives the slot back all the same; so it must not
        release once more, which would add a slot.

        :raises LockLostError: if the lease of the permit has ended before
        :raises redis.exceptions.ConnectionError: if the server stays away; the lease ends by
            itself then
        :raises redis.exceptions.RedisError: if the server refuses the login or the command
        """
        hold = latest(self._holds)
        if hold is not None:
            await self._release(hold)
        else:
            session = self._open_session()
            call = session.core.add_slot(self._key, self._value, self._bounded)
            if await self._outcome(session, call, "release") == _core.OVER_LIMIT:
                raise ValueError(self._limit_text())

    def _refuse(self, hold: Hold, outcome: int) -> None:
        if outcome == _core.OVER_LIMIT:
            self._keep(hold)
            raise ValueError(self._limit_text())
        super()._refuse(hold, outcome)

    def _limit_text(self) -> str:
        return f"{self._key!r} was released too many times: all of its slots are free"

    async def locked(self) -> bool:
        """Ask the server whether no slot is free.

        :raises redis.exceptions.RedisError: as ``acquire``
        """
        session = self._open_session()
        question = session.core.free_slots(self._key, self._value)
        return await self._outcome(session, question, "ask for") <= 0


class DistributedBoundedSemaphore(DistributedSemaphore):
    """A semaphore whose ``release`` never makes more slots free than there were at first.

    The limit is ``value``; the first release in the fleet writes it to
    ``distributed_semaphore_{key}_max_value``, and from then on that holds for all. ``release``
    raises ValueError, and changes nothing, where it would exceed the limit; all else is as with
    ``DistributedSemaphore``.

    Source: the document of ``DistributedSemaphore``, and ``asyncio.BoundedSemaphore``.
    """

    __slots__ = ()

    _bounded = True
