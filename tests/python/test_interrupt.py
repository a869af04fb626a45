"""Ctrl-C during a long call."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import prestige

TEXTS = 200_000
"""Texts to embed: minutes on any machine, so that only the signal can end the call in time."""

UNDER_WAY_SECONDS = 1.0
"""From what the child prints to the signal, so that the call is well inside the model."""

# The model is loaded first: what is interrupted is the computation.
CHILD = """
    import sys
    import prestige
    model = prestige.SemanticModel()
    model.embed(["loaded"])
    texts = [f"question number {i} about an order" for i in range(int(sys.argv[1]))]
    try:
        print("embedding", flush=True)
        model.embed(texts)
    except KeyboardInterrupt:
        # What was interrupted still works.
        print("interrupted", model.embed(["again"]).shape, flush=True)
"""


# One write of `put_many` holds up to 1,000 texts, of full length here.
PUTTING_CHILD = """
    import sys
    import prestige
    with prestige.open(sys.argv[2], dedup_mode=prestige.DedupMode.SEMANTIC) as store:
        store.put("loaded", "loaded")
        texts = [f"{i} " + "word " * 250 for i in range(int(sys.argv[1]))]
        try:
            print("embedding", flush=True)
            store.put_many((str(i), text) for i, text in enumerate(texts))
        except KeyboardInterrupt:
            # What was interrupted has stored nothing, and still works.
            assert len(store) == 1
            store.put("again", "again")
            print("interrupted", len(store), store.verify(), flush=True)
"""

# The main thread waits for its turn behind seven others, who go on.
WAITING_CHILD = """
    import sys, threading
    import prestige
    model = prestige.SemanticModel()
    model.embed(["loaded"])
    stop = threading.Event()
    def work(number):
        for i in range(int(sys.argv[1])):
            if stop.is_set():
                break
            assert model.embed([f"{number} {i} {j}" for j in range(50)]).shape == (50, 384)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(7)]
    for thread in threads:
        thread.start()
    try:
        print("embedding", flush=True)
        while True:
            model.embed(["short"])
    except KeyboardInterrupt:
        stop.set()
        for thread in threads:
            thread.join()
        print("interrupted", model.embed(["again"]).shape, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param(CHILD, "(1, 384)", id="embed"),
        pytest.param(PUTTING_CHILD, "2 []", id="put_many"),
        pytest.param(WAITING_CHILD, "(1, 384)", id="waiting"),
    ],
)
def test_ctrl_c_ends_a_long_call(source: str, said: str, store_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), str(TEXTS), str(store_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "embedding\n"
        time.sleep(UNDER_WAY_SECONDS)
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert output == f"interrupted {said}\n"
    assert child.returncode == 0


class TestParts:
    def test_vectors_come_back_in_the_order_of_the_texts(self) -> None:
        model = prestige.SemanticModel()
        # Several parts: short and long ones, repeated and empty ones, none in order.
        texts = [f"{'long ' * (i * 7 % 60)}text {i % 90}" for i in range(180)] + ["", "", "text 1"]
        together = model.embed(texts)
        for i in (0, 1, 59, 90, 91, 179, 180, 181, 182):
            assert (together[i] == model.embed([texts[i]])[0]).all()
        assert len({row.tobytes() for row in together}) == len(set(texts))

    def test_a_text_longer_than_a_part(self) -> None:
        model = prestige.SemanticModel()
        texts = ["word " * 10_000, "short", "word " * 10_001]
        together = model.embed(texts)
        assert (together[0] == together[2]).all()
        assert (together[1] == model.embed(["short"])[0]).all()

    def test_no_texts(self) -> None:
        assert prestige.SemanticModel().embed([]).shape == (0, 384)
