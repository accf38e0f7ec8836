"""Old and new processes at one condition, and what Redis tells of them."""

from collections.abc import Awaitable, Callable, Mapping

import redis

from tests.fleet.remote import Remote
from tests.support.waiting import eventually


class Meeting:
    """The processes of a fleet at one condition, each with one waiter at most."""

    def __init__(
        self, client: redis.Redis, start: Callable[..., Awaitable[Remote]], key: str
    ) -> None:
        self._client = client
        self._start = start
        self._key = key
        self._channel = f"condition_{key}_channel"

    async def join(self, kind: str, environment: Mapping[str, str] | None = None) -> Remote:
        """Start a process."""
        name = "DistributedCondition"
        return await self._start(kind, name, self._key, environment, acquire_sleep_delay=0.01)

    async def wait(self, *nodes: Remote, inside: bool = False) -> None:
        """Let processes wait, and come back when these do, and no others.

        :param inside: let the new ones take the lock before
        """
        for node in nodes:
            node.order("wait", inside=inside and node.kind == "new")
        await self.has_waiters(*nodes)

    async def has_waiters(self, *nodes: Remote) -> None:
        """Wait until these wait, and no others."""
        new = sum(node.kind == "new" for node in nodes)
        await eventually(
            lambda: self.listeners() == len(nodes) and self._listed() == new,
            f"{len(nodes)} wait, {new} of them new",
        )

    async def woken(self, nodes: list[Remote], count: int) -> None:
        """Wait until `wait` has returned so often in all, and see that it was not more often."""
        await eventually(lambda: returned(nodes) >= count, f"{count} are woken")
        assert returned(nodes) == count

    async def ends(self) -> None:
        """Wait until nobody waits, and see that no notification is left over."""
        await self.has_waiters()
        self.nothing_left_over()

    def nothing_left_over(self) -> None:
        """See that no notification is left over, which would wake somebody later."""
        assert self._client.get(f"{self._channel}_notify_counter") in (None, "0")

    def listeners(self) -> int:
        """Return how many an old `notify_all` would count: a process counts once."""
        count: int = self._client.pubsub_numsub(self._channel)[0][1]
        return count

    def _listed(self) -> int:
        # New waiters stand in a sorted set, whatever its name is.
        names = self._client.scan_iter(f"*{self._key}*", 1000, "zset")
        return sum(self._client.zcard(name) for name in names)


async def notify(node: Remote, *count: int) -> None:
    """Notify so many, within the lock."""
    await node.call("notify", *count, inside=True)


def returned(nodes: list[Remote]) -> int:
    """Count all returns of `wait`."""
    return sum(node.count("wait done") for node in nodes)
