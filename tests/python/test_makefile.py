"""What the Makefile shows: the tools' output only where one fails."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"


@pytest.mark.skipif(shutil.which("make") is None, reason="runs make")
@pytest.mark.parametrize(("ending", "code"), [("true", 0), ("exit 7", 2), ("false && echo no", 2)])
def test_output_is_shown_when_a_command_fails(tmp_path: Path, ending: str, code: int) -> None:
    probe = tmp_path / "Makefile"
    recipe = f"\t@$(call quietly,cd / && echo noise && echo more >&2 && {ending},{tmp_path}/log)\n"
    probe.write_text(f"include {MAKEFILE}\n.PHONY: probe\nprobe:\n{recipe}\t@echo done\n")
    command = ["make", "--no-print-directory", "-f", str(probe), "probe"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert (tmp_path / "log").read_text() == "noise\nmore\n"
    if code == 0:
        assert (result.stdout, result.stderr) == ("done\n", "")
    else:
        assert result.stderr.startswith("noise\nmore\n")
        assert "done" not in result.stdout
