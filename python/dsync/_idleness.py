"""Tells for how long an event loop has nothing to do."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

# Seconds; a reply that takes longer is waited for with a turn of the loop.
_LONGEST = 0.005


class Idleness:
    """A look into asyncio's own loops; nothing is known of others, as uvloop's."""

    __slots__ = ("_loop", "epoll")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        selector = getattr(loop, "_selector", None)
        self._loop: Any = None
        self.epoll = -1  # what the loop would wait with
        if isinstance(selector, selectors.EpollSelector) and all(
            hasattr(loop, name) for name in ("_ready", "_scheduled", "_stopping")
        ):
            self._loop = loop
            self.epoll = selector.fileno()

    def left(self, own: asyncio.Handle | None) -> float:
        """Give the seconds, at most 0.005, until something is due; something may happen before.

        :param own: what the loop is to call, and may as well call later
        """
        loop = self._loop
        if loop is None or loop._stopping:
            return 0.0
        ready = loop._ready
        if ready and (len(ready) > 1 or ready[0] is not own):
            return 0.0
        timers = loop._scheduled
        return min(timers[0].when() - loop.time(), _LONGEST) if timers else _LONGEST
