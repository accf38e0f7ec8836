"""A master, a replica and the sentinels that watch them."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel

from tests.support.daemon import Daemon
from tests.support.redis_server import ADMIN, ADMIN_PASSWORD, RedisServer

MASTER_NAME = "mymaster"
TIMEOUT = 30.0


class SentinelProcess(Daemon):
    """One sentinel, which takes a master for dead after half a second."""

    def __init__(self, master: RedisServer, quorum: int) -> None:
        super().__init__()
        self._master = master
        self._quorum = quorum

    def configuration(self) -> list[str]:
        """Return the lines of sentinel.conf."""
        return [
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {self._master.port} {self._quorum}",
            f"sentinel auth-user {MASTER_NAME} {ADMIN}",
            f"sentinel auth-pass {MASTER_NAME} {ADMIN_PASSWORD}",
            f"sentinel down-after-milliseconds {MASTER_NAME} 500",
            f"sentinel failover-timeout {MASTER_NAME} 2000",
        ]

    def sync(self) -> redis.Redis:
        """Return a blocking client of the sentinel itself."""
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=10)

    def ask(self, command: str) -> Any:
        """Return the reply of SENTINEL `command` for the master."""
        with self.sync() as client:
            return client.execute_command("SENTINEL", command, MASTER_NAME)

    def _arguments(self) -> list[str]:
        return ["--sentinel"]


class SentinelGroup:
    """The whole group; `master` and `replica` keep these names after a failover."""

    def __init__(self, sentinels: int = 1, *, password: str | None = None) -> None:
        self.master = RedisServer(password=password)
        self.replica = RedisServer(password=password, replica_of=self.master)
        quorum = sentinels // 2 + 1
        self.sentinels = [SentinelProcess(self.master, quorum) for _ in range(sentinels)]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each sentinel."""
        return [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]

    @asynccontextmanager
    async def client(self, **kwargs: Any) -> AsyncIterator[redis.asyncio.Redis]:
        """Give an asyncio client of whoever is master; its sentinels' connections close with it."""
        kwargs = {"password": self.master.password} | kwargs
        watchers = Sentinel(self.addresses, **kwargs)  # type: ignore[no-untyped-call]
        try:
            async with watchers.master_for(MASTER_NAME) as client:
                yield client
        finally:
            for watcher in watchers.sentinels:
                await watcher.aclose()

    def master_port(self) -> int:
        """Return the port of the master as the sentinels tell it to clients."""
        ports = {int(each.ask("GET-MASTER-ADDR-BY-NAME")[1]) for each in self._running_sentinels()}
        return ports.pop() if len(ports) == 1 else 0

    def failover(self) -> None:
        """Swap the two servers in good order, and wait until all sentinels tell the new master."""
        before = self.master_port()
        self._running_sentinels()[0].ask("FAILOVER")
        self.wait_for_new_master(before)

    def wait_for_new_master(self, before: int) -> None:
        """Wait until all sentinels tell a master other than `before`, and it is writable."""
        self._wait(lambda: self.master_port() not in (0, before), "a new master is announced")
        server = next(each for each in (self.master, self.replica) if each.port != before)
        self._wait(lambda: _role(server) == "master", "the new master is writable")

    def __enter__(self) -> Self:
        try:
            for each in (self.master, self.replica, *self.sentinels):
                each.start()
            self._wait(self._is_complete, "the sentinels know the replica and each other")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for each in (*self.sentinels, self.replica, self.master):
            each.close()

    def _running_sentinels(self) -> list[SentinelProcess]:
        return [each for each in self.sentinels if each.running]

    def _is_complete(self) -> bool:
        return all(
            _is_in_sync(each.ask("REPLICAS"))
            and len(each.ask("SENTINELS")) == len(self.sentinels) - 1
            for each in self.sentinels
        )

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except redis.RedisError:
                pass
            time.sleep(0.02)
        raise TimeoutError(f"not within {TIMEOUT:.0f} s: {what}")


def _role(server: RedisServer) -> str:
    with server.sync() as client:
        return str(client.role()[0])


def _is_in_sync(replicas: list[dict[str, str]]) -> bool:
    return len(replicas) == 1 and replicas[0]["master-link-status"] == "ok"
