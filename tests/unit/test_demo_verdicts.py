"""What the monitors of the demos say of good and bad runs, and how they count."""

from __future__ import annotations

import pytest

from examples._statistics import wait_times
from examples.distributed_barrier import stats as barrier_stats
from examples.distributed_barrier.stats import Passage
from examples.distributed_condition import stats as condition_stats
from examples.distributed_condition.jobs import Done
from examples.distributed_event import stats as event_stats
from examples.distributed_event.wakes import Wake
from examples.distributed_lock import stats as lock_stats
from examples.distributed_lock.stats import Grant
from examples.distributed_semaphore import stats as semaphore_stats
from examples.distributed_semaphore.stats import SLOTS, Visit


@pytest.mark.parametrize(
    ("values", "tokens", "lost", "in_order"),
    [
        ((1, 2, 3), (10, 20, 30), 0, True),
        ((3, 1, 2), (30, 10, 20), 0, True),
        ((1, 2, 2), (10, 20, 30), 1, False),
        ((1, 2, 3), (10, 30, 20), 0, False),
        ((1, 2, 3), (10, 20, 20), 0, False),
    ],
)
def test_verdict_on_the_lock(
    values: tuple[int, ...], tokens: tuple[int, ...], lost: int, in_order: bool
) -> None:
    grants = [
        Grant(token, value, wait_ms=1.0, hold_ms=1.0)
        for token, value in zip(tokens, values, strict=True)
    ]
    stats = lock_stats.summarize({"node": grants}, counted=len(set(values)), seconds=1.0)
    assert (stats.lost_updates, stats.in_order) == (lost, in_order)
    assert stats.ok == (not lost and in_order)


@pytest.mark.parametrize(
    ("one", "other", "lost", "twice"),
    [
        ((0, 2), (1, 3), 0, 0),
        ((), (3, 2, 1, 0), 0, 0),
        ((0, 2), (1,), 1, 0),
        ((), (), 4, 0),
        ((0, 1, 2), (2, 3), 0, 1),
        ((0, 0, 0), (2, 3), 1, 1),
        ((0, 1), (0, 1), 2, 2),
    ],
)
def test_verdict_on_the_condition(
    one: tuple[int, ...], other: tuple[int, ...], lost: int, twice: int
) -> None:
    done = {
        "one": [Done(job, taken=10.0) for job in one],
        "other": [Done(job, taken=10.0) for job in other],
    }
    stats = condition_stats.summarize(done, notified=[9.0] * 4, seconds=1.0)
    assert (stats.jobs, stats.jobs_lost, stats.jobs_done_twice) == (4, lost, twice)
    assert stats.ok == (not lost and not twice)
    assert [node["jobs"] for node in stats.nodes] == [len(one), len(other)]


def test_wait_lasts_from_the_notification_of_that_job_until_it_was_taken() -> None:
    done = [Done(job=1, taken=5.5), Done(job=0, taken=5.25)]
    stats = condition_stats.summarize({"busy": done, "idle": []}, [5.0, 5.25], seconds=0.5)
    assert stats.jobs_per_second == 4.0
    busy, idle = stats.nodes
    assert (busy["wait_mean_ms"], busy["wait_p50_ms"], busy["wait_max_ms"]) == (250, 250, 250)
    assert (idle["wait_mean_ms"], idle["wait_p99_ms"], idle["wait_max_ms"]) == (None, None, None)


def test_wait_times_are_those_of_the_sorted_waits() -> None:
    times = wait_times([float(wait) for wait in reversed(range(1, 201))])
    assert times == {
        "wait_mean_ms": 100.5,
        "wait_p50_ms": 100.0,
        "wait_p99_ms": 198.0,
        "wait_max_ms": 200.0,
    }


@pytest.mark.parametrize(
    ("inside", "free", "ok"),
    [
        ((1, 2, SLOTS), SLOTS, True),
        ((1, 1, 1), SLOTS, True),
        ((1, SLOTS + 1, 2), SLOTS, False),
        ((1, 2), SLOTS, False),
        ((1, 2, 3, 3), SLOTS, False),
        ((1, 2, 3), SLOTS - 1, False),
        ((1, 2, 3), SLOTS + 1, False),
        ((), SLOTS, False),
    ],
)
def test_verdict_on_the_semaphore(inside: tuple[int, ...], free: int, ok: bool) -> None:
    visits = [Visit(number, wait_ms=1.0, hold_ms=2.0) for number in inside]
    by_node = {"one": visits[:1], "other": visits[1:]} if inside else {}
    stats = semaphore_stats.summarize(by_node, requests=3, slots_free=free, seconds=0.5)
    assert stats.ok == ok
    assert stats.most_inside == max(inside, default=0)
    assert (stats.requests_done, stats.slots_free) == (len(inside), free)
    assert stats.visits_per_second == len(inside) * 2


@pytest.mark.parametrize(
    ("first", "second", "missing", "out_of_step"),
    [
        # Three parties, one of them the monitor: 3 arrivals fill the first round, 6 the second.
        ((3, 6), (3, 6), 0, 0),
        ((4, 8), (5, 6), 0, 0),
        ((2, 6), (3, 6), 0, 1),
        ((3, 5), (3, 5), 0, 2),
        ((6, 6), (3, 6), 0, 1),
        ((3, 6), (3,), 1, 0),
        ((), (), 4, 0),
    ],
)
def test_verdict_on_the_barrier(
    first: tuple[int, ...], second: tuple[int, ...], missing: int, out_of_step: int
) -> None:
    by_node = {
        name: [Passage(number, arrived, wait_ms=1.0) for number, arrived in enumerate(party)]
        for name, party in (("one", first), ("other", second))
    }
    stats = barrier_stats.summarize(by_node, rounds=2, parties=3, seconds=0.5)
    assert (stats.passages_missing, stats.out_of_step) == (missing, out_of_step)
    assert stats.ok == (not missing and not out_of_step)
    assert [node["passages"] for node in stats.nodes] == [len(first), len(second)]
    assert stats.rounds_per_second == 4.0


@pytest.mark.parametrize(
    ("turns", "lost", "needless"),
    [
        ((7, 8), 0, 0),
        ((8, 7), 0, 0),
        ((7,), 1, 0),
        ((), 2, 0),
        ((7, 7, 8), 0, 1),
        ((7, 7), 1, 1),
        ((6, 7, 8), 0, 1),
    ],
)
def test_verdict_on_the_event(turns: tuple[int, ...], lost: int, needless: int) -> None:
    by_node = {
        "one": [Wake(0, turn, time=5.5) for turn in turns],
        "other": [Wake(waiter, turn, time=5.25) for waiter in (0, 1) for turn in (7, 8)],
    }
    stats = event_stats.summarize(by_node, {7: 5.0, 8: 5.0}, waiters=3, seconds=0.5)
    assert (stats.sets, stats.wakes_lost, stats.wakes_needless) == (2, lost, needless)
    assert stats.ok == (not lost and not needless)
    one, other = stats.nodes
    assert (one["wakes"], other["wakes"]) == (len(turns), 4)
    assert one["wait_max_ms"] == (500 if turns else None)
    assert other["wait_mean_ms"] == 250
