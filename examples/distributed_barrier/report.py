"""How one run looks on a terminal."""

from __future__ import annotations

from rich.console import Console

from examples._report import WAIT_HEADINGS, count_of_bad, print_run, wait_cells
from examples.distributed_barrier.stats import Stats

TITLE = "Wait from a party's arrival to the last one's, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    print_run(
        console,
        TITLE,
        ("passages", *WAIT_HEADINGS),
        [(node["node"], str(node["passages"]), *wait_cells(node)) for node in stats.nodes],
        {
            "Out of step": f"{count_of_bad(stats.out_of_step)} passages (left before all had come)",
            "Missing": f"{count_of_bad(stats.passages_missing)} passages",
            "Rounds": f"{stats.rounds} of {stats.parties} parties,"
            f" {stats.rounds_per_second:.0f} a second",
        },
    )
