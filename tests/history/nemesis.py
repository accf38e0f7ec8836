"""Carries out a schedule of faults."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import redis

from tests.history.faults import Step
from tests.history.recorder import Recorder
from tests.support.processes import Child
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer


class Slot:
    """The place of one client process: the proxy before it, and the process that is there now."""

    def __init__(self, number: int, proxy: Proxy | None) -> None:
        self.number = number
        self._proxy = proxy
        self.generation = 0
        self.child: Child | None = None

    @property
    def calm(self) -> bool:
        """Whether its processes meet no fault: they have no proxy."""
        return self._proxy is None

    @property
    def proxy(self) -> Proxy:
        """The proxy before it."""
        assert self._proxy is not None, "nothing may be done to a calm process"
        return self._proxy

    @property
    def process(self) -> Child:
        """The process that is there now."""
        assert self.child is not None, "not started"
        return self.child

    @property
    def name(self) -> str:
        """The name of the process that is there now."""
        return f"p{self.number}.{self.generation}"


class Nemesis:
    """Does what the steps say, and writes it into the history.

    :param replica: of the server, for failovers
    :param renew: starts a new process in a slot
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        server: RedisServer,
        replica: RedisServer | None,
        recorder: Recorder,
        renew: Callable[[Slot], None],
    ) -> None:
        self._slots = slots
        self._server = server
        self._recorder = recorder
        self._renew = renew
        self._replica = replica
        self._paused = False
        self.count = 0

    async def run(self, steps: Sequence[Step]) -> None:
        """Carry out all steps, each at its time."""
        start = time.monotonic()
        for step in steps:
            await asyncio.sleep(start + step.at - time.monotonic())
            slot = self._slots[step.slot]
            what = f"{step.action} {step.argument}" + ("" if step.begins else " ends")
            self._recorder.write("fault", what, key=slot.name)
            self.count += step.begins
            with contextlib.suppress(redis.RedisError, ProcessLookupError):
                getattr(self, f"_{step.action}")(step, slot)

    def heal(self) -> None:
        """Undo what lasts."""
        self._paused = False
        self._server.resume()
        for slot in self._slots:
            if not slot.calm:
                slot.proxy.blackhole(False)
                slot.proxy.byte_by_byte(False)
                slot.proxy.delay(0)
            if slot.child is not None:
                with contextlib.suppress(ProcessLookupError):
                    slot.child.resume()

    # ---- links ----

    def _cut(self, step: Step, slot: Slot) -> None:
        slot.proxy.cut(step.argument)

    def _half_close(self, step: Step, slot: Slot) -> None:
        slot.proxy.half_close(step.argument)

    def _drop_reply(self, step: Step, slot: Slot) -> None:
        slot.proxy.drop_replies(int(step.amount * 5), step.argument)

    def _delay(self, step: Step, slot: Slot) -> None:
        slot.proxy.delay(0.05 * step.amount if step.begins else 0)

    def _blackhole(self, step: Step, slot: Slot) -> None:
        slot.proxy.blackhole(step.begins, step.argument)

    def _byte_by_byte(self, step: Step, slot: Slot) -> None:
        slot.proxy.byte_by_byte(step.begins)

    # ---- processes ----

    def _stop_briefly(self, step: Step, slot: Slot) -> None:
        slot.process.pause() if step.begins else slot.process.resume()

    def _stop_long(self, step: Step, slot: Slot) -> None:
        self._stop_briefly(step, slot)

    def _kill(self, step: Step, slot: Slot) -> None:
        self._renew(slot)

    # ---- the server; a frozen one answers nobody, so it is not asked ----

    def _kill_connection(self, step: Step, slot: Slot) -> None:
        connections = [] if self._paused else self._server.connections()
        if connections:
            victim = connections[int(step.amount * len(connections))]
            with self._server.sync() as admin:
                admin.client_kill_filter(_id=victim["id"])

    def _script_flush(self, step: Step, slot: Slot) -> None:
        if not self._paused:
            with self._server.sync() as admin:
                admin.script_flush()

    def _pause_server(self, step: Step, slot: Slot) -> None:
        self._paused = step.begins
        self._server.pause() if step.begins else self._server.resume()

    # ---- data ----

    def _flush_data(self, step: Step, slot: Slot) -> None:
        if not self._paused:
            with self._server.sync() as admin:
                admin.flushall()

    def _delete_keys(self, step: Step, slot: Slot) -> None:
        if not self._paused:
            with self._server.sync() as admin:
                keys = sorted(admin.keys("*"))
                if keys:
                    admin.delete(keys[int(step.amount * len(keys))])

    def _restart_empty(self, step: Step, slot: Slot) -> None:
        self._server.restart(keep_data=False)
        self._paused = False

    def _fail_over(self, step: Step, slot: Slot) -> None:
        """Promote the replica; clients stay with the old master for a while, and that is lost."""
        old, new = self._server, self._replica
        assert new is not None, "this workload has no replica"
        with new.sync() as admin:
            admin.replicaof("NO", "ONE")
        new.replica_of = None
        if step.begins:
            return
        self._server, self._replica = new, old
        for each in self._slots:
            each.proxy.upstream_port = new.port
            each.proxy.cut()
        old.resume()
        self._paused = False
        old.replica_of = new
        with old.sync() as admin:
            admin.replicaof("127.0.0.1", new.port)
