"""The distributed lock."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

from dsync import _core
from dsync._checks import check_fair, check_key
from dsync._hold import current_owner, latest
from dsync._leased import Leased
from dsync._session import Session
from dsync.errors import LockLostError

if TYPE_CHECKING:
    from redis.asyncio import Redis


class DistributedLock(Leased):
    """A lock that one task of all processes of a fleet holds at a time, in the order they asked.

    Use it as ``async with DistributedLock(redis, key):``. One object may be used by many tasks at
    once; they enter one after another. It is not reentrant.

    The lock is a lease: the server ends it when its holder neither releases nor renews it, so a
    process that crashed, hung or lost its network blocks nobody for longer than ``lease`` seconds.
    A native thread renews it meanwhile, so a busy event loop does not lose it. A holder that lost
    it all the same (it was stopped, or cut off, for longer than the lease) is told: by ``on_lost``,
    by ``lost``, and by LockLostError at the end of the block.

    The connection is dsync's own, made from the configuration of ``redis``; when it breaks, it is
    made anew, and every operation still happens once. While the server is away, callers without a
    timeout wait as long as the retry settings of ``redis`` allow, and then get
    ``redis.exceptions.ConnectionError``.

    :param redis: a ``redis.asyncio.Redis``, a ``valkey.asyncio.Valkey`` or a URL
    :param key: name of the lock; it stands in Redis as ``distributed_lock_{key}``
    :param acquire_sleep_delay: seconds, >= 0, between two looks for an old process that frees
        the lock without telling anybody; a lock that is freed by dsync is handed over at once
    :param acquire_timeout: seconds, >= 0, that ``acquire`` waits; 0 tries once, None waits for ever
    :param lease: seconds, > 0, after which the lock of a holder that is gone is free again;
        None keeps it until it is released, come what may
    :param auto_renew: whether the lease is renewed while the lock is held
    :param on_lost: called with this lock, in the event loop, when it is lost; may be a
        coroutine function
    :param cancel_on_lost: whether the task that acquired the lock is cancelled when it is lost
    :param migration_window: seconds, >= 0, for which the lock is left free now and then while
        others wait, so that old processes (``aiodistributor``) get it too; 0 never does that. None
        is what the environment variable ``DSYNC_MIGRATION_WINDOW`` says, or 0
    :param fair: "strict" grants in the exact order of asking. "bounded" lets tasks of one event
        loop hand the lock on among themselves without the server, which is much faster: up to 16
        times in a row, within 5 ms, before those of other processes that asked earlier
    :raises TypeError: if an argument is of a wrong type, or ``redis`` is no usable client
    :raises ValueError: if an argument has an impossible value

    Source: the document of ``DistributedLock``; everything keyword-only is dsync's.
    """

    __slots__ = ("_local", "_token_text")

    def __init__(
        self,
        redis: Redis | Any | str,
        key: str,
        acquire_sleep_delay: float = 0.1,
        acquire_timeout: float | None = None,
        *,
        lease: float | None = 30.0,
        auto_renew: bool = True,
        on_lost: Callable[[DistributedLock], Awaitable[None] | None] | None = None,
        cancel_on_lost: bool = False,
        migration_window: float | None = None,
        fair: Literal["bounded", "strict"] = "bounded",
    ) -> None:
        check_key("key", key)
        check_fair(fair)
        super().__init__(
            redis,
            f"distributed_lock_{key}",
            acquire_sleep_delay,
            acquire_timeout,
            lease=lease,
            auto_renew=auto_renew,
            on_lost=on_lost,
            cancel_on_lost=cancel_on_lost,
            migration_window=migration_window,
        )
        self._local = fair == "bounded"
        self._token_text: str | None = None

    @property
    def _token(self) -> str:
        """The UUID that stands in Redis while this object holds the lock."""
        hold = latest(self._holds)
        if hold is not None and not hold.lost and not hold.session.closed:
            # It may be that of the object in this process from which it got the lock.
            return hold.session.core.token(hold.operation)
        return self._own_token()

    def _own_token(self) -> str:
        if self._token_text is None:
            self._token_text = str(uuid.uuid4())
        return self._token_text

    def _start(self, session: Session, queueing: bool, delay: float, timeout: float) -> int:
        return session.core.acquire(
            self._key,
            self._token_text or self._own_token(),
            self._lease or 0.0,
            self._auto_renew,
            queueing,
            delay,
            timeout,
            self._window,
            self._local,
        )

    def _drop_lost(self) -> None:
        # This task has lost them before, and takes the lock again instead of a release.
        owner = current_owner()
        for hold in self._holds:
            if hold.lost and hold.owner == owner:
                self._abandon(hold)

    async def release(self) -> None:
        """Free the lock, or hand it to the task that has waited longest, in whatever process.

        A task that is cancelled here, or loses its connection, frees the lock all the same: the
        release is under way, and is sent again if need be.

        :raises RuntimeError: if this object does not hold the lock
        :raises LockLostError: if it did, but the lease ended before
        :raises redis.exceptions.ConnectionError: if the server stays away; the lease ends by
            itself then
        """
        await self._release(self._current("release"))

    async def locked(self) -> bool:
        """Ask the server whether anybody holds the lock.

        :raises redis.exceptions.RedisError: as ``acquire``
        """
        session = self._open_session()
        return (
            await self._outcome(session, session.core.locked(self._key), "ask for") == _core.LOCKED
        )

    async def _free(self) -> None:
        """Free the lock, whoever holds it."""
        session = self._open_session()
        await self._outcome(session, session.core.drop(self._key), "free")

    @property
    def fencing_token(self) -> int:
        """The number of this grant, greater than those of all grants of the key before.

        A store that remembers the greatest number it has seen can refuse a holder that was
        overtaken. It still tells the old number after a loss, until ``release``.

        :raises RuntimeError: if this object does not hold the lock
        """
        hold = self._current("tell the fencing token of")
        if hold.session.closed:
            raise LockLostError(self._lost_text())
        return hold.session.core.fence(hold.operation)
