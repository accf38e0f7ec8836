"""The key of a key-value lock: the same for the same parameters, whatever their order."""

import contextlib
import math
import sys
import uuid
from typing import Any

import pytest
from dsync.key_value import (
    CreateDistributedLock,
    DeleteDistributedLock,
    GetDistributedLock,
    KeyValueDistributedLock,
    get_key,
)


def expected(namespace: str, text: str) -> uuid.UUID:
    return uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, namespace), text)


# The JSON is written out, because processes of other versions must make the same.
VECTORS: list[tuple[str, dict[str, Any], str]] = [
    ("ns", {"a": 1, "b": 2}, '{"a": 1, "b": 2}'),
    ("ns", {"b": 2, "a": 1}, '{"a": 1, "b": 2}'),
    ("ns", {}, "{}"),
    ("token_refresh", {"user_id": 1}, '{"user_id": 1}'),
    (
        "data_processing",
        {"table_name": "t", "database_id": 7},
        '{"database_id": 7, "table_name": "t"}',
    ),
    ("ns", {"a": {"c": [{"d": 1, "b": 2}], "b": None}},
     '{"a": {"b": null, "c": [{"b": 2, "d": 1}]}}'),
    ("ns", {"a": [True, 1.5, -0.0, "x"]}, '{"a": [true, 1.5, -0.0, "x"]}'),
    ("ns", {"a": (1, 2)}, '{"a": [1, 2]}'),
    ("замок", {"имя": "ё 🔒"},
     '{"\\u0438\\u043c\\u044f": "\\u0451 \\ud83d\\udd12"}'),
    ("ns", {"text": "\ud800"}, '{"text": "\\ud800"}'),
]  # fmt: skip


@pytest.mark.parametrize(("namespace", "params", "text"), VECTORS)
def test_the_key_is_that_of_the_sorted_json(
    namespace: str, params: dict[str, Any], text: str
) -> None:
    assert get_key(namespace, **params) == expected(namespace, text)


def test_the_key_never_changes() -> None:
    key = get_key("ns", a=1, b=2)
    assert isinstance(key, uuid.UUID)
    assert str(key) == "d749a7e2-079b-5d7e-8e54-8e4dfcb975c8"


def test_what_is_different_has_another_key() -> None:
    values: list[Any] = [1, 2, 1.0, "1", True, None, [1], [], {}, {"1": 1}, [1, 2], [2, 1], ""]
    keys = [get_key("ns", a=value) for value in values]
    keys += [get_key("ns"), get_key("ns", b=1), get_key("ns", a=1, b=None), get_key("n", s=1)]
    keys += [get_key("other", a=1), get_key("NS", a=1), get_key("ns ", a=1)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "command", [CreateDistributedLock, GetDistributedLock, DeleteDistributedLock]
)
def test_the_commands_have_the_same_key(command: type[CreateDistributedLock]) -> None:
    assert command("ns", {"b": 2, "a": 1}).key == get_key("ns", a=1, b=2)
    assert command("ns").key == command(namespace="ns", params=None).key == get_key("ns")
    assert command(namespace="ns", params={"a": 1}).key == get_key("ns", a=1)
    # Beyond what keyword arguments can be.
    assert command("ns", {"namespace": 1}).key == expected("ns", '{"namespace": 1}')
    command("ns").validate()


def circular() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


NO_JSON: dict[str, Any] = {
    "object": ...,
    "set": {1},
    "bytes": b"1",
    "class": int,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "NaN within": {"a": [math.nan]},
    "NaN as key": {math.nan: 1},
    "circular": circular(),
    "deep": nested(100_000),
    "mixed keys": {1: 1, "a": 1},
    "mixed keys within": [{"a": {None: 1, "a": 1}}],
    "tuple as key": {(1, 2): 1},
    "object within": {"a": [1, ...]},
}


@pytest.mark.parametrize("value", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_json_cannot_hold_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="'the_name'") as caught:
        get_key("ns", fine=1, the_name=value)
    assert caught.value.__cause__ is None
    for command in (CreateDistributedLock, GetDistributedLock, DeleteDistributedLock):
        with pytest.raises(TypeError, match="'the_name'"):
            command("ns", {"the_name": value})
    with (
        pytest.raises(TypeError, match="'the_name'"),
        KeyValueDistributedLock("ns", the_name=value),
    ):
        pytest.fail("entered")


def test_every_depth_has_a_key_or_is_refused() -> None:
    limit = sys.getrecursionlimit()
    # Where it ends depends on how deep the caller is, and on the interpreter.
    for depth in range(limit - 200, limit + 10):
        with contextlib.suppress(TypeError):
            get_key("ns", the_name=nested(depth))


@pytest.mark.parametrize("params", [[1], [], "ab", 5, {"a"}], ids=repr)
def test_params_that_are_no_dict_are_refused(params: Any) -> None:
    for command in (CreateDistributedLock, GetDistributedLock, DeleteDistributedLock):
        with pytest.raises(TypeError):
            command("ns", params)


@pytest.mark.parametrize("namespace", ["", "\ud800"], ids=ascii)
def test_a_namespace_that_is_empty_or_no_text_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        get_key(namespace, a=1)
    with pytest.raises(ValueError, match="namespace"):
        CreateDistributedLock(namespace, {})
    with pytest.raises(ValueError, match="namespace"), KeyValueDistributedLock(namespace):
        pytest.fail("entered")


@pytest.mark.parametrize("namespace", [None, 1, b"ns", ["ns"]], ids=repr)
def test_a_namespace_that_is_no_str_is_refused(namespace: Any) -> None:
    with pytest.raises(TypeError, match="namespace"):
        get_key(namespace, a=1)
    with pytest.raises(TypeError, match="namespace"), KeyValueDistributedLock(namespace):
        pytest.fail("entered")
