"""One run: servers, clients, faults; then the history and the verdict over it."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.history import client
from tests.history.checker import check
from tests.history.events import Event, Violation, read
from tests.history.faults import HARSH, LEASE, LONG_LEASE, LOSING, MILD, ON_OTHERS, schedule
from tests.history.nemesis import Nemesis, Slot
from tests.history.recorder import Recorder
from tests.history.store import Store
from tests.history.watcher import Watcher
from tests.support.processes import Child
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

END_TIMEOUT = 60.0  # seconds for all clients to end after the last fault
TOLD_TIMEOUT = 10.0  # seconds for the last notifications to arrive at those who live
SILENCE = 1.5  # seconds in which nobody says anything: longer than it takes to connect again
KEY = "history"


@dataclass(frozen=True)
class Workload:
    """How a workload is run.

    :param calm: so many of the processes, the last ones, meet no fault: they have no proxy
    :param ends: whether its clients come to an end by themselves when they are told to
    """

    faults: Sequence[str]
    lease: float = LEASE
    guarded: bool = True
    processes: int = 3
    calm: int = 0
    ends: bool = True


WORKLOADS = {
    "lock": Workload(HARSH),
    # Nothing lasts as long as the lease, so the lock alone must protect the list.
    "set": Workload(MILD, LONG_LEASE, guarded=False),
    "semaphore": Workload(HARSH),
    "condition": Workload(HARSH, ends=False),
    "barrier": Workload(HARSH, ends=False),
    "order": Workload(ON_OTHERS, processes=4, calm=2),
    "loss": Workload(LOSING),
}


@dataclass
class Result:
    """What a run has shown."""

    workload: str
    seed: int
    seconds: float
    events: list[Event]
    violations: list[Violation]
    faults: int
    errors: list[str] = field(default_factory=list)

    @property
    def operations(self) -> int:
        """How many operations have succeeded."""
        return sum(event.kind == "ok" for event in self.events)

    @property
    def replay(self) -> str:
        """The command that does the same again."""
        return (
            f".venv/bin/python -m tests.history --workload {self.workload} --seed {self.seed}"
            f" --seconds {self.seconds:g}"
        )

    def summary(self) -> str:
        """Tell in one line what happened."""
        ends = Counter(event.kind for event in self.events)
        verdict = f"{len(self.violations)} violations" if self.violations else "valid"
        return (
            f"{self.workload} seed={self.seed}: {verdict};"
            f" {ends['ok']} ok, {ends['fail']} failed, {ends['info']} unknown; {self.faults} faults"
        )


class Run:
    """The processes of a run, which live as long as its `with` block."""

    def __init__(self, workload: str, seed: int, seconds: float, broken: str = "") -> None:
        self._name = workload
        self._workload = WORKLOADS[workload]
        self._seed = seed
        self._seconds = seconds
        self._broken = broken
        self._stack = ExitStack()

    def __enter__(self) -> "Run":
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._server = stack.enter_context(RedisServer())
            self._replica = None
            if "fail_over" in self._workload.faults:
                self._replica = stack.enter_context(RedisServer(replica_of=self._server))
            self._data = stack.enter_context(RedisServer())
            total = self._workload.processes
            faulty = total - self._workload.calm
            self._slots = [
                Slot(n, stack.enter_context(Proxy(self._server.port)) if n < faulty else None)
                for n in range(total)
            ]
            self._recorder = Recorder(self._directory / "run.jsonl", "run")
            stack.callback(self._recorder.close)
            stack.callback(self._close_clients)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def carry_out(self) -> Result:
        """Start the clients, break things, and decide."""
        for slot in self._slots:
            self._start(slot)
        for slot in self._slots:
            await slot.process.expect("started")
        faulty = [slot.number for slot in self._slots if not slot.calm]
        steps = schedule(self._seed, self._seconds, self._workload.faults, faulty)
        nemesis = Nemesis(self._slots, self._server, self._replica, self._recorder, self._renew)
        watcher = Watcher(self._server, KEY, self._recorder)
        if self._name == "order":
            watcher.start()
        running = asyncio.create_task(nemesis.run(steps))
        await asyncio.wait([running, asyncio.create_task(asyncio.sleep(self._seconds))])
        await running
        nemesis.heal()
        (self._directory / client.STOP).touch()
        await self._finish()
        if self._name == "order":
            await watcher.close()
        events = self._collect()
        violations = check(self._name, events)
        errors = [slot.process.errors for slot in self._slots if slot.process.errors]
        return Result(
            self._name, self._seed, self._seconds, events, violations, nemesis.count, errors
        )

    # ---- clients ----

    def _start(self, slot: Slot) -> None:
        config = client.Config(
            directory=str(self._directory),
            process=slot.name,
            workload=self._name,
            seed=str(self._seed),
            port=self._server.port if slot.calm else slot.proxy.port,
            store=self._data.unix_path,
            guarded=self._workload.guarded,
            lease=self._workload.lease,
            # A calm one takes its time rather than meet a fault of its own making.
            socket_timeout=None if slot.calm else 0.5,
            broken=self._broken,
        )
        if slot.calm:
            self._recorder.write("calm", "process", key=slot.name)
        slot.child = Child(client.run, config.to_json())

    def _renew(self, slot: Slot) -> None:
        """Kill the process of a slot, and start another."""
        if slot.child is not None:
            slot.child.close()
        slot.generation += 1
        self._start(slot)

    def _close_clients(self) -> None:
        for slot in self._slots:
            if slot.child is not None:
                slot.child.close()

    # ---- the end ----

    async def _finish(self) -> None:
        if not self._workload.ends:
            await self._until_quiet()
            (self._directory / client.END).touch()
        for slot in self._slots:
            try:
                code = await slot.process.wait(END_TIMEOUT)
            except AssertionError:
                self._recorder.write("stuck", "process", key=slot.name)
                continue
            if code != 0:
                raise RuntimeError(f"{slot.name} ended with {code}:\n{slot.process.errors}")

    async def _until_quiet(self) -> None:
        """Wait until those who still wait have nothing to wait for, and what was said was heard."""
        with suppress(AssertionError):
            # What was told to those who are gone may stay.
            await eventually(self._is_heard, within=TOLD_TIMEOUT)
        before = -1
        while before != (before := self._size()):  # noqa: ASYNC110
            await asyncio.sleep(SILENCE)

    def _is_heard(self) -> bool:
        lock = f"distributed_lock_{KEY}"
        with self._server.sync() as admin, suppress(redis.RedisError):
            auxiliary = [f"{{{lock}}}:dsync:{name}" for name in ("told", "queue")]
            barrier = f"{{distributed_barrier_count_{KEY}}}:dsync:told"
            return not admin.exists(lock, *auxiliary, barrier)
        return False

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self._directory.glob("p*.jsonl"))

    def _collect(self) -> list[Event]:
        store = Store(self._data.unix_path, guarded=False)
        for key in (f"{KEY}-0", f"{KEY}-1"):
            self._recorder.write("final", "elements", key=key, elements=store.elements(key))
        return read(sorted(self._directory.glob("*.jsonl")))


async def run(workload: str, seed: int, seconds: float, broken: str = "") -> Result:
    """Carry out one run.

    :param broken: a function of broken.py, which every client calls
    """
    with Run(workload, seed, seconds, broken) as this:
        return await this.carry_out()
