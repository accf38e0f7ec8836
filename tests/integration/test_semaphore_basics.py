"""DistributedSemaphore: the documented methods, the counter, what a release gives back."""

import asyncio

import pytest
from dsync import DistributedLock, DistributedSemaphore, LockLostError
from redis.asyncio import Redis

from tests.integration.locks import NEVER, calls, leftovers, script_calls, soon
from tests.integration.semaphores import (
    Look,
    Room,
    free_slots,
    look,
    lose,
    permits,
    permits_name,
    semaphore_name,
    start_waiters,
    take,
    until_idle,
    until_queued,
    until_used,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VALUE = 3
SHORT = 0.02


async def test_acquire_returns_true_and_release_returns_nothing(redis: Redis, key: str) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    assert await semaphore.acquire() is True
    # What the old package promises is that a call gives None.
    assert await semaphore.release() is None  # type: ignore[func-returns-value]


async def test_the_counter_holds_the_free_slots(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphores = [DistributedSemaphore(redis, key, VALUE) for _ in range(VALUE)]
    assert free_slots(server, key) is None
    for number, semaphore in enumerate(semaphores):
        await semaphore.acquire()
        assert look(server, key) == Look(VALUE - number - 1, number + 1, 0, 0)
    for number, semaphore in enumerate(semaphores):
        await semaphore.release()
        assert look(server, key) == Look(number + 1, VALUE - number - 1, 0, 0)
    assert await redis.get(semaphore_name(key)) == b"%d" % VALUE


async def test_the_counter_stays_while_slots_change_hands(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphores = [DistributedSemaphore(redis, key, VALUE, NEVER) for _ in range(3 * VALUE)]
    for semaphore in semaphores[:VALUE]:
        await semaphore.acquire()
    waiters = await start_waiters(server, key, *semaphores[VALUE:])
    for number, semaphore in enumerate(semaphores[: 2 * VALUE]):
        await semaphore.release()
        # Before anybody was told: the slot already belongs to the next.
        assert look(server, key) == Look(0, VALUE, 2 * VALUE - number - 1, 0)
        assert await soon(waiters[number])
    for semaphore in semaphores[2 * VALUE :]:
        await semaphore.release()
    await until_idle(server, key, VALUE)


async def test_no_more_than_value_tasks_are_inside(
    server: RedisServer, redis: Redis, key: str
) -> None:
    room = Room(VALUE)
    shared = DistributedSemaphore(redis, key, VALUE, NEVER)
    own = [DistributedSemaphore(redis, key, VALUE, NEVER) for _ in range(30)]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for semaphore in own:
            group.create_task(room.enter(semaphore, 0.001))
            group.create_task(room.enter(shared, 0.001))
    assert (room.visits, room.most) == (60, VALUE)
    await until_idle(server, key, VALUE)


async def test_different_keys_have_slots_of_their_own(redis: Redis, key: str) -> None:
    async with DistributedSemaphore(redis, key, 1):
        assert await DistributedSemaphore(redis, f"{key}-2", 1).try_acquire()


async def test_a_lock_of_the_same_key_is_something_else(redis: Redis, key: str) -> None:
    async with DistributedSemaphore(redis, key, 1), DistributedLock(redis, key):
        pass


async def test_locked_tells_whether_no_slot_is_free(redis: Redis, key: str) -> None:
    mine, other = (DistributedSemaphore(redis, key, 2) for _ in range(2))
    assert await mine.locked() is False
    await mine.acquire()
    assert await other.locked() is False
    await mine.acquire()
    assert await mine.locked() is True
    assert await other.locked() is True
    await mine.release()
    assert await other.locked() is False


async def test_try_acquire_takes_what_is_free_now(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, 2, acquire_timeout=NEVER)
    assert await semaphore.try_acquire() is True
    assert await semaphore.try_acquire() is True
    before, queued = script_calls(server), calls(server, "zpopmin")
    assert await semaphore.try_acquire() is False
    assert (script_calls(server), calls(server, "zpopmin")) == (before + 1, queued)
    assert look(server, key) == Look(0, 2, 0, 0)


async def test_try_acquire_does_not_overtake_those_who_wait(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second, third = (DistributedSemaphore(redis, key, 1, NEVER) for _ in range(3))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    # As an old process does: it tells nobody.
    await redis.incr(semaphore_name(key))
    assert not await third.try_acquire()
    assert await soon(waiter)
    assert look(server, key) == Look(0, 2, 0, 0)


@pytest.mark.parametrize("timeouts", [{"acquire_timeout": SHORT}, {}], ids=["call", "constructor"])
async def test_an_acquire_that_times_out_takes_nothing(
    server: RedisServer, redis: Redis, key: str, timeouts: dict[str, float]
) -> None:
    async with DistributedSemaphore(redis, key, 1):
        late = DistributedSemaphore(redis, key, 1, NEVER, NEVER if timeouts else SHORT)
        with pytest.raises(TimeoutError, match=key) as caught:
            await soon(late.acquire(**timeouts))
        assert isinstance(caught.value, asyncio.TimeoutError)
        await until_queued(server, key, 0)
        assert look(server, key) == Look(0, 1, 0, 0)
    await until_idle(server, key, 1)


async def test_acquire_timeout_zero_tries_once(redis: Redis, key: str) -> None:
    semaphore = DistributedSemaphore(redis, key, 1, acquire_timeout=0)
    async with semaphore:
        with pytest.raises(TimeoutError):
            await semaphore.acquire()


async def test_async_with_gives_the_semaphore(server: RedisServer, redis: Redis, key: str) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    async with semaphore as given:
        assert given is semaphore
        assert free_slots(server, key) == VALUE - 1
    assert free_slots(server, key) == VALUE


@pytest.mark.parametrize("lease", [30.0, None])
async def test_async_with_gives_the_slot_back_after_an_exception(
    server: RedisServer, redis: Redis, key: str, lease: float | None
) -> None:
    with pytest.raises(KeyError, match="body") as caught:
        async with DistributedSemaphore(redis, key, VALUE, lease=lease):
            raise KeyError("body")
    assert not hasattr(caught.value, "__notes__")
    await until_idle(server, key, VALUE)


# ---- which permit a release gives back ----


async def test_one_object_may_hold_several_permits_and_releases_the_last_one_first(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    taken: list[str] = []
    for _ in range(VALUE):
        await semaphore.acquire()
        taken += set(permits(server, key)) - set(taken)
    assert len(taken) == VALUE
    while taken:
        assert await semaphore.owned()
        await semaphore.release()
        taken.pop()
        assert sorted(permits(server, key)) == sorted(taken)
    assert not await semaphore.owned()
    await until_idle(server, key, VALUE)


async def test_each_task_of_one_object_releases_its_own_permits(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, 2 * VALUE)
    turns = [asyncio.Event() for _ in range(VALUE)]

    async def work(turn: asyncio.Event) -> None:
        before = set(permits(server, key))
        await take(semaphore, 2)
        mine = set(permits(server, key)) - before
        await turn.wait()
        for left in (1, 0):
            await semaphore.release()
            assert len(mine & set(permits(server, key))) == left

    tasks = []
    for turn in turns:
        tasks.append(asyncio.create_task(work(turn)))
        await until_used(server, key, 2 * len(tasks))
    # Neither in the order they took them, nor the other way round.
    for number in (1, 0, 2):
        turns[number].set()
        await soon(tasks[number])
    await until_idle(server, key, 2 * VALUE)


async def test_a_task_without_a_permit_releases_the_last_one_of_the_object(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    await semaphore.acquire()
    first = permits(server, key)
    await semaphore.acquire()
    await asyncio.create_task(semaphore.release())
    assert permits(server, key) == first
    await asyncio.create_task(semaphore.release())
    await until_idle(server, key, VALUE)


async def test_nested_blocks_of_one_object_hold_a_permit_each(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, VALUE)
    async with semaphore:
        async with semaphore:
            assert free_slots(server, key) == VALUE - 2
        assert free_slots(server, key) == VALUE - 1
    assert free_slots(server, key) == VALUE


async def test_the_permit_of_another_object_is_not_given_back(
    server: RedisServer, redis: Redis, key: str
) -> None:
    holder, other = (DistributedSemaphore(redis, key, VALUE) for _ in range(2))
    await holder.acquire()
    await other.release()
    # A slot more, and the permit is still in use.
    assert look(server, key) == Look(VALUE, 1, 0, 0)
    assert await holder.owned()
    await holder.release()
    await until_idle(server, key, VALUE + 1)


# ---- what is left, what is shown ----


async def test_nothing_but_the_counter_is_left_in_redis(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = (DistributedSemaphore(redis, key, 1, NEVER) for _ in range(2))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    await soon(waiter)
    await second.release()
    assert leftovers(server) == {semaphore_name(key): -1}
    await second.release()
    (auxiliary,) = set(leftovers(server)) - {semaphore_name(key)}
    assert auxiliary == permits_name(key).replace("permits", "done")
    assert 0 < leftovers(server)[auxiliary] <= 600


@pytest.mark.parametrize("decode_responses", [True, False])
async def test_decode_responses_makes_no_difference(
    server: RedisServer, key: str, decode_responses: bool
) -> None:
    async with server.client(decode_responses=decode_responses) as client:
        first, second = (DistributedSemaphore(client, key, 1, NEVER) for _ in range(2))
        async with first:
            assert await first.locked() is True
            assert await first.owned() is True
            assert await second.try_acquire() is False
            (waiter,) = await start_waiters(server, key, second)
        assert await soon(waiter) is True
        await second.release()
        await second.release()
        assert await second.locked() is False
    await until_idle(server, key, 2)


async def test_repr_tells_the_key_and_whether_it_is_held(
    server: RedisServer, redis: Redis, key: str
) -> None:
    semaphore = DistributedSemaphore(redis, key, 1)
    assert key in repr(semaphore)
    assert "not held" in repr(semaphore)
    await semaphore.acquire()
    assert "not held" not in repr(semaphore)
    await lose(server, key, semaphore)
    assert "lost" in repr(semaphore)
    with pytest.raises(LockLostError):
        await semaphore.release()


@pytest.mark.parametrize(
    "name", ["a b", "{tag}:rest", "{}", "a}b{", "ключ-🔒", "\0", "x" * 100_000]
)
async def test_any_text_is_a_key(server: RedisServer, redis: Redis, name: str) -> None:
    first, second = (DistributedSemaphore(redis, name, 1, NEVER) for _ in range(2))
    await first.acquire()
    assert await redis.get(semaphore_name(name)) == b"0"
    waiter = asyncio.create_task(second.acquire())
    await eventually(lambda: any("queue" in each for each in leftovers(server)))
    await first.release()
    assert await soon(waiter)
    await second.extend(100)
    await second.release()
    assert leftovers(server) == {semaphore_name(name): -1}
