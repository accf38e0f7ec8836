"""Where greenlets replace what blocks, the blocking face says so instead of going wrong."""

from collections.abc import Callable

import pytest

from tests.support.processes import Child

Spawn = Callable[..., Child]

USE = """
    import asyncio
    import dsync
    from dsync import sync
    lock = sync.DistributedLock("redis://127.0.0.1:1/0", "key")
    for call in (lock.acquire, lock.locked, sync.DistributedEvent("redis://", "e").set):
        try:
            call()
        except RuntimeError as error:
            say("refused", text=str(error))
        except Exception as error:
            say("tried", kind=type(error).__name__)
    try:
        sync.close()
        say("closed")
    except Exception as error:
        say("not closed", text=str(error))
"""
PATCHED = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "gevent without threads": "import gevent.monkey; gevent.monkey.patch_all(thread=False)",
    "gevent threads": "import gevent.monkey; gevent.monkey.patch_thread()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "eventlet threads": "import eventlet; eventlet.monkey_patch(all=False, thread=True)",
    "eventlet sockets": "import eventlet; eventlet.monkey_patch(all=False, socket=True)",
}
NOT_PATCHED = {
    "gevent subprocesses": "import gevent.monkey; gevent.monkey.patch_subprocess()",
    "eventlet": "import eventlet, eventlet.patcher",
}
# Of the packages themselves, not of what is tested.
QUIET = {"PYTHONWARNINGS": "ignore"}


@pytest.mark.parametrize("patch", PATCHED.values(), ids=PATCHED.keys())
async def test_the_first_call_after_monkey_patching_says_what_to_do(
    spawn: Spawn, patch: str
) -> None:
    child = spawn(f"    {patch}\n{USE}", environment=QUIET)
    for _ in range(3):
        text = (await child.expect("refused"))["text"]
        package = patch.split()[1].partition(".")[0].strip(";")
        assert package in text
        assert "gthread" in text
        assert "--pool threads" in text
    await child.expect("closed")
    assert await child.wait() == 0
    assert child.errors == ""


@pytest.mark.parametrize("patch", NOT_PATCHED.values(), ids=NOT_PATCHED.keys())
async def test_the_packages_alone_do_no_harm(spawn: Spawn, patch: str) -> None:
    child = spawn(f"    {patch}\n{USE}", environment=QUIET)
    for _ in range(3):
        # Nobody listens there.
        assert (await child.expect("tried"))["kind"] == "ConnectionError"
    await child.expect("closed")
    assert await child.wait() == 0
    assert child.errors == ""
