"""The future that a task awaits while its operation is with the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from typing import Any


class Known:
    """An outcome that is there already, to be awaited all the same."""

    __slots__ = ("_outcome",)

    def __init__(self, outcome: int) -> None:
        self._outcome = outcome

    def __await__(self) -> Generator[Any, None, int]:
        return self._outcome
        yield  # what makes it a generator


class Pending(asyncio.Future[int]):
    """A future that can resume its task at once, in the same turn of the loop.

    An ordinary future has its loop call the task in the next turn, which costs a system call and a
    good part of a round trip to a server nearby. Only one task awaits each of these.
    """

    __slots__ = ("_context", "_wakeup")

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        self._wakeup = fn
        self._context = context or copy_context()

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self.resume_soon()
        return True

    def resume(self) -> None:
        """Run the task until it waits again. Not to be called while a task is running."""
        if hasattr(self, "_wakeup"):  # Nobody awaits it yet: then nobody needs to be resumed.
            self._context.run(self._wakeup, self)

    def resume_soon(self) -> None:
        """Let the loop resume the task in its next turn."""
        if hasattr(self, "_wakeup"):
            self.get_loop().call_soon(self._wakeup, self, context=self._context)
