"""The benchmarks: what they compute, what they print, and that they measure what they say.

No timing is asserted, and no other store is needed.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench
import chart
import measures
import report
from measures import Experiment, Kind, Measure
from suites import SUITES
from workers import measuring, tasks
from workers.adapter import OWN as OWN_STORES
from workers.adapter import STORES, Adapter
from workers.job import VALUE_BYTES, Job
from workers.task_names import STORE_TASKS, TASKS, task_of

BENCHMARKS = Path(bench.__file__).parent
OWN = Job("prestige", "put_get", 200)
SPEED = Measure("put", "put", Kind.SPEED, 2.0, beside="other")


def row(kind: Kind, wanted: float, ours: list[float], beside: list[float]) -> report.Row:
    return report.Row("x", Measure("work", "figure", kind, wanted, beside="b"), ours, beside)


def test_a_ratio_compares_the_two_sides_of_one_round() -> None:
    # The medians of the sides, 30 and 5, have another ratio than the median of the ratios.
    rounds = [
        ({"put": 10.0}, {"put": 5.0}),
        ({"put": 30.0}, {"put": 3.0}),
        ({"put": 60.0}, {"put": 20.0}),
    ]
    (only,) = report.rows(Experiment("x", OWN, OWN, (SPEED,)), rounds)
    assert only.ratios == [2.0, 10.0, 3.0]
    assert report.cells(only) == (
        "put",
        "30 op/s",
        "5 op/s other",
        "3.00 (2.00 - 10.00)",
        "≥ 2",
        "yes",
    )


def test_what_is_wanted_is_a_lower_bound_of_speed_and_an_upper_bound_of_all_else() -> None:
    assert row(Kind.SPEED, 2.0, [20.0], [10.0]).met
    assert not row(Kind.SPEED, 2.0, [19.0], [10.0]).met
    # Half as many operations per second cost twice as much.
    assert row(Kind.COST, 2.0, [10.0], [20.0]).met
    assert not row(Kind.COST, 2.0, [9.0], [20.0]).met
    assert row(Kind.SIZE, 1.3, [13.0], [10.0]).met
    assert not row(Kind.SIZE, 1.3, [14.0], [10.0]).met
    assert row(Kind.MEMORY, 250.0, [250e6], []).met
    assert not row(Kind.MEMORY, 250.0, [251e6], []).met


def test_sizes_are_shown_in_megabytes_of_a_million_bytes() -> None:
    assert report.cells(row(Kind.SIZE, 1.3, [15.4e6], [14e6]))[1:4] == (
        "15.4 MB",
        "14.0 MB b",
        "1.10 (1.10 - 1.10)",
    )
    assert report.cells(row(Kind.MEMORY, 250.0, [123.4e6], []))[1:] == (
        "123.4 MB",
        "-",
        "123 (123 - 123)",
        "≤ 250",
        "yes",
    )


def test_rows_without_ratios_say_why_once() -> None:
    experiment = Experiment("x", OWN, OWN, (SPEED, dataclasses.replace(SPEED, title="again")))
    table = report.rows_alone(experiment, [{"put": 7.0}], "no peer")
    assert report.cells(table[0]) == ("put", "7 op/s", "other", "not available", "≥ 2", "-")
    assert not any(line.met for line in table)
    for text in (report.text_table(table), report.markdown_table(table)):
        assert text.count("no peer") == 1
        assert "Not available: put; again: no peer" in text


def test_every_line_of_the_table_is_aligned() -> None:
    table = [row(Kind.SPEED, 2.0, [1e6], [1.0]), row(Kind.SIZE, 1.3, [1.0], [1.0])]
    headings, *lines = report.text_table(table).splitlines()
    assert len(lines) == len(table)
    for line in lines:
        assert line.index(" b") <= headings.index("ratio")
        assert len(line.rstrip("noyes")) == len(lines[0].rstrip("noyes"))


def test_the_json_of_a_report_can_be_read_back() -> None:
    table = [
        row(Kind.COST, 2.0, [10.0], [20.0]),
        *report.rows_alone(Experiment("x", OWN, OWN, (SPEED,)), [], "why"),
    ]
    first, second = json.loads(json.dumps(report.as_json(table)))
    assert (first["kind"], first["ratios"], first["ratio_median"], first["met"]) == (
        "cost",
        [2.0],
        2.0,
        True,
    )
    assert (second["ratio_median"], second["met"], second["reason"]) == (None, False, "why")


def test_the_experiments_name_stores_tasks_and_figures_that_exist() -> None:
    for suite in SUITES.values():
        experiments = suite.experiments(suite.keys)
        assert len({experiment.name for experiment in experiments}) == len(experiments)
        pinned = suite.pins.read_text(encoding="utf-8")
        for experiment in experiments:
            for job in (experiment.ours, experiment.beside or experiment.ours):
                assert {job.task, job.filled_by or job.task} <= set(TASKS)
                module = STORES[job.store].replace(".", "/")
                assert (BENCHMARKS / module).with_suffix(".py").exists()
                package = job.store.replace("langchain", "langchain-classic")
                assert job.store in OWN_STORES or f"\n{package}==" in pinned


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_where_its_name_says(name: str) -> None:
    assert callable(task_of(name))


def test_keys_differ_and_are_scattered() -> None:
    keys = [Adapter().key(number) for number in range(10_000)]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {12}
    # Some ten keys begin with each of the 256 first bytes among any 10,000 / 4 in a row.
    assert len({key[4:6] for key in keys[:2500]}) == 256


@pytest.mark.parametrize("threads", [1, 8])
def test_threads_share_the_items(threads: int) -> None:
    done: list[int] = []
    rate = measuring.threaded_rate(
        threads, range(100), lambda share: measuring.each(done.append, share)
    )
    assert sorted(done) == list(range(100))
    assert rate > 0


def test_a_thread_that_fails_is_not_ignored() -> None:
    with pytest.raises(ZeroDivisionError):
        measuring.threaded_rate(2, [1, 0], lambda share: [1 / number for number in share])


def test_disk_bytes_counts_blocks(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= measuring.disk_bytes(tmp_path) < 200_000
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(10**9)
    assert measuring.disk_bytes(tmp_path) < 300_000


class Forgetful(Adapter):
    """A store that answers with another value."""

    def __init__(self) -> None:
        self.put = lambda key, value: None
        self.get = lambda key: b"other"


def test_a_store_that_answers_wrongly_has_no_rate(tmp_path: Path) -> None:
    work = tasks.Work(Forgetful(), OWN, Random(1), tmp_path, 0)
    with pytest.raises(ValueError, match="another value than was put"):
        tasks.put_get(work)


EXPECTED = {
    "put_get": {"put", "get"},
    "put_get_batches": {"put", "get"},
    "get_threads": {"together", "alone"},
    "put_duplicates": {"put"},
    "get_hot": {"get"},
    "probe_large": {"put", "get"},
    "sweep": {"sweep"},
    "memory": {"resident"},
    "disk": {"disk", "distinct"},
}


@pytest.mark.parametrize("task", STORE_TASKS)
def test_every_task_runs_on_our_store(task: str, tmp_path: Path) -> None:
    answer = bench.run(sys.executable, dataclasses.replace(OWN, task=task, threads=2), tmp_path)
    assert answer.version.startswith("prestige-cache ")
    assert set(answer.figures) == EXPECTED[task]
    if task == "disk":
        assert answer.figures["distinct"] == 20 * VALUE_BYTES
        assert answer.figures["disk"] > 20 * VALUE_BYTES
    elif task != "memory":
        assert all(figure > 0 for figure in answer.figures.values())
    assert list(tmp_path.iterdir()) == []


def test_stores_are_made_where_they_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bench.run(sys.executable, OWN, tmp_path / "missing")


def test_a_worker_that_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(bench.WorkerError, match="no_such_task on prestige: KeyError"):
        bench.run(sys.executable, dataclasses.replace(OWN, task="no_such_task"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def run_bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "bench.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_measures_ours_without_peers(tmp_path: Path) -> None:
    output, stores = tmp_path / "output", tmp_path / "stores"
    stores.mkdir()
    tiny = ("--quick", "--keys", 200, "--rounds", 2)
    done = run_bench("--no-peers", *tiny, "--output", output, "--store-dir", stores)
    assert done.returncode == 0, done.stderr
    rows = json.loads((output / "benchmark.json").read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 10
    assert all(len(row["ours_values"]) == 2 for row in rows)
    for row in rows:
        peer = row["experiment"] not in {"threads", "readers", "disk"}
        assert bool(row["ratios"]) != peer
        assert row["reason"] == ("the peers are not installed" if peer else "")
        assert row["title"] in done.stdout
    assert chart.MISSING in done.stdout
    assert not (output / "benchmark.svg").exists()
    assert "| put, unique values |" in (output / "benchmark.md").read_text(encoding="utf-8")
    assert list(stores.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing"], "invalid choice"),
        (["--quick", "--only", "sweep"], "nothing to measure"),
        (["--keys", "99"], "expected at least 100"),
        (["--rounds", "-1"], "invalid positive value"),
        (["--store-dir", "/no/such/directory"], "is not a directory"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], message: str) -> None:
    # No disk has room for so many keys, so that nothing runs if the arguments are taken.
    done = run_bench("--no-peers", "--keys", 10**12, *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_is_too_small_is_said_before_anything_runs(tmp_path: Path) -> None:
    bench.require_disk(measures.experiments(200)[:1], tmp_path)
    with pytest.raises(SystemExit, match=r"'unique' needs 3840000\.0 GB of free disk") as refused:
        bench.require_disk(measures.experiments(10**12), tmp_path)
    assert "--store-dir" in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_the_chart_is_left_out_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chart, "mpl", None)
    assert not chart.draw({"rows": [], "settings": {}}, tmp_path / "chart.svg")
    assert capsys.readouterr().out == f"{chart.MISSING}\n"
    assert not (tmp_path / "chart.svg").exists()


def test_the_chart_shows_the_rows_that_compare_speed() -> None:
    table = [
        row(Kind.SPEED, 2.0, [2.0], [1.0]),
        row(Kind.COST, 2.0, [2.0], [1.0]),
        *report.rows_alone(Experiment("x", OWN, OWN, (SPEED,)), [], "no peer"),
    ]
    assert [shown["title"] for shown in chart.bars(report.as_json(table))] == ["work"]
