"""Who may run the portal's loop."""

from __future__ import annotations

import threading


class Turn:
    """A lock that knows its owner at each moment, also between two lines of `take`."""

    def __init__(self) -> None:
        self._owner: dict[str, int] = {}

    def take(self) -> bool:
        """Take it if nobody has it; tells whether the calling thread has it now."""
        thread = threading.get_ident()
        return self._owner.setdefault("thread", thread) == thread

    def leave(self) -> None:
        """Give it to nobody."""
        self._owner.pop("thread", None)

    @property
    def owner(self) -> int | None:
        """The thread that has it."""
        return self._owner.get("thread")
