"""The pages of the command line and the server name what there is.

`python tests/python/test_command_docs.py` writes the settings into `docs/server.md`.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from commands import run_process

from prestige import _native

DOCS = Path(__file__).resolve().parents[2] / "docs"
SERVER = DOCS / "server.md"
COMMAND_LINE = DOCS / "command-line.md"
BEGIN = re.compile(r"(<!-- Settings:.*? -->\n)(.*?)(<!-- End of the settings -->)", re.DOTALL)


def settings_as_markdown() -> str:
    """A table for each table of the file: key and argument, default, what it says."""
    settings = json.loads(run_process("serve", "--print-config", "--json").stdout)
    lines: list[str] = []
    # In the order in which they are defined.
    for line in run_process("serve", "--print-config").stdout.decode().splitlines():
        if line.startswith("["):
            lines += [
                "",
                f"### `{line}`",
                "",
                "| key | argument | default | |",
                "|---|---|---|---|",
            ]
        if not (named := re.match(r"(?:# )?(\w+) =", line)):
            continue
        setting = settings[named[1]]
        default = "" if setting["default"] is None else f"`{setting['default']}`"
        text = setting["help"].replace("\n", " ").replace("|", "\\|")
        if setting["values"] and "true" not in setting["values"]:
            text += ": " + ", ".join(f"`{value}`" for value in setting["values"])
        lines.append(f"| `{named[1]}` | `{setting['argument']}` | {default} | {text} |")
    return "\n".join([*lines, "", ""])


@pytest.fixture(autouse=True)
def no_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PRESTIGE_")]:
        monkeypatch.delenv(name)


def test_the_settings_are_those_of_the_page() -> None:
    found = BEGIN.search(SERVER.read_text(encoding="utf-8"))
    assert found
    assert found[2] == settings_as_markdown(), f"run: python {__file__}"


def test_every_command_is_on_the_page() -> None:
    text = _native.parse_command(["--help"])["message"]
    commands = set(re.findall(r"^  ([a-z-]+)  ", text, re.MULTILINE))
    page = COMMAND_LINE.read_text(encoding="utf-8")
    named = set(
        re.findall(r"`([a-z-]+)", "\n".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    )
    assert commands <= named, commands - named


def test_every_option_for_stores_is_on_the_page() -> None:
    text = _native.parse_command(["get", "--help"])["message"]
    options = set(re.findall(r"--[a-z-]+", text)) - {"--help", "--output"}
    page = COMMAND_LINE.read_text(encoding="utf-8")
    assert {
        option for option in options if f"`{option}" not in page and f", `{option}" not in page
    } == set()


if __name__ == "__main__":
    page = SERVER.read_text(encoding="utf-8")
    SERVER.write_text(
        BEGIN.sub(lambda found: found[1] + settings_as_markdown() + found[3], page),
        encoding="utf-8",
    )
