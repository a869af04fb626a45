"""The exact store beside `prestige-uvs`: the same work, alternately, as ratios of medians.

    .venv/bin/python benchmarks/exact.py [--rounds 5] [--keys 50000]

Both packages are imported as `prestige`, so the peer gets a virtual environment of its own in the
cache folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

WORKER = Path(__file__).with_name("exact_worker.py")
PEER = "prestige-uvs==0.2.0"


def peer_python() -> str:
    """Interpreter of an environment that has the peer."""
    cache = Path(os.environ.get("PRESTIGE_CACHE") or Path.home() / ".cache" / "prestige")
    folder = cache / "peers" / PEER
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return str(python)


def measure(python: str, keys: int, seed: int) -> dict[str, float]:
    """One round in a process of its own."""
    command = [python, str(WORKER), "--keys", str(keys), "--seed", str(seed)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def main() -> None:
    """Print operations per second of both and the ratio of each measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keys", type=int, default=50_000)
    arguments = parser.parse_args()
    peer = peer_python()
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for seed in range(arguments.rounds):
        ours.append(measure(sys.executable, arguments.keys, seed))
        theirs.append(measure(peer, arguments.keys, seed))
    print(f"{'operations per second':24}{'prestige':>12}{PEER:>22}{'ratio':>8}{'(min - max)':>16}")
    for name in ours[0]:
        ratios = [a[name] / b[name] for a, b in zip(ours, theirs, strict=True)]
        own = statistics.median(round_[name] for round_ in ours)
        other = statistics.median(round_[name] for round_ in theirs)
        spread = f"({min(ratios):.2f} - {max(ratios):.2f})"
        print(f"{name:24}{own:12,.0f}{other:22,.0f}{statistics.median(ratios):8.2f}{spread:>16}")


if __name__ == "__main__":
    main()
