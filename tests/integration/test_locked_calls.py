"""A decorated function: its lock's name, what it gives, and when it is not called."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dsync
import pytest
import redis
from dsync import locked

from tests.integration.key_values import using
from tests.integration.locks import STRANGER, holder, lease_left, lock_name, peek
from tests.support.redis_server import RedisServer

AnyFunction = Callable[..., Any]


@pytest.fixture(autouse=True)
def configured(server: RedisServer) -> Iterator[None]:
    with using(server.url):
        yield


def held(server: RedisServer) -> list[str]:
    """Return the keys that are locked now."""
    with peek(server) as client:
        prefix = lock_name("")
        names = [str(name) for name in client.keys(f"{prefix}*")]
    return [name.removeprefix(prefix) for name in names if ":dsync:" not in name]


async def result_of(value: Any) -> Any:
    """Give what a call of a plain or of a coroutine function gives."""
    return await value if inspect.isawaitable(value) else value


@dataclass
class Order:
    """What a function may be called with."""

    id: int
    lines: list[str]

    def __format__(self, specification: str) -> str:
        return f"order {self.id}{specification}"


TEMPLATES: list[tuple[str, dict[str, Any] | tuple[Any, ...], str]] = [
    ("plain", (1,), "plain"),
    ("{user_id}", (1,), "1"),
    ("{user_id}", {"user_id": 1}, "1"),
    ("{user_id}-{mode}", (1,), "1-fast"),
    ("{user_id}-{mode}", {"user_id": 1, "mode": "slow"}, "1-slow"),
    ("{rest}", (1, 2, 3), "(2, 3)"),
    ("{rest[0]}-{rest[1]}", (1, 2, 3), "2-3"),
    ("{region}", {"user_id": 1, "region": "eu"}, "eu"),
    ("{options}", {"user_id": 1, "region": "eu"}, "{'region': 'eu'}"),
    ("{options[region]}", {"user_id": 1, "region": "eu"}, "eu"),
    ("{user_id.id}-{user_id.lines[1]}", (Order(5, ["a", "b"]),), "5-b"),
    ("{user_id[name]}", ({"name": "ann"},), "ann"),
    ("{user_id}", (Order(5, []),), "order 5"),
    ("{user_id:!}", (Order(5, []),), "order 5!"),
    ("{user_id:05d}", (42,), "00042"),
    ("{user_id:>{region}}", {"user_id": 42, "region": 5}, "   42"),
    ("{{{user_id}}}{{}}", (1,), "{1}{}"),
    ("{user_id!r}", ("ann",), "'ann'"),
    ("{user_id!s:>5}", ("ann",), "  ann"),
    ("{user_id!a}", ("ы",), "'\\u044b'"),
    ("ключ-{user_id}", ("ы",), "ключ-ы"),
]  # fmt: skip


@pytest.mark.parametrize("face", ["plain", "coroutine"])
@pytest.mark.parametrize(("template", "arguments", "key"), TEMPLATES)
async def test_the_name_is_made_of_the_arguments(
    server: RedisServer, face: str, template: str, arguments: Any, key: str
) -> None:
    def plain(user_id: Any, *rest: Any, mode: str = "fast", **options: Any) -> list[str]:
        return held(server)

    async def coroutine(user_id: Any, *rest: Any, mode: str = "fast", **options: Any) -> list[str]:
        return held(server)

    function: AnyFunction = locked(template)(plain if face == "plain" else coroutine)
    by_name = isinstance(arguments, dict)
    assert await result_of(function(**arguments) if by_name else function(*arguments)) == [key]
    assert held(server) == []


NAMELESS: list[tuple[str, tuple[Any, ...], type[Exception]]] = [
    ("{user_id.nothing}", (1,), AttributeError),
    ("{user_id[5]}", ([],), IndexError),
    ("{user_id[5]}", (1,), TypeError),
    ("{user_id:d}", ("ann",), ValueError),
    ("{nothing}", (1,), KeyError),
    ("{user_id}", ("",), ValueError),
    ("{user_id}", (), TypeError),
    ("{user_id}", (1, 2), TypeError),
]


@pytest.mark.parametrize(("template", "arguments", "error"), NAMELESS)
async def test_without_a_name_it_is_not_called(
    server: RedisServer, template: str, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    def plain(user_id: Any, **options: Any) -> None:
        pytest.fail("called")

    async def coroutine(user_id: Any, **options: Any) -> None:
        pytest.fail("called")

    for function in (plain, coroutine):
        with pytest.raises(error):
            await result_of(locked(template)(function)(*arguments))
    assert held(server) == []


async def test_the_result_passes() -> None:
    result = object()

    @locked("a")
    def plain() -> object:
        return result

    @locked("a")
    async def coroutine() -> object:
        await asyncio.sleep(0)
        return result

    assert plain() is result
    assert await coroutine() is result
    assert plain.__wrapped__() is result  # type: ignore[attr-defined]


class Stop(BaseException):
    """What is no Exception."""


@pytest.mark.parametrize("error", [ValueError("bad"), Stop(), TimeoutError()], ids=repr)
async def test_the_exception_passes_and_frees(server: RedisServer, error: BaseException) -> None:
    @locked("a")
    def plain() -> None:
        raise error

    @locked("a")
    async def coroutine() -> None:
        raise error

    for function in (plain, coroutine):
        with pytest.raises(type(error)) as caught:
            await result_of(function())
        assert caught.value is error
        assert error.__cause__ is None
        assert getattr(error, "__notes__", []) == []
        assert held(server) == []


async def test_it_is_not_called_when_the_lock_is_not_free_in_time(server: RedisServer) -> None:
    @locked("a", acquire_timeout=0)
    def plain() -> None:
        pytest.fail("called")

    @locked("a", acquire_sleep_delay=0.01, acquire_timeout=0.05)
    async def coroutine() -> None:
        pytest.fail("called")

    with peek(server) as client:
        client.set(lock_name("a"), STRANGER)
    with pytest.raises(TimeoutError):
        plain()
    with pytest.raises(TimeoutError):
        await coroutine()
    assert holder(server, "a") == STRANGER
    with peek(server) as client:
        assert client.keys("*queue*") == []


async def test_the_options_are_those_of_the_lock(server: RedisServer) -> None:
    told: list[Any] = []

    @locked("a", lease=5, auto_renew=False)
    def plain() -> float:
        return lease_left(server, "a")

    @locked("a", lease=None)
    async def coroutine() -> float:
        return lease_left(server, "a")

    @locked("a", lease=0.2, on_lost=told.append, cancel_on_lost=True)
    async def lost() -> None:
        with peek(server) as client:
            client.set(lock_name("a"), STRANGER)
        await asyncio.Event().wait()

    assert 4 < plain() <= 5
    assert await coroutine() == -1
    with pytest.raises(dsync.LockLostError):
        await lost()
    assert len(told) == 1


async def test_the_server_is_that_of_the_call_or_its_own(
    server: RedisServer, make_server: Callable[..., RedisServer]
) -> None:
    own = make_server()
    dsync.configure(None)

    # As modules do it, before anything is configured.
    @locked("a")
    def plain() -> list[list[str]]:
        return [held(each) for each in (server, own)]

    @locked("a", redis.Redis(host="127.0.0.1", port=own.port))
    async def coroutine() -> list[list[str]]:
        return [held(each) for each in (server, own)]

    @locked("a", own.client())
    def by_an_asynchronous_client() -> list[list[str]]:
        return [held(each) for each in (server, own)]

    dsync.configure(server.url)
    assert plain() == [["a"], []]
    assert await coroutine() == [[], ["a"]]
    assert by_an_asynchronous_client() == [[], ["a"]]
    dsync.configure(own.url)
    assert plain() == [[], ["a"]]


class Account:
    """What has methods of all kinds."""

    def __init__(self, server: RedisServer, number: int) -> None:
        self.server = server
        self.id = number

    @locked("account-{self.id}")
    def plain(self) -> list[str]:
        """Tell what is locked."""
        return held(self.server)

    @locked("account-{self.id}-{by}")
    async def coroutine(self, by: str) -> list[str]:
        """Tell what is locked."""
        return held(self.server)

    @staticmethod
    @locked("static-{number}")
    def static(server: RedisServer, number: int) -> list[str]:
        """Tell what is locked."""
        return held(server)

    @classmethod
    @locked("class-{cls.__name__}")
    def of_class(cls, server: RedisServer) -> list[str]:
        """Tell what is locked."""
        return held(server)

    @classmethod
    @locked("class-{cls.__name__}-{number}")
    async def coroutine_of_class(cls, server: RedisServer, number: int) -> list[str]:
        """Tell what is locked."""
        return held(server)


class Special(Account):
    """What inherits the methods."""


async def test_methods(server: RedisServer) -> None:
    account = Special(server, 7)
    assert account.plain() == ["account-7"]
    assert Account.plain(account) == ["account-7"]
    assert await account.coroutine("me") == ["account-7-me"]
    assert await account.coroutine(by="me") == ["account-7-me"]
    assert Account.static(server, 5) == account.static(server, number=5) == ["static-5"]
    assert Account.of_class(server) == ["class-Account"]
    assert account.of_class(server) == ["class-Special"]
    assert await Special.coroutine_of_class(server, 1) == ["class-Special-1"]
    assert account.plain.__doc__ == "Tell what is locked."
    assert held(server) == []


async def test_the_lock_is_freed_before_the_result_comes(server: RedisServer) -> None:
    @locked("a")
    async def coroutine() -> Awaitable[list[str]]:
        async def later() -> list[str]:
            return held(server)

        return later()

    assert await (await coroutine()) == []


async def test_the_lock_is_taken_when_a_coroutine_is_awaited(server: RedisServer) -> None:
    @locked("a")
    async def coroutine() -> list[str]:
        return held(server)

    pending = coroutine()
    assert held(server) == []
    assert await pending == ["a"]
