"""Both faces of dsync as one: the workloads are coroutines, and run in tasks and in threads.

In a thread each call blocks, so the coroutine never waits for anything and is run by one `send`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import dsync
import dsync.sync
from dsync._portal import as_caller

T = TypeVar("T")


class TaskFace:
    """The asynchronous classes, in a task."""

    def make(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Make a primitive."""
        return getattr(dsync, name)(*arguments, **options)

    async def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""
        await asyncio.sleep(seconds)

    async def wait(self, primitive: Any, patience: float | None) -> bool:
        """Wait at a condition or a barrier; tells whether it was in time."""
        try:
            async with asyncio.timeout(patience):
                await primitive.wait()
        except TimeoutError:
            return False
        return True

    def token(self, lock: Any) -> str:
        """Return what stands in Redis while the lock is held."""
        return str(lock._token)

    def fence(self, condition: Any) -> int:
        """Return the fencing token of the lock of a condition."""
        return int(condition._lock.fencing_token)


class ThreadFace:
    """The blocking classes, in a thread."""

    def make(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Make a primitive whose methods can be awaited, but block."""
        return _Awaitable(getattr(dsync.sync, name)(*arguments, **options))

    async def sleep(self, seconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(seconds)  # noqa: ASYNC251 - in a thread

    async def wait(self, primitive: Any, patience: float | None) -> bool:
        """Wait at a condition or a barrier; tells whether it was in time."""
        # A thread cannot be cancelled at the end of the run.
        seconds = 1.0 if patience is None else patience
        try:
            return primitive.blocking.wait(timeout=seconds) is not False
        except TimeoutError:
            return False

    def token(self, lock: Any) -> str:
        """Return what stands in Redis while the lock is held."""
        return str(lock.blocking._token)

    def fence(self, condition: Any) -> int:
        """Return the fencing token of the lock of a condition."""
        return as_caller(lambda: int(condition.blocking._async._lock.fencing_token))


Face = TaskFace | ThreadFace


class _Awaitable:
    """A blocking object that looks like the asynchronous one."""

    def __init__(self, blocking: Any) -> None:
        self.blocking = blocking

    async def acquire(self, **options: Any) -> bool:
        return bool(self.blocking.acquire(**options))

    async def release(self) -> None:
        self.blocking.release()

    async def notify(self, n: int) -> None:
        self.blocking.notify(n)

    async def notify_all(self) -> None:
        self.blocking.notify_all()

    def valid_for(self) -> float:
        return float(self.blocking.valid_for())

    @property
    def fencing_token(self) -> int:
        return int(self.blocking.fencing_token)


def run_blocking(work: Callable[[T], Coroutine[Any, Any, None]], argument: T) -> None:
    """Run a coroutine that never really waits."""
    coroutine = work(argument)
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("a workload waited in a thread")
