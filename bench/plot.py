"""The result as a picture: ratios to the floor, processor time, and the load of many waiters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bench.contenders import BARE_FLOOR, DSYNC, DSYNC_UVLOOP, FLOOR
from bench.report import number
from bench.summary import Document

OURS = {FLOOR: "#7f7f7f", BARE_FLOOR: "#bfbfbf", DSYNC: "#1f77b4", DSYNC_UVLOOP: "#6baed6"}
PEER_COLOUR = "#d9a066"
# Row and key of the numbers that become bars, and a part of the title of their case, with what the
# reader should see in them.
BARS = (
    ("P1", "time", "", "lock, one task: time, x floor (less is better)"),
    ("P2", "rate", "", "lock, 256 tasks: rate, x floor (more is better)"),
    ("P3", "handovers", "", "one lock, 2 processes: hand-overs, x floor (more is better)"),
    ("P10", "handovers", "", "one lock, 1 process: hand-overs, x floor (more is better)"),
    ("P11", "grants", "", "100 locks, 4 processes: rate, x floor (more is better)"),
    ("P4", "p50", "", "lock, release to grant, p50, x floor (less is better)"),
    ("P8", "time", "", "semaphore, one task: time, x floor (less is better)"),
    ("P8", "rate", "", "semaphore, 256 tasks: rate, x floor (more is better)"),
    ("P8", "p50", "", "condition, notify to woken, p50, x floor (less is better)"),
    ("P8", "round", " 100 parties", "barrier, 100 parties: time, x floor (less is better)"),
    ("P14", "time", "", "lock, one thread: time, x floor (less is better)"),
    ("P12", "import", "", "time of the import, x redis.asyncio (less is better)"),
)
CPU_ROW = "P2"
# How far an axis reaches beyond the floor at least, and how many bars have room.
NARROWEST, FEWEST = 2.5, 7
ROWS, COLUMNS = 7, 2


def _find(document: Document, row: str, key: str, part: str) -> Document | None:
    for case in document["cases"]:
        for metric in case["metrics"] if part in case["title"] else ():
            if (metric["row"], metric["key"]) == (row, key) and metric["contenders"]:
                found: Document = metric
                return found
    return None


def _bars(axes: Any, metric: Document, title: str) -> None:
    found = {}
    for name, spread in metric["contenders"].items():
        value = (spread.get("ratio") or spread)["median"]
        if value:
            found[name] = value
    names = list(found)[::-1]
    # From 1, so that the length of a bar is the distance to the floor, on either side.
    widths = [found[name] - 1 for name in names]
    bars = axes.barh(names, widths, left=1, color=[OURS.get(name, PEER_COLOUR) for name in names])
    axes.bar_label(bars, labels=[number(found[name]) for name in names], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.25)
    # So that a small difference looks small, and few bars are as thick as many.
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 1 / NARROWEST), max(high, NARROWEST))
    axes.set_ylim(len(names) - max(len(names), FEWEST) - 0.5, len(names) - 0.5)
    axes.axvline(1, color="#7f7f7f", linewidth=0.8)
    axes.set_title(title, fontsize=9)


def _waiting(axes: Any, document: Document) -> None:
    lines: dict[str, list[tuple[int, float]]] = {}
    for case in document["cases"]:
        for metric in case["metrics"]:
            _, lock, waiters = case["title"].partition("waiters of one process: ")
            if metric["row"] != "P5" or not lock:
                continue
            for name, spread in metric["contenders"].items():
                # A logarithmic axis has no zero.
                lines.setdefault(name, []).append((int(waiters), max(spread["median"], 0.1)))
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("waiters of one process", fontsize=8)
    axes.set_title("commands a second while they wait (less is better)", fontsize=9)
    axes.legend(fontsize=7)


def _cpu(axes: Any, document: Document) -> None:
    found = [case for case in document["cases"] if case["metrics"][0]["row"] == CPU_ROW]
    cpu = found[0]["cpu"]["contenders"] if found else {}
    names = list(cpu)[::-1]
    left = [0.0] * len(names)
    for side, colour in (("client", "#1f77b4"), ("server", "#d9a066")):
        widths = [cpu[name][side]["median"] for name in names]
        axes.barh(names, widths, left=left, color=colour, label=side)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.margins(x=0.1)
    axes.set_title("lock, 256 tasks: µs of processor time a cycle (less is better)", fontsize=9)
    axes.legend(fontsize=7)


def draw(document: Document, path: Path) -> None:
    """Write the picture; the same document always gives the same file."""
    mpl.rcParams.update({"svg.hashsalt": "dsync", "font.size": 8, "svg.fonttype": "none"})
    # A figure by itself needs no display and no window system.
    figure = Figure(figsize=(10, 2.6 * ROWS), layout="constrained")
    places = list(figure.subplots(ROWS, COLUMNS).flat)
    for place, (row, key, part, title) in zip(places, BARS, strict=False):
        metric = _find(document, row, key, part)
        if metric:
            _bars(place, metric, title)
    _waiting(places[-2], document)
    _cpu(places[-1], document)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
