"""Does damage to copies of a healthy store and examines each copy in another process.

A crash of the interpreter or an opening that never ends is seen from outside and fails the test.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import prestige

# As many as leave more than four records in the last block of the log.
KEYS = 260
VALUE_BYTES = 400

# One damage: a file, what is done to it, and where.
Damage = list[object]
Outcome = dict[str, object]

# Reads damages as JSON, does each to a copy of the store in argv[1], prints what became of it.
EXAMINE = """
import hashlib, json, os, shutil, sys
import prestige
healthy, copy, keys, value_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def damage(path, what, *where):
    if what == "delete":
        os.remove(path)
        return
    with open(path, "r+b") as file:
        if what == "truncate":
            file.truncate(*where)
            return
        file.seek(where[0])
        if what == "flip":
            (byte,) = file.read(1)
            file.seek(where[0])
            file.write(bytes([byte ^ where[1]]))
        else:
            assert what == "write"
            file.write(bytes.fromhex(where[1]))

def examine():
    # What was refused once must not be taken for a new store the next time.
    for attempt in range(3):
        try:
            store = prestige.open(copy)
            break
        except prestige.PrestigeError as error:
            refused = {"refused": type(error).__name__, "message": str(error)}
    else:
        return refused
    found = {"right": 0, "damaged": 0, "absent": 0, "wrong": 0}
    for i in range(keys):
        try:
            value = store.get(f"key{i:04}", default=None)
        except prestige.CorruptionError:
            found["damaged"] += 1
        else:
            right = hashlib.shake_128(str(i).encode()).digest(value_bytes)
            found["right" if value == right else "absent" if value is None else "wrong"] += 1
    for name, call in (("listed", store.list_keys), ("violations", store.verify)):
        try:
            found[name] = len(call())
        except prestige.CorruptionError:
            found[name] = "CorruptionError"
    try:
        store.close()
    except prestige.PrestigeError:
        pass
    return found

for line in sys.stdin:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(healthy, copy)
    for file, *what in json.loads(line):
        damage(f"{copy}/{file}", *what)
    print(json.dumps(examine()), flush=True)
"""


def value_of(number: int) -> bytes:
    """The value that `put_values` puts under the key of a number."""
    return hashlib.shake_128(str(number).encode()).digest(VALUE_BYTES)


def put_values(store: prestige.Store, first: int = 0, after: int = KEYS) -> None:
    """Puts the keys numbered from `first` to before `after`, each with a value of its own."""
    for i in range(first, after):
        store.put(f"key{i:04}", value_of(i))


KILL_ITSELF = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import prestige
from damage import put_values
store = prestige.open(sys.argv[2], write_buffer_bytes=int(sys.argv[3]))
put_values(store)
os.kill(os.getpid(), signal.SIGKILL)
"""


def make_killed_store(path: Path, write_buffer_bytes: int) -> None:
    """Makes a store whose process is killed after the last value is put."""
    arguments = map(str, (Path(__file__).parent, path, write_buffer_bytes))
    killed = subprocess.run([sys.executable, "-c", KILL_ITSELF, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL


def examine(healthy: Path, scratch: Path, *damages: list[Damage]) -> list[Outcome]:
    """What became of copies of `healthy`: one for each of `damages`, a list of what is done."""
    arguments = map(str, (healthy, scratch / "copy", KEYS, VALUE_BYTES))
    lines = "".join(f"{json.dumps(damage)}\n" for damage in damages)
    try:
        done = subprocess.run(
            [sys.executable, "-c", EXAMINE, *arguments],
            input=lines,
            capture_output=True,
            text=True,
            timeout=20 + len(damages) / 2,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        finished = (expired.stdout or b"").count(b"\n")
        pytest.fail(f"opening does not end after {damages[finished]}")
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    ended = (done.returncode, done.stderr)
    assert ended == (0, ""), (
        f"the process ended after {damages[min(len(outcomes), len(damages) - 1)]}"
    )
    assert len(outcomes) == len(damages)
    return outcomes


def is_refused(outcome: Outcome) -> bool:
    """Not opened, not at a second try either, and for the right reason."""
    return outcome.get("refused") == "CorruptionError"


def is_complete(outcome: Outcome) -> bool:
    """Open, and as it was before the damage as far as keys and values go."""
    return outcome.get("right") == outcome.get("listed") == KEYS


def is_honest(outcome: Outcome) -> bool:
    """Refused, or open with every key either right or an error, and no other loss kept quiet."""
    if "refused" in outcome:
        return is_refused(outcome)
    return (
        outcome["right"] + outcome["damaged"] == KEYS
        and outcome["listed"] in (KEYS, "CorruptionError")
        and (outcome["damaged"] > 0 or outcome["violations"] in (0, "CorruptionError"))
    )


def is_torn_tail(outcome: Outcome) -> bool:
    """Open and consistent, as if the last puts had never been."""
    return (
        "refused" not in outcome
        and outcome["right"] + outcome["absent"] == KEYS
        and outcome["listed"] == outcome["right"]
        and outcome["violations"] == 0
    )
