"""Cases of barriers and events."""

import asyncio
from typing import Any

from dsync import BrokenBarrierError, DistributedBarrier, DistributedEvent

from tests.cancellation.registry import add, case
from tests.cancellation.stage import Stage
from tests.integration import barriers, events
from tests.integration.locks import NEVER, soon
from tests.support.waiting import eventually

# ---- barriers ----


def barrier(stage: Stage, session: str = "main") -> Any:
    """Make a barrier for two."""
    return stage.make(DistributedBarrier, session, parties=2)


async def last_party(stage: Stage, session: str) -> None:
    """The one that opens it; when it is cancelled in time, the other waits on."""
    subject, other = barrier(stage, session), barrier(stage, "other")
    (waiting,) = await barriers.start_parties(stage.server, stage.key, other)
    beside = []
    if session == "proxied":
        await subject.n_waiting()
        stage.go_away()
        beside.append(stage.come_back())
    outcome = await stage.run(subject.wait(), *beside)
    if outcome.cancelled:
        await meet_who_is_left(stage, waiting)
    await soon(waiting)


async def meet_who_is_left(stage: Stage, waiting: asyncio.Task[None]) -> None:
    """Open the barrier for the other party, unless that happened before the cancellation."""
    replacement = asyncio.create_task(barrier(stage, "replacement").wait())

    def is_decided() -> bool:
        # Either it has met the other one, or it is the first party of another round.
        alone = waiting.done() and barriers.arrivals(stage.server, stage.key) == 1
        return replacement.done() or alone

    await eventually(is_decided)
    replacement.cancel()
    await asyncio.wait([replacement])


async def waits_for_the_last(stage: Stage, session: str) -> None:
    """One that waits while another comes; cancelled together with the opening, too."""
    subject, other = barrier(stage, session), barrier(stage, "other")

    async def come() -> None:
        await stage.until(lambda: barriers.arrivals(stage.server, stage.key) == 1)
        coming.append(asyncio.create_task(other.wait()))

    coming: list[asyncio.Task[None]] = []
    outcome = await stage.run(subject.wait(), come())
    await stage.others_end()
    if outcome.cancelled:
        await meet_who_is_left(stage, coming[0])
    await soon(coming[0])


async def broken_while_it_waits(stage: Stage, method: str) -> None:
    subject, other = barrier(stage), barrier(stage, "other")

    async def end_the_round() -> None:
        await stage.until(lambda: barriers.arrivals(stage.server, stage.key) == 1)
        await getattr(other, method)()

    await stage.run(subject.wait(), end_the_round(), raises=BrokenBarrierError)


async def parties_wait(stage: Stage, method: str) -> None:
    """Whoever ends or asks about a round, cancelled or not, has done it or not."""
    subject, other = barrier(stage), barrier(stage, "other")
    await subject.n_waiting()
    (waiting,) = await barriers.start_parties(stage.server, stage.key, other)
    outcome = await stage.run(getattr(subject, method)())
    if outcome.cancelled or method == "n_waiting":
        await subject.reset()
    (error,) = await soon(asyncio.gather(waiting, return_exceptions=True))
    assert isinstance(error, BrokenBarrierError)


async def called_first(stage: Stage, method: str) -> None:
    await stage.run(getattr(barrier(stage, "first"), method)())


async def called_while_away(stage: Stage, method: str) -> None:
    subject = barrier(stage, "proxied")
    await subject.n_waiting()
    stage.go_away()
    await stage.run(getattr(subject, method)(), stage.come_back())


@case("DistributedBarrier.wait")
async def opens_it(stage: Stage) -> None:
    await last_party(stage, "main")


@case("DistributedBarrier.wait")
async def opens_it_at_first_use(stage: Stage) -> None:
    await last_party(stage, "first")


@case("DistributedBarrier.wait", by_turns=False)
async def opens_it_when_the_server_is_back(stage: Stage) -> None:
    await last_party(stage, "proxied")


add("DistributedBarrier.wait", waits_for_the_last, "main")
add("DistributedBarrier.wait", broken_while_it_waits, "reset")
for each in ("n_waiting", "reset", "abort"):
    for situation in (parties_wait, called_first):
        add(f"DistributedBarrier.{each}", situation, each)
    add(f"DistributedBarrier.{each}", called_while_away, each, by_turns=False)


# ---- events ----


def event(stage: Stage, session: str = "main") -> Any:
    """Make an event that only messages bring on."""
    return stage.make(DistributedEvent, session, consumer_timeout=NEVER)


@case("DistributedEvent.wait")
async def is_set_already(stage: Stage) -> None:
    subject = event(stage)
    await subject.set()
    await stage.run(subject.wait())


async def set_while_it_waits(stage: Stage, session: str) -> None:
    subject, other = event(stage, session), event(stage, "other")

    async def set_it() -> None:
        await stage.until(lambda: events.listeners(stage.server, stage.key) == 1)
        await other.set()

    await stage.run(subject.wait(), set_it())


@case("DistributedEvent.wait")
async def first_wait(stage: Stage) -> None:
    await set_while_it_waits(stage, "first")


@case("DistributedEvent.wait")
async def together_with_another(stage: Stage) -> None:
    """Of the same object; the other waits on when one is cancelled."""
    subject, other = event(stage), event(stage, "other")
    (waiting,) = await events.start_waiters(stage.server, subject)

    await stage.run(subject.wait(), other.set())
    assert await soon(waiting)


@case("DistributedEvent.wait")
async def waits_while_away(stage: Stage) -> None:
    subject, other = event(stage, "proxied"), event(stage, "other")
    await subject.is_set()
    stage.go_away()
    await other.set()
    await stage.run(subject.wait(), stage.come_back())


async def asked_or_changed(stage: Stage, method: str) -> None:
    subject = event(stage)
    await subject.is_set()
    await stage.run(getattr(subject, method)())


async def with_a_waiter(stage: Stage, method: str) -> None:
    """Whoever waits is woken by this set, or by the next one if this was cancelled."""
    subject, other = event(stage), event(stage, "other")
    (waiting,) = await events.start_waiters(stage.server, other)
    outcome = await stage.run(getattr(subject, method)())
    if outcome.cancelled or method != "set":
        await subject.set()
    assert await soon(waiting)


async def first_call(stage: Stage, method: str) -> None:
    await stage.run(getattr(event(stage, "first"), method)())


async def call_while_away(stage: Stage, method: str) -> None:
    subject = event(stage, "proxied")
    await subject.is_set()
    stage.go_away()
    await stage.run(getattr(subject, method)(), stage.come_back())


add("DistributedEvent.wait", set_while_it_waits, "main")
for each in ("is_set", "set", "clear"):
    for situation in (asked_or_changed, with_a_waiter, first_call):
        add(f"DistributedEvent.{each}", situation, each)
    add(f"DistributedEvent.{each}", call_while_away, each, by_turns=False)
