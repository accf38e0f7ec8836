"""DistributedCondition: cancelled at random moments, as many wake as are notified."""

import asyncio
import random

from dsync import DistributedCondition

from tests.integration.conditions import (
    condition_of,
    crowd,
    notify,
    turns,
    until_nothing_is_left,
    until_settled,
)
from tests.integration.locks import soon
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


async def test_at_random_as_many_wake_as_are_notified_whoever_is_cancelled(
    server: RedisServer, key: str, dice: random.Random
) -> None:
    notifier = condition_of(server, key, "notifier")
    for _ in range(60):
        async with crowd(server, key) as waiters:
            for _ in range(dice.randrange(1, 7)):
                waiter = condition_of(server, key, f"{dice.randrange(3)}")
                await waiters.add(waiter, locked=dice.random() < 0.5)
            size, n = len(waiters.tasks), dice.randrange(8)
            notifying = asyncio.create_task(notify(notifier, n))
            victims = dice.sample(waiters.tasks, dice.randrange(size + 1))
            for task in victims:
                await turns(dice.choice([0, 0, 1, 5, 20, 50]))
                task.cancel()
            await soon(notifying)
            for task in victims:
                await soon(asyncio.wait([task]))
            # Some were cancelled only after they had woken.
            gone = len(set(victims) - {waiters.tasks[number] for number in waiters.woken})
            await waiters.until_woken(min(n, size - gone))
            await until_settled(server, key, size - gone - len(waiters.woken))
            # None lost, none doubled.
            assert len(waiters.woken) == min(n, size - gone)
        await until_nothing_is_left(server)


async def test_at_random_no_item_stays_while_a_consumer_waits(
    server: RedisServer, key: str, dice: random.Random
) -> None:
    items: list[int] = []
    taken: list[int] = []

    async def consume(condition: DistributedCondition) -> None:
        async with condition:
            while True:
                await condition.wait_for(lambda: items)
                taken.append(items.pop(0))

    async def produce(condition: DistributedCondition, numbers: range) -> None:
        for number in numbers:
            async with condition:
                items.append(number)
                await condition.notify()

    producer, consumers = condition_of(server, key, "producer"), set[asyncio.Task[None]]()
    for burst in range(40):
        while len(consumers) < 5:
            condition = condition_of(server, key, f"{dice.randrange(3)}")
            consumers.add(asyncio.create_task(consume(condition)))
        producing = asyncio.create_task(produce(producer, range(5 * burst, 5 * burst + 5)))
        for task in dice.sample(sorted(consumers, key=id), 4):
            await turns(dice.randrange(100))
            task.cancel()
            consumers.discard(task)
        await soon(producing)
        await eventually(lambda: not items, "the fifth consumer takes them all")
    for task in consumers:
        task.cancel()
    await soon(asyncio.wait(consumers))
    assert taken == list(range(200))
    await until_nothing_is_left(server)
