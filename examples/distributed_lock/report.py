"""How one run looks on a terminal."""

from __future__ import annotations

from rich.console import Console

from examples._report import REQUEST_HEADINGS, count_of_bad, print_run, request_cells, verdict
from examples.distributed_lock.stats import Stats

TITLE = "Wait for the lock (mean, percentiles, longest) and mean hold, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    print_run(
        console,
        TITLE,
        REQUEST_HEADINGS,
        map(request_cells, stats.nodes),
        {
            "Lost updates": f"{count_of_bad(stats.lost_updates)} of {stats.requests}",
            "Grants in order": f"{verdict(stats.in_order, 'yes' if stats.in_order else 'NO')}"
            " (the fencing token has to grow with the number)",
            "Hand-overs": f"{stats.hand_overs_per_second:.0f} a second, HTTP and work included",
        },
    )
