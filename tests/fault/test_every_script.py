"""Every script of `lua/` under the faults that may hit any command: what it does happens once."""

import contextlib
import threading
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.fault.lock_tools import MakeProxy
from tests.fault.script_scenes import SCENES, Players
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

LUA = Path(__file__).parents[2] / "lua"
Scene = Callable[[Players], Coroutine[Any, Any, None]]

each_scene = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)


@pytest.fixture
def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


def kill(server: RedisServer, kind: str) -> None:
    """End a connection of the session that the fault meets, as an operator would."""
    with server.sync() as client:
        for each in client.client_list():
            is_subscription = each["sub"] != "0"
            if each["name"] == "met" and is_subscription == (kind == "subscription"):
                client.client_kill_filter(_id=each["id"])


def flush_scripts(server: RedisServer) -> None:
    with server.sync() as client:
        client.script_flush("SYNC")


@contextlib.contextmanager
def flushing(server: RedisServer) -> Generator[None, None, None]:
    """Flush the scripts again and again, so that it comes between any two commands."""
    ended = threading.Event()

    def flush() -> None:
        with server.sync() as client:
            while not ended.is_set():
                client.script_flush("SYNC")

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_every_script_has_a_scene() -> None:
    assert sorted(path.stem for path in LUA.glob("*.lua")) == sorted(
        scene.__name__ for scene in SCENES
    )


@each_scene
async def test_its_reply_is_lost(server: RedisServer, proxy: Proxy, key: str, scene: Scene) -> None:
    await scene(Players(server, proxy.port, key, proxy.drop_replies))
    assert proxy.dropped == 1


@each_scene
@pytest.mark.parametrize("after", [0, 1])
async def test_scripts_are_flushed_and_then_a_reply_is_lost(
    server: RedisServer, proxy: Proxy, key: str, scene: Scene, after: int
) -> None:
    """The one that says that the script is unknown, or the one to the script."""

    def fault() -> None:
        flush_scripts(server)
        proxy.drop_replies(after)

    await scene(Players(server, proxy.port, key, fault))
    # The first call of a connection brings the script, so it may have had one reply only.
    assert proxy.dropped == 1 or after == 1


@each_scene
async def test_scripts_are_flushed_before_it(server: RedisServer, key: str, scene: Scene) -> None:
    await scene(Players(server, server.port, key, lambda: flush_scripts(server)))


@each_scene
async def test_scripts_are_flushed_all_the_time(
    server: RedisServer, key: str, scene: Scene
) -> None:
    with flushing(server):
        await scene(Players(server, server.port, key, lambda: None))


@each_scene
@pytest.mark.parametrize("kind", ["command", "subscription"])
async def test_a_connection_is_killed_before_it(
    server: RedisServer, key: str, scene: Scene, kind: str
) -> None:
    await scene(Players(server, server.port, key, lambda: kill(server, kind)))
