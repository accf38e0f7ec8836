"""Where the cases play: sessions, objects, and the look for leftovers when a case is over."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

from dsync import DistributedSemaphore, _session
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.cancellation import usage
from tests.cancellation.driver import Moment, Steps
from tests.integration.locks import NEVER, leftovers, soon
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import TIMEOUT, eventually

# They expire by themselves.
_MAY_STAY = (":dsync:fence", ":dsync:done")


class Outcome(NamedTuple):
    """How the coroutine under test has ended."""

    cancelled: bool
    value: Any = None
    error: BaseException | None = None


class World:
    """A server, a proxy in front of it, and names of sessions; lives as long as its loop."""

    def __init__(self, server: RedisServer, proxy: Proxy, key: str) -> None:
        self.server = server
        self.proxy = proxy
        self.key = key

    def client(self, name: str, *, through_proxy: bool = False) -> Redis:
        """Make a client that is only read; another name gives another session."""
        port = self.proxy.port if through_proxy else self.server.port
        retry = Retry(ConstantBackoff(0.005), 1000)
        return Redis(host="127.0.0.1", port=port, client_name=name, retry=retry)


class Stage:
    """One run of a case, with a key of its own, cancelled at one place or not at all."""

    def __init__(self, world: World, moment: Moment, place: int) -> None:
        self.world = world
        self.server = world.server
        self.proxy = world.proxy
        self.key = f"{world.key}-{place}"
        self.points = 0
        self.reached = False
        # More than the case began with, for a release without a permit.
        self.extra_slots = 0
        self._moment = moment
        self._place = place
        self._subjects: list[Any] = []
        self._steps: Steps | None = None
        self._task: asyncio.Task[Any] | None = None
        self._beside: list[asyncio.Task[Any]] = []

    # ---- what cases use ----

    def make(self, kind: type[Any], session: str = "main", **options: Any) -> Any:
        """Make an object, by which the end of the case is judged too.

        :param session: "main", "other", "first" (nobody has used it yet) or "proxied"
        """
        name = f"first-{self._place}" if session == "first" else session
        client = self.world.client(name, through_proxy=session == "proxied")
        if issubclass(kind, DistributedSemaphore):
            options.setdefault("value", 1)
        if hasattr(kind, "acquire"):
            # Only messages bring it on, so none may be missing.
            options.setdefault("acquire_sleep_delay", NEVER)
        subject = kind(client, self.key, **options)
        self._subjects.append(subject)
        return subject

    async def run(
        self,
        work: Coroutine[Any, Any, Any],
        *beside: Coroutine[Any, Any, Any],
        raises: type[BaseException] | tuple[type[BaseException], ...] = (),
        instead: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> Outcome:
        """Run the coroutine under test to its end; others go on beside it (see `others_end`).

        :param raises: what it may raise when it is not cancelled
        :param instead: what it may raise although it was cancelled
        """
        self._steps = steps = Steps(work, self._moment, self._place)
        self._task = asyncio.create_task(steps.run())
        self._beside = [asyncio.create_task(each) for each in beside]
        await asyncio.wait([self._task], timeout=TIMEOUT)
        assert self._task.done(), "it hangs"
        self.points, self.reached = steps.points, steps.reached
        return self._judged(self._task, raises, instead)

    async def others_end(self) -> None:
        """Wait for the end of what was started beside it."""
        await soon(asyncio.gather(*self._beside))

    def _judged(self, task: asyncio.Task[Any], raises: Any, instead: Any) -> Outcome:
        if task.cancelled():
            assert self.reached
            return Outcome(True)
        error = task.exception()
        if self.reached:
            assert error is not None, "the cancellation was swallowed"
            if not isinstance(error, instead or ()):
                raise error
            return Outcome(True, error=error)
        if error is not None and not isinstance(error, raises or ()):
            raise error
        return Outcome(False, None if error else task.result(), error)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, or for the end of the coroutine under test."""
        await eventually(lambda: condition() or (self._task is not None and self._task.done()))

    def sessions(self) -> list[_session.Session]:
        """Return the open sessions of this loop."""
        loop = asyncio.get_running_loop()
        return [session for (own, _), session in _session._sessions.items() if own is loop]

    def go_away(self) -> None:
        """Let the server be away for the session "proxied"."""
        self.proxy.refuse()
        self.proxy.cut()

    async def come_back(self) -> None:
        """Let it be there again, when the coroutine under test waits for it."""
        await self.until(lambda: self._steps is not None and self._steps.points > 0)
        for _ in range(3):
            await asyncio.sleep(0)
        self.proxy.refuse(False)

    # ---- the end ----

    async def check(self) -> None:
        """Check that nothing is left, and that everything can be used, first of all by others."""
        await self.others_end()
        for session in self.sessions():
            await eventually(partial(self._is_idle, session), "the session settles")
            assert not session.holders, f"held by {session.holders}"
        await eventually(self._is_clean, f"Redis is clean of {self.key}: {leftovers(self.server)}")
        for subject in self._subjects:
            stranger = self._stranger(subject)
            await soon(usage.use(stranger, subject))
        await eventually(self._is_clean, f"Redis is clean again of {self.key}")

    def _stranger(self, subject: Any) -> Any:
        options: dict[str, Any] = {}
        if isinstance(subject, DistributedSemaphore):
            options["value"] = subject._value
            usage.assert_slots(self.server, self.key, subject._value + self.extra_slots)
        if hasattr(subject, "parties"):
            options["parties"] = subject.parties
        return type(subject)(self.world.client("stranger"), self.key, **options)

    @staticmethod
    def _is_idle(session: _session.Session) -> bool:
        return session.core.awaited() == 0 and not session.core.wants_link(False)

    def _is_clean(self) -> bool:
        return all(
            (name.endswith(_MAY_STAY) and 0 <= left <= 640) or self._is_documented(name)
            for name, left in leftovers(self.server).items()
        )

    def _is_documented(self, name: str) -> bool:
        with self.server.sync() as client:
            if name.startswith("distributed_barrier_count_") and ":dsync:" not in name:
                return int(client.get(name) or 0) == 0
        slots = "distributed_semaphore_"
        return name.startswith(("event_", slots)) and ":dsync:" not in name
