"""A client process: several sessions of an event loop, and threads, each with its own work."""

import asyncio
import contextlib
import importlib
import random
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dsync.sync

from tests.fault.lock_tools import client_for
from tests.history.faces import Face, TaskFace, ThreadFace, run_blocking
from tests.history.recorder import Recorder, TaskRecorder
from tests.history.store import Store
from tests.history.workloads import WORK, Worker
from tests.support.child import say

STOP, END = "stop", "end"  # files that tell the clients of a run what to do


@dataclass(frozen=True)
class Config:
    """What a client process is told.

    :param port: of the server or of the proxy before it
    :param socket_timeout: seconds after which a silent connection is given up; None never
    :param broken: a function of broken.py, called before anything else
    """

    directory: str
    process: str
    workload: str
    seed: str
    port: int
    store: str
    guarded: bool
    lease: float
    socket_timeout: float | None = 0.5
    sessions: int = 2
    tasks: int = 2
    threads: int = 1
    broken: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what `run` takes."""
        return asdict(self)


def run(options: dict[str, Any]) -> None:
    """Be a client process."""
    config = Config(**options)
    if config.broken:
        getattr(importlib.import_module("tests.history.broken"), config.broken)(config.port)
    recorder = Recorder(Path(config.directory, f"{config.process}.jsonl"), config.process)
    asyncio.run(_run(config, recorder))
    say("done")


async def _run(config: Config, recorder: Recorder) -> None:
    store = Store(config.store, config.guarded)

    def make(name: str, number: int, session: str, face: Face) -> Worker:
        client = client_for(
            config.port, session, retries=100_000, socket_timeout=config.socket_timeout
        )
        return Worker(
            name=f"{config.process}-{name}",
            number=number,
            face=face,
            client=client,
            lease=config.lease,
            recorder=TaskRecorder(recorder, name),
            dice=random.Random(f"{config.seed} {config.process} {name}"),
            store=store,
            stop=Path(config.directory, STOP),
        )

    work = WORK[config.workload]
    threads = [
        threading.Thread(
            target=run_blocking, args=[work, make(f"t{place}", -1, "threads", ThreadFace())]
        )
        for place in range(config.threads)
    ]
    for thread in threads:
        thread.start()
    tasks = [
        asyncio.create_task(work(make(f"a{place}", place, f"s{place % config.sessions}", face)))
        for face in [TaskFace()]
        for place in range(config.sessions * config.tasks)
    ]
    ending = asyncio.create_task(_end(tasks, Path(config.directory, END)))
    say("started")
    # An error of one ends the process, and shows in its exit code.
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    ending.cancel()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await dsync.close()
    dsync.sync.close()


async def _end(tasks: list[asyncio.Task[None]], end: Path) -> None:
    """Cancel all when the run is over, also for those who wait for something."""
    while not end.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
