"""What the contract fixes: names, parameters and defaults; and that the stubs tell the truth."""

import asyncio
import importlib.metadata
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiodistributor.distibuted_semaphore
import aiodistributor.distributed_barrier
import aiodistributor.distributed_bounded_semaphore
import aiodistributor.distributed_condition
import aiodistributor.distributed_event
import aiodistributor.distributed_lock
import dsync
import pytest
from dsync import sync

ROOT = Path(__file__).parents[2]

Parameters = list[tuple[str, Any]]
REQUIRED = inspect.Parameter.empty


def parameters(function: Callable[..., Any], *, keyword_only: bool = False) -> Parameters:
    """Return names and defaults of the parameters that may be positional, or of the others."""
    return [
        (each.name, each.default)
        for each in inspect.signature(function).parameters.values()
        if (each.kind is inspect.Parameter.KEYWORD_ONLY) == keyword_only
    ]


PRIMITIVES: dict[type, type] = {
    dsync.DistributedLock: aiodistributor.distributed_lock.DistributedLock,
    dsync.DistributedSemaphore: aiodistributor.distibuted_semaphore.DistributedSemaphore,
    dsync.DistributedBoundedSemaphore: (
        aiodistributor.distributed_bounded_semaphore.DistributedBoundedSemaphore
    ),
    dsync.DistributedCondition: aiodistributor.distributed_condition.DistributedCondition,
    dsync.DistributedBarrier: aiodistributor.distributed_barrier.DistributedBarrier,
    dsync.DistributedEvent: aiodistributor.distributed_event.DistributedEvent,
}
each_primitive = pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda each: each.__name__)

SLEEP: Parameters = [("acquire_sleep_delay", 0.1), ("acquire_timeout", None)]
LEASED: Parameters = [
    ("lease", 30.0),
    ("auto_renew", True),
    ("on_lost", None),
    ("cancel_on_lost", False),
    ("migration_window", None),
]
FAIR = ("fair", "bounded")
HELD = {"acquire", "release", "locked", "try_acquire", "owned", "extend", "valid_for", "lost"}


def test_all_names_what_the_package_gives() -> None:
    others = ["BrokenBarrierError", "LockLostError", "close", "configure", "locked"]
    modules = ["key_value", "sync"]
    names = [each.__name__ for each in PRIMITIVES] + others + modules
    assert sorted(dsync.__all__) == sorted(names)
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


@pytest.mark.parametrize(
    ("primitive", "positional", "keyword_only"),
    [
        (dsync.DistributedLock, ["redis", "key", *SLEEP], [*LEASED, FAIR]),
        (dsync.DistributedSemaphore, ["redis", "key", "value", *SLEEP], LEASED),
        (dsync.DistributedBoundedSemaphore, ["redis", "key", "value", *SLEEP], LEASED),
        (dsync.DistributedCondition, ["redis", "key", *SLEEP], [*LEASED, FAIR]),
        (dsync.DistributedBarrier, ["redis", "key", "parties"], []),
        (dsync.DistributedEvent, ["redis", "name", ("consumer_timeout", 5)], []),
    ],
)
def test_the_constructors_are_those_of_the_contract(
    primitive: type, positional: list[Any], keyword_only: Parameters
) -> None:
    expected = [(each, REQUIRED) if isinstance(each, str) else each for each in positional]
    assert parameters(primitive) == expected
    assert parameters(primitive, keyword_only=True) == keyword_only


@pytest.mark.parametrize(
    ("primitive", "method", "expected"),
    [
        *((each, "acquire", [(name, None) for name, _ in SLEEP]) for each in list(PRIMITIVES)[:4]),
        *((each, "release", []) for each in list(PRIMITIVES)[:4]),
        *((each, "locked", []) for each in list(PRIMITIVES)[:4]),
        *((each, "try_acquire", []) for each in list(PRIMITIVES)[:3]),
        *((each, "owned", []) for each in list(PRIMITIVES)[:3]),
        *((each, "extend", [("seconds", REQUIRED)]) for each in list(PRIMITIVES)[:3]),
        (dsync.DistributedCondition, "wait", []),
        (dsync.DistributedCondition, "wait_for", [("predicate", REQUIRED)]),
        (dsync.DistributedCondition, "notify", [("n", 1)]),
        (dsync.DistributedCondition, "notify_all", []),
        *((dsync.DistributedBarrier, name, []) for name in ("wait", "reset", "abort", "n_waiting")),
        *((dsync.DistributedBarrier, name, []) for name in ("_reset_count", "_publish_release")),
        *((dsync.DistributedEvent, name, []) for name in ("is_set", "set", "clear", "wait")),
    ],
)
def test_the_coroutine_methods_are_those_of_the_contract(
    primitive: type, method: str, expected: Parameters
) -> None:
    function = getattr(primitive, method)
    assert inspect.iscoroutinefunction(function)
    assert parameters(function)[1:] == expected
    assert parameters(function, keyword_only=True) == []


