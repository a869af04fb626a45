"""Runs one job, given as JSON, and prints its answer as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from random import Random

from workers.adapter import load
from workers.job import Answer, Job
from workers.measuring import resident_bytes
from workers.task_names import task_of
from workers.tasks import Work


def run(job: Job) -> Answer:
    """Do the task in a fresh store."""
    module = load(job.store)
    resident = resident_bytes()
    folder = Path(job.folder)
    task = task_of(job.task)
    store = module.open_store(Path(job.filled or folder))
    try:
        figures = task(Work(store, job, Random(job.seed), folder, resident))
    finally:
        store.close()
    return Answer(f"{module.DISTRIBUTION} {version(module.DISTRIBUTION)}", figures)


if __name__ == "__main__":
    print(json.dumps(asdict(run(Job(**json.loads(sys.argv[1]))))))
