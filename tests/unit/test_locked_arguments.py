"""What `locked` refuses when a function is decorated, and what it leaves as it was."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import dsync
import pytest
from dsync import locked

from tests.unit.test_arguments import NOWHERE

AnyFunction = Callable[..., Any]


def plain(user_id: int, *rows: str, flag: bool = False) -> int:
    """Do something."""
    return user_id


async def coroutine(user_id: int, *rows: str, flag: bool = False) -> int:
    """Do something."""
    return user_id


def with_options(user_id: int, **options: object) -> None: ...


FACES = [plain, coroutine]
both = pytest.mark.parametrize("function", FACES)


@both
def test_the_function_looks_as_before(function: AnyFunction) -> None:
    decorated = locked("a-{user_id}", NOWHERE)(function)
    assert decorated is not function
    assert decorated.__name__ == function.__name__
    assert decorated.__qualname__ == function.__qualname__
    assert decorated.__module__ == __name__
    assert decorated.__doc__ == "Do something."
    assert decorated.__annotations__ == function.__annotations__
    assert inspect.unwrap(decorated) is function
    assert inspect.signature(decorated) == inspect.signature(function)
    assert inspect.iscoroutinefunction(decorated) == inspect.iscoroutinefunction(function)


@both
def test_its_attributes_stay(function: AnyFunction) -> None:
    marked = partial(function)
    marked.note = 5  # type: ignore[attr-defined]
    assert locked("a", NOWHERE)(marked).note == 5  # type: ignore[attr-defined]


@both
@pytest.mark.parametrize(
    "template",
    [
        "a",
        "{user_id}",
        "a{{b}}",
        "{{{user_id}}}",
        "{user_id!r:>20}",
        "{user_id:{flag}}",
        "{rows}{rows[0]}{rows[0].x[y]}",
        "{user_id.a.b[0]}",
    ],
)
def test_a_template_may_name_what_the_parameters_lead_to(
    function: AnyFunction, template: str
) -> None:
    locked(template, NOWHERE)(function)


@both
@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{user}", "'user'"),
        ("{user_id}-{User_id}", "'User_id'"),
        ("{user.id}", "'user'"),
        ("{user[0]}", "'user'"),
        ("{user_id:{width}}", "'width'"),
        ("{0}", "'0'"),
        ("{}", "''"),
        ("{0.id}", "'0'"),
        ("{[0]}", "''"),
        ("{ user_id }", "' user_id '"),
        ("{user_id:{}}", "''"),
    ],
)
def test_a_name_that_is_no_parameter_is_refused(
    function: AnyFunction, template: str, named: str
) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        locked(template, NOWHERE)(function)
    assert function.__name__ in str(caught.value)


def test_any_name_may_be_one_of_the_options() -> None:
    locked("{user_id}-{anything}-{options}", NOWHERE)(with_options)


@pytest.mark.parametrize("template", ["{0}", "{}", "{0.id}", "{[0]}", "{user_id:{}}", "{.id}"])
def test_a_place_is_refused_beside_options_too(template: str) -> None:
    # Nothing that is called could ever fill it.
    with pytest.raises(ValueError, match="key"):
        locked(template, NOWHERE)(with_options)


@both
@pytest.mark.parametrize(
    "template", ["{", "}", "{user_id", "user_id}", "{user_id!}", "{user_id!x}"]
)
def test_a_template_that_is_none_is_refused(function: AnyFunction, template: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        locked(template, NOWHERE)(function)


@both
@pytest.mark.parametrize("key", ["", "\ud800"], ids=ascii)
def test_a_key_that_can_be_none_is_refused(function: AnyFunction, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        locked(key, NOWHERE)(function)


@pytest.mark.parametrize("key", [None, 1, b"key"], ids=repr)
def test_a_key_that_is_no_str_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match="key"):
        locked(key, NOWHERE)(plain)


def test_the_decorator_without_a_key_is_refused() -> None:
    with pytest.raises(TypeError, match="key"):
        locked(plain)  # type: ignore[arg-type]


OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lease": -1}, ValueError, "lease"),
    ({"lease": 0}, ValueError, "lease"),
    ({"lease": "long"}, TypeError, "lease"),
    ({"acquire_timeout": "x"}, TypeError, "acquire_timeout"),
    ({"acquire_timeout": -1}, ValueError, "acquire_timeout"),
    ({"acquire_sleep_delay": None}, TypeError, "acquire_sleep_delay"),
    ({"acquire_sleep_delay": float("nan")}, ValueError, "acquire_sleep_delay"),
    ({"on_lost": 5}, TypeError, "on_lost"),
    ({"migration_window": -1}, ValueError, "migration_window"),
    ({"redis": 5}, TypeError, "redis"),
    ({"redis": "http://there"}, ValueError, "."),
]


@both
@pytest.mark.parametrize(("options", "error", "text"), OPTIONS)
def test_a_bad_option_is_refused(
    function: AnyFunction, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    settings: dict[str, Any] = {"redis": NOWHERE, **options}
    with pytest.raises(error, match=text):
        locked("a", **settings)(function)


async def told(lock: object) -> None: ...


def test_a_thread_cannot_be_cancelled() -> None:
    with pytest.raises(ValueError, match="cancel_on_lost"):
        locked("a", NOWHERE, cancel_on_lost=True)(plain)
    with pytest.raises(TypeError, match="on_lost"):
        locked("a", NOWHERE, on_lost=told)(plain)
    locked("a", NOWHERE, cancel_on_lost=True, on_lost=told)(coroutine)


def test_what_is_no_part_of_the_old_lock_is_keyword_only() -> None:
    locked("a", NOWHERE, 0.1, None)(plain)
    with pytest.raises(TypeError, match="positional"):
        locked("a", NOWHERE, 0.1, None, 30.0)(plain)  # type: ignore[call-arg]


def generator() -> Iterator[int]:
    yield 1


async def asynchronous_generator() -> AsyncIterator[int]:
    yield 1


def of_class(cls: type, user_id: int) -> None: ...


class Caller:
    """An object that can be called, whose body is a coroutine's."""

    async def __call__(self) -> None: ...


