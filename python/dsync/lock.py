"""The distributed lock."""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import Awaitable, Callable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

from dsync import _core
from dsync._checks import check_key, check_seconds
from dsync._connect import server_of
from dsync._hold import Hold, LossEvent, call_on_lost
from dsync._session import Session, session_for
from dsync.errors import LockLostError, OperationFailedError, translated

if TYPE_CHECKING:
    from redis.asyncio import Redis

# A lease with less than this part of it left is confirmed before `acquire` returns.
_DOUBTFUL = 0.1
_HAND_OVER_LEASE = 5.0  # seconds; the first lease of a lock that was handed over


class DistributedLock:
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
    :raises TypeError: if an argument is of a wrong type, or ``redis`` is no usable client
    :raises ValueError: if an argument has an impossible value

    Source: the document of ``DistributedLock``; everything keyword-only is dsync's.
    """

    __slots__ = (
        "__weakref__",
        "_acquire_sleep_delay",
        "_acquire_timeout",
        "_auto_renew",
        "_cancel_on_lost",
        "_doubtful",
        "_holds",
        "_key",
        "_lease",
        "_loss",
        "_lost",
        "_on_lost",
        "_server",
        "_session",
        "_token_text",
    )

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
    ) -> None:
        check_key("key", key)
        check_seconds("acquire_sleep_delay", acquire_sleep_delay)
        if acquire_timeout is not None:
            check_seconds("acquire_timeout", acquire_timeout)
        if lease is not None:
            check_seconds("lease", lease, positive=True)
        if on_lost is not None and not callable(on_lost):
            raise TypeError(f"on_lost must be callable, not {type(on_lost).__name__}")
        self._server = server_of(redis)
        self._key = f"distributed_lock_{key}"
        self._acquire_sleep_delay = acquire_sleep_delay
        self._acquire_timeout = acquire_timeout
        self._lease = lease
        self._doubtful = _DOUBTFUL * min(lease or 0.0, _HAND_OVER_LEASE)
        self._auto_renew = auto_renew
        self._on_lost = on_lost
        self._cancel_on_lost = cancel_on_lost
        self._session: Session | None = None
        self._holds: tuple[Hold, ...] = ()
        self._lost = False
        self._loss: LossEvent | None = None
        self._token_text: str | None = None

    @property
    def _token(self) -> str:
        """The UUID that stands in Redis while this object holds the lock."""
        if self._token_text is None:
            self._token_text = str(uuid.uuid4())
        return self._token_text

    # ---- acquire ----

    async def acquire(
        self, acquire_sleep_delay: float | None = None, acquire_timeout: float | None = None
    ) -> bool:
        """Wait until this task holds the lock.

        A task that is cancelled here leaves nothing behind: it gives up its place in the queue, and
        a lock that was granted meanwhile goes on to the next.

        :param acquire_sleep_delay: seconds, instead of the constructor's
        :param acquire_timeout: seconds, instead of the constructor's
        :returns: True
        :raises TimeoutError: if ``acquire_timeout`` seconds pass
        :raises ValueError: if an argument has an impossible value
        :raises redis.exceptions.ConnectionError: if the server stays away
        :raises redis.exceptions.RedisError: if the server refuses the login or the command
        """
        if acquire_sleep_delay is None:
            acquire_sleep_delay = self._acquire_sleep_delay
        else:
            check_seconds("acquire_sleep_delay", acquire_sleep_delay)
        if acquire_timeout is None:
            acquire_timeout = self._acquire_timeout
        else:
            check_seconds("acquire_timeout", acquire_timeout)
        end = monotonic() + acquire_timeout if acquire_timeout else math.inf
        while True:
            session = self._open_session()
            operation = session.core.acquire(
                self._key,
                self._token_text or self._token,
                self._lease or 0.0,
                self._auto_renew,
                acquire_timeout != 0,
                acquire_sleep_delay,
                max(end - monotonic(), 0.0),
            )
            try:
                if await session.result_of(operation) != _core.GRANTED:
                    break
                # Between the grant and this line the loop may have been blocked for a while.
                sure = session.core.valid_for(operation) > self._doubtful
                if sure or await self._ask(session, operation, self._lease or 0.0):
                    self._begin(session, operation)
                    return True
                # It was granted, but so long ago that it is lost again.
                session.abandon(operation)
            except BaseException as error:
                session.abandon(operation)
                if isinstance(error, OperationFailedError):
                    raise translated(error, "acquire", self._key) from None
                raise
        raise TimeoutError(f"{self._key!r} was not free within {acquire_timeout} seconds")

    async def try_acquire(self) -> bool:
        """Take the lock if it is free now and nobody waits for it.

        Cancellation, a lost connection and errors are as with ``acquire``.

        :returns: whether this task holds the lock now
        """
        try:
            return await self.acquire(acquire_timeout=0)
        except TimeoutError:
            return False

    def _open_session(self) -> Session:
        session = self._session
        if session is None or not session.usable():
            session = self._session = session_for(self._server)
            self._loss = None
        return session

    def _begin(self, session: Session, operation: int) -> None:
        hold = Hold(session, operation)
        session.holders[operation] = ref(self)
        for other in self._holds:
            # This task has lost the lock before, and takes it again instead of a release.
            if other.lost and other.task is hold.task:
                self._drop(other.operation)
                other.session.abandon(other.operation)
        self._holds += (hold,)
        self._lost = False
        if self._loss is not None:
            self._loss.clear()

    # ---- release ----

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

    async def _release(self, hold: Hold) -> None:
        self._drop(hold.operation)
        session = hold.session
        session.holders.pop(hold.operation, None)
        if hold.lost or session.closed:
            session.abandon(hold.operation)
            raise LockLostError(self._lost_text())
        session.core.release(hold.operation)
        try:
            outcome = await session.result_of(hold.operation)
        except OperationFailedError as failure:
            raise translated(failure, "release", self._key) from None
        if outcome != _core.RELEASED:
            self._set_lost()
            raise LockLostError(self._lost_text())

    def _drop(self, operation: int) -> None:
        holds = self._holds
        if len(holds) == 1 and holds[0].operation == operation:
            self._holds = ()
        else:
            self._holds = tuple(hold for hold in holds if hold.operation != operation)

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        hold = self._current("release")
        try:
            await self._release(hold)
        except LockLostError as lost:
            # A cancellation that was ours has done its work; but somebody else may want one too.
            ours = hold.cancelled and hold.end_cancellation()
            if ours and isinstance(exc, asyncio.CancelledError):
                raise lost from None
            if exc is None:
                raise
            # What went wrong in the block comes first.
            exc.add_note(str(lost))

    # ---- state ----

    async def locked(self) -> bool:
        """Ask the server whether anybody holds the lock.

        :raises redis.exceptions.RedisError: as ``acquire``
        """
        session = self._open_session()
        operation = session.core.locked(self._key)
        try:
            return await session.result_of(operation) == _core.LOCKED
        except OperationFailedError as failure:
            raise translated(failure, "ask for", self._key) from None

    async def owned(self) -> bool:
        """Ask the server whether this object holds the lock.

        :raises redis.exceptions.RedisError: as ``acquire``
        """
        hold = self._find()
        return hold is not None and not hold.lost and await self._ask_or_raise(hold, 0.0)

    async def extend(self, seconds: float) -> None:
        """Make the lease last at least ``seconds`` from now; it never gets shorter.

        :param seconds: > 0
        :raises ValueError: if ``seconds`` is not a positive finite number
        :raises RuntimeError: if this object does not hold the lock
        :raises LockLostError: if it did, but the lease ended before
        :raises redis.exceptions.RedisError: as ``acquire``
        """
        check_seconds("seconds", seconds, positive=True)
        hold = self._current("extend")
        if hold.lost or not await self._ask_or_raise(hold, seconds):
            raise LockLostError(self._lost_text())

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

    def valid_for(self) -> float:
        """Tell for how many seconds the lock is surely still held; 0 if it is not, or was lost.

        Takes no round trip: the time is that of a monotonic clock, which also counts while the
        machine sleeps. Infinite for a lock without a lease.
        """
        hold = self._find()
        if hold is None or hold.lost or hold.session.closed:
            return 0.0
        return hold.session.core.valid_for(hold.operation)

    @property
    def lost(self) -> LossEvent:
        """An event, also to be awaited: set from the loss of the lock until its next grant."""
        if self._loss is None:
            self._loss = LossEvent()
            if self._lost:
                self._loss.set()
        return self._loss

    def _set_lost(self) -> None:
        self._lost = True
        if self._loss is not None:
            self._loss.set()

    def __repr__(self) -> str:
        state = "not held" if not self._holds else "lost" if self._holds[-1].lost else "held"
        return f"<{type(self).__name__} {self._key!r}, {state}>"

    def __del__(self) -> None:
        # A lock that nobody can release is not renewed for ever.
        for hold in getattr(self, "_holds", ()):
            hold.session.forget(hold.operation)

    # ---- helpers ----

    def _find(self) -> Hold | None:
        """Give the running task's hold, or else the oldest."""
        holds = self._holds
        if len(holds) > 1:
            # Several tasks share this object, and one that lost the lock has not noticed yet.
            with contextlib.suppress(RuntimeError):
                task = asyncio.current_task()
                return next((hold for hold in holds if hold.task is task), holds[0])
        return holds[0] if holds else None

    def _current(self, what: str) -> Hold:
        hold = self._find()
        if hold is None:
            raise RuntimeError(f"cannot {what} {self._key!r}: this object does not hold it")
        return hold

    async def _ask(self, session: Session, operation: int, lease: float) -> bool:
        if session.core.valid_for(operation) == 0:
            return False  # The lease is over; the server may only not have noticed.
        answer = await session.result_of(session.core.confirm(operation, lease))
        return answer == _core.HELD and session.core.valid_for(operation) > 0

    async def _ask_or_raise(self, hold: Hold, lease: float) -> bool:
        if hold.session.closed:
            return False
        try:
            return await self._ask(hold.session, hold.operation, lease)
        except OperationFailedError as failure:
            raise translated(failure, "ask for", self._key) from None

    def _lost_text(self) -> str:
        return (
            f"{self._key!r} was lost: its lease ended before the release, others may have held it"
        )

    def _on_loss(self, operation: int) -> None:
        """Learn from the session that a hold was lost."""
        hold = next((hold for hold in self._holds if hold.operation == operation), None)
        if hold is None:
            return
        hold.lost = True
        self._set_lost()
        if self._cancel_on_lost:
            hold.cancel_task(self._lost_text())
        if self._on_lost is not None:
            call_on_lost(self._on_lost, self, hold.session.loop)
