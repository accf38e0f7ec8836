"""Typical user code: mypy --strict and pyright strict accept it, and refuse what is wrong.

Nothing runs it. Where an error is expected stands an `ignore`, itself an error when needless.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, assert_type

import dsync
from dsync import (
    BrokenBarrierError,
    DistributedBarrier,
    DistributedBoundedSemaphore,
    DistributedCondition,
    DistributedEvent,
    DistributedLock,
    DistributedSemaphore,
    LockLostError,
)
from dsync.key_value import (
    CreateDistributedLock,
    CreateKeyValueDistributedLockFailedException,
    DeleteDistributedLock,
    GetDistributedLock,
    KeyValueDistributedLock,
    LockValue,
    get_key,
)
from redis import Redis as BlockingRedis
from redis.asyncio import Redis


async def with_a_url() -> None:
    async with DistributedLock("redis://localhost", "reports") as lock:
        assert_type(lock, DistributedLock)


async def with_a_client() -> None:
    async with Redis(host="localhost", decode_responses=True) as redis:
        lock = DistributedLock(redis, "reports", 0.1, 5.0)
        assert_type(await lock.acquire(), bool)
        assert_type(await lock.acquire(0.5, 10), bool)
        assert_type(await lock.acquire(acquire_sleep_delay=None, acquire_timeout=0), bool)
        await lock.release()


async def with_a_client_of_unknown_type(redis: Any) -> None:
    async with DistributedLock(redis, "reports"):
        pass


async def in_a_fleet(lock: DistributedLock, store: Callable[[int], Awaitable[None]]) -> None:
    if not await lock.try_acquire():
        return
    try:
        token = lock.fencing_token
        assert_type(token, int)
        assert_type(lock.valid_for(), float)
        assert_type(await lock.locked(), bool)
        assert_type(await lock.owned(), bool)
        await lock.extend(60)
        await store(token)
    finally:
        await lock.release()


def on_lost(lock: DistributedLock) -> None:
    print(lock, "was lost")


async def on_lost_async(lock: DistributedLock) -> None:
    await asyncio.sleep(0)


async def with_options(redis: Redis) -> None:
    DistributedLock(redis, "a", lease=None)
    DistributedLock(redis, "a", lease=5, auto_renew=False)
    DistributedLock(redis, "a", on_lost=on_lost, cancel_on_lost=True)
    DistributedLock(redis, "a", on_lost=on_lost_async)
    DistributedLock(redis, "a", on_lost=lambda lock: print(lock.valid_for()))


async def told_of_the_loss(lock: DistributedLock) -> None:
    assert_type(await lock.lost, bool)
    await lock.lost.wait()
    assert_type(lock.lost.is_set(), bool)
    try:
        await lock.release()
    except LockLostError as error:
        runtime_error: RuntimeError = error
        print(runtime_error)


async def with_permits(redis: Redis) -> None:
    async with DistributedSemaphore(redis, "pool", 10, acquire_timeout=1) as semaphore:
        assert_type(semaphore, DistributedSemaphore)
        assert_type(await semaphore.locked(), bool)
    async with DistributedBoundedSemaphore(redis, "pool", 10, lease=None) as bounded:
        assert_type(bounded, DistributedBoundedSemaphore)


async def with_notifications(redis: Redis, jobs: list[str]) -> None:
    async with DistributedCondition(redis, "jobs") as condition:
        assert_type(condition, DistributedCondition)
        assert_type(await condition.wait(), bool)
        assert_type(await condition.wait_for(lambda: jobs), list[str])
        await condition.notify(2)
        await condition.notify_all()


async def with_rounds_and_flags(redis: Redis) -> None:
    barrier = DistributedBarrier(redis, "start", parties=5)
    assert_type(barrier.parties, int)
    assert_type(await barrier.n_waiting(), int)
    try:
        await barrier.wait()
    except BrokenBarrierError as error:
        both: tuple[ValueError, asyncio.BrokenBarrierError] = (error, error)
        print(both)
    event = DistributedEvent(redis, "ready", consumer_timeout=1)
    assert_type(await event.wait(), bool)
    assert_type(await event.is_set(), bool)


class Worker:
    """Keeps a lock as an attribute."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._lock = DistributedLock(redis, f"worker:{name}", acquire_timeout=1)

    async def work(self) -> str:
        async with asyncio.timeout(5), self._lock:
            return "done"


async def at_the_end() -> None:
    await dsync.close()


