"""What the benchmark makes of what it measured: no result where a lock failed, and tables."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import report, summary
from bench.contenders import DSYNC, FLOOR
from bench.cpu import CpuTime
from bench.errors import BenchError
from bench.model import QUICK, Bound, Case, Metric, Target
from bench.records import Contest
from bench.runner import Results

END = 1_000_000_000


def holds(*records: tuple[int, int, int, int]) -> dict[str, object]:
    """Make the report of a process: task, granted, released and fencing token of each hold."""
    stamped = [(task, 0, granted, released, fence) for task, granted, released, fence in records]
    return {"records": stamped, "pending": []}


def test_rates_of_several_locks() -> None:
    reports = [holds((0, 10, 20, 1), (1, 15, 25, 1)), holds((0, 30, 40, 2), (3, 35, 45, 2))]
    contest = Contest.merge(reports, 0, END, keys=2)
    assert contest.grants_a_second() == 4


def test_two_holders_of_one_lock_are_no_result() -> None:
    reports = [holds((0, 10, 20, 1)), holds((2, 15, 25, 2))]
    with pytest.raises(BenchError, match="two tasks"):
        Contest.merge(reports, 0, END, keys=2)


def test_a_fencing_token_that_does_not_grow_is_no_result() -> None:
    reports = [holds((0, 10, 20, 2), (1, 12, 13, 1)), holds((2, 30, 40, 2))]
    with pytest.raises(BenchError, match="fencing"):
        Contest.merge(reports, 0, END, keys=2)


def test_processor_time_is_told_from_outside() -> None:
    code = "while True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as busy:
        idle = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        before = CpuTime.now([busy.pid], idle.pid)
        used = before
        # Until the one has run for a while; the other one starts, and then it waits.
        while used.client < 0.5:
            used = CpuTime.now([busy.pid], idle.pid).since(before)
        busy.kill()
        idle.communicate()
    assert used.server < used.client
    assert CpuTime(client=2.0, server=1.0).each(1000) == {"client_cpu": 2000, "server_cpu": 1000}
    assert used.each(0) == {}


def case(title: str, metric: Metric) -> Case:
    return Case(title, (metric,), (FLOOR, DSYNC), lambda _bench, _name: {})


def test_a_share_of_the_ratio_of_another_row(tmp_path: Path) -> None:
    rate = Metric("P2", "rate", "cycles", "1/s", FLOOR, (Target(Bound.AT_LEAST, 0.85, FLOOR),))
    share = Target(Bound.AT_LEAST, 0.7, FLOOR, "P2")
    few, many = case("few", rate), case("many", Metric("P11", "rate", "c", "1/s", FLOOR, (share,)))
    results = Results(
        {
            ("few", FLOOR): {0: {"rate": 100, "client_cpu": 2, "server_cpu": 3}},
            ("few", DSYNC): {0: {"rate": 90, "client_cpu": 4, "server_cpu": 3.5}},
            ("many", FLOOR): {0: {"rate": 50}},
            ("many", DSYNC): {0: {"rate": 36}},
        }
    )
    document = summary.document(results, [few, many], QUICK, "7", (0, 0))
    page = tmp_path / "page.md"
    page.write_text(
        f"head\n{report.START_MARK}\nold\n{report.END_MARK}\nmiddle\n"
        f"{report.CPU_START_MARK}\n{report.END_MARK}\ntail\n"
    )
    report.write_markdown(document, page)
    text = page.read_text()
    assert "| P2 | cycles: few | ≥ 0.85 x floor | 0.9 | 0.9 … 0.9 | yes |" in text
    assert "| P11 | c: many | ≥ 0.7 x that of P2 (x floor) | 0.8 | 0.8 … 0.8 | yes |" in text
    assert "| P2 | a cycle: few | 2 + 3 | 4 + 3.5 |" in text
    assert "old" not in text
    assert [line for line in text.splitlines() if line in ("head", "middle", "tail")] == [
        "head",
        "middle",
        "tail",
    ]
    alone = summary.document(results, [many], QUICK, "7", (0, 0))
    assert alone["cases"][0]["metrics"][0]["targets"][0]["met"] is None
