"""The processor time of clients and server, apart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

CLIENT = "client_cpu"
SERVER = "server_cpu"
MICROSECONDS = 1e6
# The kinds of a process' clocks (CPUCLOCK_SCHED): the nanoseconds that it really ran.
_RAN = 2


def _seconds(pid: int) -> float:
    # The number that clock_getcpuclockid(3) gives. It is good until somebody waits for the process.
    return time.clock_gettime(~pid << 3 | _RAN)


@dataclass(frozen=True)
class CpuTime:
    """Seconds that all threads of the processes ran, in user space and in the kernel."""

    client: float
    server: float

    @classmethod
    def now(cls, clients: Sequence[int], server: int) -> CpuTime:
        """Return what the processes with these ids have used since they started."""
        return cls(sum(map(_seconds, clients)), _seconds(server))

    def since(self, before: CpuTime) -> CpuTime:
        """Return what was used in between."""
        return CpuTime(self.client - before.client, self.server - before.server)

    def each(self, count: float) -> dict[str, float]:
        """Return the microseconds for each of `count` things that were done in the time."""
        if not count:
            return {}
        scale = MICROSECONDS / count
        return {CLIENT: self.client * scale, SERVER: self.server * scale}