def without_asyncio(redis: BlockingRedis, jobs: list[str]) -> None:
    with dsync.sync.DistributedLock(redis, "reports", acquire_timeout=5) as lock:
        assert_type(lock, dsync.sync.DistributedLock)
        assert_type(lock.fencing_token, int)
        assert_type(lock.owned(), bool)
        assert_type(lock.lost.is_set(), bool)
    assert_type(lock.try_acquire(), bool)
    with dsync.sync.DistributedBoundedSemaphore("redis://localhost", "pool", 10) as bounded:
        assert_type(bounded, dsync.sync.DistributedBoundedSemaphore)
    with dsync.sync.DistributedCondition(redis, "jobs") as condition:
        assert_type(condition.wait(timeout=1), bool)
        assert_type(condition.wait_for(lambda: jobs, timeout=1), list[str])
        condition.notify_all()
    barrier = dsync.sync.DistributedBarrier(redis, "start", 5)
    barrier.wait(timeout=1)
    assert_type(barrier.n_waiting(), int)
    event = dsync.sync.DistributedEvent(redis, "ready")
    assert_type(event.wait(timeout=1), bool)
    dsync.sync.close()


def configured(redis: Redis, blocking: BlockingRedis, unknown: Any) -> None:
    dsync.configure(redis)
    dsync.configure(blocking)
    dsync.configure(unknown)
    dsync.configure("redis://localhost:6379/0")
    dsync.configure(None)


def refresh_token(user_id: int) -> None:
    try:
        with KeyValueDistributedLock("token_refresh", user_id=user_id) as key:
            assert_type(key, uuid.UUID)
    except CreateKeyValueDistributedLockFailedException as error:
        print(error)


def with_commands() -> None:
    assert_type(get_key("ns", a=1, b=[2]), uuid.UUID)
    create = CreateDistributedLock(namespace="ns", params={"a": 1})
    assert_type(create.key, uuid.UUID)
    create.validate()
    create.run()
    value = GetDistributedLock("ns", {"a": 1}).run()
    assert_type(value, LockValue | None)
    if value is not None:
        assert_type(value["value"], bool)
    DeleteDistributedLock("ns").run()


@dsync.locked("invoice-{user_id}")
def plain(user_id: int, *, mode: str = "fast") -> str:
    return f"{user_id} {mode}"


@dsync.locked("invoice-{user_id}", acquire_timeout=5, cancel_on_lost=True)
async def coroutine(user_id: int, *rows: str) -> list[str]:
    return [str(user_id), *rows]


class Account:
    """Has methods of which one runs at a time."""

    id = 5

    @dsync.locked("account-{self.id}")
    def pay(self, amount: int) -> bool:
        return amount > 0

    @dsync.locked("account-{self.id}", lease=None)
    async def pay_async(self, amount: int) -> bool:
        return amount > 0

    @classmethod
    @dsync.locked("accounts")
    def count(cls) -> int:
        return 0


async def with_locked_functions(redis: BlockingRedis, account: Account) -> None:
    assert_type(plain(1, mode="slow"), str)
    pending: Coroutine[Any, Any, list[str]] = coroutine(1)
    assert_type(await pending, list[str])
    assert_type(await coroutine(1, "a", "b"), list[str])
    assert_type(account.pay(5), bool)
    assert_type(await account.pay_async(amount=5), bool)
    assert_type(Account.count(), int)
    decorated = dsync.locked("a", redis, 0.1, None, on_lost=print)(refresh_token)
    decorated(user_id=5)
    plain("1")  # type: ignore[arg-type]
    plain(1, speed="fast")  # type: ignore[call-arg]
    await coroutine()  # type: ignore[call-arg]
    account.pay("5")  # type: ignore[arg-type]


def refused_without_asyncio(redis: BlockingRedis) -> None:
    KeyValueDistributedLock()  # type: ignore[call-arg]
    KeyValueDistributedLock(5)  # type: ignore[arg-type]
    dsync.configure()  # type: ignore[call-arg]
    dsync.locked()  # type: ignore[call-arg]
    dsync.locked("a", redis, 0.1, None, 30.0)  # type: ignore[call-arg]
    dsync.locked("a")(5)  # type: ignore[arg-type]
    dsync.sync.DistributedLock(redis)  # type: ignore[call-arg]


async def refused(redis: Redis) -> None:
    DistributedLock(redis)  # type: ignore[call-arg]
    DistributedLock(redis, b"bytes")  # type: ignore[arg-type]
    DistributedLock(redis, "a", None)  # type: ignore[arg-type]
    DistributedLock(redis, "a", 0.1, None, 30.0)  # type: ignore[call-arg]
    DistributedLock(redis, "a", lease="long")  # type: ignore[arg-type]
    DistributedLock(redis, "a", on_lost=lambda: None)  # type: ignore[misc,arg-type]
    DistributedSemaphore(redis, "a")  # type: ignore[call-arg]
    DistributedBarrier(redis, "a", "5")  # type: ignore[arg-type]
    lock = DistributedLock(redis, "a")
    lock.fencing_token = 1  # type: ignore[misc]
    with lock:  # type: ignore[attr-defined]
        pass
