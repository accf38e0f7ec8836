"""The errors of the core become those of redis.exceptions, with the key and what to do."""

import pytest
from dsync import LockLostError, _core
from dsync.errors import OperationFailedError, translated
from redis import exceptions


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (_core.CONNECTION_ERROR, "refused", exceptions.ConnectionError),
        (_core.PROTOCOL_ERROR, "garbage", exceptions.ConnectionError),
        (_core.AUTHENTICATION_ERROR, "WRONGPASS no", exceptions.AuthenticationError),
        (_core.SERVER_ERROR, "NOPERM no right", exceptions.NoPermissionError),
        (_core.SERVER_ERROR, "OOM command not allowed", exceptions.OutOfMemoryError),
        (_core.SERVER_ERROR, "WRONGTYPE Operation", exceptions.ResponseError),
        (_core.SERVER_ERROR, "ERR unknown command", exceptions.ResponseError),
        (_core.SERVER_ERROR, "", exceptions.ResponseError),
        (
            _core.SERVER_ERROR,
            "ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed",
            exceptions.OutOfMemoryError,
        ),
    ],
)
def test_an_error_is_that_of_redis_exceptions_which_fits(
    kind: int, text: str, expected: type[Exception]
) -> None:
    error = translated(OperationFailedError(kind, text), "acquire", "the-key")
    assert type(error) is expected
    assert "the-key" in str(error)
    assert "acquire" in str(error)
    assert text.rpartition(": -")[2] in str(error)


@pytest.mark.parametrize("code", ["NOPERM", "OOM", "WRONGTYPE"])
def test_an_error_that_says_little_gets_advice(code: str) -> None:
    failure = OperationFailedError(_core.SERVER_ERROR, f"{code} words")
    text = str(translated(failure, "acquire", "the-key"))
    assert f"{code} words; " in text


def test_every_error_of_the_server_is_a_redis_error() -> None:
    for kind in (
        _core.CONNECTION_ERROR,
        _core.PROTOCOL_ERROR,
        _core.AUTHENTICATION_ERROR,
        _core.SERVER_ERROR,
    ):
        error = translated(OperationFailedError(kind, "text"), "acquire", "k")
        assert isinstance(error, exceptions.RedisError)


def test_lock_lost_error_is_a_runtime_error_and_no_redis_error() -> None:
    assert issubclass(LockLostError, RuntimeError)
    assert not issubclass(LockLostError, exceptions.RedisError)
