"""The result for people: tables for the terminal, and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.contenders import DSYNC
from bench.machine import QUIET
from bench.summary import Document

START_MARK = "<!-- results: written by the benchmark -->"
END_MARK = "<!-- end of results -->"
TARGET_HEADINGS = ("Row", "Work", "Target", "Measured", "Spread", "Met")
VERDICTS = {True: "yes", False: "no", None: "not measured"}


def number(value: float | None) -> str:
    """Print three digits, and thousands in full."""
    if value is None:
        return "∞"
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


def _spread(spread: Document) -> str:
    return f"{number(spread['low'])} … {number(spread['high'])}"


def target_lines(document: Document) -> Iterator[tuple[tuple[str, ...], bool | None]]:
    """Yield the cells of each target, and whether it is met."""
    for case, metric in _metrics(document):
        for target in metric["targets"]:
            times = f" x {target['against']}" if target["against"] else f" {metric['unit']}"
            wanted = f"{target['bound']} {number(target['limit'])}{times}".rstrip()
            measured = target["measured"]
            values = (number(measured["median"]), _spread(measured)) if measured else ("", "")
            work = f"{metric['title']}: {case['title']}"
            verdict = "failed" if DSYNC in case["failures"] else VERDICTS[target["met"]]
            yield (metric["row"], work, wanted, *values, verdict), target["met"]


def _metrics(document: Document) -> Iterator[tuple[Document, Document]]:
    pairs = [(case, metric) for case in document["cases"] for metric in case["metrics"]]
    yield from sorted(pairs, key=lambda pair: int(pair[1]["row"].removeprefix("P")))


def _value_table(case: Document, metric: Document) -> Table:
    unit = f", {metric['unit']}" if metric["unit"] else ""
    table = Table(
        title=f"{metric['row']} {metric['title']}{unit}: {case['title']}", title_justify="left"
    )
    table.add_column("contender")
    table.add_column("median", justify="right")
    table.add_column("spread", justify="right")
    if metric["reference"]:
        table.add_column(f"x {metric['reference']}", justify="right")
    for name, spread in metric["contenders"].items():
        cells = [name, number(spread["median"]), _spread(spread)]
        if metric["reference"]:
            ratio = spread["ratio"]
            cells.append(number(ratio["median"]) if ratio else "")
        table.add_row(*cells)
    for name, reason in case["failures"].items():
        table.add_row(name, "failed", reason)
    return table


def show(document: Document, console: Console) -> None:
    """Print all values, then the targets."""
    for case, metric in _metrics(document):
        console.print(_value_table(case, metric))
    table = Table(title="Targets of dsync", title_justify="left")
    for heading in TARGET_HEADINGS:
        table.add_column(heading)
    styles = {True: "green", False: "red", None: "dim"}
    for cells, met in target_lines(document):
        table.add_row(*cells, style=styles[met])
    console.print(table)
    busy = document["machine"]["busy_by_others"]
    if max(busy) > QUIET:
        shares = " and ".join(f"{share:.0%}" for share in busy)
        console.print(f"Others used {shares} of the machine before and after: measure again.")


def markdown(document: Document) -> str:
    """Return the targets as a table of Markdown."""
    rows: list[tuple[str, ...]] = [TARGET_HEADINGS, ("---",) * len(TARGET_HEADINGS)]
    rows += [cells for cells, _ in target_lines(document)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def write_markdown(document: Document, page: Path) -> None:
    """Put the table into its place on the page, and leave all else as it is."""
    text = page.read_text()
    head, _, rest = text.partition(START_MARK)
    _, _, tail = rest.partition(END_MARK)
    page.write_text(f"{head}{START_MARK}\n{markdown(document)}\n{END_MARK}{tail}")
