"""docs/guarantees.md: its tests exist, and its examples work."""

import ast
import re
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from dsync import DistributedLock, LockLostError
from redis import exceptions
from redis.asyncio import Redis

from tests.integration.locks import lose
from tests.support.redis_server import RedisServer

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)


def test_every_named_test_exists() -> None:
    assert NAMED
    for file, name in NAMED:
        tree = ast.parse((TESTS / file).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        found = {node.name for node in tree.body if isinstance(node, functions)}
        assert name.startswith("test_")
        assert name in found, f"{file} has no {name}"


def test_every_promise_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    headings = [row for row in rows if row.endswith("| shown by |")]
    assert len(headings) == 5
    for row in rows:
        assert row in headings or re.search(r"::test_\w+` \|$", row), f"no test: {row}"


# ---- the examples ----


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)[number]


def statements() -> dict[str, str]:
    """Give the SQL by the comment above each statement."""
    return dict(re.findall(r"^-- (\w+)\n(.*?;)$", block("sql"), re.M | re.S))


def compiled(number: int, parameters: str) -> Callable[..., Awaitable[None]]:
    """Make a coroutine function of a block of Python on the page."""
    body = "".join(f"    {line}\n" for line in block("python", number).splitlines())
    names = {name.upper(): text for name, text in statements().items()}
    scope: dict[str, Any] = {"LockLostError": LockLostError, "SCRIPT": block("lua"), **names}
    exec(f"async def example({parameters}):\n{body}", scope)
    function: Callable[..., Awaitable[None]] = scope["example"]
    return function


@pytest.fixture
def database() -> sqlite3.Connection:
    result = sqlite3.connect(":memory:")
    result.execute(statements()["table"])
    result.execute("INSERT INTO orders (id, state) VALUES (7, 'new')")
    return result


async def test_the_sql_example_works(redis: Redis, database: sqlite3.Connection) -> None:
    example = compiled(0, "redis, database, DistributedLock")
    await example(redis, database, DistributedLock)
    await example(redis, database, DistributedLock)
    assert database.execute("SELECT state FROM orders").fetchall() == [("new, paid, paid",)]


class Overtaken(DistributedLock):
    """A lock whose holder is stopped, so that another holds it and uses the store meanwhile."""

    after: Callable[[int], Any]

    @property
    def fencing_token(self) -> int:
        token = super().fencing_token
        type(self).after(token + 1)
        return token


async def test_the_sql_example_refuses_a_late_holder(
    redis: Redis, database: sqlite3.Connection
) -> None:
    sql = statements()
    Overtaken.after = lambda token: database.execute(sql["begin"], {"id": 7, "fence": token})
    with pytest.raises(LockLostError, match="later holder"):
        await compiled(0, "redis, database, DistributedLock")(redis, database, Overtaken)
    assert database.execute("SELECT state FROM orders").fetchall() == [("new",)]


async def test_the_sql_refuses_a_late_write_after_the_next_one_has_read(
    server: RedisServer, redis: Redis, database: sqlite3.Connection, key: str
) -> None:
    sql = statements()
    first, second = DistributedLock(redis, key), DistributedLock(redis, key)
    await first.acquire()
    early = {"id": 7, "fence": first.fencing_token, "state": "early"}
    assert database.execute(sql["begin"], early).rowcount == 1
    with server.sync() as admin:
        admin.delete(f"distributed_lock_{key}")
    assert await second.try_acquire()
    late = {"id": 7, "fence": second.fencing_token, "state": "late"}
    assert database.execute(sql["begin"], late).rowcount == 1
    assert database.execute(sql["write"], early).rowcount == 0
    assert database.execute(sql["write"], late).rowcount == 1
    assert database.execute(sql["read"], late).fetchone() == ("late",)
    await second.release()


async def test_the_redis_example_works_and_refuses_a_late_holder(
    server: RedisServer, redis: Redis
) -> None:
    example = compiled(1, "redis, client, DistributedLock")
    async with server.client(decode_responses=True) as client:
        await client.hset("order-7", "value", "new")
        await example(redis, client, DistributedLock)
        await example(redis, client, DistributedLock)
        assert await client.hget("order-7", "value") == "new, paid, paid"
        first = DistributedLock(redis, "order-7")
        await first.acquire()
        early = first.fencing_token
        await lose(server, "order-7", first)
        with server.sync() as admin:
            admin.delete("distributed_lock_order-7")
        await example(redis, client, DistributedLock)
        script = client.register_script(block("lua"))
        for args in ([early], [early, "early"]):
            with pytest.raises(exceptions.ResponseError, match="STALE"):
                await script(keys=["order-7"], args=args)
        assert await client.hget("order-7", "value") == "new, paid, paid, paid"
