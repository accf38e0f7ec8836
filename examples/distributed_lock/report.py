"""How one run looks on a terminal."""

from __future__ import annotations

from rich.console import Console

from examples._report import WAIT_HEADINGS, milliseconds, table_of_nodes, verdict, wait_cells
from examples.distributed_lock.stats import Stats

TITLE = "Wait for the lock (mean, percentiles, longest) and mean hold, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    table = table_of_nodes(TITLE, ("requests", *WAIT_HEADINGS, "hold"))
    for node in stats.nodes:
        hold = milliseconds(node["hold_mean_ms"])
        table.add_row(node["node"], str(node["requests"]), *wait_cells(node), hold)
    lost = verdict(stats.lost_updates == 0, f"{stats.lost_updates}")
    in_order = verdict(stats.in_order, "yes" if stats.in_order else "NO")
    console.print(
        table,
        f"Lost updates     {lost} of {stats.requests}",
        f"Grants in order  {in_order} (the fencing token has to grow with the number)",
        f"Hand-overs       {stats.hand_overs_per_second:.0f} a second, HTTP and work included",
        sep="\n",
        highlight=False,
    )
