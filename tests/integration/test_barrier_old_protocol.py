"""DistributedBarrier and the old package's protocol, spoken here in plain commands."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from dsync import BrokenBarrierError, DistributedBarrier
from redis.asyncio import Redis

from tests.integration.barriers import (
    Listener,
    OldParty,
    arrivals,
    channel_name,
    count_name,
    done,
    start_parties,
    until_arrived,
    until_nothing_is_left,
)
from tests.integration.locks import script_calls, soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

MakeOld = Callable[..., OldParty]


@pytest.fixture
def make_old(server: RedisServer, key: str, cleanup: ExitStack) -> MakeOld:
    """Make old parties: `make_old(parties)`."""
    return lambda parties: cleanup.enter_context(OldParty(server, key, parties))


async def still_waits(server: RedisServer, *tasks: asyncio.Task[None]) -> None:
    """Check that nobody passes, though the session has asked the server what it heard means."""
    before = script_calls(server)
    await eventually(lambda: script_calls(server) >= before + 2, "questions")
    assert done(tasks) == 0


# ---- one round for both ----


async def test_an_old_party_that_comes_last_lets_ours_go(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 3), make_old(3)
    for number in range(1, 4):
        waiting = await start_parties(server, key, barrier, barrier)
        old.arrive()
        await soon(asyncio.gather(*waiting))
        # It is heard by itself too, as many times as it spoke.
        assert old.words() == ["release"] * 3 * number
        assert arrivals(server, key) == 0


async def test_one_of_ours_that_comes_last_lets_old_parties_go(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 3), [make_old(3), make_old(3)]
    for number in range(1, 4):
        for party in old:
            party.arrive()
        assert await barrier.n_waiting() == 2
        await soon(barrier.wait())
        assert [party.words() for party in old] == [["release"] * number] * 2
        assert arrivals(server, key) == 0


async def test_parties_of_both_kinds_come_in_any_order(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 4), make_old(4)
    for order in ("nnoo", "noon", "onon", "oonn", "nono", "onno"):
        waiting: list[asyncio.Task[None]] = []
        for number, kind in enumerate(order, 1):
            assert done(waiting) == 0
            if kind == "o":
                old.arrive()
            else:
                waiting.append(asyncio.create_task(barrier.wait()))
            await until_arrived(server, key, number % 4)
        await soon(asyncio.gather(*waiting))
    await until_nothing_is_left(server, count_name(key))


async def test_an_old_party_in_a_hurry_does_not_keep_ours_in_the_round_that_is_over(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old, hasty = DistributedBarrier(redis, key, 2), make_old(2), make_old(2)
    waiting = await start_parties(server, key, barrier)
    old.arrive()
    # It belongs to the next round, before ours has heard of the end of this one.
    hasty.arrive()
    await soon(asyncio.gather(*waiting))
    assert await barrier.n_waiting() == 1
    await soon(barrier.wait())
    assert arrivals(server, key) == 0


async def test_a_cancelled_party_of_a_round_that_is_over_takes_no_old_one_with_it(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old, hasty = DistributedBarrier(redis, key, 2), make_old(2), make_old(2)
    (waiting,) = await start_parties(server, key, barrier)
    old.take_guard()
    old.count()
    old.end("nothing that is known", 0)
    old.free_guard()
    hasty.arrive()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await barrier.n_waiting() == arrivals(server, key) == 1
    await soon(barrier.wait())


async def test_rounds_without_old_parties_say_nothing_on_the_channel(
    server: RedisServer, redis: Redis, key: str
) -> None:
    barrier = DistributedBarrier(redis, key, 2)
    with Listener(server, channel=channel_name(key)) as listener:
        for _ in range(5):
            await soon(asyncio.gather(barrier.wait(), barrier.wait()))
        assert listener.words() == []


# ---- messages ----


async def test_repeated_releases_never_open_a_later_round(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 3), make_old(3)

    async def twice() -> None:
        await barrier.wait()
        await barrier.wait()

    waiting = [asyncio.create_task(twice()) for _ in range(2)]
    await until_arrived(server, key, 2)
    old.take_guard()
    assert old.count() == 3
    old.end("release", 1)
    # Those of ours that come back wait until the old one is ready.
    old.free_guard()
    await until_arrived(server, key, 2)
    for _ in range(3):
        old.say("release", 3)
        await still_waits(server, *waiting)
    assert arrivals(server, key) == 2
    old.arrive()
    await soon(asyncio.gather(*waiting))


@pytest.mark.parametrize("word", ["reset", "abort", "", "release ", "1"])
async def test_words_without_an_end_of_the_round_change_nothing(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str, word: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 3), make_old(3)
    waiting = await start_parties(server, key, barrier, barrier)
    old.say(word, 3)
    await still_waits(server, *waiting)
    old.arrive()
    await soon(asyncio.gather(*waiting))


# ---- breaks ----


@pytest.mark.parametrize("word", ["reset", "abort"])
async def test_an_old_break_breaks_ours(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str, word: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 3), make_old(3)
    for _ in range(3):
        waiting = await start_parties(server, key, barrier, barrier)
        old.break_round(word)
        for task in waiting:
            with pytest.raises(BrokenBarrierError, match=key):
                await soon(task)
        # The next round is as good as any.
        waiting = await start_parties(server, key, barrier, barrier)
        old.arrive()
        await soon(asyncio.gather(*waiting))


@pytest.mark.parametrize("word", ["reset", "abort"])
async def test_our_break_is_told_to_old_parties(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str, word: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 3), make_old(3)
    waiting = await start_parties(server, key, barrier)
    old.arrive()
    await getattr(barrier, word)()
    assert old.words() == [word]
    assert arrivals(server, key) == 0
    with pytest.raises(BrokenBarrierError):
        await soon(waiting[0])


async def test_a_count_that_an_old_process_has_set_to_zero_in_silence_breaks_the_round(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 3), make_old(3)
    waiting = await start_parties(server, key, barrier, barrier)
    old.end("", 0)
    for task in waiting:
        with pytest.raises(BrokenBarrierError):
            await soon(task)
    assert arrivals(server, key) == 0


# ---- while an old party changes the count ----


async def test_an_arrival_waits_until_an_old_party_has_changed_the_count(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 2), make_old(2)
    old.take_guard()
    waiting = asyncio.create_task(barrier.wait())
    await still_waits(server, waiting)
    assert arrivals(server, key) == 0
    old.free_guard()
    await until_arrived(server, key, 1)
    old.arrive()
    await soon(waiting)


async def test_an_arrival_behind_others_of_its_process_waits_no_longer(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 4), make_old(4)
    waiting = await start_parties(server, key, barrier)
    old.take_guard()
    waiting += [asyncio.create_task(barrier.wait()) for _ in range(2)]
    await still_waits(server, *waiting)
    assert arrivals(server, key) == 1
    old.free_guard()
    await until_arrived(server, key, 3)
    old.arrive()
    await soon(asyncio.gather(*waiting))


async def test_an_arrival_that_was_cancelled_while_it_waited_for_that_is_not_counted(
    server: RedisServer, redis: Redis, make_old: MakeOld, key: str
) -> None:
    barrier, old = DistributedBarrier(redis, key, 2), make_old(2)
    old.take_guard()
    waiting = asyncio.create_task(barrier.wait())
    await still_waits(server, waiting)
    waiting.cancel()
    await asyncio.wait([waiting])
    old.free_guard()
    assert await barrier.n_waiting() == 0
    await soon(asyncio.gather(barrier.wait(), barrier.wait()))
