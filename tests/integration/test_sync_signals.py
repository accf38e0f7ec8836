"""Ctrl-C, and what other signal handlers raise, end a call of the main thread, and nothing else."""

import os
import random
import re
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import dsync
import pytest
from dsync import _portal, sync
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.integration.barriers import arrivals
from tests.integration.blocking import (
    ended,
    start,
    until,
    until_a_caller_leads,
    until_the_keeper_leads,
)
from tests.integration.conditions import count_waiting
from tests.integration.locks import NEVER, holder, queue_length, soon
from tests.integration.test_lifecycle import STRICT, assert_ended_well
from tests.support.child import say
from tests.support.processes import Child
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

Spawn = Callable[..., Child]
Looks = Callable[[RedisServer, str], bool]


# How Python itself tells of what it drops: what a handler raised in a destructor, say, and what was
# left open because of that.
DROPPED = re.compile(
    r"Exception ignored in: |Traceback |\s|$|\S*\.SoftTimeLimit"
    r"|RuntimeWarning: coroutine .* was never awaited|Coroutine created at |ResourceWarning: "
)


class SoftTimeLimit(Exception):
    """What Celery's handler raises."""


# ---- what waits in the child ----


def wait_for_lock(url: str, key: str) -> None:
    sync.DistributedLock(url, key, NEVER).acquire()


def wait_for_condition(url: str, key: str) -> None:
    sync.DistributedCondition(url, key, NEVER).wait()


def wait_inside_condition(url: str, key: str) -> None:
    with sync.DistributedCondition(url, f"{key}-inside", NEVER) as condition:
        condition.wait()


def wait_at_barrier(url: str, key: str) -> None:
    sync.DistributedBarrier(url, key, 2).wait()


def wait_for_event(url: str, key: str) -> None:
    sync.DistributedEvent(url, key, NEVER).wait()


def subscriptions(server: RedisServer) -> int:
    return sum(int(each["sub"]) for each in server.connections())


# How the server tells that somebody waits.
WAITS: dict[str, tuple[Callable[[str, str], None], Looks]] = {
    "lock": (wait_for_lock, lambda server, key: queue_length(server, key) > 0),
    "condition": (wait_for_condition, lambda server, key: count_waiting(server, key) > 0),
    "condition with lock": (
        wait_inside_condition,
        lambda server, key: count_waiting(server, f"{key}-inside") > 0,
    ),
    "barrier": (wait_at_barrier, lambda server, key: arrivals(server, key) > 0),
    # One for each process, and one for each event.
    "event": (wait_for_event, lambda server, _: subscriptions(server) > 1),
}


def prepare(url: str, key: str, role: str) -> Callable[[], object]:
    """Let the main thread, whose call comes next, lead or follow; gives what ends the others."""
    others = sync.DistributedLock(url, f"{key}-others", NEVER)
    if role == "follower":
        others.acquire()
        leader = start(others.acquire)
        until_a_caller_leads()

        def end() -> None:
            others.release()
            assert ended(leader)

        return end
    if role == "after a pause":
        assert not others.owned()
        others.locked()
        until_the_keeper_leads()
    return lambda: None


def interrupted(url: str, key: str, what: str, role: str, how: str) -> None:
    """Wait, be interrupted, and use dsync afterwards."""

    def limit(*_: object) -> None:
        raise SoftTimeLimit

    signal.signal(signal.SIGALRM, limit)
    end = prepare(url, key, role)
    say("begins")
    try:
        WAITS[what][0](url, key)
    except BaseException as error:
        restored = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        say("interrupted", kind=type(error).__name__, restored=restored)
    with sync.DistributedLock(url, f"{key}-after") as lock:
        say("works", owned=lock.owned())
    end()


@pytest.mark.parametrize("how", ["SIGINT", "SIGALRM"])
@pytest.mark.parametrize(
    ("what", "role"),
    [
        *((what, "leader") for what in WAITS),
        *((what, "follower") for what in ("lock", "condition with lock")),
        ("lock", "after a pause"),
    ],
)
async def test_a_signal_ends_what_waits_and_leaves_nothing(
    server: RedisServer, key: str, spawn: Spawn, what: str, role: str, how: str
) -> None:
    waits = WAITS[what][1]
    async with dsync.DistributedLock(server.url, key):
        child = spawn(interrupted, server.url, key, what, role, how, environment=STRICT)
        await child.expect("begins")
        await eventually(lambda: waits(server, key), "it waits")
        os.kill(child.pid, signal.Signals[how])
        told = await child.expect("interrupted")
        assert told["kind"] == {"SIGINT": "KeyboardInterrupt", "SIGALRM": "SoftTimeLimit"}[how]
        assert told["restored"]
        await eventually(lambda: what == "event" or not waits(server, key), "nothing is left")
        assert holder(server, f"{key}-inside") is None
    assert (await child.expect("works"))["owned"]
    assert await soon(dsync.DistributedLock(server.url, key, NEVER).acquire())
    await assert_ended_well(child)


