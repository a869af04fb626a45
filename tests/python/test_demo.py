"""`prestige demo` as a user runs it: a process of its own, judged by its output and exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

import prestige

COMMAND = [sys.executable, "-m", "prestige"]
TIMEOUT_SECONDS = 300

# Every request through this proxy fails: the demo has to reach its own server without it.
DEAD_PROXY = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}


def prestige_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, **environment},
        check=False,
    )


def row(output: str, name: str) -> list[str]:
    """The cells after `name` of the table row that begins with it."""
    found = re.search(rf"^{re.escape(name)}  +(.+)$", output, re.MULTILINE)
    assert found, f"no row {name!r} in:\n{output}"
    return re.split(r"  +", found[1])


def number(cell: str) -> float:
    return float(re.sub(r"[^0-9.]", "", cell))


@pytest.fixture(scope="module")
def questions() -> list[str]:
    bundled = resources.files("prestige") / "data" / "questions.txt"
    text = bundled.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


@pytest.fixture(scope="module")
def bundled_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Standard output of one run on the bundled questions, and the directory it worked below."""
    scratch = tmp_path_factory.mktemp("bundled")
    done = prestige_command("demo", TMPDIR=str(scratch), **DEAD_PROXY)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, scratch


def test_questions_are_many_varied_and_repeated(questions: list[str]) -> None:
    assert len(questions) >= 330
    assert all(text and text == text.strip() and text.isprintable() for text in questions)
    repeats = len(questions) - len(set(questions))
    assert repeats >= 0.15 * len(questions)
    # Some questions are asked again and again, most once, as in real traffic.
    uses = Counter(questions)
    assert max(uses.values()) >= 8
    assert sum(count == 1 for count in uses.values()) >= len(questions) / 2
    assert any(not text.isascii() for text in questions)


def test_bundled_run_shows_the_embedding_cache(
    bundled_run: tuple[str, Path], questions: list[str]
) -> None:
    output, _ = bundled_run
    texts, distinct = len(questions), len(set(questions))
    cold, warm = row(output, "cold"), row(output, "warm, reopened")
    assert [number(cell) for cell in cold[:3]] == [texts, distinct, texts - distinct]
    assert [number(cell) for cell in warm[:3]] == [texts, 0, texts]
    assert warm[3] == "100.0 %"
    assert f"{texts} vectors equal bit for bit" in output


def test_bundled_run_shows_the_semantic_store(
    bundled_run: tuple[str, Path], questions: list[str]
) -> None:
    output, _ = bundled_run
    keys, unique = (number(row(output, name)[0]) for name in ("keys", "unique values"))
    assert keys == len(questions)
    # Fewer than distinct bytes: the model has merged wordings, not just found repeats.
    assert 0 < unique < len(set(questions))
    assert number(row(output, "dedup ratio")[0]) == pytest.approx(keys / unique, abs=0.006)
    put, kept = (number(row(output, name)[0]) for name in ("bytes put", "bytes kept"))
    assert put == sum(len(text.encode()) for text in questions)
    assert 0 < kept < put
    assert row(output, "verify()") == ["clean"]


def test_bundled_run_shows_merges_on_the_right_side_of_the_threshold(
    bundled_run: tuple[str, Path], questions: list[str]
) -> None:
    output, _ = bundled_run
    threshold = prestige.Options().semantic_threshold
    similarity = r"^([01]\.[0-9]+)"
    merged = re.findall(similarity + r"  put  (.+)\n +get  (.+)$", output, re.MULTILINE)
    apart = re.findall(similarity + r"  one  (.+)\n +two  (.+)$", output, re.MULTILINE)
    assert len(merged) >= 8
    assert apart
    for _, text, other in merged + apart:
        assert text != other
        assert {text, other} <= set(questions)
    # Vectors may be stored in half precision, and similarities are printed with three digits.
    assert all(float(cosine) >= threshold - 0.002 for cosine, _, _ in merged)
    assert all(float(cosine) <= threshold + 0.002 for cosine, _, _ in apart)


