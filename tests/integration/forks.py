"""What child processes of the fork tests do: they fork while they hold locks."""

import asyncio
import gc
import logging
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable

from dsync import DistributedLock

from tests.support.child import say

# In development mode a loop warns of slow steps, which are those of a busy machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)


def fork() -> int:
    with warnings.catch_warnings():
        # Newer interpreters warn of forks beside threads: that is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(work: Callable[[], None]) -> int:
    """Fork, do the work in the child, and return its exit code."""
    pid = fork()
    if pid:
        return exit_code(pid)
    code = 1
    try:
        work()
        gc.collect()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


async def fork_inside(url: str, key: str) -> None:
    """Fork in the middle of a block, several times; go on until SIGTERM."""
    go_on = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, go_on.set)
    lock = DistributedLock(url, key, lease=1.0)
    async with lock:
        before = lock.fencing_token

        def look() -> None:
            assert lock.valid_for() == 0

        def use() -> None:
            asyncio.run(use_in_child(url, key))

        codes = [in_child(look), in_child(use), in_child(use)]
        owned = await lock.owned()
        same = lock.fencing_token == before
        say("forked", codes=codes, owned=owned, same=same, token=lock._token)
        await go_on.wait()
        say("kept", owned=await lock.owned(), lost=lock.lost.is_set())
    say("released")


async def use_in_child(url: str, key: str) -> None:
    """Take a lock of its own, beside one that the parent holds."""
    async with DistributedLock(url, f"{key}-child", lease=0.6) as mine:
        # Longer than one lease: so this process renews for itself.
        await asyncio.sleep(0.8)
        assert await mine.owned()
        assert not await DistributedLock(url, key).try_acquire()


def exit_beside_a_holder(url: str, key: str) -> None:
    """Fork beside a thread that holds a lock; the child ends as programs do."""
    held, go_on = threading.Event(), threading.Event()

    async def hold() -> None:
        async with DistributedLock(url, key, lease=1.0) as lock:
            held.set()
            await asyncio.to_thread(go_on.wait)
            say("kept", owned=await lock.owned(), lost=lock.lost.is_set())

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    held.wait()
    pid = fork()
    if pid == 0:
        # From here to the very end of the interpreter, with all that is collected then.
        return
    say("ended", code=exit_code(pid))
    go_on.set()
    thread.join()
    say("released")


def child_that_outlives_its_parent(url: str, key: str) -> None:
    """Fork beside a thread that holds a lock, and die; the child lives on."""
    held = threading.Event()

    async def hold() -> None:
        async with DistributedLock(url, key, lease=1.0):
            held.set()
            await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(hold()), daemon=True).start()
    held.wait()
    pid = fork()
    if pid == 0:
        signal.pause()
    say("forked", child=pid)
    os.kill(os.getpid(), signal.SIGKILL)


def fork_between_loops(url: str, key: str) -> None:
    """Fork where no loop runs; parent and child use the same object afterwards."""
    lock = DistributedLock(url, key)

    async def use() -> None:
        async with lock:
            assert await lock.owned()

    asyncio.run(use())
    code = in_child(lambda: asyncio.run(use()))
    asyncio.run(use())
    say("done", code=code)
