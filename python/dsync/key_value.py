"""The key-value lock of Superset: taken at once or not at all, by blocking code.

``KeyValueDistributedLock`` keeps work that one process does from being done by others meanwhile,
like refreshing a token. It never waits. The lock is a ``DistributedLock`` named
``key_value_{get_key(...)}`` that is not renewed: after ``CreateDistributedLock.lock_expiration``,
by the server's clock, another may have it. It stands on the server that ``dsync.configure`` names.

Source: the document of ``KeyValueDistributedLock``, which is Superset's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypedDict, cast

from redis.exceptions import RedisError

from dsync._checks import check_key
from dsync._default import default_server
from dsync.errors import LockLostError
from dsync.sync import DistributedLock

__all__ = [
    "CreateDistributedLock",
    "CreateKeyValueDistributedLockFailedException",
    "DeleteDistributedLock",
    "DeleteKeyValueDistributedLockFailedException",
    "GetDistributedLock",
    "KeyValueDistributedLock",
    "LockValue",
    "get_key",
]

logger = logging.getLogger(__name__)


class LockValue(TypedDict):
    """What ``GetDistributedLock`` finds where a lock is taken."""

    value: bool


class CreateKeyValueDistributedLockFailedException(Exception):
    """The lock is taken, or the server could not be asked (which is the cause then)."""


class DeleteKeyValueDistributedLockFailedException(Exception):
    """The server could not be told; the lock is free when it expires. The cause says why."""


def get_key(namespace: str, **kwargs: Any) -> uuid.UUID:
    """Give the key of a lock; the order of the parameters makes no difference.

    :raises TypeError: if JSON cannot hold a parameter; names it
    """
    return _key(namespace, kwargs)


def _key(namespace: str, params: Any) -> uuid.UUID:
    check_key("namespace", namespace)
    if not isinstance(params, dict):
        raise TypeError(f"params must be a dict, not {type(params).__name__}")
    return uuid.uuid5(
        uuid.uuid5(uuid.NAMESPACE_DNS, namespace), _serialized(cast(dict[str, Any], params))
    )


def _serialized(params: dict[str, Any]) -> str:
    for name, value in params.items():
        try:
            # As deep as below, where it must not fail.
            json.dumps({name: value}, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"the parameter {name!r} cannot be written as JSON: {error}") from None
    return json.dumps(params, sort_keys=True)


class _Command:
    """Something that is done with the lock of one namespace and its parameters."""

    def __init__(self, namespace: str, params: dict[str, Any] | None = None) -> None:
        """Name the lock; see ``get_key`` for what is refused."""
        self.namespace = namespace
        self.params = {} if params is None else params
        self.key = _key(namespace, self.params)

    def validate(self) -> None:
        """Do nothing: the arguments have been checked by the constructor."""

    def _lock(self, expiration: timedelta) -> DistributedLock:
        return DistributedLock(
            default_server(),
            f"key_value_{self.key}",
            lease=expiration.total_seconds(),
            auto_renew=False,
        )


class CreateDistributedLock(_Command):
    """Take the lock, until it is deleted or ``lock_expiration`` has passed."""

    lock_expiration = timedelta(seconds=30)

    def run(self) -> None:
        """Take the lock if it is free.

        :raises CreateKeyValueDistributedLockFailedException: if it is taken, or the server away
        """
        # Without the object nobody releases the lock, and nothing but time ends it.
        self._take()

    def _take(self) -> DistributedLock:
        lock = self._lock(self.lock_expiration)
        try:
            taken = lock.try_acquire()
        except RedisError as error:
            raise CreateKeyValueDistributedLockFailedException(
                f"Lock already taken, or not known to be free: {error}"
            ) from error
        if not taken:
            logger.debug("Lock on namespace %s for key %s already taken", self.namespace, self.key)
            raise CreateKeyValueDistributedLockFailedException("Lock already taken")
        return lock


class GetDistributedLock(_Command):
    """Look whether the lock is taken."""

    def run(self) -> LockValue | None:
        """Give the lock's value, or None where it is free or has expired.

        :raises redis.exceptions.RedisError: if the server is away or refuses
        """
        return {"value": True} if self._lock(timedelta(seconds=1)).locked() else None


class DeleteDistributedLock(_Command):
    """Free the lock, whoever has taken it."""

    def run(self) -> None:
        """Free the lock; does nothing where it is free.

        :raises DeleteKeyValueDistributedLockFailedException: if the server is away or refuses
        """
        lock = self._lock(timedelta(seconds=1))
        try:
            lock._free()
        except RedisError as error:
            raise _not_deleted(error) from error
        logger.debug("Removed lock on namespace %s for key %s", self.namespace, self.key)


@contextmanager
def KeyValueDistributedLock(namespace: str, **kwargs: Any) -> Generator[uuid.UUID, None, None]:
    """Hold the lock of a namespace and its parameters for a ``with`` block, if it is free.

    The end of the block frees it, but only what this block has taken: if that has expired,
    another's stays. An exception of the block goes on unchanged.

    :param namespace: what the lock is for, as ``"token_refresh"``
    :param kwargs: which of those, as ``user_id=1``; anything that JSON can hold
    :yields: the key, as ``get_key`` gives it
    :raises CreateKeyValueDistributedLockFailedException: at once, if the lock is taken; also, with
        the cause, if the server is away
    :raises DeleteKeyValueDistributedLockFailedException: if the server is away at the end of a
        block that has succeeded
    :raises TypeError: if JSON cannot hold a parameter
    """
    create = CreateDistributedLock(namespace, kwargs)
    logger.debug("Acquiring lock on namespace %s for key %s", namespace, create.key)
    lock = create._take()
    try:
        yield create.key
    except BaseException:
        # What went wrong in the block is what the caller wants to know.
        with contextlib.suppress(DeleteKeyValueDistributedLockFailedException):
            _free(lock, create)
        raise
    _free(lock, create)


def _free(lock: DistributedLock, create: CreateDistributedLock) -> None:
    try:
        lock.release()
    except LockLostError:
        logger.debug("Lock on namespace %s for key %s had expired", create.namespace, create.key)
    except RedisError as error:
        logger.warning("Lock on namespace %s for key %s: %s", create.namespace, create.key, error)
        raise _not_deleted(error) from error
    else:
        logger.debug("Removed lock on namespace %s for key %s", create.namespace, create.key)


def _not_deleted(error: RedisError) -> DeleteKeyValueDistributedLockFailedException:
    return DeleteKeyValueDistributedLockFailedException(f"Lock not deleted: {error}")
