"""How one run looks on a terminal."""

from __future__ import annotations

from rich.console import Console

from examples._report import REQUEST_HEADINGS, print_run, request_cells, verdict
from examples.distributed_semaphore.stats import Stats

TITLE = "Wait for a slot (mean, percentiles, longest) and mean hold, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    done, free = stats.requests_done, stats.slots_free
    most = verdict(stats.most_inside <= stats.slots, str(stats.most_inside))
    print_run(
        console,
        TITLE,
        REQUEST_HEADINGS,
        map(request_cells, stats.nodes),
        {
            "Most inside": f"{most} of {stats.slots} slots",
            "Slots free": f"{verdict(free == stats.slots, str(free))} afterwards",
            "Requests done": f"{verdict(done == stats.requests, str(done))} of {stats.requests}",
            "Visits": f"{stats.visits_per_second:.0f} a second, HTTP and work included",
        },
    )
