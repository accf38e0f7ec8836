"""What the tests of the barrier look at from outside: its keys and messages, and old processes."""

import asyncio
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from dsync import DistributedBarrier

from tests.integration.locks import leftovers, peek
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


def count_name(key: str) -> str:
    """Return the key that counts the arrivals, as the contract names it."""
    return f"distributed_barrier_count_{key}"


def channel_name(key: str) -> str:
    """Return the channel of a barrier, as the contract names it."""
    return f"distributed_barrier_channel{key}"


def guard_name(key: str) -> str:
    """Return the lock that old processes hold while they change the count."""
    return f"distributed_lock_barrier_{key}"


def parties_name(key: str) -> str:
    """Return the key of the parties that wait."""
    return f"{{{count_name(key)}}}:dsync:parties"


def arrivals(server: RedisServer, key: str) -> int:
    """Return the number of arrivals that Redis has counted in this round."""
    with peek(server) as client:
        return int(client.get(count_name(key)) or 0)


def let_end(server: RedisServer, key: str, processes: int) -> None:
    """Let the nodes of `go_round` end."""
    with peek(server) as client:
        client.rpush(f"{key}-end", *range(processes))


async def until_arrived(server: RedisServer, key: str, count: int) -> None:
    """Wait until so many arrivals are counted."""
    await eventually(lambda: arrivals(server, key) == count, f"{count} arrivals")


async def start_parties(
    server: RedisServer, key: str, *barriers: DistributedBarrier
) -> list[asyncio.Task[None]]:
    """Let tasks wait at barriers of one key, one after the other; none of them may open it."""
    tasks: list[asyncio.Task[None]] = []
    before = arrivals(server, key)
    for barrier in barriers:
        tasks.append(asyncio.create_task(barrier.wait()))
        await until_arrived(server, key, before + len(tasks))
    return tasks


def done(tasks: Iterable[asyncio.Task[Any]]) -> int:
    """Return how many tasks have ended."""
    return sum(task.done() for task in tasks)


async def until_done(tasks: Iterable[asyncio.Task[Any]], count: int) -> None:
    """Wait until so many tasks have ended."""
    await eventually(lambda: done(tasks) == count, f"{count} tasks end")


async def until_nothing_is_left(server: RedisServer, *documented: str) -> None:
    """Wait until Redis has only documented keys, and marks of calls that expire by themselves."""

    def is_clean() -> bool:
        return all(
            name in documented or (name.endswith(":dsync:done") and 0 <= left <= 600)
            for name, left in leftovers(server).items()
        )

    try:
        await eventually(is_clean)
    except AssertionError:
        raise AssertionError(f"left in Redis: {leftovers(server)}") from None


class Listener:
    """Hears all that is published on one channel, or on all those of a pattern.

    Who listens by a pattern is no subscriber for those that count the subscribers of a channel.
    """

    def __init__(self, server: RedisServer, *, channel: str = "", pattern: str = "") -> None:
        self._client = server.sync()
        self._pubsub = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._probe = f"probe-{uuid.uuid4().hex}"
        self._heard: list[tuple[str, str]] = []
        if pattern:
            self._pubsub.psubscribe(pattern)
        # The probe comes last: where it is heard, so is the rest.
        self._pubsub.subscribe(*filter(None, [channel]), self._probe)
        while self._client.pubsub_numsub(self._probe)[0][1] == 0:
            pass

    def messages(self) -> list[tuple[str, str]]:
        """Return the channel and text of each message published so far."""
        self._client.publish(self._probe, "")
        while True:
            message = self._pubsub.get_message(timeout=10)
            assert message is not None, "the server is silent"
            if message["channel"] == self._probe and message["type"] == "message":
                return list(self._heard)
            if message["type"] in ("message", "pmessage"):
                self._heard.append((str(message["channel"]), str(message["data"])))

    def words(self) -> list[str]:
        """Return the texts alone."""
        return [text for _, text in self.messages()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pubsub.close()
        self._client.close()


class OldParty(Listener):
    """A party of the old package, in plain commands, which the test may call one by one."""

    def __init__(self, server: RedisServer, key: str, parties: int) -> None:
        super().__init__(server, channel=channel_name(key))
        self._key, self._parties = key, parties

    def arrive(self) -> None:
        """Do all that its `wait` does before it listens."""
        self.take_guard()
        if self.count() >= self._parties:
            self.end("release", self._parties)
        self.free_guard()

    def break_round(self, word: str) -> None:
        """Do what its `reset` and its `abort` do."""
        self.take_guard()
        self.end(word, 1)
        self.free_guard()

    def take_guard(self) -> None:
        """Take the lock of the barrier, which only old parties take."""
        assert self._client.set(guard_name(self._key), "old", nx=True)

    def free_guard(self) -> None:
        """Give the lock back, telling nobody."""
        assert self._client.delete(guard_name(self._key))

    def count(self) -> int:
        """Count this arrival; returns all of them."""
        return int(self._client.incr(count_name(self._key)))

    def end(self, word: str, times: int) -> None:
        """Begin a new round, and say why, so many times."""
        self._client.set(count_name(self._key), 0)
        self.say(word, times)

    def say(self, word: str, times: int) -> None:
        """Say something on the channel."""
        for _ in range(times):
            self._client.publish(channel_name(self._key), word)
