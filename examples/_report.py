"""What the tables of every demo share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from examples._statistics import RequestStats, WaitTimes

WAIT_HEADINGS = ("wait", "p50", "p99", "max")
REQUEST_HEADINGS = ("requests", *WAIT_HEADINGS, "hold")


def print_run(
    console: Console,
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    sums: Mapping[str, str],
) -> None:
    """Print a row for each node, with the node on the left, and below what holds for all."""
    table = Table("node", title=title, box=box.SIMPLE)
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    lines = [f"{name:<17}{text}" for name, text in sums.items()]
    console.print(table, *lines, sep="\n", highlight=False)


def wait_cells(times: WaitTimes) -> list[str]:
    """Give the cells below WAIT_HEADINGS."""
    return [
        milliseconds(times["wait_mean_ms"]),
        milliseconds(times["wait_p50_ms"]),
        milliseconds(times["wait_p99_ms"]),
        milliseconds(times["wait_max_ms"]),
    ]


def request_cells(node: RequestStats) -> list[str]:
    """Give the row of a node below REQUEST_HEADINGS."""
    hold = milliseconds(node["hold_mean_ms"])
    return [node["node"], str(node["requests"]), *wait_cells(node), hold]


def milliseconds(time: float | None) -> str:
    """Give the text of a time, or a dash if there is none."""
    return "-" if time is None else f"{time:.2f}"


def verdict(good: bool, text: str) -> str:
    """Mark a text as good or bad news."""
    return f"[green]{text}[/]" if good else f"[bold red]{text}[/]"


def count_of_bad(count: int) -> str:
    """Give the count of what must not happen."""
    return verdict(count == 0, str(count))
