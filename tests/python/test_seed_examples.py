"""Every Python block of the reference document, extracted and executed as it stands there.

Paths below /tmp and relative ones go into a temporary directory; names that a block leaves open
(`store`, `path`, `my_embedding_fn`) are supplied. The document is not part of the repository: where
it is absent these tests skip, and the other test_seed files check the same statements.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

import prestige

SEED = Path(__file__).resolve().parents[3] / "shared" / "seed" / "python-bindings.md"

pytestmark = pytest.mark.skipif(not SEED.is_file(), reason="the reference document is not here")

VECTOR = bytes(range(16))

# What the blocks below each heading print, in order; None: it depends on the store.
PRINTED: dict[str, list[str | None]] = {
    "Basic Operations": ["key2 exists\n"],
    "Dict-like Interface": ["found\n"],
    "Deduplication": ["Total keys: 100\nUnique values: 1\nDedup ratio: 100.0x\n"],
    "`prestige.open(path, options=None, **kwargs)`": [""],
    "`put(key, value, ttl_seconds=None)`": [""],
    "`get(key, default=None, decode=False)`": [""],
    '`list_keys(prefix="", limit=None)`': [""],
    "`count_keys(approximate=True)`": [""],
    "`prune(max_age_seconds=0, max_idle_seconds=0)`": [""],
    "`get_health()`": ["Storage: 0.0 MB\nDedup: 1.00x\n"],
    "Attributes": [""],
    "NormalizationMode": [""],
    "Exceptions": ["Key not found\n"],
    "Feature Flags": [None],
    "Semantic Deduplication": [""],
    "Cache Management": ["Deleted 0 expired entries\nFreed 0 unreferenced objects\n"],
    "Batch Operations": [""],
    "Error Handling": [""],
    "Persistence": ["John Doe\n"],
    "As an Embedding Cache": [""],
    "Session Store": [""],
    "Performance Tips": ["", "", "", ""],
}

# Names that a block leaves behind, by heading, as its comments say.
LEFT_BEHIND = {
    "Basic Operations": {"value": "hello world"},
    "Dict-like Interface": {"value": b"value1", "count": 1},
    "`get(key, default=None, decode=False)`": {"value": b"not found"},
    '`list_keys(prefix="", limit=None)`': {
        "all_keys": ["key1", "user:1"],
        "user_keys": ["user:1"],
        "first_10": ["key1", "user:1"],
    },
    "`count_keys(approximate=True)`": {"exact_count": 2, "approx_count": 2},
    "`prune(max_age_seconds=0, max_idle_seconds=0)`": {"deleted": 0},
    "Cache Management": {"deleted": 0, "freed": 0},
    "Batch Operations": {"values": [f"value_{i}" for i in range(1000)]},
    "Error Handling": {"value": "value"},
    "Persistence": {"user": "John Doe"},
    "As an Embedding Cache": {"embedding": VECTOR},
    "Session Store": {"data": {"user_id": 42, "role": "admin"}},
}


class Block(NamedTuple):
    heading: str
    number: int
    source: str


def blocks() -> list[Block]:
    if not SEED.is_file():
        return []
    found: list[Block] = []
    text = SEED.read_text(encoding="utf-8")
    pattern = r"^#+ (?P<heading>[^\n]+)$|^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^ *```$"
    heading, number = "", 0
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        if match["heading"]:
            heading, number = match["heading"], 0
        elif match["language"] == "python":
            found.append(Block(heading, number, textwrap.dedent(match["body"])))
            number += 1
    return found


def runnable(source: str, directory: Path) -> str:
    source = source.replace('"/tmp/', f'"{directory}/')
    if source.rstrip().endswith("# operations"):
        # The one block that is a sketch: a `with` whose body is a comment.
        source = source.rstrip() + "\n    pass\n"
    return source


def test_every_block_is_expected() -> None:
    counts: dict[str, int] = {}
    for block in blocks():
        counts[block.heading] = counts.get(block.heading, 0) + 1
    assert counts == {heading: len(printed) for heading, printed in PRINTED.items()}


@pytest.mark.parametrize("block", blocks(), ids=lambda block: f"{block.heading} {block.number}")
def test_block_runs_as_written(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    with prestige.open(tmp_path / "open_already") as store:
        store.put("key1", "value")
        store.put("user:1", "another value")
        names: dict[str, object] = {
            "__name__": "example",
            "prestige": prestige,
            "store": store,
            "path": str(tmp_path / "path"),
            "my_embedding_fn": lambda text: VECTOR,
        }
        code = compile(runnable(block.source, tmp_path), f"{SEED.name}: {block.heading}", "exec")
        with contextlib.redirect_stdout(output):
            exec(code, names)
        assert store.verify() == []
    printed = PRINTED[block.heading][block.number]
    if printed is None:
        printed = (
            f"Version: {prestige.__version__}\n"
            "Semantic dedup available: True\nServer available: True\n"
        )
    assert output.getvalue() == printed
    expected = LEFT_BEHIND.get(block.heading, {})
    assert {name: names[name] for name in expected} == expected
    with contextlib.suppress(KeyError):
        names["sessions"].store.close()
