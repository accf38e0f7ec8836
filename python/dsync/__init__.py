"""Distributed synchronization over Redis, for asyncio and (``dsync.sync``) for threads."""

from dsync import key_value, sync
from dsync._default import configure
from dsync._locked import locked
from dsync._session import close
from dsync.barrier import DistributedBarrier
from dsync.condition import DistributedCondition
from dsync.errors import BrokenBarrierError, LockLostError
from dsync.event import DistributedEvent
from dsync.lock import DistributedLock
from dsync.semaphore import DistributedBoundedSemaphore, DistributedSemaphore

__all__ = [
    "BrokenBarrierError",
    "DistributedBarrier",
    "DistributedBoundedSemaphore",
    "DistributedCondition",
    "DistributedEvent",
    "DistributedLock",
    "DistributedSemaphore",
    "LockLostError",
    "close",
    "configure",
    "key_value",
    "locked",
    "sync",
]
__version__ = "0.1.0"