def test_the_rest_is_plain() -> None:
    assert not inspect.iscoroutinefunction(dsync.DistributedLock.valid_for)
    assert isinstance(dsync.DistributedLock.fencing_token, property)
    assert isinstance(dsync.DistributedLock.lost, property)
    assert isinstance(dsync.DistributedBarrier.parties, property)
    assert inspect.iscoroutinefunction(dsync.close)


@pytest.mark.parametrize(
    ("primitive", "documented"),
    [
        (dsync.DistributedLock, HELD | {"fencing_token"}),
        (dsync.DistributedSemaphore, HELD),
        (dsync.DistributedBoundedSemaphore, HELD),
        (
            dsync.DistributedCondition,
            {"acquire", "release", "locked", "wait", "wait_for", "notify", "notify_all"},
        ),
        (dsync.DistributedBarrier, {"wait", "reset", "abort", "n_waiting", "parties"}),
        (dsync.DistributedEvent, {"is_set", "set", "clear", "wait"}),
    ],
)
def test_there_are_no_other_public_names(primitive: type, documented: set[str]) -> None:
    assert {name for name in dir(primitive) if not name.startswith("_")} == documented


@each_primitive
def test_everything_public_of_the_old_package_is_there_with_the_same_parameters(
    primitive: type,
) -> None:
    old = PRIMITIVES[primitive]
    # The texts of its scripts are nobody's business.
    names = {name for name in dir(old) if not name.startswith(("_", "LUA_"))}
    for name in names | {"__init__", "__aexit__"} & set(vars(old)):
        theirs, ours = getattr(old, name), getattr(primitive, name)
        assert parameters(ours) == parameters(theirs), name
        assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs), name


def test_every_public_object_is_documented() -> None:
    assert dsync.__doc__
    for module in (dsync, sync):
        for name in module.__all__:
            public = getattr(module, name)
            assert public.__doc__
            if isinstance(public, type) and not issubclass(public, Exception):
                for method in dir(public):
                    assert method.startswith("_") or getattr(public, method).__doc__, method


def public_names(primitive: type) -> set[str]:
    return {name for name in dir(primitive) if not name.startswith("_")}


@each_primitive
def test_the_blocking_class_has_the_parameters_of_the_asynchronous_one(primitive: type) -> None:
    blocking = getattr(sync, primitive.__name__)
    assert public_names(blocking) == public_names(primitive)
    assert parameters(blocking) == parameters(primitive)
    assert parameters(blocking, keyword_only=True) == parameters(primitive, keyword_only=True)
    for name in public_names(primitive) | {"_reset_count", "_publish_release"} & set(
        dir(primitive)
    ):
        theirs, ours = getattr(primitive, name), getattr(blocking, name)
        assert isinstance(ours, property) == isinstance(theirs, property), name
        if isinstance(theirs, property):
            continue
        assert not inspect.iscoroutinefunction(ours)
        assert parameters(ours) == parameters(theirs), name
        # Threads cannot be cancelled from outside, so what waits for others takes a time.
        added = [("timeout", None)] if name in ("wait", "wait_for") else []
        assert parameters(ours, keyword_only=True) == added, name


def test_the_blocking_module_names_the_classes_of_the_package_and_close() -> None:
    assert sorted(sync.__all__) == sorted([each.__name__ for each in PRIMITIVES] + ["close"])
    assert parameters(sync.close) == []
    assert not inspect.iscoroutinefunction(sync.close)


@pytest.mark.parametrize("name", ["DistributedLock", "DistributedSemaphore"])
def test_the_blocking_classes_are_with_blocks_only(name: str) -> None:
    blocking = getattr(sync, name)
    assert hasattr(blocking, "__enter__")
    assert not hasattr(blocking, "__aenter__")


def test_a_broken_barrier_is_the_error_of_the_old_package_and_of_asyncio() -> None:
    assert issubclass(dsync.BrokenBarrierError, ValueError)
    assert issubclass(dsync.BrokenBarrierError, asyncio.BrokenBarrierError)


def test_the_stubs_of_the_core_tell_the_truth() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "dsync._core"]
    command += ["--allowlist", "tools/stubtest.allow", "--ignore-unused-allowlist"]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
