"""What all primitives have in common: a key at a server, and the session of the running loop."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import Any

from dsync._connect import server_of
from dsync._session import Session, session_for
from dsync.errors import OperationFailedError, translated


class Primitive:
    """A key at a server; its checks and messages name it as it stands in Redis."""

    __slots__ = ("__weakref__", "_key", "_server", "_session")

    def __init__(self, redis: Any, key: str) -> None:
        self._server = server_of(redis)
        self._key = key
        self._session: Session | None = None

    def _open_session(self) -> Session:
        loop = get_running_loop()
        session = self._session
        if session is None or session.closed or session.loop is not loop:
            session = self._session = session_for(loop, self._server)
            self._on_new_session()
        return session

    def _on_new_session(self) -> None:
        """Forget what belongs to another loop."""

    async def _outcome(self, session: Session, operation: int, what: str) -> int:
        """Wait for the end of an operation that was just started.

        A cancellation ends a wait or a question; a call is carried out all the same.
        """
        try:
            return await session.result_of(operation)
        except OperationFailedError as failure:
            raise translated(failure, what, self._key) from None
        except BaseException:
            session.abandon(operation)
            raise
