"""The docstrings of the extension module and those of its stub say the same."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from prestige import _native

STUB = Path(__file__).resolve().parents[2] / "python" / "prestige" / "_native.pyi"
CONSTANTS = {"__version__", "SEMANTIC_AVAILABLE", "SERVER_AVAILABLE"}
ENUMS = {"DedupMode", "NormalizationMode"}


class Documented(NamedTuple):
    name: str
    """Dotted, below the module."""
    docstring: str | None


def string_of(statement: ast.stmt | None) -> str | None:
    """The text of a statement that is a lone string, as under an attribute."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return inspect.cleandoc(value.value)
    return None


def of_body(body: list[ast.stmt], prefix: str = "") -> Iterator[Documented]:
    """Public names of the stub and their docstrings, of overloads and setters the first alone."""
    seen = set()
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name, docstring = statement.target.id, string_of(following)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name, docstring = statement.name, ast.get_docstring(statement)
        else:
            continue
        if name.startswith("_") or name in seen or prefix + name in CONSTANTS:
            continue
        seen.add(name)
        yield Documented(prefix + name, docstring)
        if isinstance(statement, ast.ClassDef) and name not in ENUMS:
            yield from of_body(statement.body, f"{name}.")


NAMES = list(of_body(ast.parse(STUB.read_text(encoding="utf-8")).body))


def first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def runtime(name: str) -> object:
    found: object = _native
    for part in name.split("."):
        found = getattr(found, part)
    return found


def test_the_stub_is_read() -> None:
    names = {documented.name for documented in NAMES}
    assert {"Store", "Store.put", "Store.path", "Options.hnsw_m", "Server.stop"} <= names
    assert len(names) >= 75


@pytest.mark.parametrize("documented", NAMES, ids=lambda documented: documented.name)
def test_both_have_the_same_docstring(documented: Documented) -> None:
    shown = inspect.getdoc(runtime(documented.name))
    assert first_line(documented.docstring), "the stub says nothing"
    assert first_line(shown) == first_line(documented.docstring)


def test_the_stub_names_everything_there_is() -> None:
    names = {documented.name for documented in NAMES}
    for kind in ("Store", "Options", "SemanticModel", "Server", "StoreIterator", "ManualClock"):
        public = {f"{kind}.{name}" for name in vars(runtime(kind)) if not name.startswith("_")}
        assert public <= names
