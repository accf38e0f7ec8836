"""The primitives for code without asyncio: Flask, Django, Celery, scripts.

They are those of ``dsync``, driven from blocking code: the same keys, the same queues, so tasks and
threads wait in one line. What a method does, which errors it raises, and what a lost connection
does stands with the method of the same name of the asynchronous class; here is what differs.

Every object may be used by many threads at once, also by one that runs an event loop (which stands
still meanwhile). A call releases the GIL while it waits. Ctrl-C, or another exception of a signal
handler, ends it as a cancellation ends that of a task: nothing is left behind. All threads of a
process share two connections to a server. After a fork the child makes its own, and what the parent
held stays the parent's. When the interpreter ends, what is held is freed.

Under the monkey patching of gevent or eventlet the first call raises RuntimeError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import dsync.barrier
import dsync.condition
import dsync.event
import dsync.lock
import dsync.semaphore
from dsync._blocking import (
    Acquirable,
    Blocking,
    BlockingLeased,
    happens,
    in_a_thread,
    refuse_cancelling,
)
from dsync._blocking_client import server_of_any
from dsync._checks import check_seconds
from dsync._leased import Leased
from dsync._portal import as_caller, close, run

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

__all__ = [
    "DistributedBarrier",
    "DistributedBoundedSemaphore",
    "DistributedCondition",
    "DistributedEvent",
    "DistributedLock",
    "DistributedSemaphore",
    "close",
]

_T = TypeVar("_T")


class DistributedLock(BlockingLeased[dsync.lock.DistributedLock]):
    """A lock that one thread, or task, of a whole fleet holds at a time.

    Use it as ``with DistributedLock(redis, key):``. It is the same lock as that of a
    ``dsync.DistributedLock`` with this key; see there for the parameters. Different are:

    :param redis: also a blocking ``redis.Redis`` or ``valkey.Valkey``
    :param on_lost: called in a thread of its own
    :param cancel_on_lost: must be False, since a thread cannot be cancelled
    """

    __slots__ = ()

    def __init__(
        self,
        redis: Redis | AsyncRedis | Any | str,
        key: str,
        acquire_sleep_delay: float = 0.1,
        acquire_timeout: float | None = None,
        *,
        lease: float | None = 30.0,
        auto_renew: bool = True,
        on_lost: Callable[[DistributedLock], None] | None = None,
        cancel_on_lost: bool = False,
        migration_window: float | None = None,
        fair: Literal["bounded", "strict"] = "bounded",
    ) -> None:
        refuse_cancelling(cancel_on_lost)
        self._async = dsync.lock.DistributedLock(
            server_of_any(redis),
            key,
            acquire_sleep_delay,
            acquire_timeout,
            lease=lease,
            auto_renew=auto_renew,
            on_lost=in_a_thread(self, on_lost),
            migration_window=migration_window,
            fair=fair,
        )

    @property
    def _token(self) -> str:
        return as_caller(lambda: self._async._token)

    @property
    def fencing_token(self) -> int:
        """The number of this grant, greater than those of all grants of the key before."""
        return as_caller(lambda: self._async.fencing_token)

    def release(self) -> None:
        """Free the lock, or hand it to whoever has waited longest, task or thread.

        :raises RuntimeError: if this object does not hold the lock; LockLostError if it has lost it
        """
        self._releasing(self._async.release)

    def locked(self) -> bool:
        """Ask the server whether anybody holds the lock."""
        return run(self._async.locked)

    def _free(self) -> None:
        run(self._async._free)


class DistributedSemaphore(BlockingLeased[dsync.semaphore.DistributedSemaphore]):
    """Slots that at most ``value`` threads and tasks of a whole fleet hold at a time.

    Use it as ``with DistributedSemaphore(redis, key, value):``. See ``dsync.DistributedSemaphore``
    for the parameters, and ``DistributedLock`` for those that differ here.
    """

    __slots__ = ()
    _kind: type[dsync.semaphore.DistributedSemaphore] = dsync.semaphore.DistributedSemaphore

    def __init__(
        self,
        redis: Redis | AsyncRedis | Any | str,
        key: str,
        value: int,
        acquire_sleep_delay: float = 0.1,
        acquire_timeout: float | None = None,
        *,
        lease: float | None = 30.0,
        auto_renew: bool = True,
        on_lost: Callable[[DistributedSemaphore], None] | None = None,
        cancel_on_lost: bool = False,
        migration_window: float | None = None,
    ) -> None:
        refuse_cancelling(cancel_on_lost)
        self._async = self._kind(
            server_of_any(redis),
            key,
            value,
            acquire_sleep_delay,
            acquire_timeout,
            lease=lease,
            auto_renew=auto_renew,
            on_lost=in_a_thread(self, on_lost),
            migration_window=migration_window,
        )

    def release(self) -> None:
        """Give back the slot that this thread, or else this object, took last; without one, add a
        slot.

        :raises LockLostError: if the lease of the permit has ended before
        """
        self._releasing(self._async.release)

    def locked(self) -> bool:
        """Ask the server whether all slots are taken."""
        return run(self._async.locked)


class DistributedBoundedSemaphore(DistributedSemaphore):
    """A semaphore whose ``release`` raises ValueError where it would exceed ``value``."""

    __slots__ = ()
    _kind = dsync.semaphore.DistributedBoundedSemaphore


class DistributedCondition(Acquirable[dsync.condition.DistributedCondition]):
    """Threads and tasks of a whole fleet that wait for others to notify them.

    See ``dsync.DistributedCondition``, and ``DistributedLock`` for the parameters that differ here.
    """

    __slots__ = ()

    def __init__(
        self,
        redis: Redis | AsyncRedis | Any | str,
        key: str,
        acquire_sleep_delay: float = 0.1,
        acquire_timeout: float | None = None,
        *,
        lease: float | None = 30.0,
        auto_renew: bool = True,
        on_lost: Callable[[DistributedCondition], None] | None = None,
        cancel_on_lost: bool = False,
        migration_window: float | None = None,
        fair: Literal["bounded", "strict"] = "bounded",
    ) -> None:
        refuse_cancelling(cancel_on_lost)
        self._async = dsync.condition.DistributedCondition(
            server_of_any(redis),
            key,
            acquire_sleep_delay,
            acquire_timeout,
            lease=lease,
            auto_renew=auto_renew,
            on_lost=in_a_thread(self, on_lost),
            migration_window=migration_window,
            fair=fair,
        )

    def _leased(self) -> Leased:
        return self._async._lock

    def release(self) -> None:
        """Free the lock; see ``DistributedLock.release``."""
        self._releasing(self._async.release)

    def locked(self) -> bool:
        """Ask the server whether anybody holds the lock."""
        return run(self._async.locked)

    def wait(self, *, timeout: float | None = None) -> bool:
        """Wait for a notification.

        Called while this object holds the lock, it frees the lock, waits, and has taken it again
        when it returns or raises, also after the timeout.

        :param timeout: seconds, >= 0; None waits for ever
        :returns: whether it was notified in that time
        """
        return happens(self._async.wait, timeout)

    def wait_for(self, predicate: Callable[[], _T], *, timeout: float | None = None) -> _T:
        """Wait until the predicate is true, and give its value.

        It is asked in the calling thread: at once, after each notification and after the timeout.

        :param predicate: called without arguments, while the lock is held if it was held before
        :param timeout: seconds, >= 0; None waits for ever
        :returns: the last value of the predicate, which is false after the timeout
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        end = math.inf if timeout is None else monotonic() + timeout
        while not (result := predicate()):
            if not self.wait(timeout=None if timeout is None else max(end - monotonic(), 0.0)):
                return predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake the ``n`` that have waited longest, or all if there are fewer.

        :raises RuntimeError: if this object does not hold the lock; LockLostError if it has lost it
        """
        run(self._async.notify, n)

    def notify_all(self) -> None:
        """Wake all that wait at this moment; all else is as with ``notify``."""
        run(self._async.notify_all)


class DistributedBarrier(Blocking[dsync.barrier.DistributedBarrier]):
    """A place where ``parties`` threads and tasks of a fleet wait until all of them are there.

    See ``dsync.DistributedBarrier``.
    """

    __slots__ = ()

    def __init__(self, redis: Redis | AsyncRedis | Any | str, key: str, parties: int) -> None:
        self._async = dsync.barrier.DistributedBarrier(server_of_any(redis), key, parties)

    @property
    def parties(self) -> int:
        """How many open the barrier."""
        return self._async.parties

    def wait(self, *, timeout: float | None = None) -> None:
        """Wait until all parties are there.

        :param timeout: seconds, >= 0; None waits for ever
        :raises TimeoutError: if they are not there in that time; this party does not count then
        :raises BrokenBarrierError: if the round was reset or aborted
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        run(self._async.wait, timeout=timeout)

    def n_waiting(self) -> int:
        """Ask the server how many parties wait."""
        return run(self._async.n_waiting)

    def reset(self) -> None:
        """Break the round for all its parties; those that come later begin another."""
        run(self._async.reset)

    def abort(self) -> None:
        """Break the round for all its parties; old processes hear another word than ``reset``."""
        run(self._async.abort)

    def _reset_count(self) -> None:
        run(self._async._reset_count)

    def _publish_release(self) -> None:
        run(self._async._publish_release)


class DistributedEvent(Blocking[dsync.event.DistributedEvent]):
    """A flag that threads and tasks of a fleet set, clear, and wait for.

    See ``dsync.DistributedEvent``.
    """

    __slots__ = ()

    def __init__(
        self, redis: Redis | AsyncRedis | Any | str, name: str, consumer_timeout: float = 5
    ) -> None:
        self._async = dsync.event.DistributedEvent(server_of_any(redis), name, consumer_timeout)

    def is_set(self) -> bool:
        """Ask the server whether the flag is set."""
        return run(self._async.is_set)

    def set(self) -> None:
        """Set the flag, and wake all that wait for it."""
        run(self._async.set)

    def clear(self) -> None:
        """Clear the flag."""
        run(self._async.clear)

    def wait(self, *, timeout: float | None = None) -> bool:
        """Wait until the flag is set.

        :param timeout: seconds, >= 0; 0 asks once, None waits for ever
        :returns: whether it was set in that time
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        return self.is_set() if timeout == 0 else happens(self._async.wait, timeout)
