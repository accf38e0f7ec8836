"""What a process and its server have in use."""

import asyncio
import gc
import os

from tests.support.redis_server import RedisServer

MIB = 1024 * 1024


def resident() -> int:
    """Return the bytes of memory that this process uses."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Inventory:
    """All that operations could leave behind, but memory; equal when all of it is."""

    def __init__(self, server: RedisServer, loop: asyncio.AbstractEventLoop) -> None:
        gc.collect()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.threads = len(os.listdir("/proc/self/task"))
        self.tasks = len(asyncio.all_tasks(loop))
        with server.sync() as client:
            self.keys = sorted(client.scan_iter(count=10_000))
            self.channels = sorted(client.pubsub_channels("*"))
        self.connections = len(server.connections())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inventory) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def difference(self, other: "Inventory") -> dict[str, tuple[object, object]]:
        """Return what differs, here and there."""
        mine, theirs = vars(self), vars(other)
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}
