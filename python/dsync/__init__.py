"""Distributed synchronization for asyncio over Redis."""

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
]
__version__ = "0.1.0"
