"""DistributedLock: lease, renewal, extend and valid_for."""

import asyncio
import math
import time
from collections.abc import Callable

import pytest
from dsync import DistributedLock, LockLostError
from redis.asyncio import Redis

from tests.integration.children import take_and_keep
from tests.integration.locks import (
    NEVER,
    calls,
    fence_name,
    holder,
    lease_left,
    leftovers,
    lose,
    script_calls,
    soon,
    start_waiters,
    until_nothing_is_left,
    until_queued,
    until_renewed,
)
from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

LONG = 500.0
SHORT = 0.6


async def test_the_lease_is_thirty_seconds_by_default(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key):
        assert 20 < lease_left(server, key) <= 30


async def test_the_lease_is_the_time_to_live_in_redis(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key, lease=LONG):
        assert LONG - 60 < lease_left(server, key) <= LONG


async def test_a_lease_below_a_millisecond_is_rounded_up(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=0.0000001, auto_renew=False)
    async with asyncio.timeout(20):
        # On a busy machine it may be over before the answer is there.
        while not await lock.try_acquire():  # noqa: ASYNC110, nothing tells
            await asyncio.sleep(0)
    await soon(lock.lost.wait())
    await eventually(lambda: holder(server, key) is None, "the end of the lease")
    with pytest.raises(LockLostError):
        await lock.release()


async def test_without_a_lease_the_lock_has_no_time_to_live(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=None)
    async with lock:
        assert lease_left(server, key) == -1
        assert leftovers(server)[fence_name(key)] == -1
        assert lock.valid_for() == math.inf
        assert await lock.owned()
    await until_nothing_is_left(server)


