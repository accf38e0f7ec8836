"""The demo of the key-value lock: what it counts, and how it ends."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
# Far more than any of it takes: only a demo that hangs meets it.
LIMIT_SECONDS = 60


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "examples.demo", "key_value", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, process_group=0)


def test_each_token_is_refreshed_once_with_the_lock_and_by_all_without() -> None:
    with start("--workers=4", "--tokens=2") as process:
        shown, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, complaints) == (0, "")
    counts = [int(number) for number in re.findall(r"(\d+)\s*$", shown, re.MULTILINE)]
    without, with_lock = counts[-2:]
    assert with_lock == 2
    # How many of them meet depends on the machine; that they do is the point.
    assert without > 2


def children_of(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


async def test_it_ends_at_ctrl_c_with_its_workers_and_its_server() -> None:
    with start("--workers=2", "--tokens=1000") as process:
        # The server, then the workers.
        await eventually(lambda: children_of(process.pid) >= 3, "the workers are there")
        process.send_signal(signal.SIGINT)
        # All children inherit the pipes, so this waits for their end too.
        shown, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, shown, complaints) == (130, "", "")


@pytest.mark.parametrize("arguments", [["--workers=0"], ["--tokens=x"]])
def test_a_wrong_option_is_told(arguments: list[str]) -> None:
    with start(*arguments) as process:
        _, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2
    assert "error:" in complaints
