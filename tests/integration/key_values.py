"""What the tests of the key-value lock and of `locked` share."""

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import dsync.sync
from dsync.key_value import get_key

from tests.integration.forks import fork


@contextlib.contextmanager
def using(redis: Any) -> Iterator[None]:
    """Configure a server; afterwards close the connections, since other tests count them."""
    dsync.configure(redis)
    try:
        yield
    finally:
        dsync.configure(None)
        dsync.sync.close()


def key_of(namespace: str, **params: Any) -> str:
    """Return the key of the `DistributedLock` that a key-value lock is."""
    return f"key_value_{get_key(namespace, **params)}"


def forked(work: Callable[[], object]) -> int:
    """Do some work in a forked child, which ends without the end of an interpreter."""
    pid = fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def exit_codes(pids: list[int]) -> list[int]:
    """Wait for forked children."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
