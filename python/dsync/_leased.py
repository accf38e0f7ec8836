"""What a lock and the permits of a semaphore have in common: leases, and how they end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from time import monotonic
from types import TracebackType
from typing import Any, Self
from weakref import ref

from dsync import _core
from dsync._checks import check_seconds, migration_window_of
from dsync._hold import Hold, LossEvent, call_on_lost, current_owner, latest
from dsync._primitive import Primitive
from dsync._session import Session
from dsync.errors import LockLostError, OperationFailedError, translated

# A lease with less than this part of it left is confirmed before `acquire` returns.
_DOUBTFUL = 0.1
_HAND_OVER_LEASE = 5.0  # seconds; the first lease of what was handed over


class Leased(Primitive):
    """Something that is acquired for a lease, which is renewed until the release.

    One object may be used by many tasks, so it may have several holds. What concerns one of them is
    the running task's, if it has one.
    """

    __slots__ = (
        "_acquire_sleep_delay",
        "_acquire_timeout",
        "_auto_renew",
        "_cancel_on_lost",
        "_doubtful",
        "_holds",
        "_lease",
        "_loss",
        "_lost",
        "_on_lost",
        "_window",
    )

    def __init__(
        self,
        redis: Any,
        key: str,
        acquire_sleep_delay: float,
        acquire_timeout: float | None,
        *,
        lease: float | None,
        auto_renew: bool,
        on_lost: Callable[[Any], Awaitable[None] | None] | None,
        cancel_on_lost: bool,
        migration_window: float | None,
    ) -> None:
        check_seconds("acquire_sleep_delay", acquire_sleep_delay)
        if acquire_timeout is not None:
            check_seconds("acquire_timeout", acquire_timeout)
        if lease is not None:
            check_seconds("lease", lease, positive=True)
        if on_lost is not None and not callable(on_lost):
            raise TypeError(f"on_lost must be callable, not {type(on_lost).__name__}")
        self._window = migration_window_of(migration_window)
        super().__init__(redis, key)
        self._acquire_sleep_delay = acquire_sleep_delay
        self._acquire_timeout = acquire_timeout
        self._lease = lease
        self._doubtful = _DOUBTFUL * min(lease or 0.0, _HAND_OVER_LEASE)
        self._auto_renew = auto_renew
        self._on_lost = on_lost
        self._cancel_on_lost = cancel_on_lost
        self._holds: tuple[Hold, ...] = ()
        self._lost = False
        self._loss: LossEvent | None = None

    def _start(self, session: Session, queueing: bool, delay: float, timeout: float) -> int:
        """Begin to acquire; gives the operation."""
        raise NotImplementedError

    # ---- acquire ----

    async def acquire(
        self, acquire_sleep_delay: float | None = None, acquire_timeout: float | None = None
    ) -> bool:
        """Wait until this task holds it.

        A task that is cancelled here leaves nothing behind: it gives up its place in the queue, and
        what was granted meanwhile goes on to the next.

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
            operation = 0
            try:
                time_left = max(end - monotonic(), 0.0) if acquire_timeout else math.inf
                operation = self._start(
                    session, acquire_timeout != 0, acquire_sleep_delay, time_left
                )
                if await session.result_of(operation) != _core.GRANTED:
                    break
                if self._accept(session, operation) or await self._confirm(session, operation):
                    return True
            except BaseException as error:
                session.abandon(operation)
                if isinstance(error, OperationFailedError):
                    raise translated(error, "acquire", self._key) from None
                raise
        raise TimeoutError(f"{self._key!r} was not free within {acquire_timeout} seconds")

    def _accept(self, session: Session, operation: int) -> bool:
        """Make a hold of a grant that is surely one still."""
        # Between the grant and this line the loop may have been blocked for a while.
        if session.core.valid_for(operation) <= self._doubtful:
            return False
        self._begin(session, operation)
        return True

    async def _confirm(self, session: Session, operation: int) -> bool:
        """Make a hold of a grant if it is one still, or else give it back."""
        if await self._ask(session, operation, self._lease or 0.0):
            self._begin(session, operation)
            return True
        session.abandon(operation)
        return False

    async def try_acquire(self) -> bool:
        """Take it if it is free now and nobody waits for it.

        Cancellation, a lost connection and errors are as with ``acquire``.

        :returns: whether this task holds it now
        """
        try:
            return await self.acquire(acquire_timeout=0)
        except TimeoutError:
            return False

    def _on_new_session(self) -> None:
        self._loss = None

    def _begin(self, session: Session, operation: int) -> None:
        if self._holds:
            self._drop_lost()
        session.holders[operation] = ref(self)
        self._holds += (Hold(session, operation),)
        self._lost = False
        if self._loss is not None:
            self._loss.clear()

    def _drop_lost(self) -> None:
        """Drop the holds that end by the next one."""

    # ---- release ----

    async def release(self) -> None:
        """Give back what this task, or else this object, took last."""
        raise NotImplementedError

    async def _release(self, hold: Hold) -> None:
        self._drop(hold.operation)
        session = hold.session
        session.holders.pop(hold.operation, None)
        if hold.lost or session.closed:
            session.abandon(hold.operation)
            raise LockLostError(self._lost_text())
        try:
            outcome = await session.release(hold.operation)
        except OperationFailedError as failure:
            raise translated(failure, "release", self._key) from None
        if outcome != _core.RELEASED:
            self._refuse(hold, outcome)

    def _refuse(self, hold: Hold, outcome: int) -> None:
        """Raise what a release that did not happen means."""
        self._set_lost()
        raise LockLostError(self._lost_text())

    def _drop(self, operation: int) -> None:
        holds = self._holds
        if len(holds) == 1 and holds[0].operation == operation:
            self._holds = ()
        else:
            self._holds = tuple(hold for hold in holds if hold.operation != operation)

    def _keep(self, hold: Hold) -> None:
        """Take back a hold that was dropped for an end that did not come."""
        self._holds += (hold,)
        hold.session.holders[hold.operation] = ref(self)

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        hold = latest(self._holds)
        if hold is None:
            await self.release()
            return
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

    async def _give_back(self, before: tuple[Hold, ...]) -> None:
        """Give back what this thread has acquired beside what was held before."""
        owner = current_owner()
        for hold in self._holds:
            if hold.owner == owner and hold not in before:
                self._abandon(hold)

    async def _finish_release(self, before: tuple[Hold, ...]) -> None:
        """Give back what this thread has begun to give back."""
        hold = latest(before)
        if hold is not None:
            self._abandon(hold)

    def _abandon(self, hold: Hold) -> None:
        self._drop(hold.operation)
        hold.session.abandon(hold.operation)

    # ---- state ----

    async def owned(self) -> bool:
        """Ask the server whether this object holds it.

        :raises redis.exceptions.RedisError: as ``acquire``
        """
        hold = latest(self._holds)
        return hold is not None and not hold.lost and await self._ask_or_raise(hold, 0.0)

    async def extend(self, seconds: float) -> None:
        """Make the lease last at least ``seconds`` from now; it never gets shorter.

        :param seconds: > 0
        :raises ValueError: if ``seconds`` is not a positive finite number
        :raises RuntimeError: if this object does not hold it
        :raises LockLostError: if it did, but the lease ended before
        :raises redis.exceptions.RedisError: as ``acquire``
        """
        check_seconds("seconds", seconds, positive=True)
        hold = self._current("extend")
        if hold.lost or not await self._ask_or_raise(hold, seconds):
            raise LockLostError(self._lost_text())

    def valid_for(self) -> float:
        """Tell for how many seconds it is surely still held; 0 if it is not, or was lost.

        Takes no round trip: the time is that of a monotonic clock, which also counts while the
        machine sleeps. Infinite without a lease.
        """
        hold = latest(self._holds)
        if hold is None or hold.lost or hold.session.closed:
            return 0.0
        return hold.session.core.valid_for(hold.operation)

    @property
    def lost(self) -> LossEvent:
        """An event, also to be awaited: set from a loss until the next grant."""
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
        # What nobody can release is not renewed for ever.
        for hold in getattr(self, "_holds", ()):
            hold.session.forget(hold.operation)

    # ---- helpers ----

    def _current(self, what: str) -> Hold:
        hold = latest(self._holds)
        if hold is None:
            raise RuntimeError(f"cannot {what} {self._key!r}: this object does not hold it")
        return hold

    async def _ask(self, session: Session, operation: int, lease: float) -> bool:
        if session.core.valid_for(operation) == 0:
            return False  # The lease is over; the server may only not have noticed.
        question = session.core.confirm(operation, lease)
        try:
            answer = await session.result_of(question)
        except BaseException:
            session.abandon(question)
            raise
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
