"""P8, conditions and barriers: how soon a notification wakes, and how long a round takes."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

from bench.contenders import AIODISTRIBUTOR, BARRIER, CONDITION, DSYNC, DSYNC_UVLOOP, FLOOR
from bench.model import Bench, Bound, Case, Metric, Target, Values
from bench.process import Process, run_together, worker
from bench.records import round_time, wakings

KEY = "bench:meeting"
OURS = (FLOOR, DSYNC, DSYNC_UVLOOP)
# Seconds: by then the other one is surely waiting.
HOLD = 0.002
WAKE_REPEATS = 5
PROCESSES = 2
PARTIES = (2, 100, 1000)
# Seconds, so that enough rounds of many parties end.
SECONDS_A_PARTY = 0.0015
# A round of the peer takes long: so many are enough, and so many seconds too many.
PEER_ROUNDS = {2: 10, 100: 2}
PEER_SECONDS = 20
LIMIT = 1.25


def _floor(bench: Bench, program: str, index: int) -> list[str]:
    options = f"--port {bench.server.port} --key {KEY} --session {index:016x}"
    return [str(bench.floor / program), *options.split()]


# ---- conditions ----


@contextlib.contextmanager
def _words() -> Iterator[tuple[int, int]]:
    read_fd, write_fd = os.pipe()
    try:
        yield read_fd, write_fd
    finally:
        os.close(read_fd)
        os.close(write_fd)


def _notifier(bench: Bench, contender: str, words: int) -> Process:
    if contender == FLOOR:
        options = f"--role notifier --lock no --hold {HOLD} --words {words}"
        return Process([*_floor(bench, "floor_condition", 0), *options.split()], pass_fds=[words])
    return worker(
        "notifier",
        contender,
        bench.server.url,
        pass_fds=[words],
        primitive=CONDITION,
        key=KEY,
        hold=HOLD,
        words=words,
    )


def _waiter(bench: Bench, contender: str, words: int, *, with_lock: bool) -> Process:
    if contender == FLOOR:
        options = f"--role waiter --lock {'yes' if with_lock else 'no'} --words {words}"
        return Process([*_floor(bench, "floor_condition", 1), *options.split()], pass_fds=[words])
    return worker(
        "waiter",
        contender,
        bench.server.url,
        pass_fds=[words],
        primitive=CONDITION,
        key=KEY,
        with_lock=with_lock,
        words=words,
    )


def _wake(bench: Bench, contender: str, *, with_lock: bool) -> Values:
    with _words() as (read_fd, write_fd):
        notifier = _notifier(bench, contender, read_fd)
        with notifier, _waiter(bench, contender, write_fd, with_lock=with_lock) as waiter:
            outcome = run_together(
                [notifier, waiter], bench.settings.brief_seconds, bench.server.pid
            )
    notified, woken = (report["stamps"] for report in outcome.reports)
    values = wakings(notified, woken, outcome.warm)
    if contender in OURS:
        values["server"] = bench.server.script_microseconds() / len(woken)
    return {**values, **outcome.cpu.each(values["samples"])}


def _condition_case(*, with_lock: bool) -> Case:
    target = Target(Bound.AT_MOST, LIMIT, FLOOR)
    metrics = (
        Metric("P8", "p50", "notify to woken, p50", "µs", FLOOR, (target,)),
        Metric("P8", "p99", "notify to woken, p99", "µs", FLOOR),
        Metric("P13", "server", "server time of the scripts of a wake-up", "µs", FLOOR),
    )
    # A waiter of the peer keeps the lock, so nobody could notify it.
    contenders = OURS if with_lock else (*OURS, AIODISTRIBUTOR)
    return Case(
        f"a condition, waited for {'with' if with_lock else 'without'} its lock, 2 processes",
        metrics,
        contenders,
        functools.partial(_wake, with_lock=with_lock),
        unit="wake-up",
        brief=True,
        repeats=WAKE_REPEATS,
    )


# ---- barriers ----


def _meeting(bench: Bench, contender: str, index: int, parties: int) -> Process:
    here = parties // PROCESSES
    if contender == FLOOR:
        options = f"--here {here} --parties {parties}"
        return Process([*_floor(bench, "floor_barrier", index), *options.split()])
    return worker(
        "rounds",
        contender,
        bench.server.url,
        primitive=BARRIER,
        key=KEY,
        here=here,
        parties=parties,
        fresh=PEER_ROUNDS[parties] if contender == AIODISTRIBUTOR else 0,
    )


def _rounds(bench: Bench, contender: str, *, parties: int) -> Values:
    seconds = max(bench.settings.brief_seconds, parties * SECONDS_A_PARTY)
    with contextlib.ExitStack() as stack:
        group = [
            stack.enter_context(_meeting(bench, contender, index, parties))
            for index in range(PROCESSES)
        ]
        if contender == AIODISTRIBUTOR:
            seconds = PEER_SECONDS
        outcome = run_together(group, seconds, bench.server.pid)
    ends = [report["stamps"] for report in outcome.reports]
    if contender != AIODISTRIBUTOR:
        count = sum(1 for end in ends[0] if end >= outcome.warm)
        server = bench.server.script_microseconds() / len(ends[0])
        cpu = outcome.cpu.each(count)
        return {"round": round_time(ends, outcome.warm), "server": server, **cpu}
    # They are few, so the first one counts too.
    return {"round": round_time([[outcome.start, *stamps] for stamps in ends], outcome.start)}


def _barrier_case(parties: int) -> Case:
    target = Target(Bound.AT_MOST, LIMIT, FLOOR)
    return Case(
        f"a barrier, {parties} parties in {PROCESSES} processes",
        (
            Metric("P8", "round", "time of a round", "µs", FLOOR, (target,)),
            Metric("P13", "server", "server time of the scripts of a round", "µs", FLOOR),
        ),
        (FLOOR, DSYNC, AIODISTRIBUTOR) if parties in PEER_ROUNDS else (FLOOR, DSYNC),
        functools.partial(_rounds, parties=parties),
        unit="round",
        brief=True,
    )


def cases() -> list[Case]:
    """Return the conditions and the barriers."""
    conditions = [_condition_case(with_lock=with_lock) for with_lock in (False, True)]
    return conditions + [_barrier_case(parties) for parties in PARTIES]
