"""The demo as a person starts it: what it says, how it ends, and that it leaves nothing running."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from examples._processes import HOST, INTERRUPTED, is_free, random_free_port
from examples.demo import NODE_OFFSETS, SCENARIOS
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
REQUESTS = 6
ALL_REQUESTS = REQUESTS * len(NODE_OFFSETS)
CONCURRENCY = 8  # as long as nobody says otherwise
# Far more than any of it takes: only a demo that hangs meets it.
LIMIT_SECONDS = 60


@dataclass(frozen=True)
class Expected:
    """What a run of a scenario says if all went well."""

    shown: tuple[str, ...]
    sums: dict[str, object]
    rate: str
    served: str  # What a node did,
    of_node: Callable[[int], bool] = REQUESTS.__eq__  # and how often,
    in_all: int = ALL_REQUESTS  # and all of them.


EXPECTED = {
    "barrier": Expected(
        shown=("Out of step      0 passages", "Missing          0 passages"),
        sums={
            "ok": True,
            "rounds": REQUESTS,
            "parties": len(NODE_OFFSETS) * CONCURRENCY + 1,
            "passages_missing": 0,
            "out_of_step": 0,
        },
        rate="rounds_per_second",
        served="passages",
        of_node=(REQUESTS * CONCURRENCY).__eq__,
        in_all=ALL_REQUESTS * CONCURRENCY,
    ),
    "condition": Expected(
        shown=(f"Jobs lost        0 of {ALL_REQUESTS}", "Jobs done twice  0"),
        sums={"ok": True, "jobs": ALL_REQUESTS, "jobs_lost": 0, "jobs_done_twice": 0},
        rate="jobs_per_second",
        served="jobs",
        of_node=range(ALL_REQUESTS + 1).__contains__,
    ),
    "event": Expected(
        shown=(f"Wake-ups lost    0 of {ALL_REQUESTS * CONCURRENCY}", "Needless         0"),
        sums={
            "ok": True,
            "sets": REQUESTS,
            "waiters": len(NODE_OFFSETS) * CONCURRENCY,
            "wakes_lost": 0,
            "wakes_needless": 0,
        },
        rate="wakes_per_second",
        served="wakes",
        of_node=(REQUESTS * CONCURRENCY).__eq__,
        in_all=ALL_REQUESTS * CONCURRENCY,
    ),
    "lock": Expected(
        shown=(f"Lost updates     0 of {ALL_REQUESTS}", "Grants in order  yes"),
        sums={"ok": True, "requests": ALL_REQUESTS, "lost_updates": 0, "in_order": True},
        rate="hand_overs_per_second",
        served="requests",
    ),
    "semaphore": Expected(
        shown=("of 3 slots", "Slots free       3", f"Requests done    {ALL_REQUESTS} of"),
        sums={
            "ok": True,
            "requests": ALL_REQUESTS,
            "requests_done": ALL_REQUESTS,
            "slots": 3,
            "slots_free": 3,
        },
        rate="visits_per_second",
        served="requests",
    ),
}


@pytest.fixture(params=SCENARIOS)
def primitive(request: pytest.FixtureRequest) -> str:
    """Each scenario in turn."""
    return str(request.param)


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
def demo(*arguments: str) -> Generator[subprocess.Popen[str], None, None]:
    command = [sys.executable, "-m", "examples.demo", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving_demo(primitive: str, port: int) -> Generator[subprocess.Popen[str], None, None]:
    with demo(primitive, f"--port={port}", f"--requests={REQUESTS}") as process:
        assert process.stdout is not None
        shown: list[str] = []
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


def test_once_prints_the_table_and_ends(primitive: str, port: int, temporary: Path) -> None:
    with demo(primitive, "--once", f"--port={port}", f"--requests={REQUESTS}") as process:
        shown, complaints = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, complaints) == (0, "")
    assert all(line in shown for line in EXPECTED[primitive].shown)
    assert all(f"{HOST}:{port + offset}" in shown for offset in NODE_OFFSETS)
    assert all_free(port)
    assert not any(temporary.iterdir())


def test_serves_stats_until_interrupted(primitive: str, port: int) -> None:
    expected = EXPECTED[primitive]
    with serving_demo(primitive, port) as process:
        stats = gather_stats(port)
        process.send_signal(signal.SIGINT)
        assert end(process) == (0, "")
    assert {name: stats[name] for name in expected.sums} == expected.sums
    assert stats[expected.rate] > 0
    assert stats["seconds"] > 0
    nodes = stats["nodes"]
    assert [node["node"] for node in nodes] == [
        f"{HOST}:{port + offset}" for offset in NODE_OFFSETS
    ]
    assert all(expected.of_node(node[expected.served]) for node in nodes)
    assert sum(node[expected.served] for node in nodes) == expected.in_all
    for node in nodes:
        assert node.get("hold_mean_ms", 1.0) > 0
        if node[expected.served]:
            assert 0 < node["wait_p50_ms"] <= node["wait_p99_ms"] <= node["wait_max_ms"]
            assert 0 < node["wait_mean_ms"] <= node["wait_max_ms"]
    assert all_free(port)


async def test_killed_launcher_takes_its_children_along(port: int) -> None:
    with serving_demo("lock", port) as process:
        assert not all_free(port)
        process.kill()
        assert end(process) == (-signal.SIGKILL, "")
    # The kernel closes stderr of a killed child before its later files, as the sockets are.
    await eventually(lambda: all_free(port), "all ports are free")


def test_taken_port_is_named(port: int) -> None:
    taken = port + NODE_OFFSETS[2]
    with socket.create_server((HOST, taken)), demo("lock", f"--port={port}") as process:
        code, complaints = end(process)
    assert code == 2
    assert f"Port {taken} is taken" in complaints
    assert "--port" in complaints
    assert "Traceback" not in complaints


def test_told_ports_are_taken_at_once(port: int) -> None:
    with demo("lock", f"--port={port}") as process:
        assert process.stdout is not None
        assert str(port) in process.stdout.readline()
        assert not any(is_free(port + offset) for offset in (*NODE_OFFSETS, 0))
        process.send_signal(signal.SIGINT)
        assert end(process) == (INTERRUPTED, "")


def test_unknown_primitive_lists_the_known_ones() -> None:
    with demo("mutex") as process:
        code, complaints = end(process)
    assert code == 2
    assert "'mutex'" in complaints
    assert all(name in complaints for name in SCENARIOS)


@pytest.mark.parametrize("package", SCENARIOS.values())
def test_compose_file_names_what_exists(package: str) -> None:
    folder = ROOT.joinpath(*package.split("."))
    text = (folder / "docker-compose.yml").read_text()
    (context,) = re.findall(r"context: (\S+)", text)
    (dockerfile,) = re.findall(r"dockerfile: (\S+)", text)
    assert (folder / context).resolve() == ROOT
    assert (ROOT / dockerfile).is_file()
    modules = re.findall(r"python -m (\S+)", text)
    assert set(modules) == {f"{package}.node", f"{package}.monitor"}
    assert all(find_spec(module) is not None for module in modules)
    # Nothing else differs, so what is changed in one is to be changed in all.
    others = [ROOT.joinpath(*other.split(".")) for other in SCENARIOS.values()]
    texts = {
        path.joinpath("docker-compose.yml").read_text().replace(path.name, "") for path in others
    }
    assert texts == {text.replace(folder.name, "")}
