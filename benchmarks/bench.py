"""Prestige beside other stores: the same work, in turns, as ratios.

    make bench          everything, about half an hour and 12 GB of free disk
    make bench-quick    fewer keys and rounds, no large stores, under three minutes

    .venv/bin/python benchmarks/bench.py [--quick] [--only NAME ...] [--rounds N] [--keys N]
                                         [--store-dir DIR] [--output DIR] [--no-peers]

In each round every job runs in a process of its own with a fresh store, first one side, then the
other; the next round begins with the other side. Both sides of a round get the same keys and
values, and a ratio compares the two sides of one round. The table shows medians. Linux only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import chart
import measures
import page
import peers
import report
from measures import Experiment
from workers.job import VALUE_BYTES, Answer, Job

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
NAMES = [experiment.name for experiment in measures.experiments()]

OWN_STORE = "prestige"
LEAST_KEYS = 100
"""Fewer would leave the hot set, a twentieth, or the distinct values, a tenth, nearly empty."""


class WorkerError(Exception):
    """A worker did not end well."""


def run(python: str, job: Job, store_dir: Path) -> Answer:
    """Do a job in a process of its own, in a directory that is deleted after it."""
    with tempfile.TemporaryDirectory(prefix="prestige-bench-", dir=store_dir) as folder:
        argument = json.dumps(asdict(replace(job, folder=folder)))
        done = subprocess.run(
            [python, "-m", "workers", argument],
            cwd=HERE,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise WorkerError(f"{job.task} on {job.store}: {lines[-1]}")
    return Answer(**json.loads(done.stdout))


class Bench:
    """A run of some experiments."""

    def __init__(self, rounds: int, store_dir: Path, peer_python: Path | None) -> None:
        self.rounds = rounds
        self.store_dir = store_dir
        self.peer_python = peer_python
        self.versions: dict[str, str] = {}
        self.failed = False

    def rows(self, experiment: Experiment) -> list[report.Row]:
        """Do an experiment; without the peer that it needs, our side of it."""
        reason = ""
        sides = [experiment.ours] + ([experiment.beside] if experiment.beside else [])
        if experiment.needs_peer and self.peer_python is None:
            reason = "the peers are not installed"
            sides = [experiment.ours]
        rounds = []
        for number in range(min(self.rounds, experiment.most_rounds)):
            print(f"{experiment.name}, round {number + 1}", file=sys.stderr, flush=True)
            try:
                rounds.append(self.round(sides, number))
            except WorkerError as error:
                self.failed = True
                return report.rows_alone(experiment, [], str(error))
        if reason:
            return report.rows_alone(experiment, [ours for ours, _ in rounds], reason)
        return report.rows(experiment, rounds)

    def round(self, sides: Sequence[Job], number: int) -> tuple[report.Figures, report.Figures]:
        """Figures of the first and the last side; they take turns in going first."""
        figures: dict[int, report.Figures] = {}
        order = list(enumerate(sides))
        for side, job in order if number % 2 == 0 else reversed(order):
            python = sys.executable if job.store == OWN_STORE else str(self.peer_python)
            answer = run(python, replace(job, seed=number), self.store_dir)
            self.versions[job.store] = answer.version
            figures[side] = answer.figures
        return figures[0], figures[len(sides) - 1]


def write(output: Path, contents: dict[str, Any], table: Sequence[report.Row]) -> None:
    """Write the page and the JSON."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "benchmark.json").write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    (output / "benchmark.md").write_text(page.markdown(contents, table), encoding="utf-8")


def draw(output: Path, peer_python: Path | None) -> None:
    """Draw the chart beside the JSON, with the matplotlib of the peers."""
    if peer_python is None:
        print(chart.MISSING)
        return
    files = [output / "benchmark.json", output / "benchmark.svg"]
    subprocess.run([peer_python, HERE / "chart.py", *files], check=True)


def require_disk(chosen: Sequence[Experiment], store_dir: Path) -> None:
    """End with an explanation if the largest store does not fit."""
    largest = max(chosen, key=lambda experiment: experiment.disk_bytes)
    free = shutil.disk_usage(store_dir).free
    if free < largest.disk_bytes:
        sys.exit(
            f"'{largest.name}' needs {largest.disk_bytes / 1e9:.1f} GB of free disk, and"
            f" {store_dir} has {free / 1e9:.1f} GB: name another directory with --store-dir,"
            " or leave the large stores out with --quick"
        )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Prestige beside other stores, as ratios.")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{measures.QUICK_KEYS:,} keys, {measures.QUICK_ROUNDS} rounds, no large stores",
    )
    parser.add_argument("--only", action="append", choices=NAMES, help="may be given repeatedly")
    parser.add_argument("--rounds", type=positive, help=f"default {measures.ROUNDS}")
    parser.add_argument(
        "--keys",
        type=positive,
        help=f"at least {LEAST_KEYS}, where a measure names no other number; default"
        f" {measures.KEYS:,}",
    )
    parser.add_argument(
        "--store-dir",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where stores are made; default: the directory of temporary files",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where table, JSON and chart go; default: docs if everything is measured as"
        " documented, else benchmarks in the cache folder",
    )
    parser.add_argument("--no-peers", action="store_true", help="install and run only Prestige")
    options = parser.parse_args()
    if options.keys is not None and options.keys < LEAST_KEYS:
        parser.error(f"--keys is {options.keys}, expected at least {LEAST_KEYS}")
    if not options.store_dir.is_dir():
        parser.error(f"{options.store_dir} is not a directory: make it, or name another")
    # The workers have another current directory.
    options.store_dir = options.store_dir.resolve()
    return options


def positive(text: str) -> int:
    """A number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> int:
    """Measure, print and write; 1 if a worker failed."""
    options = arguments()
    keys = options.keys or (measures.QUICK_KEYS if options.quick else measures.KEYS)
    rounds = options.rounds or (measures.QUICK_ROUNDS if options.quick else measures.ROUNDS)
    chosen = [
        experiment
        for experiment in measures.experiments(keys)
        if (experiment.name in options.only if options.only else True)
        and not (options.quick and experiment.large)
    ]
    if not chosen:
        sys.exit("nothing to measure: --quick leaves out the experiments that --only names")
    require_disk(chosen, options.store_dir)
    peer_python = None
    if not options.no_peers:
        try:
            peer_python = peers.interpreter()
        except peers.PeersMissingError as error:
            print(error, file=sys.stderr)
    partial = any((options.quick, options.only, options.rounds, options.keys, not peer_python))
    output = options.output or (peers.cache_folder() / "benchmarks" if partial else DOCS)
    bench = Bench(rounds, options.store_dir, peer_python)
    table = [row for experiment in chosen for row in bench.rows(experiment)]
    contents = {
        "settings": {"keys": keys, "rounds": rounds, "value_bytes": VALUE_BYTES},
        "machine": page.machine(),
        "versions": bench.versions,
        "rows": report.as_json(table),
    }
    write(output, contents, table)
    print(f"\n{report.text_table(table)}\n\n{page.NOTES}\n")
    draw(output, peer_python)
    print(f"written to {output}")
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
