"""Thresholds from judged pairs: `prestige.calibrate` and the command."""

from __future__ import annotations

import csv
import io
import json
import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import prestige
from prestige import cli

SAME = [
    ("How do I reset my password?", "How can I reset my password?"),
    ("Where can I find my invoice?", "Where do I find my invoice?"),
    ("How do I cancel my plan?", "How can I cancel my plan?"),
]
DIFFERENT = [
    ("How do I turn the alarm on?", "How do I turn the alarm off?"),
    ("How do I reset my password?", "What is the weather in Paris?"),
]
PAIRS = [(*pair, True) for pair in SAME] + [(*pair, False) for pair in DIFFERENT]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["calibrate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def csv_of(rows: list[tuple[object, ...]], header: tuple[str, ...]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    return stream.getvalue()


class TestCalibrate:
    def test_texts_are_compared_by_the_bundled_model(self):
        found = prestige.calibrate(PAIRS, precision=1.0)
        assert (found.same, found.different, found.identical) == (3, 2, 0)
        model = prestige.SemanticModel()
        one, other = model.embed([a for a, *_ in PAIRS]), model.embed([b for _, b, _ in PAIRS])
        similarities = (one * other).sum(axis=1)
        for row in found.rows:
            merged = similarities >= row["threshold"]
            assert row["right"] == merged[:3].sum()
            assert row["wrong"] == merged[3:].sum()
            assert row["recall"] == merged[:3].mean()
            assert row["false_accept_rate"] == merged[3:].mean()
        assert found.threshold is not None
        assert found.threshold - 0.01 < similarities[3:].max() < found.threshold
        assert found.safe_threshold is None
        assert found.row(found.threshold)["recall"] == 1.0
        with pytest.raises(KeyError):
            found.row(0.123)
        assert set(found.rows[0]) == set(prestige.CalibrationRow.__annotations__)

    def test_every_form_of_a_pair(self):
        texts = {"text_a": "one", "text_b": "two", "label": "no"}
        pairs = [
            (0.9, 1),
            [np.float32(0.8), np.bool_(True)],
            ("0.7", "same"),
            {"similarity": 0.95, "label": " Yes ", "other": None},
            (0.1, 0.0),
            ("equal", "equal", True),
            texts,
            {"verdict": "rejected", "similarity": 0.2},
            {"verdict": "accepted", "similarity": 0.99},
            {"verdict": "no_candidate", "similarity": None},
            {"verdict": "accepted", "similarity": None},
        ]
        found = prestige.calibrate(
            iter(pairs), thresholds=[0.5], model=lambda texts: np.eye(len(texts))
        )
        assert (found.same, found.different, found.identical) == (5, 3, 1)
        (row,) = found.rows
        assert (row["right"], row["wrong"], row["precision"]) == (5, 0, 1.0)

    def test_outcomes_of_a_store(self, store: prestige.Store):
        for similarity, verdict in [(0.97, "accepted"), (0.99, "accepted"), (0.91, "rejected")]:
            store.record_outcome("f", verdict, similarity=similarity)
        store.record_outcome("f", "no_candidate")
        found = prestige.calibrate(store.list_outcomes("f"), precision=1.0)
        assert found.threshold == 0.92

    def test_each_distinct_text_is_embedded_once(self):
        asked = []

        def model(texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            return np.array([[1.0, len(text)] for text in texts])

        prestige.calibrate([("a", "bb", 1), ("a", "ccc", 0), ("bb", "ccc", 0)], model=model)
        assert sorted(asked) == ["a", "bb", "ccc"]

    @pytest.mark.parametrize(
        ("pairs", "message"),
        [
            ([], "no pairs"),
            ([(0.9, 1), (0.8, 1)], "all 2 pairs are labelled as the same"),
            ([(0.9, 0)], "all 1 pairs are labelled as different"),
            ([("a", "a", 1)], "no pairs"),
            ([(0.9, 1), (float("nan"), 0)], "pair 2: the similarity"),
            ([(0.9, 1), (1.5, 0)], "pair 2: the similarity"),
            ([(0.9, 1), ("high", 0)], "pair 2: the similarity"),
            ([(0.9, 1), (0.5, "maybe")], "pair 2: the label"),
            ([(0.9, 1), (0.5, 2)], "pair 2: the label"),
            ([(0.9, 1), (0.5, None)], "pair 2: the label"),
            ([(0.9, 1), (0.5,)], "pair 2: expected"),
            ([(0.9, 1), 0.5], "pair 2: expected"),
            ([(0.9, 1), "ab"], "pair 2: expected"),
            ([("a", 5, 1)], "pair 1: text_b should be str, not int"),
            ([("a", " ", 1)], "pair 1: text_b is blank"),
            ([{"text_a": "a", "label": 1}], "pair 1: there is no text_b"),
            ([{"label": 1}], "pair 1: there is no similarity"),
            ([{"similarity": 0.5}], "pair 1: there is no label"),
        ],
    )
    def test_bad_pairs_are_numbered(self, pairs, message):
        with pytest.raises(prestige.InvalidArgumentError, match=message):
            prestige.calibrate(pairs)

    def test_bad_arguments(self):
        good = [(0.9, 1), (0.1, 0)]
        for precision in (0, 1.01, float("nan")):
            with pytest.raises(prestige.InvalidArgumentError, match="precision"):
                prestige.calibrate(good, precision=precision)
        for thresholds in ([], [2.0], [float("nan")]):
            with pytest.raises(prestige.InvalidArgumentError, match="threshold"):
                prestige.calibrate(good, thresholds=thresholds)
        with pytest.raises(TypeError):
            prestige.calibrate(5)

    @pytest.mark.parametrize(
        "answer",
        [np.ones(2), np.ones((3, 2)), np.zeros((2, 2)), np.full((2, 2), np.nan), [["a", "b"]]],
    )
    def test_what_a_model_may_not_return(self, answer):
        with pytest.raises(prestige.InvalidArgumentError, match="model"):
            prestige.calibrate([("a", "b", 1), (0.1, 0)], model=lambda _: answer)

    def test_table_and_json(self):
        found = prestige.calibrate([(0.9, 1), (0.95, 1), (0.5, 0)], precision=0.9)
        lines = found.table().splitlines()
        assert lines[0].split() == [
            "threshold",
            "right",
            "wrong",
            "precision",
            "recall",
            "false",
            "accepts",
        ]
        # Of rows that count alike the first is shown.
        assert [line.split()[:3] for line in lines[1:]] == [
            ["0.5", "2", "1"],
            ["0.51", "2", "0"],
            ["0.91", "1", "0"],
            ["0.96", "0", "0"],
        ]
        loaded = json.loads(found.to_json())
        assert loaded["threshold"] == found.threshold == 0.51
        assert loaded["rows"] == found.rows
        assert loaded["precision"] == 0.9

    @pytest.mark.parametrize("thresholds", [None, [0.7], [-1, 1]])
    def test_chart(self, thresholds):
        found = prestige.calibrate([(0.9, 1), (0.5, 0)], thresholds=thresholds)
        image = found.to_svg()
        root = ET.fromstring(image)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(root.findall("{*}polyline")) == 3
        texts = [element.text for element in root.findall("{*}text")]
        assert {"precision", "recall", "false accepts", "threshold"} <= set(texts)
        assert found.to_svg() == image
        assert "nan" not in image
        assert "inf" not in image

    @pytest.mark.parametrize("thresholds", [None, [0.7]])
    def test_chart_as_png(self, thresholds):
        found = prestige.calibrate([(0.9, 1), (0.5, 0)], thresholds=thresholds)
        image = found.to_png()
        assert image.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", image[16:24])
        assert width > height > 400

    def test_a_png_without_matplotlib_says_what_to_install(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        for name in ("matplotlib", "matplotlib.figure"):
            monkeypatch.setitem(sys.modules, name, None)
        found = prestige.calibrate([(0.9, 1), (0.5, 0)])
        with pytest.raises(ImportError, match=r"prestige-cache\[chart\]"):
            found.to_png()
        pairs = tmp_path / "pairs.csv"
        pairs.write_text("similarity,label\n0.9,1\n0.1,0\n")
        code, _, err = run(capsys, pairs, "--chart", tmp_path / "chart.png")
        assert code == 2
        assert "matplotlib" in err
        assert not (tmp_path / "chart.png").exists()


class TestCommand:
    def test_a_csv_of_texts(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        rows = [
            ("x", 'quoted, "text"\nof two \u2028lines', "quoted", 0),
            *(("", *pair) for pair in PAIRS),
        ]
        path = tmp_path / "pairs.CSV"
        path.write_text(csv_of(rows, ("note", "text_a", " text_b", "label")), encoding="utf-8-sig")
        chart = tmp_path / "chart.svg"
        code, out, err = run(capsys, path, "--precision", 1, "--chart", chart)
        assert (code, err) == (0, "")
        assert "3 pairs mean the same, 3 do not." in out
        assert "Lowest threshold with a precision of at least 1: 0.9" in out
        assert "lower end is that high: none" in out
        ET.parse(chart)

    def test_jsonl_to_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        path = tmp_path / "pairs.jsonl"
        lines = [{"similarity": 0.9, "label": True}, {"similarity": 0.4, "label": "different"}]
        text = "\n\n".join(json.dumps(line) for line in lines)
        path.write_text(text + '\n{"text_a": "\\u2028x", "text_b": "\\u2028x", "label": 1}\n')
        code, out, _ = run(capsys, path, "--json")
        assert code == 0
        found = json.loads(out)
        assert (found["same"], found["different"], found["identical"]) == (1, 1, 1)
        assert found["threshold"] == 0.41

    def test_outcomes_of_an_open_store(
        self, store: prestige.Store, capsys: pytest.CaptureFixture[str]
    ):
        view = store.namespace("tenant")
        for similarity, verdict in [(0.97, "accepted"), (0.91, "rejected")]:
            view.record_outcome("f", verdict, similarity=similarity)
        arguments = ("--store", store.path, "--family", "f")
        code, out, _ = run(capsys, *arguments, "--namespace", "tenant", "--precision", 1)
        assert code == 0
        assert "at least 1: 0.92 " in out
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert "no outcomes of the family 'f'" in err

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("p.csv", b"", "line 1: expected the columns text_a, text_b and label, or"),
            ("p.csv", b"text_a,label\nx,1\n", "line 1: expected the columns"),
            ("p.csv", b"similarity,label\n", "no pairs"),
            ("p.csv", b"similarity,label\n0.5,1\n0.6,1\n", "all 2 pairs are labelled as the same"),
            ("p.csv", b"similarity,label\n0.5,1\nnan,0\n", "line 3: the similarity"),
            ("p.csv", b"similarity,label\n0.5,1\n0.5\n", "line 3: there is no label"),
            ("p.csv", b"similarity,label\n0.5,1\n0.5,1,2\n", "line 3: it has more fields"),
            ("p.csv", b'similarity,label\n0.5,1\n"0.5,0\n', "line 3: unexpected end"),
            ("p.csv", b"similarity,label\n0.5,1\n0.5,\0\n", "line 3: it has a NUL"),
            ("p.csv", b"similarity,label\n0.5,1\n\xff,0\n", "line 3: this is not UTF-8"),
            ("p.csv", b"text_a,text_b,label\na,b,1\na,,0\n", "line 3: text_b is blank"),
            ("p.jsonl", b"", "no pairs"),
            ("p.jsonl", b'{"similarity": 0.5, "label": 1}\n[1]\n', "line 2: expected an object"),
            ("p.jsonl", b'{"similarity": 0.5, "label": 1}\n\n{"a"\n', "line 3: this is no JSON"),
            ("p.jsonl", b'{"similarity": NaN, "label": 1}\n', "line 1: the similarity"),
            ("p.jsonl", b'{"similarity": 0.5, "label": 1}\n\xe9\n', "line 2: this is not UTF-8"),
            ("p.txt", b"", "expected a .csv or a .jsonl file"),
        ],
    )
    def test_bad_files_are_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name, content, message
    ):
        path = tmp_path / name
        path.write_bytes(content)
        code, out, err = run(capsys, path)
        assert (code, out) == (2, "")
        assert message in err
        assert err.startswith("prestige: ")
        assert len(err.splitlines()) == 1

    def test_bad_arguments(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        assert run(capsys)[0] == 2
        assert run(capsys, "a.csv", "--store", "x")[0] == 2
        assert run(capsys, "--store", tmp_path)[0] == 2
        assert run(capsys, "--store", tmp_path / "none", "--family", "f")[0] == 1
        code, _, err = run(capsys, tmp_path / "none.csv")
        assert code == 2
        assert "none.csv" in err
        good = tmp_path / "good.csv"
        good.write_text("similarity,label\n0.9,1\n0.1,0\n")
        assert run(capsys, good, "--chart", tmp_path / "chart.PNG")[0] == 0
        assert (tmp_path / "chart.PNG").read_bytes().startswith(b"\x89PNG")
        assert run(capsys, good, "--precision", 2)[0] == 2
        assert run(capsys, good, "--chart", tmp_path)[0] == 2
        assert run(capsys, good, "--model", tmp_path / "none")[0] == 2
        texts = tmp_path / "texts.csv"
        texts.write_text("text_a,text_b,label\na,b,1\n")
        assert run(capsys, texts, "--model", tmp_path / "none")[0] == 2
