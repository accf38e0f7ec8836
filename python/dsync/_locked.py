"""The decorator that holds a lock while a function runs."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from dsync import sync
from dsync._blocking_client import server_of_any
from dsync._checks import check_key
from dsync._default import default_server
from dsync.lock import DistributedLock

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

_P = ParamSpec("_P")
_R = TypeVar("_R")


def locked(
    key: str,
    redis: Redis | AsyncRedis | Any | str | None = None,
    acquire_sleep_delay: float = 0.1,
    acquire_timeout: float | None = None,
    *,
    lease: float | None = 30.0,
    auto_renew: bool = True,
    on_lost: Callable[[Any], Any] | None = None,
    cancel_on_lost: bool = False,
    migration_window: float | None = None,
    fair: Literal["bounded", "strict"] = "bounded",
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Hold a lock during each call of the decorated function, coroutine function or plain one.

    ``@dsync.locked("invoice-{user_id}")`` lets one call at a time run for each user in the whole
    fleet; calls for other users run beside it. A plain function waits for the lock as
    ``dsync.sync.DistributedLock`` does, a coroutine function as ``dsync.DistributedLock``; so do
    errors, cancellation and a lost connection what they do there, and the function is not called
    unless the lock is held.

    :param key: template of the lock's name, as of ``str.format``; names the parameters of the
        function, and what they lead to (``"{order.id}"``, ``"{rows[0]}"``); ``{{`` is a brace
    :param redis: a client, asynchronous or blocking, or a URL; None is what ``dsync.configure``
        says at the time of the call

    All else is as with ``DistributedLock``.

    :raises TypeError: if what is decorated is no function, or generates its values
    :raises ValueError: if the template names what is no parameter of the function; as all errors of
        arguments, when the function is decorated
    """
    check_key("key", key)
    server = None if redis is None else server_of_any(redis)
    options: dict[str, Any] = {
        "acquire_sleep_delay": acquire_sleep_delay,
        "acquire_timeout": acquire_timeout,
        "lease": lease,
        "auto_renew": auto_renew,
        "on_lost": on_lost,
        "cancel_on_lost": cancel_on_lost,
        "migration_window": migration_window,
        "fair": fair,
    }

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        _check_function(function)
        name_for = _name_maker(key, function)
        is_async = inspect.iscoroutinefunction(_code_of(function))
        kind = DistributedLock if is_async else sync.DistributedLock
        _check_options(kind, options)

        def lock_for(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            return kind(server or default_server(), name_for(*args, **kwargs), **options)

        if is_async:

            @functools.wraps(function)
            async def locked_coroutine(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                async with lock_for(*args, **kwargs):
                    return await cast(Any, function(*args, **kwargs))

            return cast(Callable[_P, _R], locked_coroutine)

        @functools.wraps(function)
        def locked_function(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with lock_for(*args, **kwargs):
                result = function(*args, **kwargs)
                _refuse_deferred(result, function)
                return result

        return locked_function

    return decorate


def _code_of(function: object) -> object:
    """Give the function that is called, also of an object that has ``__call__``."""
    if inspect.isroutine(function) or isinstance(function, functools.partial):
        return cast(object, function)
    return getattr(type(function), "__call__", function)  # noqa: B004, it is not only asked for


def _refuse_deferred(result: object, function: object) -> None:
    """Raise where the function has not done its work yet: it would do it without the lock."""
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()
    elif not inspect.isasyncgen(result):
        return
    raise TypeError(
        f"{_named(function)} is no coroutine function but gave a {type(result).__name__}, which"
        " would run without the lock: put @locked right above the async def, or inside"
    )


def _check_function(function: object) -> None:
    code = _code_of(function)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise TypeError(
            f"{_named(function)} generates values: its body would run without the lock; "
            "take the lock inside of it"
        )
    if isinstance(function, (staticmethod, classmethod)):
        raise TypeError("put @locked below @staticmethod or @classmethod")
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"@locked is for functions, not for {_named(function)}")


def _check_options(kind: Callable[..., object], options: dict[str, Any]) -> None:
    """Refuse what the lock would refuse, before the first call."""
    kind("redis://", "template", **options)


def _name_maker(template: str, function: Callable[..., object]) -> Callable[..., str]:
    """Give what makes the lock's name from the arguments of a call."""
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    rest = next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), None)
    for name in _names_in(template):
        # What is no name cannot be given as one, not even to **options.
        if name not in signature.parameters and (rest is None or not name.isidentifier()):
            raise ValueError(
                f"the key {template!r} names {name!r}, which is no parameter of {_named(function)}"
            )

    def name_for(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = bound.arguments
        return template.format_map({**arguments.get(rest or "", {}), **arguments})

    return name_for


def _names_in(template: str) -> list[str]:
    names: list[str] = []
    for _, field, specification, conversion in Formatter().parse(template):
        if conversion not in (None, "a", "r", "s"):
            raise ValueError(f"the key {template!r} has the conversion {conversion!r}: a, r or s")
        if field is not None:
            names.append(re.split(r"[.\[]", field, maxsplit=1)[0])
            names += _names_in(specification or "")
    return names


def _named(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
