"""What asyncio has to end a wait: each leaves nothing behind, for each primitive."""

import asyncio

import pytest

from tests.cancellation.blocked import SITUATIONS, Blocked, Situation, until_waiting
from tests.cancellation.driver import Moment
from tests.cancellation.stage import Stage, World
from tests.integration.locks import soon
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

each_primitive = pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)


def each_but(exception: str) -> pytest.MarkDecorator:
    """All but one, for which the test makes no sense."""
    names = [name for name in SITUATIONS if name != exception]
    return pytest.mark.parametrize("situation", [SITUATIONS[name] for name in names], ids=names)


# A condition that was entered once waits once, so two cannot wait at one object.
each_of_many = each_but("condition with lock")


class SiblingError(Exception):
    """What another task of a group fails with."""


@pytest.fixture
def stage(server: RedisServer, shared_proxy: Proxy, key: str) -> Stage:
    """A stage where nothing is cancelled but by the test."""
    return Stage(World(server, shared_proxy, key), Moment.AT, -1)


async def ended_early(blocked: Blocked) -> None:
    """Give the lock back that a wait of a condition has again whenever it ends."""
    if blocked.keeps_lock:
        await blocked.leave()


@each_primitive
async def test_asyncio_timeout_ends_a_wait(stage: Stage, situation: Situation) -> None:
    async with situation(stage) as blocked:

        async def wait_in_time() -> None:
            async with asyncio.timeout(0.02):
                await blocked.wait()

        with pytest.raises(TimeoutError):
            await wait_in_time()
        await ended_early(blocked)
    await stage.check()


@each_primitive
async def test_asyncio_wait_for_ends_a_wait(stage: Stage, situation: Situation) -> None:
    async with situation(stage) as blocked:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(blocked.wait(), 0.02)
        await ended_early(blocked)
    await stage.check()


@each_primitive
async def test_asyncio_wait_for_without_time_ends_a_wait(
    stage: Stage, situation: Situation
) -> None:
    async with situation(stage) as blocked:
        # It never begins, or is cancelled before anything was sent.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.ensure_future(blocked.wait()), 0)
        await ended_early(blocked)
    await stage.check()


@each_primitive
async def test_a_sibling_that_fails_ends_a_wait(stage: Stage, situation: Situation) -> None:
    async with situation(stage) as blocked:

        async def fail() -> None:
            await until_waiting(blocked)
            raise SiblingError

        async def wait_in_group() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(blocked.wait())
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as failure:
            await wait_in_group()
        assert failure.group_contains(SiblingError)
        assert len(failure.value.exceptions) == 1
        await ended_early(blocked)
    await stage.check()


@each_of_many
async def test_a_gather_that_is_cancelled_ends_all_its_waits(
    stage: Stage, situation: Situation
) -> None:
    async with situation(stage) as blocked:
        tasks = [asyncio.create_task(blocked.wait()) for _ in range(2)]
        both = asyncio.gather(*tasks)
        await until_waiting(blocked, 2)
        both.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(both)
        assert all(task.cancelled() for task in tasks)
    await stage.check()


@each_of_many
async def test_a_gather_whose_other_part_fails_leaves_the_wait_alone(
    stage: Stage, situation: Situation
) -> None:
    async with situation(stage) as blocked:

        async def fail() -> None:
            await until_waiting(blocked)
            raise SiblingError

        task = asyncio.create_task(blocked.wait())
        with pytest.raises(SiblingError):
            await asyncio.gather(task, fail())
        assert not task.done()
        await soon(blocked.let_go())
        await soon(task)
        await blocked.leave()
    await stage.check()


@each_primitive
async def test_a_shielded_wait_goes_on_when_its_task_is_cancelled(
    stage: Stage, situation: Situation
) -> None:
    async with situation(stage) as blocked:
        inner = asyncio.create_task(blocked.wait())

        async def wait_shielded() -> None:
            await asyncio.shield(inner)

        outer = asyncio.create_task(wait_shielded())
        await until_waiting(blocked)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(outer)
        assert not inner.done()
        await soon(blocked.let_go())
        await soon(inner)
        await blocked.leave()
    await stage.check()


# At a barrier that is for those who come in its place, see `meeting_cases`.
@each_but("barrier")
@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_just_before_it_may_go_on(
    stage: Stage, situation: Situation, turns: int
) -> None:
    """What lets it go on is said so many turns of the loop after the cancellation."""
    async with situation(stage) as blocked:
        task = asyncio.create_task(blocked.wait())
        await until_waiting(blocked)
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        letting_go = asyncio.ensure_future(blocked.let_go())
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        await ended_early(blocked)
        await soon(letting_go)
    await stage.check()


@each_primitive
async def test_two_cancellations_of_one_wait(stage: Stage, situation: Situation) -> None:
    async with situation(stage) as blocked:
        task = asyncio.create_task(blocked.wait())
        await until_waiting(blocked)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        await ended_early(blocked)
    await stage.check()
