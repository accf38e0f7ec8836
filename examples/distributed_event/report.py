"""How one run looks on a terminal."""

from __future__ import annotations

from rich.console import Console

from examples._report import WAIT_HEADINGS, count_of_bad, print_run, wait_cells
from examples.distributed_event.stats import Stats

TITLE = "Wait from the set to the wake-up, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    wakes = stats.sets * stats.waiters
    print_run(
        console,
        TITLE,
        ("wakes", *WAIT_HEADINGS),
        [(node["node"], str(node["wakes"]), *wait_cells(node)) for node in stats.nodes],
        {
            "Wake-ups lost": f"{count_of_bad(stats.wakes_lost)} of {wakes}",
            "Needless": f"{count_of_bad(stats.wakes_needless)} (woken twice, or by no set)",
            "Sets": f"{stats.sets}, {stats.wakes_per_second:.0f} wake-ups a second",
        },
    )
