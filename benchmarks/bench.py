"""Prestige beside other stores: the same work, in turns, as ratios.

    make bench            everything but the large index, 40 minutes and 12 GB of free disk
    make bench-semantic   the semantic stage alone, ten minutes
    make bench-http       the service over HTTP, five minutes
    make bench-large      an index of 1,000,000 vectors: an hour the first time
    make bench-quick      fewer keys and rounds, no large stores, under five minutes

    .venv/bin/python benchmarks/bench.py [--suite stores|semantic|large|http] [--quick]
                                         [--only NAME ...] [--rounds N] [--keys N] [--data DIR]
                                         [--store-dir DIR] [--output DIR] [--no-peers]

In each round every job runs in a process of its own with a fresh store, first one side, then the
other; the next round begins with the other side. Both sides of a round get the same keys and
values, and a ratio compares the two sides of one round. The table shows medians. A store that takes
long to fill is filled once and then used by every job that names it. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import chart
import page
import peers
import report
from measures import Experiment
from suites import SUITES, Suite
from workers.adapter import OWN
from workers.job import Answer, Job

import prestige

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
DATA = HERE.parents[1] / "shared" / "data"
"""Where the sentences are if neither --data nor PRESTIGE_BENCH_DATA says so."""

LEAST_KEYS = 100
"""Fewer would leave the hot set, a twentieth, or the distinct values, a tenth, nearly empty."""


class WorkerError(Exception):
    """A worker did not end well."""


def run(python: str, job: Job, store_dir: Path) -> Answer:
    """Do a job in a process of its own, in a directory that is deleted after it."""
    with tempfile.TemporaryDirectory(prefix="prestige-bench-", dir=store_dir) as folder:
        return run_in(python, replace(job, folder=folder))


def run_in(python: str, job: Job) -> Answer:
    """Do a job in a process of its own, in the directory that it names."""
    done = subprocess.run(
        [python, "-m", "workers", json.dumps(asdict(job))],
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

    def __init__(
        self,
        rounds: int,
        store_dir: Path,
        peer_python: Path | None,
        filled_dir: Path,
        data: Path | None = None,
    ) -> None:
        self.rounds = rounds
        self.store_dir = store_dir
        self.peer_python = peer_python
        self.filled_dir = filled_dir
        """Where stores are that several jobs use."""
        self.data = data
        self.versions: dict[str, str] = {}
        self.failed = False

    def rows(self, experiment: Experiment) -> list[report.Row]:
        """Do an experiment; without the peer that it needs, our side of it."""
        if experiment.needs_data and self.data is None:
            return report.rows_alone(experiment, [], "the sentences are missing: see --data")
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
        # All of it first: between the two sides the machine should change as little as can be.
        filled = [self.filled(job) for job in sides]
        order = list(enumerate(sides))
        for side, job in order if number % 2 == 0 else reversed(order):
            asked = replace(job, seed=number, data=str(self.data or ""), filled=filled[side])
            answer = run(self.python(job), asked, self.store_dir)
            self.versions[job.store] = answer.version
            figures[side] = answer.figures
        return figures[0], figures[len(sides) - 1]

    def python(self, job: Job) -> str:
        """The interpreter that has the store of a job."""
        return sys.executable if job.store in OWN else str(self.peer_python)

    def filled(self, job: Job) -> str:
        """The directory of the store that a job finds filled; fills it at the first use."""
        if not job.filled_by:
            return ""
        folder = self.filled_dir / f"{job.store}-{job.keys}"
        complete = folder.with_suffix(".complete")
        if not complete.exists():
            print(f"filling {job.store}, {job.keys:,} keys", file=sys.stderr, flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            run_in(
                self.python(job), replace(job, task=job.filled_by, filled_by="", folder=str(folder))
            )
            complete.touch()
        return str(folder)


def write(
    output: Path, suite: Suite, contents: dict[str, Any], table: Sequence[report.Row]
) -> None:
    """Write the page and the JSON."""
    output.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(contents, indent=1) + "\n"
    (output / f"{suite.file}.json").write_text(figures, encoding="utf-8")
    text = page.markdown(suite, contents, table)
    (output / f"{suite.file}.md").write_text(text, encoding="utf-8")


def draw(output: Path, suite: Suite, peer_python: Path | None) -> None:
    """Draw the chart beside the JSON, with the matplotlib of the peers."""
    if peer_python is None:
        print(chart.MISSING)
        return
    files = [output / f"{suite.file}.json", output / f"{suite.file}.svg"]
    subprocess.run([peer_python, HERE / "chart.py", *files], check=True)


def require_disk(chosen: Sequence[Experiment], store_dir: Path) -> None:
    """End with an explanation if the largest store does not fit."""
    largest = max(chosen, key=lambda experiment: experiment.disk_bytes)
    free = shutil.disk_usage(store_dir).free
    if free < largest.disk_bytes:
        sys.exit(
            f"'{largest.name}' needs {largest.disk_bytes / 1e9:.1f} GB of free disk, and"
            f" {store_dir} has {free / 1e9:.1f} GB: name another directory with --store-dir"
            " (PRESTIGE_CACHE, for what is kept), or leave the large stores out with --quick"
        )


def sentences(chosen: Sequence[Experiment], folder: Path) -> Path | None:
    """The directory of the sentences; says so if something needs them and they are not there."""
    if (folder / "stsb-en-train.csv").is_file() and (folder / "stsb-en-test.csv").is_file():
        return folder.resolve()
    skipped = [experiment.name for experiment in chosen if experiment.needs_data]
    if skipped:
        print(
            f"skipped: {', '.join(skipped)}: {folder} lacks stsb-en-train.csv or stsb-en-test.csv;"
            " name their directory with --data or PRESTIGE_BENCH_DATA",
            file=sys.stderr,
        )
    return None


@contextmanager
def filled_stores(suite: Suite, store_dir: Path) -> Iterator[Path]:
    """Where stores are filled that several jobs use: in the cache folder, or deleted afterwards."""
    if suite.is_kept:
        yield peers.cache_folder() / "benchmarks" / f"filled-{prestige.__version__}"
        return
    with tempfile.TemporaryDirectory(prefix="prestige-filled-", dir=store_dir) as folder:
        yield Path(folder)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Prestige beside other stores, as ratios.")
    parser.add_argument("--suite", choices=SUITES, default="stores", help="default %(default)s")
    parser.add_argument(
        "--quick", action="store_true", help="fewer keys and rounds, no large stores"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="may be given repeatedly")
    parser.add_argument("--rounds", type=positive, help="default: those of the suite")
    parser.add_argument(
        "--keys",
        type=positive,
        help=f"keys or vectors, at least {LEAST_KEYS}, where a measure names no other number;"
        " default: those of the suite",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("PRESTIGE_BENCH_DATA") or DATA),
        help="where the sentences are, stsb-en-train.csv and stsb-en-test.csv; default: the"
        " environment variable PRESTIGE_BENCH_DATA, or %(default)s",
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
    names = {experiment.name for experiment in SUITES[options.suite].experiments(LEAST_KEYS)}
    for name in options.only or []:
        if name not in names:
            parser.error(f"--only {name}: invalid choice, expected {', '.join(sorted(names))}")
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
    suite = SUITES[options.suite]
    keys = options.keys or (suite.quick_keys if options.quick else suite.keys)
    rounds = options.rounds or (suite.quick_rounds if options.quick else suite.rounds)
    chosen = [
        experiment
        for experiment in suite.experiments(keys)
        if (experiment.name in options.only if options.only else True)
        and not (options.quick and experiment.large)
    ]
    if not chosen:
        sys.exit("nothing to measure: --quick leaves out the experiments that --only names")
    where = options.store_dir
    if suite.is_kept:
        where = peers.cache_folder()
        where.mkdir(parents=True, exist_ok=True)
    require_disk(chosen, where)
    peer_python = None
    if not options.no_peers:
        try:
            peer_python = peers.interpreter(suite.pins)
        except peers.PeersMissingError as error:
            print(error, file=sys.stderr)
    data = sentences(chosen, options.data)
    lacks_peer = not peer_python and any(one.needs_peer for one in chosen)
    missing = lacks_peer or (data is None and any(one.needs_data for one in chosen))
    partial = any((options.quick, options.only, options.rounds, options.keys, missing))
    output = options.output or (peers.cache_folder() / "benchmarks" if partial else DOCS)
    with filled_stores(suite, options.store_dir) as filled_dir:
        bench = Bench(rounds, options.store_dir, peer_python, filled_dir, data)
        table = [row for experiment in chosen for row in bench.rows(experiment)]
    contents = {
        "settings": {
            "keys": keys,
            "unit": suite.unit,
            "rounds": rounds,
            "value_bytes": suite.value_bytes,
        },
        "machine": page.machine(),
        "versions": bench.versions,
        "rows": report.as_json(table),
    }
    write(output, suite, contents, table)
    print(f"\n{report.text_table(table)}\n\n{suite.notes}\n")
    draw(output, suite, peer_python)
    print(f"written to {output}")
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
