"""How one run looks on a terminal."""

from __future__ import annotations

from rich.console import Console

from examples._report import WAIT_HEADINGS, table_of_nodes, verdict, wait_cells
from examples.distributed_condition.stats import Stats

TITLE = "Wait from notification to job taken, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    table = table_of_nodes(TITLE, ("jobs", *WAIT_HEADINGS))
    for node in stats.nodes:
        table.add_row(node["node"], str(node["jobs"]), *wait_cells(node))
    lost = verdict(stats.jobs_lost == 0, f"{stats.jobs_lost}")
    twice = verdict(stats.jobs_done_twice == 0, f"{stats.jobs_done_twice}")
    console.print(
        table,
        f"Jobs lost        {lost} of {stats.jobs}",
        f"Jobs done twice  {twice}",
        f"Jobs done        {stats.jobs_per_second:.0f} a second",
        sep="\n",
        highlight=False,
    )
