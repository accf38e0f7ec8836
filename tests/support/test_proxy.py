import asyncio
import socket
from collections.abc import Callable

import pytest

from tests.support.proxy import Proxy
from tests.support.proxy_link import Direction
from tests.support.redis_server import RedisServer

MakeProxy = Callable[..., Proxy]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy(make_proxy: MakeProxy) -> Proxy:
    return make_proxy()


async def connect(proxy: Proxy, *commands: bytes) -> Connection:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    for command in commands:
        await send(writer, command)
        await asyncio.wait_for(reader.readline(), 5)
    return reader, writer


async def send(writer: asyncio.StreamWriter, command: bytes) -> None:
    words = command.split()
    writer.write(b"*%d\r\n" % len(words))
    writer.write(b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    await writer.drain()


async def read(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readline(), 5)


async def test_forwards_and_counts(proxy: Proxy) -> None:
    first = await connect(proxy, b"PING")
    second = await connect(proxy, b"PING")
    await proxy.wait_connections(2)
    for _, writer in (first, second):
        writer.close()
    await proxy.wait_connections(0)
    assert proxy.accepted == 2


async def test_what_is_sent_before_an_answer_is_one_exchange(proxy: Proxy) -> None:
    reader, writer = await connect(proxy)
    proxy.blackhole(direction="replies")
    await send(writer, b"PING")
    await send(writer, b"PING")
    proxy.blackhole(False)
    assert await read(reader) + await read(reader) == b"+PONG\r\n" * 2
    assert proxy.exchanges == [1]
    await send(writer, b"PING")
    assert await read(reader) == b"+PONG\r\n"
    assert proxy.exchanges == [2]
    writer.close()


async def test_cut_resets_the_links_that_it_names(proxy: Proxy) -> None:
    commands, writer = await connect(proxy, b"PING")
    subscription, subscriber = await connect(proxy, b"SUBSCRIBE x")
    proxy.cut("subscription")
    await subscription.readuntil(b":1\r\n")
    with pytest.raises(ConnectionResetError):
        await read(subscription)
    await send(writer, b"PING")
    assert await read(commands) == b"+PONG\r\n"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await read(commands)
    await proxy.wait_connections(0)
    writer.close()
    subscriber.close()


async def test_half_close_ends_the_replies_only(proxy: Proxy, server: RedisServer) -> None:
    reader, writer = await connect(proxy, b"PING")
    proxy.half_close()
    assert await read(reader) == b""
    await send(writer, b"SET a 1")
    writer.close()
    await proxy.wait_connections(0)
    with server.sync() as client:
        assert client.get("a") == "1"


@pytest.mark.parametrize(("direction", "executed"), [("requests", False), ("replies", True)])
async def test_blackhole_holds_back_and_delivers_later(
    proxy: Proxy, server: RedisServer, direction: Direction, executed: bool
) -> None:
    reader, writer = await connect(proxy, b"PING")
    proxy.blackhole(True, direction)
    await send(writer, b"SET a 1")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readline(), 0.1)
    with server.sync() as client:
        assert client.exists("a") == executed
    proxy.blackhole(False)
    assert await read(reader) == b"+OK\r\n"
    writer.close()


async def test_delay_does_not_add_up(proxy: Proxy) -> None:
    reader, writer = await connect(proxy, b"PING")
    proxy.delay(0.1)
    started = asyncio.get_running_loop().time()
    for _ in range(20):
        await send(writer, b"PING")
        await asyncio.sleep(0.001)
    for _ in range(20):
        assert await read(reader) == b"+PONG\r\n"
    # One by one they would take 20 x 2 x 0.1 s.
    assert 0.2 <= asyncio.get_running_loop().time() - started < 2
    writer.close()


async def test_drop_replies_lets_the_server_execute(proxy: Proxy, server: RedisServer) -> None:
    proxy.drop_replies(after=2)
    # Not a stream: asyncio's streams forget what came before a reset.
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(b"INCR a\r\n" * 5)
        await proxy.wait_until(lambda: proxy.dropped == 1)
        assert client.recv(100) == b":1\r\n:2\r\n"
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    with server.sync() as admin:
        assert int(admin.get("a") or 0) >= 3
    _, writer = await connect(proxy, b"PING", b"PING")
    writer.close()


async def test_byte_by_byte_and_inject(proxy: Proxy) -> None:
    proxy.byte_by_byte()
    reader, writer = await connect(proxy)
    await send(writer, b"ECHO hello")
    assert await read(reader) + await read(reader) == b"$5\r\nhello\r\n"
    proxy.inject(b"garbage\r\n")
    assert await read(reader) == b"garbage\r\n"
    writer.close()


async def test_refuse_and_accept_again_on_the_same_port(proxy: Proxy) -> None:
    reader, writer = await connect(proxy, b"PING")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await send(writer, b"PING")
    assert await read(reader) == b"+PONG\r\n"
    writer.close()
    proxy.refuse(False)
    _, writer = await connect(proxy, b"PING")
    writer.close()
