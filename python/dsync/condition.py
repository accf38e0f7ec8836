"""The distributed condition."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from weakref import ref

from redis.exceptions import RedisError

from dsync import _core
from dsync._checks import check_count
from dsync._hold import Hold, latest
from dsync._primitive import Primitive
from dsync._session import Session
from dsync.errors import LockLostError, OperationFailedError, translated
from dsync.lock import DistributedLock

if TYPE_CHECKING:
    from redis.asyncio import Redis

_T = TypeVar("_T")


def _without_owning(
    condition: DistributedCondition,
    callback: Callable[[DistributedCondition], Awaitable[None] | None],
) -> Callable[[DistributedLock], Awaitable[None] | None]:
    """Give the callback of the condition's lock, which must not keep the condition alive."""
    reference = ref(condition)

    def on_lost(_: DistributedLock) -> Awaitable[None] | None:
        alive = reference()
        return None if alive is None else callback(alive)

    return on_lost


class DistributedCondition(Primitive):
    """A lock, and a place to wait until a task of any process says that things have changed.

    Use it as ``async with DistributedCondition(redis, key) as condition:``, which holds the
    ``DistributedLock`` of that key. A notification wakes the one that has waited longest. It is not
    lost to a waiter that died or was cancelled, and never wakes one that came later.

    One object may be used by many tasks. Connections, and what happens while the server is away,
    are as with ``DistributedLock``; a task that is waiting then gets
    ``redis.exceptions.ConnectionError``, and has not the lock.

    :param redis: a ``redis.asyncio.Redis``, a ``valkey.asyncio.Valkey`` or a URL
    :param key: name of the condition and of its lock
    :param acquire_sleep_delay: seconds, >= 0, as with ``DistributedLock``
    :param acquire_timeout: seconds, >= 0, that ``acquire`` and ``async with`` wait for the lock
    :param lease: of the lock, as with ``DistributedLock``; so are ``auto_renew``, ``on_lost``
        (called with this condition), ``cancel_on_lost``, ``migration_window`` and
        ``fair``. With a window, old waiters (``aiodistributor``) come first in every other
        notification
    :raises TypeError: if an argument is of a wrong type, or ``redis`` is no usable client
    :raises ValueError: if an argument has an impossible value

    Source: the document of ``DistributedCondition``, and ``asyncio.Condition``.
    """

    __slots__ = ("_acquire_sleep_delay", "_lock")

    def __init__(
        self,
        redis: Redis | Any | str,
        key: str,
        acquire_sleep_delay: float = 0.1,
        acquire_timeout: float | None = None,
        *,
        lease: float | None = 30.0,
        auto_renew: bool = True,
        on_lost: Callable[[DistributedCondition], Awaitable[None] | None] | None = None,
        cancel_on_lost: bool = False,
        migration_window: float | None = None,
        fair: Literal["bounded", "strict"] = "bounded",
    ) -> None:
        self._lock = DistributedLock(
            redis,
            key,
            acquire_sleep_delay,
            acquire_timeout,
            lease=lease,
            auto_renew=auto_renew,
            on_lost=_without_owning(self, on_lost) if callable(on_lost) else on_lost,
            cancel_on_lost=cancel_on_lost,
            migration_window=migration_window,
            fair=fair,
        )
        super().__init__(redis, self._lock._key)
        self._acquire_sleep_delay = acquire_sleep_delay

    # ---- the lock ----

    async def acquire(
        self, acquire_sleep_delay: float | None = None, acquire_timeout: float | None = None
    ) -> bool:
        """Wait until this task holds the lock; see ``DistributedLock.acquire``."""
        return await self._lock.acquire(acquire_sleep_delay, acquire_timeout)

    async def release(self) -> None:
        """Free the lock; see ``DistributedLock.release``."""
        await self._lock.release()

    async def locked(self) -> bool:
        """Ask the server whether anybody holds the lock; see ``DistributedLock.locked``."""
        return await self._lock.locked()

    async def __aenter__(self) -> Self:
        await self._lock.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._lock.__aexit__(exc_type, exc, tb)

    # ---- wait ----

    async def wait(self) -> bool:
        """Wait for a notification.

        Called while this object holds the lock, it frees the lock, waits, and has taken it again
        when it returns or raises. A task that is cancelled meanwhile has the lock again as well
        before the cancellation goes on; so that may take as long as others hold it. Called without
        the lock, it only waits.

        :returns: True
        :raises LockLostError: if the lease of the lock had ended before
        :raises redis.exceptions.ConnectionError: if the server stays away; the lock is lost then
        :raises redis.exceptions.RedisError: if the server refuses the login or the command
        """
        hold = latest(self._lock._holds)
        if hold is not None:
            return await self._wait_with_lock(hold)
        session = self._open_session()
        operation = session.core.wait_for_notification(self._key, self._acquire_sleep_delay)
        await self._outcome(session, operation, "wait for")
        session.settle(operation, True)
        return True

    async def wait_for(self, predicate: Callable[[], _T]) -> _T:
        """Wait until the predicate is true, and give its value.

        It is asked at once, and after each notification. All else is as with ``wait``.

        :param predicate: called without arguments, while the lock is held if it was held before
        """
        while not (result := predicate()):
            await self.wait()
        return result

    async def _wait_with_lock(self, hold: Hold) -> bool:
        lock, session = self._lock, hold.session
        if hold.lost or session.closed:
            raise LockLostError(lock._lost_text())
        lock._drop(hold.operation)
        session.holders.pop(hold.operation, None)
        operation = session.core.relock(hold.operation, self._acquire_sleep_delay)
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                outcome = await session.result_of(operation)
            except asyncio.CancelledError as error:
                cancelled = cancelled or error
                outcome = session.rejoin(operation)
                if outcome == _core.BUSY:
                    continue
            except OperationFailedError as failure:
                self._end_without_lock(hold)
                raise translated(failure, "wait for", self._key) from cancelled
            break
        if outcome not in (_core.GRANTED, _core.HELD):
            self._end_without_lock(hold)
            raise LockLostError(lock._lost_text()) from cancelled
        # The notification is passed on if this task has not waited for it to the end.
        session.settle(operation, cancelled is None)
        try:
            cancelled = await self._accept(session, operation, cancelled)
        except RedisError:
            self._end_without_lock(hold)
            raise
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                # It refers to this frame, and may not keep the condition alive by that.
                del cancelled
        return True

    async def _accept(
        self, session: Session, operation: int, cancelled: asyncio.CancelledError | None
    ) -> asyncio.CancelledError | None:
        """Hold the lock again, whatever else is wanted of this task; gives the cancellation."""
        lock = self._lock
        while True:
            try:
                if operation != 0 and (
                    lock._accept(session, operation) or await lock._confirm(session, operation)
                ):
                    return cancelled
                # That grant is over: the loop was blocked for as long as the lease.
                operation = 0
                await lock.acquire(acquire_timeout=math.inf)
                return cancelled
            except (asyncio.CancelledError, OperationFailedError) as error:
                if operation != 0:
                    session.abandon(operation)
                    operation = 0
                if isinstance(error, asyncio.CancelledError):
                    cancelled = cancelled or error

    def _end_without_lock(self, hold: Hold) -> None:
        """Keep the hold, as lost unless the server refused to begin: the block hears of it."""
        session = hold.session
        if session.closed or not session.core.is_held(hold.operation):
            hold.lost = True
        self._lock._keep(hold)
        if hold.lost:
            self._lock._set_lost()

    # ---- notify ----

    async def notify(self, n: int = 1) -> None:
        """Wake the ``n`` that have waited longest, or all if there are fewer.

        A task that is cancelled here has notified or not. Those that came with the lock wake one
        after another, each holding it.

        :param n: >= 0
        :raises RuntimeError: if this object does not hold the lock
        :raises LockLostError: if it did, but the lease ended before
        :raises redis.exceptions.RedisError: as ``wait``
        """
        check_count("n", n, 0)
        self._check_notified(await self._outcome(*self._notify(n)))

    async def notify_all(self) -> None:
        """Wake all that wait at this moment; all else is as with ``notify``."""
        self._check_notified(await self._outcome(*self._notify(-1)))

    def _notify(self, count: int) -> tuple[Session, int, str]:
        """Begin to notify; gives what `_outcome` needs."""
        hold = self._lock._current("notify the waiters of")
        session = hold.session
        if hold.lost or session.closed:
            raise LockLostError(self._lock._lost_text())
        return session, session.core.notify(hold.operation, count), "notify"

    def _check_notified(self, outcome: int) -> None:
        if outcome != _core.DONE:
            raise LockLostError(self._lock._lost_text())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._lock!r}>"
