"""Measure dsync beside the floor and the peers: `python -m bench [--quick]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import machine, plot, report, runner, summary
from bench.contenders import CONTENDERS
from bench.model import FULL, QUICK, Bench, Case, Settings
from bench.server import Server
from bench.works import all_cases

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.json"
PAGES = (ROOT / "docs" / "benchmarks.md", ROOT / "README.md")
PICTURE = ROOT / "docs" / "benchmarks.svg"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few and short rounds: a rough picture"
    )
    parser.add_argument("--only", metavar="P1,P3", help="measure these rows")
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn")
    parser.add_argument("--out", type=Path, help="write the results to this file, and nowhere else")
    parser.add_argument(
        "--floor", type=Path, default=ROOT / "build" / "bench", help=argparse.SUPPRESS
    )
    parser.add_argument("--redis-server", default="redis-server", help="the server's program")
    return parser.parse_args()


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = QUICK if arguments.quick else FULL
    if arguments.rounds is None:
        return settings
    rounds = arguments.rounds
    peers = min(rounds, settings.peer_rounds)
    return dataclasses.replace(settings, rounds=rounds, brief_rounds=rounds, peer_rounds=peers)


def _chosen(cases: list[Case], only: str | None) -> list[Case]:
    if only is None:
        return cases
    rows = set(only.split(","))
    chosen = []
    for case in cases:
        metrics = tuple(metric for metric in case.metrics if metric.row in rows)
        if metrics:
            chosen.append(dataclasses.replace(case, metrics=metrics))
    return chosen


def _run(bench: Bench, cases: list[Case], console: Console) -> runner.Results:
    turns = runner.plan(cases, bench.settings)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(turns))
        done = 0

        def announce(turn: runner.Turn) -> None:
            nonlocal done
            text = f"round {turn.number + 1}: {turn.contender}, {turn.case.title}"
            progress.update(task, completed=done, description=text)
            done += 1
            if not console.is_terminal:
                console.print(f"{done}/{len(turns)} {text}", soft_wrap=True)

        return runner.run(bench, turns, announce)


def _publish(document: summary.Document, arguments: argparse.Namespace) -> list[Path]:
    """Write the files; only a full run may replace those of the repository."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if arguments.out:
        arguments.out.write_text(text)
        return [arguments.out]
    if arguments.quick or arguments.only:
        return []
    RESULTS.write_text(text)
    plot.draw(document, PICTURE)
    for page in PAGES:
        report.write_markdown(document, page)
    return [RESULTS, PICTURE, *PAGES]


def main() -> int:
    """Run the benchmark; a target that is missed is a result, not a failure."""
    arguments = _arguments()
    settings = _settings(arguments)
    # Without a terminal the tables need not fit one.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if not (arguments.floor / "floor_cycles").exists():
        console.print("The floor is not built: make bench builds it.")
        return 2
    for contender in CONTENDERS.values():
        if not contender.installed():
            console.print(f"{contender.name} is not installed, and left out")
    cases = _chosen(all_cases(settings), arguments.only)
    if not cases:
        console.print("There is no such row.")
        return 2
    busy = machine.busy_share()
    with Server(arguments.redis_server) as server:
        results = _run(Bench(server, arguments.floor, settings), cases, console)
        version = server.version
    document = summary.document(results, cases, settings, version, (busy, machine.busy_share()))
    report.show(document, console)
    for path in _publish(document, arguments):
        console.print(f"written: {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
