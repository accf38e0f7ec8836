"""What a primitive holds, and how its holder hears of a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dsync._session import Session

_T = TypeVar("_T")


class LossEvent(asyncio.Event):
    """Set from a loss until the next grant; ``await event`` waits for the loss."""

    def __await__(self) -> Generator[Any, None, bool]:
        return self.wait().__await__()


class Hold:
    """One grant, from ``acquire`` to ``release``."""

    __slots__ = ("_cancelling", "cancelled", "lost", "operation", "session", "task")

    def __init__(self, session: Session, operation: int) -> None:
        self.session = session
        self.operation = operation
        self.task = asyncio.current_task()
        self.lost = False
        self.cancelled = False  # whether the loss cancelled the task

    def cancel_task(self, message: str) -> None:
        """Cancel the task that acquired, because of the loss."""
        if self.task is not None and not self.task.done():
            self.cancelled = True
            self._cancelling = self.task.cancelling()
            self.task.cancel(message)

    def end_cancellation(self) -> bool:
        """Take the cancellation back; tells whether it was the only one."""
        return self.task is not None and self.task.uncancel() <= self._cancelling


def call_on_lost(
    callback: Callable[[_T], Awaitable[None] | None],
    subject: _T,
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Call what the user wants called; its errors go to the loop, because nobody else waits."""
    try:
        result = callback(subject)
    except Exception as error:
        loop.call_exception_handler(
            {"message": f"on_lost of {subject!r} failed", "exception": error}
        )
        return
    if result is not None:
        task = asyncio.ensure_future(result, loop=loop)
        _callbacks.add(task)
        task.add_done_callback(_callbacks.discard)


# A task that nobody refers to may vanish before it is done.
_callbacks: set[asyncio.Future[None]] = set()