# ---- other handlers ----


def not_interrupted(url: str, key: str, number: int) -> None:
    """Wait with a handler of the program's own, which only takes a note."""
    told: list[int] = []

    def note(number: int, _: object) -> None:
        told.append(number)
        say("noted")

    signal.signal(number, note)
    say("begins")
    with sync.DistributedLock(url, key, NEVER):
        say("holds", told=told, kept=signal.getsignal(number) is note)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_handler_that_does_not_raise_does_not_interrupt(
    server: RedisServer, key: str, spawn: Spawn, number: int
) -> None:
    async with dsync.DistributedLock(server.url, key):
        child = spawn(not_interrupted, server.url, key, int(number), environment=STRICT)
        await child.expect("begins")
        await eventually(lambda: queue_length(server, key) == 1)
        for _ in range(3):
            os.kill(child.pid, number)
            await child.expect("noted")
        assert queue_length(server, key) == 1
    assert await child.expect("holds") == {"event": "holds", "told": [number] * 3, "kept": True}
    await assert_ended_well(child)


def take_and_free(url: str, key: str) -> None:
    with sync.DistributedLock(url, key, NEVER):
        pass


def interrupted_beside_threads(url: str, key: str) -> None:
    """Wait in the main thread and in others; only the main thread is to be interrupted."""
    others = [start(take_and_free, url, key) for _ in range(3)]
    try:
        sync.DistributedLock(url, key, NEVER).acquire()
    except KeyboardInterrupt:
        say("interrupted", done=[each.done() for each in others])
    for each in others:
        ended(each)
    say("done")


