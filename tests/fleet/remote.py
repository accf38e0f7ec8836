"""The test's end of `nodes.obey`: a primitive in another process, which does as it is told."""

import uuid
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.fleet import nodes
from tests.support.processes import Child
from tests.support.redis_server import RedisServer


class Remote:
    """One primitive of one package in a process of its own.

    :param kind: "old" or "new"
    :param name: of the class
    :param options: of the primitive
    :param environment: variables to add
    """

    def __init__(
        self,
        server: RedisServer,
        kind: str,
        name: str,
        key: str,
        options: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.ordered: Counter[str] = Counter()
        self._client = server.sync()
        self._orders = f"orders-{uuid.uuid4().hex[:12]}"
        arguments = (kind, name, server.url, key, self._orders, dict(options))
        self.child = Child(nodes.obey, *arguments, environment=environment)

    def order(
        self, method: str, *arguments: object, inside: bool = False, other: str | None = None
    ) -> None:
        """Have a method called; do not wait for it.

        :param inside: have it called within `async with`
        :param other: a key to use instead of the first one
        """
        self.ordered[method] += 1
        text = nodes.order(method, *arguments, inside=inside, other=other)
        self._client.rpush(self._orders, text)

    async def done(self, method: str) -> Any:
        """Wait until a call that was ordered has returned; return what it did."""
        return (await self.child.expect(f"{method} done"))["result"]

    async def call(self, method: str, *arguments: object, **how: Any) -> Any:
        """Have a method called, as `order` does, and wait for its end."""
        self.order(method, *arguments, **how)
        return await self.done(method)

    def count(self, event: str) -> int:
        """Return how often it has told of an event."""
        return sum(each["event"] == event for each in self.child.events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.child.close()
        self._client.close()
