"""What a primitive holds, and how its holder hears of a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from dsync._call import caller

if TYPE_CHECKING:
    from dsync._session import Session

_T = TypeVar("_T")


class LossEvent(asyncio.Event):
    """Set from a loss until the next grant; ``await event`` waits for the loss."""

    def __await__(self) -> Generator[Any, None, bool]:
        return self.wait().__await__()


def current_owner(
    loop: asyncio.AbstractEventLoop | None = None,
) -> asyncio.Task[Any] | int | None:
    """Tell for whom this code runs: a task, or a thread that waits (its ident), or neither.

    :param loop: the running one, if it is known: to find it takes a system call
    """
    thread = caller.get()
    if thread is not None:
        return thread
    try:
        return asyncio.current_task(loop)
    except RuntimeError:
        return None


class Hold:
    """One grant, from ``acquire`` to ``release``."""

    __slots__ = ("_cancelling", "cancelled", "lost", "operation", "owner", "session")

    def __init__(self, session: Session, operation: int) -> None:
        self.session = session
        self.operation = operation
        self.owner = current_owner(session.loop)
        self.lost = False
        self.cancelled = False  # whether the loss cancelled the task

    def cancel_task(self, message: str) -> None:
        """Cancel the task that acquired, because of the loss."""
        if isinstance(self.owner, asyncio.Task) and not self.owner.done():
            self.cancelled = True
            self._cancelling = self.owner.cancelling()
            self.owner.cancel(message)

    def end_cancellation(self) -> bool:
        """Take the cancellation back; tells whether it was the only one."""
        return isinstance(self.owner, asyncio.Task) and self.owner.uncancel() <= self._cancelling


def latest(holds: tuple[Hold, ...]) -> Hold | None:
    """Give the latest hold of the running task or thread, or else the latest of all."""
    if len(holds) <= 1:
        return holds[0] if holds else None
    owner = current_owner()
    return next((hold for hold in reversed(holds) if hold.owner == owner), holds[-1])


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
