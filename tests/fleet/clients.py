"""A client that shows what the old package does with it."""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub


class WatchedClient(Redis):
    """A client whose subscriptions the test can see, and that is slow once, after one command.

    :param slow_after: what to be slow after; `slowed` tells that the server has executed it, and
        the test sets `go_on` to let the caller have the reply
    """

    def __init__(self, port: int, *, slow_after: str = "", decode_responses: bool = True) -> None:
        # With a socket_timeout redis-py sends by `asyncio.wait_for`, which can swallow a
        # cancellation up to Python 3.11, and lets other tasks run before the reply is awaited.
        options: dict[str, Any] = {"host": "127.0.0.1", "port": port, "socket_timeout": None}
        super().__init__(decode_responses=decode_responses, **options)
        self.subscriptions: list[PubSub] = []
        self.slowed = asyncio.Event()
        self.go_on = asyncio.Event()
        self._slow_after = slow_after

    def pubsub(self, **options: Any) -> PubSub:
        """Make a subscription, and remember it."""
        subscription = super().pubsub(**options)
        self.subscriptions.append(subscription)
        return subscription

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        """Execute a command; come back late from the first one that is to be slow."""
        reply: Any = await super().execute_command(*command, **options)  # type: ignore[no-untyped-call]
        if command[0] == self._slow_after and not self.slowed.is_set():
            self.slowed.set()
            await self.go_on.wait()
        return reply
