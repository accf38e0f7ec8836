"""The result as one document: what is written to results.json, shown and drawn."""

from __future__ import annotations

import dataclasses
import math
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench import machine
from bench.contenders import CONTENDERS, DSYNC
from bench.cpu import CLIENT, SERVER
from bench.model import Case, Metric, Settings, Target
from bench.runner import Results
from bench.stats import summarize

METHOD = (
    "The contenders take turns in each round. A value is the median of the rounds, with the lowest"
    " and the highest; a ratio is the median of the ratios of the single rounds. The server has"
    " a core for itself, all others share the rest."
)
Document = dict[str, Any]


def _round(value: float) -> float | None:
    """Keep four digits, which is more than a shared machine can promise."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _spread(values: list[float]) -> Document | None:
    summary = summarize(values)
    if summary is None:
        return None
    return {
        "median": _round(summary.median),
        "low": _round(summary.low),
        "high": _round(summary.high),
        "rounds": summary.rounds,
    }


def _ratio_of_row(results: Results, cases: list[Case], row: str, against: str) -> float:
    """Return the ratio of the first metric of a row; NaN when that was not measured."""
    for case in cases:
        for metric in case.metrics:
            summary = summarize(results.ratios(case, DSYNC, against, metric.key))
            if metric.row == row and summary:
                return summary.median
    return math.nan


def _target(
    results: Results, cases: list[Case], case: Case, metric: Metric, target: Target
) -> Document:
    if target.against is None:
        values = results.values(case, DSYNC, metric.key)
    else:
        values = results.ratios(case, DSYNC, target.against, metric.key)
    if target.share_of is not None and target.against is not None:
        whole = _ratio_of_row(results, cases, target.share_of, target.against)
        values = [] if math.isnan(whole) else [value / whole for value in values]
    summary = summarize(values)
    return {
        "bound": target.bound.value,
        "limit": target.limit,
        "against": target.against,
        "share_of": target.share_of,
        "measured": _spread(values),
        "met": target.met(summary.median) if summary else None,
    }


def _metric(results: Results, cases: list[Case], case: Case, metric: Metric) -> Document:
    contenders = {}
    for name in case.contenders:
        spread = _spread(results.values(case, name, metric.key))
        if spread is None:
            continue
        if metric.reference:
            ratios = results.ratios(case, name, metric.reference, metric.key)
            spread["ratio"] = _spread(ratios)
        contenders[name] = spread
    return {
        "row": metric.row,
        "key": metric.key,
        "title": metric.title,
        "unit": metric.unit,
        "reference": metric.reference,
        "contenders": contenders,
        "targets": [_target(results, cases, case, metric, target) for target in metric.targets],
    }


def _cpu(results: Results, case: Case) -> Document:
    """Return the microseconds of processor time for each unit of the work, by contender."""
    found = {}
    for name in case.contenders:
        client, server = (_spread(results.values(case, name, key)) for key in (CLIENT, SERVER))
        if client and server:
            found[name] = {"client": client, "server": server}
    return {"unit": case.unit, "contenders": found}


def _case(results: Results, cases: list[Case], case: Case) -> Document:
    return {
        "title": case.title,
        "metrics": [_metric(results, cases, case, metric) for metric in case.metrics],
        "cpu": _cpu(results, case),
        "failures": {
            name: reason
            for (title, name), reason in results.failures.items()
            if title == case.title
        },
    }


def _versions(server_version: str) -> Document:
    found: Document = {"python": platform.python_version(), "redis-server": server_version}
    for name in sorted({*(c.distribution for c in CONTENDERS.values()), "hiredis", "uvloop"}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def document(
    results: Results,
    cases: list[Case],
    settings: Settings,
    server_version: str,
    busy: tuple[float, float],
) -> Document:
    """Return everything that a reader needs to understand and to repeat the run.

    :param busy: the share of the machine that others used before and after the run.
    """
    return {
        "versions": _versions(server_version),
        "machine": {**machine.description(), "busy_by_others": [_round(share) for share in busy]},
        "method": {"text": METHOD, **dataclasses.asdict(settings)},
        "cases": [_case(results, cases, case) for case in cases],
    }
