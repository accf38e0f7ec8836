"""The demo as a person starts it: what it says, how it ends, and that it leaves nothing running."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from examples._processes import HOST, is_free, random_free_port
from examples.demo import NODE_OFFSETS, SCENARIOS
from examples.distributed_lock.stats import Grant, summarize

ROOT = Path(__file__).parents[2]
REQUESTS = 6
ALL_REQUESTS = REQUESTS * len(NODE_OFFSETS)
# Far more than any of it takes: only a demo that hangs meets it.
LIMIT_SECONDS = 60


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the demo makes its own, which a killed one cannot remove."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def port() -> int:
    """The port of a monitor, free like those of its nodes."""
    while True:
        port = random_free_port()
        if all_free(port):
            return port


def all_free(port: int) -> bool:
    return all(is_free(port + offset) for offset in (*NODE_OFFSETS, 0))


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "examples.demo", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving_demo(port: int) -> Iterator[subprocess.Popen[str]]:
    with demo("lock", f"--port={port}", f"--requests={REQUESTS}") as process:
        assert process.stdout is not None
        shown = []
        for line in process.stdout:
            shown.append(line)
            if "/gather_stats" in line:
                break
        else:
            assert process.stderr is not None
            pytest.fail("".join(shown) + process.stderr.read())
        yield process


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait until the demo has ended with all its children, and return its exit code and stderr.

    Every child inherits stderr, so it is at its end only when the last of them has gone.
    """
    _, complaints = process.communicate(timeout=LIMIT_SECONDS)
    return process.returncode, complaints


def gather_stats(port: int) -> dict[str, Any]:
    connection = HTTPConnection(HOST, port, timeout=LIMIT_SECONDS)
    try:
        connection.request("GET", "/gather_stats")
        answer: dict[str, Any] = json.load(connection.getresponse())
        return answer
    finally:
        connection.close()


def test_once_prints_the_table_and_ends(port: int, temporary: Path) -> None:
    with demo("lock", "--once", f"--port={port}", f"--requests={REQUESTS}") as process:
        shown, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, complaints) == (0, "")
    assert f"Lost updates     0 of {ALL_REQUESTS}" in shown
    assert "Grants in order  yes" in shown
    assert all(f"{HOST}:{port + offset}" in shown for offset in NODE_OFFSETS)
    assert all_free(port)
    assert not any(temporary.iterdir())


def test_serves_stats_until_interrupted(port: int) -> None:
    with serving_demo(port) as process:
        stats = gather_stats(port)
        process.send_signal(signal.SIGINT)
        assert end(process) == (0, "")
    assert stats["ok"]
    assert stats["lost_updates"] == 0
    assert stats["in_order"]
    assert stats["requests"] == ALL_REQUESTS
    assert stats["hand_overs_per_second"] > 0
    assert [node["node"] for node in stats["nodes"]] == [
        f"{HOST}:{port + offset}" for offset in NODE_OFFSETS
    ]
    for node in stats["nodes"]:
        assert node["requests"] == REQUESTS
        assert 0 < node["wait_p50_ms"] <= node["wait_p99_ms"] <= node["wait_max_ms"]
        assert 0 < node["wait_mean_ms"] <= node["wait_max_ms"]
        assert node["hold_mean_ms"] > 0
    assert all_free(port)


def test_killed_launcher_takes_its_children_along(port: int) -> None:
    with serving_demo(port) as process:
        assert not all_free(port)
        process.kill()
        assert end(process) == (-signal.SIGKILL, "")
    assert all_free(port)


def test_taken_port_is_named(port: int) -> None:
    taken = port + NODE_OFFSETS[2]
    with socket.create_server((HOST, taken)), demo("lock", f"--port={port}") as process:
        code, complaints = end(process)
    assert code == 2
    assert f"Port {taken} is taken" in complaints
    assert "--port" in complaints
    assert "Traceback" not in complaints


def test_unknown_primitive_lists_the_known_ones() -> None:
    with demo("mutex") as process:
        code, complaints = end(process)
    assert code == 2
    assert "'mutex'" in complaints
    assert all(name in complaints for name in SCENARIOS)


@pytest.mark.parametrize(
    ("values", "tokens", "lost", "in_order"),
    [
        ((1, 2, 3), (10, 20, 30), 0, True),
        ((3, 1, 2), (30, 10, 20), 0, True),
        ((1, 2, 2), (10, 20, 30), 1, False),
        ((1, 2, 3), (10, 30, 20), 0, False),
        ((1, 2, 3), (10, 20, 20), 0, False),
    ],
)
def test_verdict(
    values: tuple[int, ...], tokens: tuple[int, ...], lost: int, in_order: bool
) -> None:
    grants = [
        Grant(token, value, wait_ms=1.0, hold_ms=1.0)
        for token, value in zip(tokens, values, strict=True)
    ]
    stats = summarize({"node": grants}, counted=len(set(values)), seconds=1.0)
    assert (stats.lost_updates, stats.in_order) == (lost, in_order)
    assert stats.ok == (not lost and in_order)
