"""The result for people: tables for the terminal, and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.contenders import BARE_FLOOR, CONTENDERS, DSYNC, FLOOR
from bench.machine import QUIET
from bench.summary import Document

START_MARK = "<!-- results: written by the benchmark -->"
END_MARK = "<!-- end of results -->"
CPU_START_MARK = "<!-- processor time: written by the benchmark -->"
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
            wanted = f"{target['bound']} {number(target['limit'])}{_scale(metric, target)}".rstrip()
            measured = target["measured"]
            values = (number(measured["median"]), _spread(measured)) if measured else ("", "")
            work = f"{metric['title']}: {case['title']}"
            verdict = "failed" if DSYNC in case["failures"] else VERDICTS[target["met"]]
            yield (metric["row"], work, wanted, *values, verdict), target["met"]


def _scale(metric: Document, target: Document) -> str:
    if not target["against"]:
        return f" {metric['unit']}"
    ratio = f" x {target['against']}"
    return f" x that of {target['share_of']} ({ratio.strip()})" if target["share_of"] else ratio


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
    cpu = case["cpu"]["contenders"]
    if cpu:
        unit = case["cpu"]["unit"]
        table.add_column(f"CPU of client, µs a {unit}", justify="right")
        table.add_column("of server", justify="right")
    for name, spread in metric["contenders"].items():
        cells = [name, number(spread["median"]), _spread(spread)]
        if metric["reference"]:
            ratio = spread["ratio"]
            cells.append(number(ratio["median"]) if ratio else "")
        if name in cpu:
            cells += [number(cpu[name][side]["median"]) for side in ("client", "server")]
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


def _markdown_table(rows: Iterable[Sequence[str]]) -> str:
    heading, *others = rows
    lines = [heading, ["---"] * len(heading), *others]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _targets_table(document: Document) -> str:
    return _markdown_table([TARGET_HEADINGS, *(cells for cells, _ in target_lines(document))])


def _cpu_table(document: Document) -> str:
    """Return a line for each case, and a column for each contender: client + server."""
    found = {name for case in document["cases"] for name in case["cpu"]["contenders"]}
    names = [name for name in (FLOOR, BARE_FLOOR, *CONTENDERS) if name in found]
    lines: dict[str, tuple[str, ...]] = {}
    for case, metric in _metrics(document):
        cpu = case["cpu"]["contenders"]
        cells = (_cpu_cell(cpu.get(name)) for name in names)
        if cpu:
            work = f"a {case['cpu']['unit']}: {case['title']}"
            lines.setdefault(case["title"], (metric["row"], work, *cells))
    return _markdown_table([("Row", "Work", *names), *lines.values()])


def _cpu_cell(cpu: Document | None) -> str:
    if cpu is None:
        return ""
    return f"{number(cpu['client']['median'])} + {number(cpu['server']['median'])}"


def write_markdown(document: Document, page: Path) -> None:
    """Put the tables into their places on the page, and leave all else as it is."""
    text = page.read_text()
    for mark, table in ((START_MARK, _targets_table), (CPU_START_MARK, _cpu_table)):
        head, found, rest = text.partition(mark)
        if found:
            _, _, tail = rest.partition(END_MARK)
            text = f"{head}{mark}\n{table(document)}\n{END_MARK}{tail}"
    page.write_text(text)
