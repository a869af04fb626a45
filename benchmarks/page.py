"""The page of a run: the table, what it depends on, and how to read it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measures
import report
from workers.job import VALUE_BYTES

NOTES = f"""\
- Python callers. Every value has {VALUE_BYTES:,} bytes, also in the large stores, random and unlike
  all others where no duplicates are named; keys are scattered, as hashes are. Keys and values are
  made before the clock starts, garbage is not collected while it runs, and before gets are timed
  the store's background work has ended.
- Every store has its documented defaults. None waits for the disk at each write: a crash of the
  process loses nothing, a power cut can take the latest writes. lmdb has `sync=False` and a
  transaction for each call, as a get that sees the latest put needs one. Only Prestige and
  prestige-uvs deduplicate.
- Ratios are formed within a round; the table gives medians over the rounds, {measures.LARGE_ROUNDS}
  at most for large stores, with the least and the greatest ratio. A cost is time an operation, over
  that of the store beside it.
- The hot set is a twentieth of the keys. Memory is what the process holds after a fill and 100,000
  random gets, without what it held after import and the bounds of the caches and write buffers."""


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


def markdown(contents: dict[str, Any], table: Sequence[report.Row]) -> str:
    """The Markdown page of a run."""
    host, settings = contents["machine"], contents["settings"]
    return f"""\
# Benchmark

What `benchmarks/bench.py` measured: {settings["rounds"]} rounds, {settings["keys"]:,} keys where \
no other number is named,
{host["processor"]}, {host["cores"]} cores, {host["memory_gb"]} GB, {host["system"]}, \
Python {host["python"]};
{", ".join(sorted(contents["versions"].values()))}.

{report.markdown_table(table)}

{NOTES}
"""
