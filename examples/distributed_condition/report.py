"""How one run looks on a terminal."""

from __future__ import annotations

from rich.console import Console

from examples._report import WAIT_HEADINGS, count_of_bad, print_run, wait_cells
from examples.distributed_condition.stats import Stats

TITLE = "Wait from notification to job taken, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    print_run(
        console,
        TITLE,
        ("jobs", *WAIT_HEADINGS),
        [(node["node"], str(node["jobs"]), *wait_cells(node)) for node in stats.nodes],
        {
            "Jobs lost": f"{count_of_bad(stats.jobs_lost)} of {stats.jobs}",
            "Jobs done twice": count_of_bad(stats.jobs_done_twice),
            "Jobs done": f"{stats.jobs_per_second:.0f} a second",
        },
    )
