"""The examples of the document, as they stand there but for the import."""
# ruff: noqa: RUF001

from collections.abc import Callable, Iterator

import pytest
from dsync.key_value import (
    CreateKeyValueDistributedLockFailedException,
    KeyValueDistributedLock,
    get_key,
)

from tests.integration.key_values import using
from tests.support.redis_server import RedisServer

Printed = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def configured(server: RedisServer) -> Iterator[None]:
    with using(server.url):
        yield


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Give the lines that were printed since the last call."""
    return lambda: capsys.readouterr().out.splitlines()


def refresh_token(user_id: int) -> None:
    """
    Обновляет токен доступа для пользователя.
    Использует распределенную блокировку для предотвращения одновременного обновления.
    """
    try:
        with KeyValueDistributedLock("token_refresh", user_id=user_id):
            # Код для обновления токена
            # Выполняется только если блокировка успешно получена
            print(f"Обновление токена для пользователя {user_id}")
    except CreateKeyValueDistributedLockFailedException:
        # Блокировка уже занята, значит токен уже обновляется другим процессом
        print(f"Токен для пользователя {user_id} уже обновляется")


def process_data(database_id: int, table_name: str) -> None:
    """
    Обрабатывает данные из указанной таблицы.
    Использует распределенную блокировку для предотвращения одновременной обработки.
    """
    try:
        with KeyValueDistributedLock(
            "data_processing", database_id=database_id, table_name=table_name
        ) as lock_key:
            print(f"Получена блокировка с ключом {lock_key}")
            # Код для обработки данных
            print(f"Обработка данных из таблицы {table_name} в базе данных {database_id}")
    except CreateKeyValueDistributedLockFailedException:
        # Блокировка уже занята, значит данные уже обрабатываются другим процессом
        print(f"Данные из таблицы {table_name} в базе данных {database_id} уже обрабатываются")


def test_refresh_token(printed: Printed) -> None:
    refresh_token(5)
    assert printed() == ["Обновление токена для пользователя 5"]
    with KeyValueDistributedLock("token_refresh", user_id=5):
        refresh_token(5)
        assert printed() == ["Токен для пользователя 5 уже обновляется"]
        refresh_token(6)
        assert printed() == ["Обновление токена для пользователя 6"]
    refresh_token(user_id=5)
    assert printed() == ["Обновление токена для пользователя 5"]


def test_process_data(printed: Printed) -> None:
    done = [
        f"Получена блокировка с ключом {get_key('data_processing', table_name='t', database_id=7)}",
        "Обработка данных из таблицы t в базе данных 7",
    ]
    process_data(7, "t")
    assert printed() == done
    with KeyValueDistributedLock("data_processing", table_name="t", database_id=7):
        process_data(7, "t")
        assert printed() == ["Данные из таблицы t в базе данных 7 уже обрабатываются"]
    process_data(database_id=7, table_name="t")
    assert printed() == done
