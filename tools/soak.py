"""Random tests for as long as asked, with a live progress line: `make soak MINUTES=60`.

The time is shared by the steps; each gets its part and a seed. A step is a generator that works
until its deadline, and yields after each piece of work what that has shown; add it to `STEPS`.
"""

import argparse
import asyncio
import itertools
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.history.__main__ import report  # noqa: E402
from tests.history.runs import WORKLOADS, run  # noqa: E402

RUN_SECONDS = 15.0  # of one history, and of one call of the simulation
SEEDS_OF_A_CORE = 1 << 40


@dataclass
class Piece:
    """What a step has done since it yielded the last time.

    :param name: of the work, for the progress line
    :param failure: what went wrong, with the command that repeats it; empty where nothing did
    """

    name: str
    runs: int = 0
    operations: int = 0
    faults: int = 0
    violations: int = 0
    failure: str = ""


@dataclass
class Totals:
    """The sums of all pieces."""

    seed: int
    minutes: float
    started: float = field(default_factory=time.monotonic)
    name: str = "starting"
    runs: int = 0
    operations: int = 0
    faults: int = 0
    violations: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        """Count a piece."""
        self.name = piece.name
        self.runs += piece.runs
        self.operations += piece.operations
        self.faults += piece.faults
        self.violations += piece.violations
        if piece.failure:
            self.failures.append(piece.failure)

    def __rich__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return (
            f"{_clock(time.monotonic() - self.started)} of {_clock(self.minutes * 60)}"
            f"  {self.name}  runs {self.runs}  operations {self.operations}"
            f"  faults {self.faults}  violations {self.violations}"
        )


# Works until a deadline (of time.monotonic), all randomness from the seed.
Step = Callable[[float, int], Iterator[Piece]]


def histories(deadline: float, seed: int) -> Iterator[Piece]:
    """Run the workloads of tests/history in turn, each time with another seed."""
    seeds = random.Random(seed)
    for workload in itertools.cycle(WORKLOADS):
        left = deadline - time.monotonic()
        if left < 2:
            return
        run_seed = seeds.randrange(1 << 32)
        name = f"history {workload}"
        yield Piece(f"{name} seed={run_seed}")
        try:
            result = asyncio.run(run(workload, run_seed, min(RUN_SECONDS, left)))
        except Exception as error:
            command = f"python -m tests.history --workload {workload} --seed {run_seed}"
            yield Piece(name, runs=1, failure=f"{name} failed: {error!r}\nreplay: {command}")
            continue
        yield Piece(
            name,
            runs=1,
            operations=result.operations,
            faults=result.faults,
            violations=len(result.violations),
            failure=report(result) if result.violations else "",
        )


def simulation(deadline: float, seed: int) -> Iterator[Piece]:
    """Run schedules of tests/simulation on each core, each with the seed after the last."""
    program = ROOT / "build" / "soak" / "tests" / "simulation" / "dsync_simulation"
    # Far enough from each other for as long as a soak may be.
    seeds = [seed + core * SEEDS_OF_A_CORE for core in range(os.cpu_count() or 1)]
    while (left := deadline - time.monotonic()) > 1:
        minutes = str(min(left, RUN_SECONDS) / 60)
        yield Piece(f"simulation from={seeds[0]}")
        group = [
            subprocess.Popen(
                [program, "--from", str(first), "--minutes", minutes],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for first in seeds
        ]
        for core, process in enumerate(group):
            shown, _ = process.communicate()
            found = re.search(r"^(\d+) schedules of (\d+) steps", shown, re.MULTILINE)
            if process.returncode != 0 or found is None:
                yield Piece("simulation", runs=1, failure=shown)
                deadline = 0.0
                continue
            schedules, steps = int(found[1]), int(found[2])
            seeds[core] += schedules
            yield Piece("simulation", runs=schedules, operations=schedules * steps)


def hostile_bytes(deadline: float, seed: int) -> Iterator[Piece]:
    """Run the fuzz targets, which keep what they find for the next time."""
    seconds = int(deadline - time.monotonic())
    if seconds < 1:
        return
    yield Piece(f"hostile bytes for {seconds} s")
    command = ["tools/fuzz.sh", str(seconds), f"-seed={seed}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    inputs = sum(int(count) for count in re.findall(r"(\d+) inputs", ended.stdout))
    failure = "" if ended.returncode == 0 else ended.stdout + ended.stderr
    yield Piece("hostile bytes", runs=inputs, failure=failure)


# With the part of the time that each gets: in ten minutes, a million schedules of the simulation.
STEPS: list[tuple[str, Step, float]] = [
    ("histories", histories, 0.3),
    ("simulation", simulation, 0.6),
    ("hostile bytes", hostile_bytes, 0.1),
]


def soak(minutes: float, seed: int, console: Console) -> Totals:
    """Do all steps, each for its part of the time; show how it goes."""
    totals = Totals(seed, minutes)
    deadline = totals.started
    with Live(totals, console=console, refresh_per_second=2):
        for name, step, share in STEPS:
            deadline += minutes * 60 * share
            try:
                for piece in step(deadline, seed):
                    totals.add(piece)
                    if piece.runs and not console.is_terminal:
                        console.print(str(totals), markup=False, highlight=False, soft_wrap=True)
                    if piece.failure:
                        console.print(piece.failure, markup=False, highlight=False)
            except Exception as error:
                totals.failures.append(f"{name} failed: {error!r}")
                console.print_exception()
    return totals


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def main() -> int:
    """Soak for as long as the arguments say; the exit code is 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    console = Console()
    console.print(f"seed={options.seed}", highlight=False)
    totals = soak(options.minutes, options.seed, console)
    verdict = "found something" if totals.failures else "found nothing"
    console.print(f"soak {verdict}: {totals}", markup=False, highlight=False, soft_wrap=True)
    return 1 if totals.failures else 0


if __name__ == "__main__":
    sys.exit(main())
