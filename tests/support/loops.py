"""Loops without epoll: who is alone there waits as all others do, by turns of the loop."""

import asyncio
import selectors


class TurnLoop(asyncio.SelectorEventLoop):
    """Asyncio's own, with another selector."""

    def __init__(self) -> None:
        super().__init__(selectors.PollSelector())
