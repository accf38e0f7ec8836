"""What the contract fixes: names, parameters and defaults; and that the stubs tell the truth."""

import importlib.metadata
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiodistributor.distributed_lock
import dsync
import pytest

ROOT = Path(__file__).parents[2]
OldLock = aiodistributor.distributed_lock.DistributedLock

Parameters = list[tuple[str, Any]]
REQUIRED = inspect.Parameter.empty


def parameters(function: Callable[..., Any], *, keyword_only: bool = False) -> Parameters:
    """Return names and defaults of the parameters that may be positional, or of the others."""
    return [
        (each.name, each.default)
        for each in inspect.signature(function).parameters.values()
        if (each.kind is inspect.Parameter.KEYWORD_ONLY) == keyword_only
    ]


def test_all_names_what_the_package_gives() -> None:
    assert sorted(dsync.__all__) == ["DistributedLock", "LockLostError", "close"]
    for name in dsync.__all__:
        assert hasattr(dsync, name)


def test_a_star_import_gives_what_all_names() -> None:
    names: dict[str, Any] = {}
    exec("from dsync import *", names)
    assert names.keys() - {"__builtins__"} == set(dsync.__all__)


def test_the_version_is_that_of_the_distribution() -> None:
    assert dsync.__version__ == importlib.metadata.version("dsync-redis")


def test_the_package_says_that_it_is_typed() -> None:
    assert dsync.__file__ is not None
    assert (Path(dsync.__file__).parent / "py.typed").is_file()


def test_the_constructor_is_that_of_the_contract() -> None:
    assert parameters(dsync.DistributedLock) == [
        ("redis", REQUIRED),
        ("key", REQUIRED),
        ("acquire_sleep_delay", 0.1),
        ("acquire_timeout", None),
    ]
    assert parameters(dsync.DistributedLock, keyword_only=True) == [
        ("lease", 30.0),
        ("auto_renew", True),
        ("on_lost", None),
        ("cancel_on_lost", False),
    ]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("acquire", [("acquire_sleep_delay", None), ("acquire_timeout", None)]),
        ("release", []),
        ("locked", []),
        ("try_acquire", []),
        ("owned", []),
        ("extend", [("seconds", REQUIRED)]),
    ],
)
def test_the_coroutine_methods_are_those_of_the_contract(method: str, expected: Parameters) -> None:
    function = getattr(dsync.DistributedLock, method)
    assert inspect.iscoroutinefunction(function)
    assert parameters(function)[1:] == expected
    assert parameters(function, keyword_only=True) == []


def test_the_rest_of_the_lock_is_plain() -> None:
    assert not inspect.iscoroutinefunction(dsync.DistributedLock.valid_for)
    assert isinstance(dsync.DistributedLock.fencing_token, property)
    assert isinstance(dsync.DistributedLock.lost, property)
    assert inspect.iscoroutinefunction(dsync.close)


def test_the_lock_has_no_other_public_names() -> None:
    public = {name for name in dir(dsync.DistributedLock) if not name.startswith("_")}
    documented = {"acquire", "release", "locked", "try_acquire", "owned", "extend"}
    assert public == documented | {"valid_for", "fencing_token", "lost"}


@pytest.mark.parametrize("method", ["__init__", "acquire", "release", "locked", "__aexit__"])
def test_the_positional_parameters_are_those_of_the_old_package(method: str) -> None:
    old, new = getattr(OldLock, method), getattr(dsync.DistributedLock, method)
    assert parameters(new) == parameters(old)
    assert inspect.iscoroutinefunction(new) == inspect.iscoroutinefunction(old)


def test_the_lock_has_every_public_name_of_the_old_one() -> None:
    # The text of its script is nobody's business.
    old = {name for name in dir(OldLock) if not name.startswith("_")} - {"LUA_RELEASE_SCRIPT"}
    assert old <= set(dir(dsync.DistributedLock))


def test_every_public_object_is_documented() -> None:
    assert dsync.__doc__
    for name in dsync.__all__:
        assert getattr(dsync, name).__doc__
    for name in dir(dsync.DistributedLock):
        if not name.startswith("_"):
            assert getattr(dsync.DistributedLock, name).__doc__, name


def test_the_stubs_of_the_core_tell_the_truth() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "dsync._core"]
    command += ["--allowlist", "tools/stubtest.allow", "--ignore-unused-allowlist"]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
