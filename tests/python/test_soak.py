"""The short form of `make soak`."""

from __future__ import annotations

from pathlib import Path

from soak import soak


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    report, wrong = soak(tmp_path / "store", seconds=12, connections=64, every=2)
    assert wrong == []
    assert sum(report.restarts.values()) >= 2
    assert sum(report.requests.values()) > 200
    assert not any(status >= 500 and status != 503 for status in report.statuses)
