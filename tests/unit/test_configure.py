"""Which server is used where the caller names none; nothing is connected."""

import traceback
from collections.abc import Iterator
from typing import Any

import dsync
import pytest
import redis
import redis.asyncio
import valkey
import valkey.asyncio
from dsync import _default
from dsync.key_value import CreateDistributedLock, KeyValueDistributedLock

VARIABLE = "DSYNC_REDIS_URL"
SECRET = "tops3cret"


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    dsync.configure(None)
    yield
    dsync.configure(None)


def address() -> tuple[str, int, int]:
    server = _default.default_server()
    return server.host, server.port, server.database


def test_the_default_is_this_machine() -> None:
    assert address() == ("localhost", 6379, 0)
    assert _default.default_server().password is None


CLIENTS: dict[str, Any] = {
    "redis": lambda: redis.Redis(host="there", port=7, db=3),
    "redis.asyncio": lambda: redis.asyncio.Redis(host="there", port=7, db=3),
    "valkey": lambda: valkey.Valkey(host="there", port=7, db=3),
    "valkey.asyncio": lambda: valkey.asyncio.Valkey(host="there", port=7, db=3),
    "URL": lambda: "redis://there:7/3",
}


@pytest.mark.parametrize("make", CLIENTS.values(), ids=CLIENTS.keys())
def test_a_client_or_url_is_the_server_until_another_is(make: Any) -> None:
    dsync.configure(make())
    assert address() == ("there", 7, 3)
    dsync.configure("redis://elsewhere:8/1")
    assert address() == ("elsewhere", 8, 1)
    dsync.configure(None)
    assert address() == ("localhost", 6379, 0)


def test_the_environment_stands_behind_configure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "redis://variable:1/2")
    assert address() == ("variable", 1, 2)
    dsync.configure("redis://configured:3/4")
    assert address() == ("configured", 3, 4)
    dsync.configure(None)
    assert address() == ("variable", 1, 2)
    # It is read whenever it is needed, as frameworks set it late.
    monkeypatch.setenv(VARIABLE, "redis://later:5/6")
    assert address() == ("later", 5, 6)
    monkeypatch.setenv(VARIABLE, "")
    assert address() == ("localhost", 6379, 0)


def test_the_credentials_are_those_of_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"redis://alice:{SECRET}@there:1/0")
    server = _default.default_server()
    assert (server.username, server.password) == ("alice", SECRET)
    assert SECRET not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@there:1/0",
        f"redis://:{SECRET}@there:port/0",
        f"//:{SECRET}@there",
        f"{SECRET}",
    ],
)
def test_a_bad_url_in_the_environment_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    for use in (_default.default_server, CreateDistributedLock("ns").run, _enter, _call):
        with pytest.raises(ValueError, match=VARIABLE) as caught:
            use()
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    # And configure() is what mends it.
    dsync.configure("redis://there:1/0")
    assert address() == ("there", 1, 0)


def _enter() -> None:
    with KeyValueDistributedLock("ns"):
        pytest.fail("entered")


@dsync.locked("key")
def _call() -> None:
    pytest.fail("called")


@pytest.mark.parametrize("wrong", [1, b"redis://there", ..., [], redis.Redis], ids=repr)
def test_what_is_no_client_is_refused_and_changes_nothing(wrong: Any) -> None:
    dsync.configure("redis://there:1/0")
    with pytest.raises(TypeError, match="redis must be"):
        dsync.configure(wrong)
    assert address() == ("there", 1, 0)


@pytest.mark.parametrize("url", ["", "there", f"http://:{SECRET}@there", f"redis://:{SECRET}@x:y"])
def test_what_is_no_url_is_refused_and_changes_nothing(url: str) -> None:
    dsync.configure("redis://there:1/0")
    with pytest.raises(ValueError, match=r".") as caught:
        dsync.configure(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert address() == ("there", 1, 0)


def test_it_takes_one_argument_by_position() -> None:
    with pytest.raises(TypeError):
        dsync.configure()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        dsync.configure(redis="redis://there")  # type: ignore[call-arg]
