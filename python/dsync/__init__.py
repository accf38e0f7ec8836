"""Distributed synchronization for asyncio over Redis."""

from dsync._session import close
from dsync.errors import LockLostError
from dsync.lock import DistributedLock

__all__ = ["DistributedLock", "LockLostError", "close"]
__version__ = "0.1.0"
