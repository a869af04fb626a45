"""README.md and docs/*.md say what is true: their code runs, their commands, links and tables hold.

A `print` line that ends with a comment promises its output: `print(store.get("k"))  # b'v'`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import prestige
from prestige import _native

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = ROOT / "python" / "DESCRIPTION.md"
PAGES = [ROOT / "README.md", DESCRIPTION, *sorted((ROOT / "docs").glob("*.md"))]
BINDINGS = ROOT / "docs" / "python-bindings.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISE = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"`make ([a-z-]+)`")


class Block(NamedTuple):
    language: str
    code: str
    line: int
    """Line of the page on which the code begins, from 1."""


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)
        for match in FENCE.finditer(text)
    ]
    return [block for block in found if block.language in languages]


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(page: Path, program: str) -> list[list[str]]:
    """Arguments of each line of the shell blocks that runs `program`."""
    lines = [line for block in blocks(page, "bash", "console") for line in block.code.splitlines()]
    return [words[1:] for line in lines if (words := shlex.split(line)) and words[0] == program]


def anchors(page: Path) -> set[str]:
    """Names of the headings, as in links to them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_pages_are_found() -> None:
    assert len(PAGES) >= 7
    assert sum(len(blocks(page, "python")) for page in PAGES) >= 30
    assert all(FENCE.sub("", page.read_text(encoding="utf-8")).count("```") == 0 for page in PAGES)
    assert (ROOT / "python" / "README.md").resolve() == ROOT / "README.md"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_python_blocks_run_and_print_what_they_promise(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    # The pages ask a server of this machine, to which no proxy leads.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        # Empty lines in front, so that a traceback names the line of the page.
        code = "\n" * (block.line - 1) + block.code
        exec(compile(code, str(page), "exec"), namespace)
        printed = iter(capsys.readouterr().out.splitlines())
        for promised in PROMISE.findall(block.code):
            assert promised in printed, f"{page.name}, block at line {block.line}: {promised}"
    left_open = [
        name
        for name, value in namespace.items()
        if isinstance(value, prestige.Store | prestige.EmbeddingCache | prestige.SemanticCache)
        and not value.closed
    ]
    assert left_open == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"demo", "test"} <= targets
    named = set(MAKE.findall(prose(page)))
    for arguments in commands(page, "make"):
        named.update(word for word in arguments if "=" not in word)
    assert named <= targets


def understood(arguments: list[str]) -> bool:
    parsed = _native.parse_command(arguments)
    return parsed.get("exit_code", 0) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prestige_commands_are_understood(page: Path) -> None:
    for arguments in commands(page, "prestige"):
        assert understood(arguments), arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_page_of_the_package_stands_alone() -> None:
    """It is read where there is no checkout: no file to link to, no Makefile, nothing to build."""
    text = DESCRIPTION.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(prose(DESCRIPTION)) if "://" not in link] == []
    assert not re.search(r"\bmake |`make\b|\./python|docs/|examples/", text)
    project = (ROOT / "python" / "pyproject.toml").read_text(encoding="utf-8")
    assert 'readme = "DESCRIPTION.md"' in project


def test_the_options_table_is_complete_and_has_the_defaults() -> None:
    section = BINDINGS.read_text(encoding="utf-8").partition("\n### Options\n")[2]
    section = section.partition("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE)
    options = prestige.Options()
    documented = {name: eval(default, vars(prestige)) for name, default in rows}
    assert documented == {name: getattr(options, name) for name in documented}
    assert sorted(documented) == sorted(re.findall(r"(\w+)=", repr(options)))


def test_the_stubs_name_the_defaults_of_the_options() -> None:
    stub = (ROOT / "python" / "prestige" / "_native.pyi").read_text(encoding="utf-8")
    section = stub.partition("\nclass Options:\n")[2].partition("\n@final\n")[0]
    docstrings = re.findall(
        r'^    (\w+): [^\n]+\n    """(.+?)"""', section, re.MULTILINE | re.DOTALL
    )
    named = {
        name: match[1].replace(" MiB", " * 1024**2")
        for name, docstring in docstrings
        if (match := re.search(r"\bDefault ((?:[^.]|\.(?=\S))+)\.", docstring))
    }
    assert len(named) >= 28
    options = prestige.Options()
    for name, default in named.items():
        assert eval(default.strip("`"), vars(prestige)) == getattr(options, name), name


def test_every_public_name_is_documented() -> None:
    text = BINDINGS.read_text(encoding="utf-8")
    names = set(prestige.__all__)
    for kind in (prestige.Store, prestige.Server, prestige.SemanticModel):
        names.update(name for name in vars(kind) if not name.startswith("_"))
    missing = [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)]
    assert missing == []
    text = (ROOT / "docs" / "caches.md").read_text(encoding="utf-8")
    names = {"cached"}
    for kind in (_native.EmbeddingCache, _native.SemanticCache, prestige.Hit):
        names.update(name for name in vars(kind) if not name.startswith("_"))
    forms = {name for name in names if name.startswith("a") and name[1:] in names}
    missing = [name for name in sorted(names - forms) if not re.search(rf"\b{name}\b", text)]
    assert missing == []