async def test_ctrl_c_interrupts_the_main_thread_only(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    async with dsync.DistributedLock(server.url, key):
        child = spawn(interrupted_beside_threads, server.url, key, environment=STRICT)
        await eventually(lambda: queue_length(server, key) == 4, "all wait")
        os.kill(child.pid, signal.SIGINT)
        assert (await child.expect("interrupted"))["done"] == [False] * 3
        await eventually(lambda: queue_length(server, key) == 3, "the others wait")
    await child.expect("done")
    await assert_ended_well(child)


def ctrl_c_without_handling(url: str, key: str) -> None:
    say("begins")
    sync.DistributedLock(url, key, NEVER).acquire()


async def test_a_script_that_handles_nothing_ends_by_ctrl_c(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    async with dsync.DistributedLock(server.url, key):
        child = spawn(ctrl_c_without_handling, server.url, key, environment=STRICT)
        await eventually(lambda: queue_length(server, key) == 1)
        os.kill(child.pid, signal.SIGINT)
        # As the shell wants it, who tells its user.
        assert await child.wait() == -signal.SIGINT
        assert child.errors.rstrip().endswith("KeyboardInterrupt")
        assert "Exception ignored" not in child.errors
        await eventually(lambda: queue_length(server, key) == 0)


# ---- many signals, at any moment ----


def raised_by_dsync(error: BaseException) -> bool:
    """Tell whether it was raised inside of a call, not before it has begun or after its end."""
    places = traceback.extract_tb(error.__traceback__)
    return any(Path(place.filename).name == "_portal.py" for place in places)


def signal_at_moments_that_vary(
    number: int, times: int, go: threading.Event, sent: threading.Event
) -> None:
    """Send a signal to the main thread so many times, each a while after it has said so."""
    for turn in range(times):
        go.wait()
        go.clear()
        time.sleep(turn % 50 * 5e-6)
        os.kill(os.getpid(), number)
        sent.set()


def interrupt_at_any_moment(url: str, key: str, number: int, times: int) -> None:
    """Acquire again and again, be interrupted each time, and count what an error left behind."""

    def limit(*_: object) -> None:
        raise SoftTimeLimit

    signal.signal(signal.SIGALRM, limit)
    lock = sync.DistributedLock(url, key)
    lock.acquire()
    lock.release()
    go, sent = threading.Event(), threading.Event()
    sending = start(signal_at_moments_that_vary, number, times, go, sent)
    kinds: Counter[str] = Counter()
    kept = inside = 0
    for _ in range(times):
        sent.clear()
        try:
            go.set()
            while not sent.is_set():
                lock.acquire()
                lock.release()
            time.sleep(0)
            kinds["none"] += 1
        except BaseException as error:
            kinds[type(error).__name__] += 1
            if raised_by_dsync(error):
                inside += 1
                kept += len(lock._async._holds)
        sent.wait()
        while lock._async._holds:
            lock.release()
    ended(sending)
    say("done", kinds=dict(kinds), kept=kept, inside=inside, owned=lock.owned())


@pytest.mark.parametrize("how", ["SIGINT", "SIGALRM"])
async def test_no_interrupt_is_lost_and_none_leaves_a_hold(
    server: RedisServer, key: str, spawn: Spawn, how: str
) -> None:
    child = spawn(interrupt_at_any_moment, server.url, key, int(signal.Signals[how]), 300)
    done = await child.expect("done")
    assert done["kinds"] == {{"SIGINT": "KeyboardInterrupt", "SIGALRM": "SoftTimeLimit"}[how]: 300}
    assert done["inside"] > 0
    assert done["kept"] == 0
    assert not done["owned"]
    await assert_ended_well(child)


def interrupted_at_random(url: str, key: str, times: int) -> None:
    """Be interrupted at any moment of a call, while other threads call and take turns to lead."""
    interrupted = False

    def limit(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        raise SoftTimeLimit

    def call(lock: sync.DistributedLock) -> None:
        while not ended_here.is_set():
            try:
                with lock:
                    assert lock.owned()
            except SoftTimeLimit:
                pass  # It may come while the main thread works for this one.

    signal.signal(signal.SIGALRM, limit)
    ended_here = threading.Event()
    # A lease that outlives the test: what is left behind stays to be seen.
    others = [start(call, sync.DistributedLock(url, f"{key}-{n}", lease=60)) for n in range(2)]
    # One for all: in the destructor of a client, Python drops what the handler raises.
    client = Redis.from_url(url)
    kept = 0
    chance = random.Random(key)
    for _ in range(times):
        lock = sync.DistributedLock(client, key, lease=60)
        try:
            interrupted = False
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 1e-3))
            lock.acquire()
            while not interrupted:
                time.sleep(0.01)
        except SoftTimeLimit:
            pass
        if lock._async._holds:
            lock.release()
        kept += lock.locked()
    ended_here.set()
    for other in others:
        ended(other)
    client.close()
    say("done", kept=kept)


async def test_interrupts_leave_nothing_and_harm_no_other_thread(
    server: RedisServer, key: str, spawn: Spawn
) -> None:
    child = spawn(interrupted_at_random, server.url, key, 200, environment=STRICT)
    assert (await child.expect("done"))["kept"] == 0
    assert await child.wait() == 0
    assert all(DROPPED.match(line) for line in child.errors.splitlines()), child.errors


class InterruptingBackoff(NoBackoff):
    """Interrupts the main thread once it makes the connection for another thread too."""

    interrupted = False

    def compute(self, failures: int) -> float:
        portal = _portal._portal
        assert portal is not None
        mine = threading.current_thread() is threading.main_thread()
        if mine and portal._sleepers and not InterruptingBackoff.interrupted:
            InterruptingBackoff.interrupted = True
            signal.raise_signal(signal.SIGALRM)
        return 0.01


def interrupted_while_connecting(url: str, key: str) -> None:
    """Make the connection that another thread needs too, and be interrupted there."""

    def limit(*_: object) -> None:
        raise SoftTimeLimit

    def follow() -> bool:
        until(lambda: _portal._portal is not None, "the portal is open")
        until_a_caller_leads()
        return sync.DistributedLock(client, f"{key}-other").acquire()

    signal.signal(signal.SIGALRM, limit)
    client = Redis.from_url(url, retry=Retry(InterruptingBackoff(), 10_000))
    other = start(follow)
    with pytest.raises(SoftTimeLimit):
        sync.DistributedLock(client, key).acquire()
    say("interrupted")
    say("done", acquired=ended(other))


async def test_an_interrupt_while_connecting_harms_no_other_thread(
    make_proxy: Callable[[], Proxy], key: str, spawn: Spawn
) -> None:
    proxy = make_proxy()
    proxy.refuse()
    child = spawn(interrupted_while_connecting, proxy.url, key)
    await child.expect("interrupted")
    proxy.refuse(False)
    assert (await child.expect("done"))["acquired"]
    assert await child.wait() == 0
