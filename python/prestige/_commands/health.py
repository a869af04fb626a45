"""``health``: figures, a status, and an exit code for monitoring systems of the Nagios kind."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from prestige import _terminal
from prestige.exceptions import InvalidArgumentError, PrestigeError

from . import Arguments
from .output import count, print_figures, print_json, size
from .target import Access, directory, is_remote, target


class Status(IntEnum):
    """How a store is; the number is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Verdict(NamedTuple):
    """The status, and why it is not OK."""

    status: Status
    problems: list[str]


def run_health(arguments: Arguments) -> int:
    """Judge a store. Whatever fails is a status too, and never a traceback."""
    figures: dict[str, Any] = {}
    try:
        with target(arguments, Access.READ) as store:
            figures = dict(store.get_health())
        verdict = judge(figures, arguments["warn"], arguments["crit"])
    except InvalidArgumentError as error:
        verdict = Verdict(Status.UNKNOWN, [str(error)])
    except (PrestigeError, OSError, ImportError) as error:
        status = Status.UNKNOWN if _nothing_there(arguments) else Status.CRITICAL
        verdict = Verdict(status, [str(error)])
    _show(arguments, verdict, figures)
    return int(verdict.status)


def _nothing_there(arguments: Arguments) -> bool:
    """Whether the path is wrong rather than the store."""
    if is_remote(arguments):
        return False
    path = Path(directory(arguments))
    try:
        return not path.is_dir() or next(path.iterdir(), None) is None
    except OSError:
        return True


def judge(
    figures: Mapping[str, Any], warn: list[dict[str, Any]], crit: list[dict[str, Any]]
) -> Verdict:
    """The status that figures have, by what is expected of them; the worst one counts."""
    unknown: list[str] = []
    critical: list[str] = []
    warning: list[str] = []
    if figures["index_ok"] is False:
        critical.append("the vector index does not follow the store: open the store anew")
    for alerts, problems in ((crit, critical), (warn, warning)):
        for alert in alerts:
            name = alert["figure"]
            value = figures.get(name)
            if name not in figures:
                unknown.append(_no_figure(name, figures))
            elif isinstance(value, bool) or not isinstance(value, int | float):
                unknown.append(f"{name} is {value!r}, and has no range")
            elif _outside(value, alert) is not alert["inside"]:
                problems.append(f"{name} is {value:.12g}, expected {alert['range']}")
    if unknown:
        # A check that was misspelt looks at nothing: this must not pass for health.
        return Verdict(Status.UNKNOWN, unknown + critical + warning)
    if critical:
        return Verdict(Status.CRITICAL, critical + warning)
    return Verdict(Status.WARNING if warning else Status.OK, warning)


def _outside(value: float, alert: Mapping[str, Any]) -> bool:
    low, high = alert["low"], alert["high"]
    return (low is not None and value < low) or (high is not None and value > high)


def _no_figure(name: str, figures: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, figures, 1)
    known = f"did you mean {near[0]}?" if near else f"there are {', '.join(figures)}"
    return f"there is no figure {name}; {known}"


def _show(arguments: Arguments, verdict: Verdict, figures: Mapping[str, Any]) -> None:
    if arguments["json"]:
        status = verdict.status.name.lower()
        print_json({"status": status, "problems": verdict.problems, "figures": figures or None})
        return
    told = "; ".join(verdict.problems) or _summary(figures)
    line = " ".join(f"PRESTIGE {verdict.status.name}: {told}".split())
    if arguments["nagios"]:
        # A bar would begin the performance data.
        line = line.replace("|", "/")
        data = performance(figures, arguments["warn"], arguments["crit"])
        print(f"{line} | {data}" if data else line)
        return
    print(_terminal.heading(line))
    if figures:
        print_figures(figures)


def _summary(figures: Mapping[str, Any]) -> str:
    keys = count(figures["total_keys"], "key")
    values = count(figures["total_objects"], "distinct value")
    return f"{keys}, {values}, {size(figures['total_bytes'])}"


def performance(
    figures: Mapping[str, Any], warn: list[dict[str, Any]], crit: list[dict[str, Any]]
) -> str:
    """The figures as performance data: ``name=value[unit];warn;crit``."""
    ranges = [{alert["figure"]: alert["range"] for alert in alerts} for alerts in (warn, crit)]
    parts = []
    for name, value in figures.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            continue
        unit = "s" if name.endswith("_s") else "B" if "bytes" in name.split("_") else ""
        shown = "U" if value is None else f"{value:.12g}{unit}"
        limits = ";".join(_numbers(known.get(name, "")) for known in ranges)
        parts.append(f"{name}={shown};{limits}".rstrip(";"))
    return " ".join(parts)


def _numbers(text: str) -> str:
    """A range for performance data, which knows no units of size."""
    return text if set(text) <= set("0123456789.:@~-+eE") else ""
