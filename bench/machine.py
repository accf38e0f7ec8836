"""The cores of the machine: who runs on which, and what else they are busy with."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

SAMPLE_SECONDS = 1.0
# The share of the cores' time that others may take before the ratios suffer visibly.
QUIET = 0.1


def split_cores() -> tuple[set[int], set[int]]:
    """Return the core of the server, and those of everybody else.

    Client and server that share a core spare the wake-up of an idle one, which may be most of a
    round trip. Whether they do is the scheduler's whim, so it is settled here, the same for all.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def _ticks() -> tuple[int, int]:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    values = [int(field) for field in fields]
    # user, nice, system, idle, iowait, …
    return sum(values), values[3] + values[4]


def busy_share() -> float:
    """Measure how busy the machine is while the benchmark does nothing, from 0 to 1."""
    total, idle = _ticks()
    time.sleep(SAMPLE_SECONDS)
    total_after, idle_after = _ticks()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def description() -> dict[str, Any]:
    """Return what a reader needs to know of the machine."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "system": platform.system(),
    }