class GeneratingCaller:
    """An object that can be called, and generates its values."""

    def __call__(self) -> Iterator[int]:
        yield 1


NO_FUNCTIONS: dict[str, Any] = {
    "a generator": generator,
    "a part of a generator": partial(generator),
    "an asynchronous generator": asynchronous_generator,
    "a class": Caller,
    "a built-in class": int,
    "None": None,
    "a number": 5,
    "a coroutine's name": "coroutine",
    "a static method": staticmethod(plain),
    "a class method": classmethod(of_class),
    "a property": property(plain),
}


@pytest.mark.parametrize("thing", NO_FUNCTIONS.values(), ids=NO_FUNCTIONS.keys())
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"."):
        locked("a", NOWHERE)(thing)


def test_an_object_that_generates_its_values_is_refused() -> None:
    with pytest.raises(TypeError, match="generates"):
        locked("a", NOWHERE)(GeneratingCaller())


def test_an_object_whose_body_is_a_coroutine_is_one_or_refused() -> None:
    # As a plain function it would only make the coroutine while it has the lock.
    try:
        decorated = locked("a", NOWHERE)(Caller())
    except TypeError:
        return
    assert inspect.iscoroutinefunction(decorated)


def test_the_error_tells_the_order_of_decorators() -> None:
    for wrapper in (staticmethod, classmethod):
        with pytest.raises(TypeError, match="below"):
            locked("a", NOWHERE)(wrapper(plain))  # type: ignore[arg-type]


def test_nothing_is_connected_and_the_environment_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DSYNC_REDIS_URL", "no url")
    for function in FACES:
        locked("a")(function)
        dsync.locked(key="{user_id}", redis=None)(function)
