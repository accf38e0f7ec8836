from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio

from tests.support.processes import Child
from tests.support.redis_server import RedisServer
from tests.support.sentinel import SentinelGroup
from tests.support.tls import TlsFiles
from tests.support.waiting import eventually

MakeServer = Callable[..., RedisServer]


@pytest.mark.parametrize(("keep", "left"), [(True, "1"), (False, None)])
def test_restart_keeps_the_ports_and_the_data_on_request(
    make_server: MakeServer, keep: bool, left: str | None
) -> None:
    server = make_server()
    before = server.port
    with server.sync() as client:
        client.set("a", 1)
    server.restart(keep_data=keep)
    with server.sync() as client:
        assert client.get("a") == left
    assert server.port == before


async def test_a_paused_server_answers_when_it_goes_on(make_server: MakeServer) -> None:
    server = make_server()
    async with server.client(socket_timeout=0.05, retry=None) as client:
        await client.ping()
        server.pause()
        with pytest.raises(redis.TimeoutError):
            await client.ping()
        server.resume()
    async with server.client() as client:
        assert await client.ping()


async def test_every_way_in(make_server: MakeServer, tls_files: TlsFiles) -> None:
    server = make_server(password="p w", users=["alice on >secret ~* &* +@all"], tls=tls_files)
    with pytest.raises(redis.AuthenticationError):
        async with server.client(password=None, retry=None) as client:
            await client.ping()
    clients = [
        server.client(),
        server.client(username="alice", password="secret"),
        server.tls_client(),
        redis.asyncio.Redis.from_url(server.url),
        redis.asyncio.Redis.from_url(server.unix_url),
    ]
    for client in clients:
        async with client:
            assert await client.ping()
            assert len(server.connections()) == 1
    assert server.commandstats()["ping"]["calls"] >= len(clients)


async def test_failover(make_sentinels: Callable[..., SentinelGroup]) -> None:
    group = make_sentinels(password="secret")
    async with group.client() as client:
        await client.set("a", 1)
    group.failover()
    assert group.master_port() == group.replica.port
    async with group.client() as client:
        assert await client.get("a") == b"1"


async def test_a_server_dies_with_the_process_that_started_it(
    spawn: Callable[..., Child], tmp_path: Path
) -> None:
    script = """
        import time
        from tests.support.redis_server import RedisServer
        with RedisServer() as server:
            say("started", pid=server.pid)
            time.sleep(60)
    """
    child = spawn(script, environment={"TMPDIR": str(tmp_path)})
    pid = (await child.expect("started"))["pid"]
    assert _lives(pid)
    child.kill()
    await eventually(lambda: not _lives(pid), "the server is gone")


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
