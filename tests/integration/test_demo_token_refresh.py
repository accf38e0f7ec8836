"""The demo of the key-value lock: what it counts, and how it ends."""

import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from examples._processes import INTERRUPTED
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
# Far more than any of it takes: only a demo that hangs meets it.
LIMIT_SECONDS = 60


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "examples.demo", "key_value", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=pipe,
        stderr=pipe,
        text=True,
        process_group=0,
        # As a shell does for what runs in the background of a script.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_IGN),
    )


def children_of(process: subprocess.Popen[str]) -> list[str]:
    """Return the process ids of the server and the workers."""
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def test_each_token_is_refreshed_once_with_the_lock_and_by_all_without() -> None:
    with start("--workers=4", "--tokens=2") as process:
        shown, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, complaints) == (0, "")
    counts = [int(number) for number in re.findall(r"(\d+)\s*$", shown, re.MULTILINE)]
    without, with_lock = counts[-2:]
    assert with_lock == 2
    # How many of them meet depends on the machine; that they do is the point.
    assert without > 2


@pytest.mark.parametrize("arguments", [["--workers=0"], ["--tokens=x"]])
def test_a_wrong_option_is_told(arguments: list[str]) -> None:
    with start(*arguments) as process:
        _, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2
    assert "error:" in complaints


# The server, some or all of the workers.
@pytest.mark.parametrize("started", [1, 2, 5])
async def test_an_interrupt_ends_it_and_its_processes(started: int) -> None:
    with start("--workers=4", "--tokens=100000") as process:
        await eventually(lambda: len(children_of(process)) >= started, "processes run")
        children = children_of(process)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, complaints) == (INTERRUPTED, "")
    await eventually(
        lambda: not any(Path(f"/proc/{child}").exists() for child in children), "they have ended"
    )
