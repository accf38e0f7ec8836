"""What each task or thread of a client process does until the run is over."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from dsync import BrokenBarrierError, LockLostError
from redis.exceptions import RedisError

from tests.history.check_meetings import ALL
from tests.history.checker import PARTIES, PERMITS
from tests.history.faces import Face
from tests.history.recorder import TaskRecorder
from tests.history.store import Store

MARGIN = 0.5  # part of the lease; who has less left does not write into an unguarded store


@dataclass
class Worker:
    """What one task or thread works with.

    :param number: of the worker within its process; some workloads give each another part
    :param stop: a file that comes into being when the run is over
    """

    name: str
    number: int
    face: Face
    client: Any
    lease: float
    recorder: TaskRecorder
    dice: random.Random
    store: Store
    stop: Path
    key: str = "history"
    elements: int = field(default=0)

    @property
    def stopping(self) -> bool:
        """Whether the run is over."""
        return self.stop.exists()

    def make(self, name: str, key: str, *arguments: Any, **options: Any) -> Any:
        """Make a primitive with the lease of the run."""
        return self.face.make(name, self.client, key, *arguments, lease=self.lease, **options)


async def acquire(worker: Worker, primitive: Any, key: str, fenced: bool = True) -> int:
    """Acquire, and return the number of the operation; 0 if it was not granted."""
    patience = worker.dice.choice([None, None, None, None, 0.3, 0])
    told = {"token": worker.face.token(primitive)} if fenced else {}
    number = worker.recorder.invoke("acquire", key, **told)
    try:
        await primitive.acquire(acquire_timeout=patience)
    except TimeoutError:
        worker.recorder.end("fail", number)
    except RedisError as error:
        worker.recorder.end("info", number, error=repr(error))
    else:
        # At once: later the token may belong to nobody any more.
        told = {"fence": primitive.fencing_token} if fenced else {}
        worker.recorder.end("ok", number, **told)
        worker.recorder.claim(number, key, primitive.valid_for)
        return number
    return 0


async def release(worker: Worker, primitive: Any, key: str, hold: int) -> None:
    """Say that it is still held, and give it back."""
    worker.recorder.claim(hold, key, primitive.valid_for)
    number = worker.recorder.invoke("release", key, hold=hold)
    try:
        await primitive.release()
    except LockLostError:
        worker.recorder.end("fail", number, why="lost")
    except RedisError as error:
        worker.recorder.end("info", number, error=repr(error))
    else:
        worker.recorder.end("ok", number)


async def use_list(worker: Worker) -> None:
    """Add elements to a list that the lock protects: read it, sleep, write it.

    The "lock set" test of Jepsen.
    """
    keys = [f"{worker.key}-0", f"{worker.key}-1"]
    locks = {key: worker.make("DistributedLock", key) for key in keys}
    while not worker.stopping:
        key = worker.dice.choice(keys)
        hold = await acquire(worker, locks[key], key)
        if hold:
            await add_element(worker, locks[key], key, hold)
            await release(worker, locks[key], key, hold)


async def add_element(worker: Worker, lock: Any, key: str, hold: int) -> None:
    """Read, sleep, write."""
    try:
        token = lock.fencing_token
    except LockLostError:
        return
    reading = worker.recorder.invoke("read", key, hold=hold)
    elements = worker.store.read(key, token)
    worker.recorder.end("fail" if elements is None else "ok", reading)
    await worker.face.sleep(worker.dice.choice([0, 0.002, 0.01, 0.1]) * worker.dice.random())
    left = worker.recorder.claim(hold, key, lock.valid_for)
    if elements is None or (not worker.store.guarded and left < MARGIN * worker.lease):
        return
    worker.elements += 1
    element = f"{worker.name}-{worker.elements}"
    writing = worker.recorder.invoke("write", key, hold=hold, element=element, read=reading)
    accepted = worker.store.write(key, token, [*elements, element])
    worker.recorder.end("ok" if accepted else "fail", writing)
    worker.recorder.claim(hold, key, lock.valid_for)


async def use_permits(worker: Worker) -> None:
    """Hold a permit for a while, again and again."""
    semaphore = worker.make("DistributedSemaphore", worker.key, PERMITS)
    while not worker.stopping:
        hold = await acquire(worker, semaphore, worker.key, fenced=False)
        if hold:
            await worker.face.sleep(worker.dice.choice([0, 0.005, 0.05]) * worker.dice.random())
            await release(worker, semaphore, worker.key, hold)


async def stand_in_line(worker: Worker) -> None:
    """Hold a lock for a moment, again and again, so that there is always a queue."""
    lock = worker.make("DistributedLock", worker.key, fair="strict")
    while not worker.stopping:
        hold = await acquire(worker, lock, worker.key)
        if hold:
            await worker.face.sleep(worker.dice.uniform(0.001, 0.01))
            await release(worker, lock, worker.key, hold)
        await worker.face.sleep(worker.dice.choice([0, 0.01, 0.05]))


async def use_condition(worker: Worker) -> None:
    """Notify, if this is the first worker of the process; wait, if it is another."""
    condition = worker.make("DistributedCondition", worker.key)
    part = notify if worker.number == 0 else wait
    while not worker.stopping or (part is wait and _may_be_cancelled()):
        try:
            await condition.acquire()
            await part(worker, condition)
        except (LockLostError, RedisError):
            pass  # The history has it.
        finally:
            with contextlib.suppress(RuntimeError, RedisError):
                await condition.release()
        if part is notify:
            await worker.face.sleep(worker.dice.expovariate(1 / 0.03))


def _may_be_cancelled() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


async def notify(worker: Worker, condition: Any) -> None:
    """Notify a few."""
    recorder = worker.recorder
    # Few for all: whom these wake may hide that an earlier notification woke nobody.
    count = worker.dice.choice([1] * 40 + [2] * 9 + [ALL])
    fence = worker.face.fence(condition)
    number = recorder.invoke("notify", worker.key, fence=fence, n=count)
    try:
        await (condition.notify_all() if count == ALL else condition.notify(count))
    except (RuntimeError, RedisError) as error:
        # One that was sent again says so as well when the lock was lost meanwhile.
        recorder.end("info", number, error=repr(error))
    else:
        recorder.end("ok", number)


async def wait(worker: Worker, condition: Any) -> None:
    """Wait for a notification, some for a short time only."""
    recorder = worker.recorder
    timeout = worker.dice.choice([None] * 7 + [0.2])
    fence = worker.face.fence(condition)
    number = recorder.invoke("wait", worker.key, fence=fence)
    try:
        in_time = await worker.face.wait(condition, timeout)
        told = {"woke": worker.face.fence(condition)} if in_time else {"why": "timeout"}
    except asyncio.CancelledError:
        recorder.end("fail", number, why="end")
        raise
    except (RuntimeError, RedisError) as error:
        recorder.end("info", number, error=repr(error))
    else:
        recorder.end("ok" if in_time else "fail", number, **told)


async def meet(worker: Worker) -> None:
    """Meet others at a barrier, round after round; some have no patience."""
    barrier = worker.face.make("DistributedBarrier", worker.client, worker.key, PARTIES)
    while not worker.stopping:
        timeout = worker.dice.choice([None] * 15 + [0.2])
        number = worker.recorder.invoke("meet", worker.key)
        try:
            met = await worker.face.wait(barrier, timeout)
        except asyncio.CancelledError:
            worker.recorder.end("fail", number, why="end")
            raise
        except (BrokenBarrierError, ValueError, redis.RedisError) as error:
            worker.recorder.end("info", number, error=repr(error))
        else:
            worker.recorder.end("ok" if met else "fail", number)
        await worker.face.sleep(worker.dice.choice([0, 0.01]) * worker.dice.random())


WORK: dict[str, Callable[[Worker], Coroutine[Any, Any, None]]] = {
    "lock": use_list,
    "set": use_list,
    "loss": use_list,
    "semaphore": use_permits,
    "order": stand_in_line,
    "condition": use_condition,
    "barrier": meet,
}
