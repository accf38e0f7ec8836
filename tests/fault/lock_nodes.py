"""What the child processes of these tests do with a lock."""

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from dsync import DistributedLock, LockLostError
from redis.asyncio import Redis

from tests.fault.lock_tools import block_loop, client_for
from tests.support.child import say

Options = dict[str, Any]


def hold_the_gil(seconds: float) -> None:
    """Call into C without letting any other thread of the interpreter run."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


BLOCKERS: dict[str, Callable[[float], None]] = {"loop": time.sleep, "interpreter": hold_the_gil}


async def hold(url: str, key: str, options: Options) -> None:
    """Take the lock and keep it."""
    lock = DistributedLock(url, key, **options)
    await lock.acquire()
    say("held", fence=lock.fencing_token, token=lock._token)
    await asyncio.Event().wait()


async def hold_for(url: str, key: str, options: Options, seconds: float) -> None:
    """Take the lock and free it later."""
    async with DistributedLock(url, key, **options) as lock:
        say("held", fence=lock.fencing_token)
        await asyncio.sleep(seconds)
    say("released")


async def block(url: str, key: str, lease: float, how: str, settled: bool) -> None:
    """Take the lock, and let nothing of asyncio run for three leases."""
    losses: list[DistributedLock] = []
    lock = DistributedLock(url, key, lease=lease, on_lost=losses.append)
    await lock.acquire()
    if settled:
        await asyncio.sleep(lease / 2)
    say("held", fence=lock.fencing_token)
    BLOCKERS[how](3 * lease)
    say("unblocked", valid_for=lock.valid_for(), lost=lock.lost.is_set())
    await lock.release()
    say("released", losses=len(losses))


async def be_stopped_in_block(url: str, key: str, lease: float) -> None:
    """Tell all that a holder learns of its loss inside an `async with` block."""
    lock = DistributedLock(url, key, lease=lease, on_lost=tell_loss, cancel_on_lost=True)
    watcher = asyncio.create_task(watch(lock))
    try:
        async with lock:
            say("held", fence=lock.fencing_token)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                say("cancelled", valid_for=lock.valid_for(), fence=lock.fencing_token)
                raise
    except LockLostError:
        task = asyncio.current_task()
        assert task is not None
        say("block raised", cancelling=task.cancelling())
    await watcher
    await tell_release(lock)


async def be_stopped_and_release(url: str, key: str, lease: float) -> None:
    """Tell what the methods of a lock say after its loss."""
    lock = DistributedLock(url, key, lease=lease)
    await lock.acquire()
    say("held", fence=lock.fencing_token)
    await lock.lost
    say("lost", valid_for=lock.valid_for(), owned=await lock.owned(), text=repr(lock))
    try:
        await lock.extend(1)
    except LockLostError:
        say("extend raised")
    await tell_release(lock)
    await tell_release(lock)


async def be_stopped_before_release(url: str, key: str, lease: float) -> None:
    """Release at once when the process goes on, before anything could tell of the loss."""
    lock = DistributedLock(url, key, lease=lease)
    await lock.acquire()
    say("held", fence=lock.fencing_token)
    # Blocked, not waiting: the loop has had no turn when the release is sent.
    while lock.valid_for() > 0:
        block_loop(0.01)
    await tell_release(lock)


async def watch(lock: DistributedLock) -> None:
    """Tell that the event of the loss is set."""
    await lock.lost.wait()
    say("lost is set")


def tell_loss(lock: DistributedLock) -> None:
    """Be an `on_lost`."""
    say("on_lost", valid_for=lock.valid_for())


async def tell_release(lock: DistributedLock) -> None:
    """Release, and tell with which error."""
    try:
        await lock.release()
    except RuntimeError as error:
        say("release raised", type=type(error).__name__)
    else:
        say("release returned")


# ---- counting ----

# A store that refuses who was overtaken, and remembers the numbers of those it served.
GUARDED_WRITE = """
if tonumber(ARGV[1]) <= tonumber(redis.call('LINDEX', KEYS[1], -1) or 0) then
  return 0
end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""


async def count(port: int, data_url: str, key: str, name: str, rounds: int, lease: float) -> None:
    """Add one to a number, a read and a write apart, under the lock; tell how often it did."""
    lock = DistributedLock(
        client_for(port, name, retries=1000, socket_timeout=0.5),
        key,
        acquire_sleep_delay=0.05,
        lease=lease,
    )
    told = {"written": 0, "refused": 0, "lost": 0}
    async with Redis.from_url(data_url, decode_responses=True) as data:
        say("started")
        for _ in range(rounds):
            await lock.acquire()
            value = int(await data.get(f"{key}-number") or 0)
            await asyncio.sleep(0.001)
            written = await data.eval(
                GUARDED_WRITE, 2, f"{key}-fences", f"{key}-number", lock.fencing_token, value + 1
            )
            told["written" if written else "refused"] += 1
            try:
                await lock.release()
            except LockLostError:
                told["lost"] += 1
    say("counted", **told)


# ---- ends of loops and interpreters ----


def end_loop(url: str, key: str, options: Options, how: str) -> None:
    """Hold a lock when the event loop ends, and tell when it has."""
    lock = DistributedLock(url, key, **options)

    async def main() -> None:
        await lock.acquire()
        say("held", fence=lock.fencing_token)
        if how == "error":
            raise ZeroDivisionError
        if how == "exit":
            sys.exit(0)
        if how == "signal":
            await asyncio.Event().wait()

    try:
        asyncio.run(main())
    except (ZeroDivisionError, SystemExit, KeyboardInterrupt):
        say("ended", valid_for=lock.valid_for())
    else:
        say("ended", valid_for=lock.valid_for())
    # The process lives on: only the end of the loop can have freed the lock.
    threading.Event().wait()


def close_loop(url: str, key: str, options: Options, keep: bool) -> None:
    """Close a loop without the end of its generators while a lock is held."""
    lock = DistributedLock(url, key, **options)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(lock.acquire())
    say("held", fence=lock.fencing_token)
    loop.close()
    kept = [lock] if keep else []
    del lock
    say("closed", kept=len(kept))
    threading.Event().wait()


def end_interpreter(url: str, key: str, options: Options, how: str) -> None:
    """End the process while a lock is held."""
    lock = DistributedLock(url, key, **options)
    if how == "thread":
        held = threading.Event()
        threading.Thread(target=_hold_in_thread, args=(lock, held), daemon=True).start()
        held.wait()
    else:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(lock.acquire())
        globals()["kept"] = (lock, loop)
    say("held", fence=lock.fencing_token)
    if how == "os._exit":
        os._exit(0)


def _hold_in_thread(lock: DistributedLock, held: threading.Event) -> None:
    async def main() -> None:
        await lock.acquire()
        held.set()
        await asyncio.Event().wait()

    asyncio.run(main())
