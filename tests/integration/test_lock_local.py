"""DistributedLock: tasks of one loop hand it on among themselves, and what others see of that."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from dsync import DistributedCondition, DistributedLock, LockLostError, sync
from redis.asyncio import Redis

from tests.integration.blocking import all_ended, closed_afterwards, start
from tests.integration.children import count_in_turn
from tests.integration.locks import (
    fence_name,
    holder,
    lose,
    script_calls,
    soon,
    steal,
    until_nothing_is_left,
    until_renewed,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

__all__ = ["closed_afterwards"]
TURNS = 16  # at most, without the server
pytestmark = pytest.mark.usefixtures("closed_afterwards")


async def take_in_turns(lock: DistributedLock, times: int, tokens: list[int]) -> None:
    for _ in range(times):
        async with lock:
            tokens.append(lock.fencing_token)


async def contend(redis: Redis, key: str, tasks: int, times: int, fair: str) -> list[int]:
    """Let tasks take the lock again and again; give the fencing tokens as they came."""
    tokens: list[int] = []
    locks = [DistributedLock(redis, key, fair=fair) for _ in range(tasks)]  # type: ignore[arg-type]
    await soon(asyncio.gather(*(take_in_turns(lock, times, tokens) for lock in locks)))
    return tokens


async def inherit(redis: Redis, key: str, **options: object) -> DistributedLock:
    """Give a lock that was got from another object of this loop."""
    heir = DistributedLock(redis, key, **options)  # type: ignore[arg-type]
    while True:
        first = DistributedLock(redis, key, **options)  # type: ignore[arg-type]
        await first.acquire()
        waiting = asyncio.create_task(heir.acquire())
        await asyncio.sleep(0)
        before = first.fencing_token
        await first.release()
        await soon(waiting)
        if heir.fencing_token == before + 1:
            return heir
        await heir.release()  # The machine was busy for the time in which that is possible.


async def test_tasks_hand_the_lock_on_without_the_server(
    server: RedisServer, redis: Redis, key: str
) -> None:
    await contend(redis, key, 10, 1, "bounded")
    before = script_calls(server)
    tokens = await contend(redis, key, 10, 100, "bounded")
    assert len(tokens) == 1000
    assert tokens == sorted(set(tokens))
    assert script_calls(server) - before < 1000
    await until_nothing_is_left(server)


async def test_strict_asks_the_server_for_each_grant(
    server: RedisServer, redis: Redis, key: str
) -> None:
    await contend(redis, key, 10, 1, "strict")
    before = script_calls(server)
    tokens = await contend(redis, key, 10, 20, "strict")
    assert tokens == sorted(set(tokens))
    assert script_calls(server) - before >= 400


async def test_a_lock_is_handed_on_so_often_in_a_row_and_no_more(redis: Redis, key: str) -> None:
    tokens = await contend(redis, key, 10, 100, "bounded")
    in_a_row = longest = 0
    for before, after in pairwise(tokens):
        in_a_row = in_a_row + 1 if after == before + 1 else 0
        longest = max(longest, in_a_row)
    assert 0 < longest <= TURNS


@pytest.mark.parametrize("fair", ["fifo", "", None, True])
@pytest.mark.parametrize("kind", [DistributedLock, DistributedCondition, sync.DistributedLock])
def test_another_kind_of_fairness_is_refused(kind: type, fair: object) -> None:
    with pytest.raises(ValueError, match="fair must be 'bounded' or 'strict'"):
        kind("redis://localhost", "key", fair=fair)


async def test_other_processes_get_their_turns(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    stopped = False

    async def keep_busy() -> None:
        lock = DistributedLock(redis, key)
        while not stopped:
            async with lock:
                await asyncio.sleep(0)

    tasks = [asyncio.create_task(keep_busy()) for _ in range(10)]
    children = [spawn(count_in_turn, server.url, key, 50) for _ in range(2)]
    for child in children:
        await child.expect("done")
    stopped = True
    await soon(asyncio.gather(*tasks))


async def test_processes_that_hand_on_inside_exclude_each_other(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    seen: list[tuple[int, int]] = []

    async def count() -> None:
        lock = DistributedLock(redis, key)
        for _ in range(50):
            async with lock:
                value = int(await redis.get(f"count-{key}") or 0) + 1
                await redis.set(f"count-{key}", value)
                seen.append((lock.fencing_token, value))

    children = [spawn(count_in_turn, server.url, key, 50) for _ in range(2)]
    await soon(asyncio.gather(*(count() for _ in range(4))))
    for child in children:
        await child.expect("done")
    for child in children:
        seen += [(e["fence"], e["count"]) for e in child.events if e["event"] == "inside"]
    assert [value for _, value in sorted(seen)] == list(range(1, 301))


# ---- the heir ----


async def test_the_heirs_token_is_what_stands_in_redis(
    server: RedisServer, redis: Redis, key: str
) -> None:
    heir = await inherit(redis, key)
    assert holder(server, key) == heir._token
    assert await heir.owned()
    assert await heir.locked()
    await heir.release()
    await until_nothing_is_left(server)


async def test_the_next_grant_of_the_server_has_a_greater_token(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key):
        pass
    with server.sync() as client:
        # The server's clock does not help: it has stepped back by years.
        operation = str(client.get(fence_name(key)))[16:]
        client.set(fence_name(key), "4102444800000000" + operation, keepttl=True)
    heir = await inherit(redis, key)
    inherited = heir.fencing_token
    assert inherited > 4102444800000000
    await heir.release()
    async with DistributedLock(server.url, key) as lock:
        assert lock.fencing_token > inherited


async def test_the_heirs_lease_is_renewed(server: RedisServer, redis: Redis, key: str) -> None:
    heir = await inherit(redis, key, lease=0.6)
    await until_renewed(server, 3)
    assert heir.valid_for() > 0
    await heir.release()


async def test_the_heir_can_make_its_lease_longer(redis: Redis, key: str) -> None:
    heir = await inherit(redis, key)
    await heir.extend(300)
    assert heir.valid_for() > 200
    await heir.release()


async def test_the_heir_is_told_of_a_loss(server: RedisServer, redis: Redis, key: str) -> None:
    heir = await inherit(redis, key, lease=0.6)
    steal(server, key)
    await soon(heir.lost.wait())
    assert heir.valid_for() == 0
    with pytest.raises(LockLostError):
        await heir.release()


async def test_what_was_lost_is_not_handed_on(server: RedisServer, redis: Redis, key: str) -> None:
    first, second = DistributedLock(redis, key), DistributedLock(redis, key, 0.01)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await lose(server, key, first)
    with pytest.raises(LockLostError):
        await first.release()
    with server.sync() as client:
        client.delete(f"distributed_lock_{key}")
    await soon(waiting)
    assert holder(server, key) == second._token
    await second.release()


async def test_an_heir_that_is_cancelled_hands_it_on(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second, third = (DistributedLock(redis, key) for _ in range(3))
    await first.acquire()
    tasks = [asyncio.create_task(lock.acquire()) for lock in (second, third)]
    await asyncio.sleep(0)
    await first.release()
    tasks[0].cancel()
    await soon(asyncio.wait(tasks))
    assert tasks[0].cancelled()
    assert await tasks[1]
    await third.release()
    await until_nothing_is_left(server)


async def test_an_heir_may_wait_for_a_notification(
    server: RedisServer, redis: Redis, key: str
) -> None:
    condition = DistributedCondition(redis, key)
    ready: list[int] = []

    async def wait(number: int) -> None:
        async with condition:
            ready.append(number)
            await condition.wait()
            ready.remove(number)

    waiters = [asyncio.create_task(wait(number)) for number in range(10)]
    await eventually(lambda: len(ready) == 10, "all wait")
    for _ in range(10):
        async with condition:
            await condition.notify()
    await soon(asyncio.gather(*waiters))
    assert not await condition.locked()


# ---- threads ----


def test_threads_hand_it_on_too(server: RedisServer, key: str) -> None:
    tokens: list[int] = []

    def work() -> None:
        lock = sync.DistributedLock(server.url, key)
        for _ in range(100):
            with lock:
                tokens.append(lock.fencing_token)

    all_ended([start(work) for _ in range(4)])
    assert len(tokens) == 400
    assert tokens == sorted(set(tokens))
    assert any(after == before + 1 for before, after in pairwise(tokens))
