"""Waiting for what will be true soon."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT = 20.0


async def eventually(
    condition: Callable[[], T | None], what: str = "the condition", within: float = TIMEOUT
) -> T:
    """Ask again and again, and return the first answer that is neither None nor False.

    For what nothing announces, such as the state of a server or of another process.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        answer = condition()
        if answer is not None and answer is not False:
            return answer
        if loop.time() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(0.002)
