"""What the tables of every demo share."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table

from examples._statistics import WaitTimes

WAIT_HEADINGS = ("wait", "p50", "p99", "max")


def table_of_nodes(title: str, headings: Iterable[str]) -> Table:
    """Make a table with the node on the left, and a column of numbers for each heading."""
    table = Table("node", title=title, box=box.SIMPLE)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def wait_cells(times: WaitTimes) -> list[str]:
    """Give the cells below WAIT_HEADINGS."""
    return [
        milliseconds(times["wait_mean_ms"]),
        milliseconds(times["wait_p50_ms"]),
        milliseconds(times["wait_p99_ms"]),
        milliseconds(times["wait_max_ms"]),
    ]


def milliseconds(time: float | None) -> str:
    """Give the text of a time, or a dash if there is none."""
    return "-" if time is None else f"{time:.2f}"


def verdict(good: bool, text: str) -> str:
    """Mark a text as good or bad news."""
    return f"[green]{text}[/]" if good else f"[bold red]{text}[/]"
