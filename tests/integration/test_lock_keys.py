"""DistributedLock: any text is a key, and different texts are different locks."""

import asyncio

import pytest
from dsync import DistributedLock
from redis.asyncio import Redis

from tests.integration.locks import NEVER, lock_name, soon, until_nothing_is_left
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

KEYS = {
    "space": "a key with  spaces ",
    "braces": "{tag}:rest",
    "empty braces": "{}",
    "open brace": "a{b",
    "closed brace": "a}b",
    "braces reversed": "}{",
    "nested braces": "{{a}}",
    "empty braces first": "{}{tag}",
    "NUL": "a\0b",
    "only NUL": "\0",
    "newlines": "a\r\nb\n",
    "protocol": "$5\r\nhello\r\n",
    "percent": "%s %d %",
    "pattern": "*?[a-z]",
    "quotes": "\"'\\",
    "unicode": "ключ-锁-🔒",
    "combining": "e\u0301",
    "not a character": "\uffff",
    "suffix": "x:dsync:queue",
    "number": "0",
    "1 MiB": "x" * 1024 * 1024,
    "1 MiB with braces": "{" + "x" * 1024 * 1024 + "}",
}
# A tag ends at the first brace, so no other name can have the slot of one of these on purpose.
NOT_TAGGABLE = {"empty braces", "closed brace", "braces reversed", "empty braces first"}


def exists(server: RedisServer, key: str) -> bool:
    with server.sync() as client:
        return bool(client.exists(lock_name(key)))


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
async def test_any_text_is_a_key(server: RedisServer, redis: Redis, key: str) -> None:
    first, second = DistributedLock(redis, key, NEVER), DistributedLock(redis, key, NEVER)
    await first.acquire()
    assert exists(server, key)
    assert await second.locked()
    assert not await second.try_acquire()
    waiter = asyncio.create_task(second.acquire())
    await eventually(lambda: any(b":dsync:queue" in name for name in names(server)))
    await first.release()
    assert await soon(waiter)
    assert second.fencing_token > 0
    await second.extend(100)
    assert await second.owned()
    await second.release()
    assert not exists(server, key)
    await until_nothing_is_left(server)


def names(server: RedisServer) -> list[bytes]:
    with server.sync() as client:
        return [str(name).encode() for name in client.scan_iter(count=1000)]


async def test_the_keys_beside_the_lock_are_in_the_same_cluster_slot(
    server: RedisServer, redis: Redis
) -> None:
    for name, key in KEYS.items():
        if name in NOT_TAGGABLE:
            continue
        server.flush()
        async with DistributedLock(redis, key):
            slots = {slot(each) for each in names(server)}
        assert len(slots) == 1, name


def slot(name: bytes) -> int:
    """Return the slot as Redis Cluster computes it: CRC16 of the tag, or of the whole name."""
    start = name.find(b"{")
    end = name.find(b"}", start + 1) if start >= 0 else -1
    if end > start + 1:
        name = name[start + 1 : end]
    return crc16(name) % 16384


def crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = CRC_TABLE[(value >> 8) ^ byte] ^ (value << 8) & 0xFFFF
    return value


def crc_of_byte(byte: int) -> int:
    value = byte << 8
    for _ in range(8):
        value = (value << 1) ^ (0x1021 if value & 0x8000 else 0)
    return value & 0xFFFF


CRC_TABLE = [crc_of_byte(byte) for byte in range(256)]


async def test_keys_that_look_alike_are_different_locks(server: RedisServer, redis: Redis) -> None:
    keys = ["a", "A", "a ", " a", "a\0", "{a}", "a}", "{a", "e\u0301", "\u00e9", "1", "01"]
    locks = [DistributedLock(redis, key) for key in keys]
    for lock in locks:
        assert await lock.try_acquire()
    tokens = [lock.fencing_token for lock in locks]
    assert len(tokens) == len(keys)
    for lock in locks:
        await lock.release()
    await until_nothing_is_left(server)
