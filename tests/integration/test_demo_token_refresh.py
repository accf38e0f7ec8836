"""The demo of the key-value lock: what it counts, and how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("arguments", [["--workers=0"], ["--tokens=x"]])
def test_a_wrong_option_is_told(arguments: list[str]) -> None:
    with start(*arguments) as process:
        _, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2
    assert "error:" in complaints