async def test_without_a_lease_a_hand_over_gives_no_time_to_live(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = (DistributedLock(redis, key, NEVER, lease=None) for _ in range(2))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    assert lease_left(server, key) == -1
    assert second.valid_for() == math.inf
    await second.release()
    await until_nothing_is_left(server)


@pytest.mark.parametrize(("before", "after"), [(None, LONG), (LONG, None)])
async def test_objects_with_and_without_lease_hand_over_to_each_other(
    server: RedisServer, redis: Redis, key: str, before: float | None, after: float | None
) -> None:
    first = DistributedLock(redis, key, NEVER, lease=before)
    second = DistributedLock(redis, key, NEVER, lease=after, auto_renew=False)
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    assert (lease_left(server, key) == -1) == (after is None)
    await second.release()
    await until_nothing_is_left(server)


async def test_the_lease_is_renewed_while_the_lock_is_held(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=SHORT)
    async with lock:
        fence = lock.fencing_token
        # Three renewals come later than the lease would have ended.
        await until_renewed(server, 4)
        assert await lock.owned()
        assert lock.fencing_token == fence
        assert holder(server, key) == lock._token
    assert holder(server, key) is None


async def test_a_holder_whose_loop_is_blocked_right_after_its_first_acquire_keeps_the_lock(
    server: RedisServer, key: str
) -> None:
    # A session of its own: nothing has been connected, and no lease renewed, before.
    async with server.client(client_name=key) as client:
        lock = DistributedLock(client, key, lease=SHORT)
        await lock.acquire()
        time.sleep(3 * SHORT)  # noqa: ASYNC251  # that is the case
        assert lock.valid_for() > 0
        assert await lock.owned()
        await lock.release()


async def test_the_first_renewal_makes_the_lease_of_a_hand_over_full(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = (DistributedLock(redis, key, NEVER, lease=LONG) for _ in range(2))
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    await eventually(lambda: lease_left(server, key) > 5, "the full lease")
    await eventually(lambda: second.valid_for() > 5, "the holder knows of it")
    await second.release()


async def test_a_hand_over_to_a_process_that_does_not_answer_gives_a_short_lease(
    server: RedisServer, redis: Redis, key: str, spawn: Callable[..., Child]
) -> None:
    first = DistributedLock(redis, key, NEVER, lease=LONG)
    await first.acquire()
    child = spawn(take_and_keep, server.url, key)
    await until_queued(server, key, 1)
    child.pause()
    await first.release()
    assert 0 < lease_left(server, key) <= 5
    child.resume()
    await child.expect("holds")
    await eventually(lambda: lease_left(server, key) > 5, "the full lease")


async def test_without_renewal_a_hand_over_gives_the_full_lease(
    server: RedisServer, redis: Redis, key: str
) -> None:
    first, second = (
        DistributedLock(redis, key, NEVER, lease=LONG, auto_renew=False) for _ in range(2)
    )
    await first.acquire()
    (waiter,) = await start_waiters(server, key, second)
    await first.release()
    assert await soon(waiter)
    assert LONG - 60 < lease_left(server, key) <= LONG
    assert LONG - 60 < second.valid_for() <= LONG
    await second.release()


async def test_without_renewal_the_lease_ends(server: RedisServer, redis: Redis, key: str) -> None:
    lock = DistributedLock(redis, key, lease=SHORT, auto_renew=False)
    await lock.acquire()
    await soon(lock.lost.wait())
    await eventually(lambda: holder(server, key) is None, "the end of the lease")
    assert lock.valid_for() == 0
    assert not await lock.owned()
    with pytest.raises(LockLostError):
        await lock.release()


async def test_a_waiter_gets_the_lock_when_the_lease_of_a_holder_ends(
    server: RedisServer, redis: Redis, key: str
) -> None:
    holding = DistributedLock(redis, key, lease=SHORT, auto_renew=False)
    waiting = DistributedLock(redis, key, NEVER)
    await holding.acquire()
    assert await soon(waiting.acquire())
    assert waiting.fencing_token > holding.fencing_token
    await waiting.release()
    with pytest.raises(LockLostError):
        await holding.release()


async def test_a_lock_that_is_released_is_renewed_no_more(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key, lease=SHORT):
        await until_renewed(server, 2)
    async with DistributedLock(redis, f"{key}-2", lease=SHORT):
        with server.sync() as client, client.monitor() as monitor:
            commands = (each["command"] for each in monitor.listen())
            renewals = [next(commands) for _ in range(12)]
    assert any(f"distributed_lock_{key}-2 " in command for command in renewals)
    assert not any(f"distributed_lock_{key} " in command for command in renewals)


async def test_the_renewal_never_takes_a_lock_again(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=SHORT)
    await lock.acquire()
    with server.sync() as client:
        client.delete(f"distributed_lock_{key}")
    await soon(lock.lost.wait())
    assert holder(server, key) is None
    with pytest.raises(LockLostError):
        await lock.release()


async def test_a_lock_object_that_is_collected_is_renewed_no_more(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=SHORT)
    await lock.acquire()
    await until_renewed(server, 1)
    del lock
    await eventually(lambda: holder(server, key) is None, "the end of the lease")


async def test_extend_makes_the_lease_last_longer(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=30, auto_renew=False)
    async with lock:
        await lock.extend(LONG)
        assert LONG - 60 < lease_left(server, key) <= LONG
        assert LONG - 60 < lock.valid_for() <= LONG


@pytest.mark.parametrize("auto_renew", [True, False])
async def test_extend_never_makes_the_lease_shorter(
    server: RedisServer, redis: Redis, key: str, auto_renew: bool
) -> None:
    lock = DistributedLock(redis, key, lease=LONG, auto_renew=auto_renew)
    async with lock:
        await lock.extend(0.001)
        assert lease_left(server, key) > LONG - 60
        assert lock.valid_for() > LONG - 60


async def test_the_renewal_does_not_shorten_an_extended_lease(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=SHORT)
    async with lock, DistributedLock(redis, f"{key}-2", lease=SHORT):
        await until_renewed(server, 2)
        await lock.extend(LONG)
        await until_renewed(server, 6)
        with server.sync() as client:
            # Over a new connection everything is renewed.
            client.client_kill_filter(_type="normal", skipme=True)
        await until_renewed(server, 6)
        assert lease_left(server, key) > LONG - 60
        assert lock.valid_for() > LONG - 60
        assert await lock.owned()


async def test_an_extended_lease_is_renewed_when_it_comes_to_its_end(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=SHORT)
    async with lock:
        await lock.extend(3 * SHORT)
        await until_renewed(server, 6)
        assert await lock.owned()
        assert not lock.lost.is_set()


async def test_extend_of_a_lock_without_a_lease_leaves_it_without(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=None)
    async with lock:
        await lock.extend(0.001)
        assert lease_left(server, key) == -1
        assert lock.valid_for() == math.inf


async def test_extend_outlives_the_end_of_the_first_lease(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key, lease=SHORT, auto_renew=False)
    other = DistributedLock(redis, f"{key}-2", lease=2 * SHORT, auto_renew=False)
    async with lock:
        await lock.extend(LONG)
        await other.acquire()
        await soon(other.lost.wait())
        assert not lock.lost.is_set()
        assert await lock.owned()
        assert holder(server, key) == lock._token


async def test_extend_without_holding_raises_runtime_error(redis: Redis, key: str) -> None:
    with pytest.raises(RuntimeError, match=key) as caught:
        await DistributedLock(redis, key).extend(1)
    assert not isinstance(caught.value, LockLostError)


async def test_valid_for_is_zero_when_the_lock_is_not_held(
    server: RedisServer, redis: Redis, key: str
) -> None:
    lock = DistributedLock(redis, key)
    assert lock.valid_for() == 0
    await lock.acquire()
    assert lock.valid_for() > 0
    await lock.release()
    assert lock.valid_for() == 0
    await lock.acquire()
    await lose(server, key, lock)
    assert lock.valid_for() == 0
    with pytest.raises(LockLostError):
        await lock.release()
    assert lock.valid_for() == 0


async def test_valid_for_counts_down_and_takes_no_round_trip(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key, auto_renew=False) as lock:
        before = script_calls(server) + calls(server, "exists", "pttl")
        values = [lock.valid_for() for _ in range(1000)]
        assert script_calls(server) + calls(server, "exists", "pttl") == before
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]
    assert values[0] <= 30


async def test_valid_for_never_says_more_than_the_server_gives(
    server: RedisServer, redis: Redis, key: str
) -> None:
    async with DistributedLock(redis, key, auto_renew=False) as lock:
        for _ in range(50):
            promised = lock.valid_for()
            # Asked later, so that the server can only have less left; it rounds to milliseconds.
            assert promised >= lease_left(server, key) - 0.5
            surely = lease_left(server, key)
            assert lock.valid_for() <= surely + 0.001
