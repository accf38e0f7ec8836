"""Watches the queue of a lock, since no client knows when it came into it."""

import asyncio
import threading
import time

import redis

from tests.history.recorder import Recorder
from tests.support.redis_server import RedisServer

PERIOD = 0.003


class Watcher:
    """Writes down whose tokens stand in a queue, from a thread of its own.

    Only what is new is written; who leaves the queue and comes back is new again.
    """

    def __init__(self, server: RedisServer, key: str, recorder: Recorder) -> None:
        self._client = server.sync()
        self._key = key
        self._queue = f"{{distributed_lock_{key}}}:dsync:queue"
        self._recorder = recorder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    async def close(self) -> None:
        """End."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _watch(self) -> None:
        known: set[str] = set()
        while not self._stop.wait(PERIOD):
            asked = time.monotonic_ns()
            try:
                members = [str(each) for each in self._client.zrange(self._queue, 0, -1)]
            except redis.RedisError:
                continue
            new = set(members) - known
            if new:
                tokens = sorted(member.rpartition(" ")[2] for member in new)
                self._recorder.write("seen", "queue", key=self._key, asked=asked, tokens=tokens)
            known = set(members)
