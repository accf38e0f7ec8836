"""A worker without asyncio, as of Superset or Celery: it needs a valid token, and refreshes it.

Identity providers dislike it when many do so at once: some of them take the refresh token away.
"""

from __future__ import annotations

import sys
import time
import uuid

import dsync
from dsync.key_value import (
    CreateKeyValueDistributedLockFailedException,
    KeyValueDistributedLock,
)
from redis import Redis

REFRESHES = "refreshes"
# Seconds that the identity provider takes to answer, and between two looks for its answer.
REFRESH_TIME = 0.1
LOOK_PERIOD = 0.01


def token_name(user_id: int) -> str:
    """Name the key that holds a user's access token while it is valid."""
    return f"token:{user_id}"


def refresh_token(store: Redis, user_id: int) -> str:
    """Get a new token from the identity provider, and keep it for all workers."""
    store.incr(REFRESHES)
    time.sleep(REFRESH_TIME)
    token = str(uuid.uuid4())
    store.set(token_name(user_id), token)
    return token


def token_without_lock(store: Redis, user_id: int) -> str:
    """Give a valid token, as code does that knows nothing of the other workers."""
    token = store.get(token_name(user_id))
    return refresh_token(store, user_id) if token is None else str(token)


def token_with_lock(store: Redis, user_id: int) -> str:
    """Give a valid token, which one of the workers refreshes while the others wait for it."""
    while (token := store.get(token_name(user_id))) is None:
        try:
            with KeyValueDistributedLock("token_refresh", user_id=user_id):
                # Another worker may have been done just before.
                if store.get(token_name(user_id)) is None:
                    return refresh_token(store, user_id)
        except CreateKeyValueDistributedLockFailedException:
            time.sleep(LOOK_PERIOD)
    return str(token)


def main(url: str, workers: str, users: str, way: str) -> None:
    """Need the token of one user after the other, each at the same time as all other workers."""
    dsync.configure(url)
    valid_token = token_with_lock if way == "lock" else token_without_lock
    start = dsync.sync.DistributedBarrier(url, "start", int(workers))
    with Redis.from_url(url, decode_responses=True) as store:
        for user_id in range(int(users)):
            start.wait()
            valid_token(store, user_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
