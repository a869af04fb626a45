"""docs/http.md says what is true: its examples run, one after the other, and answer what it shows.

`…` in an answer stands for anything. Which operations the page names is tested in Rust.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import prestige

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http.md"
# A block of commands, and what they print if the page shows it.
EXAMPLE = re.compile(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl")
def test_every_example_answers_as_shown(store: prestige.Store, tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    examples = list(EXAMPLE.finditer(page))
    assert len(examples) >= 20
    with store.serve() as server:
        # No proxy, and none of the settings of whoever runs this.
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "URL": server.url}
        for example in examples:
            commands, shown = example.groups()
            line = page.count("\n", 0, example.start()) + 2
            done = subprocess.run(
                [
                    "bash",
                    "-euo",
                    "pipefail",
                    "-c",
                    f'curl() {{ command curl -sS "$@"; }}\n{commands}',
                ],
                env=environment,
                capture_output=True,
                check=False,
                timeout=60,
            )
            printed = done.stdout.decode(errors="replace").replace("\r", "").strip()
            assert done.returncode == 0, (line, done.stderr)
            if shown is None:
                assert '"code"' not in printed, (line, printed)
                continue
            parts = [re.escape(part) for part in shown.strip().split("…")]
            assert re.fullmatch(".*?".join(parts), printed, re.DOTALL), f"line {line}:\n{printed}"
    assert store.verify() == []
