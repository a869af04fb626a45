"""The page of a run: the table, what it depends on, and how to read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import report
from suites import Suite


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    model = [line.partition(": ")[2] for line in cpus if line.startswith("model name")]
    return {
        "processor": model[0] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def markdown(suite: Suite, contents: dict[str, Any], table: Sequence[report.Row]) -> str:
    """The Markdown page of a run."""
    host, settings = contents["machine"], contents["settings"]
    return f"""\
# {suite.title}

What `benchmarks/bench.py` measured: {settings["rounds"]} rounds, {settings["keys"]:,} \
{suite.unit} where no other number is named,
{host["processor"]}, {host["cores"]} cores, {host["memory_gb"]} GB, {host["system"]}, \
Python {host["python"]};
{", ".join(sorted(set(contents["versions"].values())))}.

{report.markdown_table(table)}

{suite.notes}
"""
