"""The parts of `prestige demo`: selecting pairs, reading files, drawing tables, failing checks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from prestige import _demo_report as report
from prestige import demo
from prestige._terminal import clip, table, width


@pytest.mark.parametrize("block_rows", [1, 3, 7, 1024])
def test_closest_pairs_are_those_of_a_plain_double_loop(
    block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "BLOCK_ROWS", block_rows)
    random = np.random.default_rng(7)
    rows = random.normal(size=(20, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    values = [f"value {number:02}" for number in range(len(rows))]
    vectors = dict(zip(values, rows, strict=True))
    threshold = 0.95

    naive = sorted(
        (
            (float(rows[one] @ rows[two]), values[one], values[two])
            for one in range(len(rows))
            for two in range(one + 1, len(rows))
        ),
        reverse=True,
    )
    assert naive[0][0] > threshold  # Otherwise nothing would be left out.
    expected = [pair for pair in naive if pair[0] < threshold][: report.CLOSEST_PAIRS]
    found = report.closest(values, vectors, threshold)
    assert [pair[1:] for pair in found] == [pair[1:] for pair in expected]
    assert [pair[0] for pair in found] == pytest.approx([pair[0] for pair in expected])


def test_spread_covers_the_range_and_prefers_new_wordings() -> None:
    pairs = [report.Pair(0.90 + number / 1000, f"text {number}", "same") for number in range(100)]
    other = report.Pair(0.9505, "text", "another")
    chosen = report.spread([*pairs, other], 8)
    similarities = [pair.similarity for pair in chosen]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] == pytest.approx(0.999)
    assert similarities[-1] == pytest.approx(0.900)
    assert max(-np.diff(similarities)) < 0.03
    assert other in chosen
    assert report.spread(pairs[:3], 8) == pairs[2::-1]
    assert report.spread([], 8) == []


@pytest.mark.parametrize(
    ("text", "other", "suspect"),
    [
        ("Where is order 1041?", "Where is order 1042?", True),
        ("from monthly to annual", "From annual to monthly?", True),
        ("Where is order 1041?", "where is order 1041", False),
        ("Where is my parcel?", "Where is my package?", False),
        ("I was charged twice", "I was charged 2 times", True),
        ("???", "!", False),
    ],
)
def test_suspects_differ_in_a_number_or_the_word_order(
    text: str, other: str, suspect: bool
) -> None:
    assert report.is_suspect(report.Pair(0.97, text, other)) is suspect


def test_read_texts_stops_at_the_limit_without_reading_on() -> None:
    stream = io.BytesIO(b"one\ntwo\nthree\n\xff\n")
    assert demo.read_texts(stream, "name", 2) == (["one", "two"], True)
    stream.seek(0)
    with pytest.raises(demo.FileProblem, match="name: line 4 is not UTF-8"):
        demo.read_texts(stream, "name", 3)
    # Exactly as many texts as allowed, then blank lines: nothing more.
    assert demo.read_texts(io.BytesIO(b"one\n\n \n"), "name", 1) == (["one"], False)


def test_byte_order_mark_is_dropped_at_the_start_only() -> None:
    stream = io.BytesIO("\ufeffone\n\ufefftwo\n".encode())
    assert demo.read_texts(stream, "name", 9)[0] == ["one", "\ufefftwo"]


def test_table_aligns_wide_characters() -> None:
    lines = table([("ab", "1"), ("日本", "10"), ("e\u0301", "100")], "lr")
    assert lines == ["ab      1", "日本   10", "e\u0301     100"]
    assert len({width(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 5, "short"),
        ("longer", 5, "lo..."),
        ("日本語の文", 7, "日本..."),
        ("a\tb\x1b[0m", 20, "a?b?[0m"),
        ("", 3, ""),
    ],
)
def test_clip(text: str, limit: int, expected: str) -> None:
    assert clip(text, limit) == expected
    assert width(expected) <= limit


def test_failed_check_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("one\ntwo\n", encoding="utf-8")
    embed_through = demo.embed_through

    def with_a_flipped_bit(*arguments: object) -> demo.Pass:
        walk = embed_through(*arguments)  # type: ignore[arg-type]
        if arguments[-1] == "embedding, warm":
            first = bytes([walk.vectors[0][0] ^ 1]) + walk.vectors[0][1:]
            walk = walk._replace(vectors=[first, *walk.vectors[1:]])
        return walk

    monkeypatch.setattr(demo, "embed_through", with_a_flipped_bit)
    assert demo.run(str(file)) == 1
    assert "expected the same bits" in capsys.readouterr().err