def test_bundled_run_asks_the_health_endpoint(
    bundled_run: tuple[str, Path], questions: list[str]
) -> None:
    output, _ = bundled_run
    assert re.search(r"^Health endpoint: http://127\.0\.0\.1:\d+$", output, re.MULTILINE)
    assert re.search(r"^GET /health/ready\n  200 \{", output, re.MULTILINE)
    shown = re.search(r"^  prestige_keys_total\S* (\S+)$", output, re.MULTILINE)
    assert shown
    assert float(shown[1]) == len(questions)


def test_bundled_run_is_plain_text_and_leaves_nothing_behind(
    bundled_run: tuple[str, Path],
) -> None:
    output, scratch = bundled_run
    assert "\x1b" not in output
    assert "\r" not in output
    # Neither the demo's own directory nor the session file that some releases of ONNX Runtime
    # write for their telemetry, which is to be off.
    assert list(scratch.iterdir()) == []


def test_small_file_in_the_form_that_editors_and_shells_leave_it(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    lines = ["\ufeffWhere is my parcel?", "", "  パスワードを忘れました ", "Where is my parcel?"]
    lines += ["\x1b[31mred alert", "never reached"]
    file.write_bytes("\r\n".join(lines).encode())
    # The output's encoding lacks most of the characters.
    done = prestige_command("demo", str(file), "--limit", "4", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the first 4 texts, 3 of them distinct;")
    assert row(done.stdout, "cold")[:4] == ["4", "3", "1", "25.0 %"]
    assert "q:0001" not in done.stdout
    assert r"\u30d1\u30b9\u30ef" in done.stdout
    assert "?[31mred alert" in done.stdout
    assert "\x1b" not in done.stdout
    assert "never reached" not in done.stdout


def test_one_text_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("hello", encoding="utf-8")
    done = prestige_command("demo", str(file), "--threshold", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert row(done.stdout, "unique values") == ["1"]
    assert "Closest values kept apart\nnone" in done.stdout


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "No such file"),
    "directory": (Path.mkdir, "is a directory"),
    "empty": (lambda path: path.write_bytes(b""), "holds no text"),
    "blank": (lambda path: path.write_bytes(b"\n \r\n\t\n"), "holds no text"),
    "latin-1": (
        lambda path: path.write_bytes("fine\n\nso groß\n".encode("latin-1")),
        "line 3 is not UTF-8 (byte 0xdf)",
    ),
    "utf-16": (
        lambda path: path.write_bytes("Where is my order?".encode("utf-16")),
        "line 1 is not UTF-8 (byte 0xff)",
    ),
    "one endless line": (
        lambda path: path.write_bytes(b"fine\n" + b"x" * (1 << 20) + b"y\n"),
        "line 2 is longer than 1,048,576 bytes",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_unusable_file_is_one_clear_line(case: str, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    make, message = BAD_FILES[case]
    make(path)
    done = prestige_command("demo", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"prestige demo: {path}: ")
    assert message in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["demo", "--threshold", "0"],
        ["demo", "--threshold", "1.01"],
        ["demo", "--threshold", "nan"],
        ["demo", "--threshold", "much"],
        ["demo", "--limit", "0"],
        ["demo", "one.txt", "two.txt"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    done = prestige_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") or "Usage: prestige" in done.stderr


def test_version() -> None:
    done = prestige_command("--version")
    assert (done.returncode, done.stdout) == (0, f"prestige {prestige.__version__}\n")


@pytest.mark.skipif(os.name == "nt", reason="SIGINT reaches a single process on POSIX only")
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    # Tests that run in the background of a shell ignore SIGINT, and so would their children.
    interruptible = (
        "import signal, sys, prestige.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(prestige.cli.main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", interruptible, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not list(tmp_path.glob("prestige-demo-*/embeddings")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130
    assert errors == "prestige: interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("hello\n", encoding="utf-8")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "demo", str(file)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    assert done.returncode == 1
    assert re.fullmatch(r"prestige: .*No space left on device\n", done.stderr)


@pytest.mark.skipif(os.name == "nt", reason="pipes report a gone reader otherwise")
def test_reader_of_the_output_has_gone(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("hello\n", encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "demo", str(file)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
