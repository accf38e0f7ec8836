"""How one run looks on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from examples.distributed_lock.stats import Stats

TITLE = "Wait for the lock (mean, percentiles, longest) and mean hold, in ms"


def print_report(console: Console, stats: Stats) -> None:
    """Print a row for each node, and what holds for all of them."""
    table = Table("node", title=TITLE, box=box.SIMPLE)
    for heading in ("requests", "wait", "p50", "p99", "max", "hold"):
        table.add_column(heading, justify="right")
    for node in stats.nodes:
        times = (
            node.wait_mean_ms,
            node.wait_p50_ms,
            node.wait_p99_ms,
            node.wait_max_ms,
            node.hold_mean_ms,
        )
        table.add_row(node.node, str(node.requests), *(f"{time:.2f}" for time in times))
    lost = _verdict(stats.lost_updates == 0, f"{stats.lost_updates}")
    in_order = _verdict(stats.in_order, "yes" if stats.in_order else "NO")
    console.print(
        table,
        f"Lost updates     {lost} of {stats.requests}",
        f"Grants in order  {in_order} (the fencing token has to grow with the number)",
        f"Hand-overs       {stats.hand_overs_per_second:.0f} a second, HTTP and work included",
        sep="\n",
        highlight=False,
    )


def _verdict(good: bool, text: str) -> str:
    return f"[green]{text}[/]" if good else f"[bold red]{text}[/]"
