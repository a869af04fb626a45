"""Writes THIRD-PARTY-LICENSES: what is linked into the extension module, and under which terms.

    python python/licences.py           # write the file anew
    python python/licences.py --check   # fail if it does not fit Cargo.lock or the page's library

It reads `cargo tree`, `cargo metadata` and the licence files in the sources of the crates, without
a network once those are there. Where a crate offers the Apache License 2.0 among others, that one
is taken, and its text stands once, as the package's own LICENSE.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "THIRD-PARTY-LICENSES"
UPLOT = HERE.parent / "http" / "src" / "page" / "uplot"
PLATFORM = "x86_64-unknown-linux-gnu"

LICENCE_FILE = re.compile(r"licen[cs]e|copying|copyright|notice", re.IGNORECASE)
APACHE_FILE = re.compile(r"apache", re.IGNORECASE)
NOTICE_FILE = re.compile(r"notice|copyright", re.IGNORECASE)

# C and C++ sources that a crate brings and compiles: their terms are not in the crate's expression.
# Name, terms, and the files with the texts; after "#" words of the one comment that is the text.
LIBRARIES: dict[str, tuple[str, str, list[str]]] = {
    "librocksdb-sys": (
        "RocksDB",
        "Apache-2.0 (taken; offered as GPL-2.0 too); parts BSD-3-Clause, BSD-2-Clause and Zlib",
        [
            "rocksdb/LICENSE.leveldb",
            "rocksdb/util/xxhash.h#Extremely Fast Hash algorithm",
            "rocksdb/util/crc32c.cc#Ferry Toth",
        ],
    ),
    "lz4-sys": ("LZ4", "BSD-2-Clause", ["liblz4/lib/LICENSE"]),
    "onig_sys": ("Oniguruma", "BSD-2-Clause", ["oniguruma/COPYING"]),
    "zstd-sys": ("Zstandard", "BSD-3-Clause (taken; offered as GPL-2.0 too)", ["zstd/LICENSE"]),
}

HEADER = """\
Third-party software in prestige-cache
======================================

The extension module prestige/_native is linked from the crates and libraries below. Those that
offer the Apache License 2.0 are used under it; its text is the file LICENSE. The terms of the
others follow. So does the JavaScript library in it. The embedding model is described in NOTICE.

The Rust standard library is part of the module too: MIT OR Apache-2.0, https://github.com/rust-lang/rust

Written by python/licences.py from Cargo.lock, for x86-64 Linux.
"""


class Crate(NamedTuple):
    """A crate that is linked."""

    name: str
    version: str
    expression: str
    """SPDX licence expression."""
    repository: str
    folder: Path

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def linked_crates() -> list[Crate]:
    """Third-party crates in the extension module, sorted by name and version."""
    # The tree knows which features are on, the metadata where the sources lie.
    tree = _cargo("tree", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}")
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    metadata: dict[str, Any] = json.loads(_cargo("metadata", "--format-version=1"))
    return sorted(
        Crate(
            package["name"],
            package["version"],
            package["license"] or "",
            package["repository"] or "",
            Path(package["manifest_path"]).parent,
        )
        for package in metadata["packages"]
        if (package["name"], f"v{package['version']}") in linked
        and package["source"] is not None  # Ours have none.
    )


def _cargo(command: str, *arguments: str) -> str:
    platform = "--filter-platform" if command == "metadata" else "--target"
    manifest = ["--locked", "--manifest-path", str(HERE / "Cargo.toml")]
    line = ["cargo", command, *manifest, platform, PLATFORM, *arguments]
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def texts_of(crate: Crate) -> list[tuple[str, str]]:
    """What must be shown for a crate: a title and a text for each."""
    alternatives = re.split(r"\s+OR\s+|\s*/\s*", crate.expression)
    under_apache = "Apache-2.0" in alternatives
    if "(" in crate.expression:  # (MIT OR Apache-2.0) AND another: the other is needed too.
        under_apache = False
    texts = []
    for file in sorted(crate.folder.iterdir()):
        if not file.is_file() or not LICENCE_FILE.search(file.name):
            continue
        if APACHE_FILE.search(file.name):
            continue
        if under_apache and not NOTICE_FILE.search(file.name):
            continue
        texts.append((crate.label, file.read_text(encoding="utf-8")))
    if not texts and not under_apache:
        raise SystemExit(f"{crate.label} ({crate.expression}): no licence file in {crate.folder}")
    if crate.name in LIBRARIES:
        title, _, files = LIBRARIES[crate.name]
        texts += [(f"{title} (in {crate.label})", _text(crate.folder, file)) for file in files]
    return texts


def _text(folder: Path, place: str) -> str:
    """The text at a place of `LIBRARIES`."""
    file, _, words = place.partition("#")
    text = (folder / file).read_text(encoding="utf-8")
    if not words:
        return text
    (comment,) = (match for match in re.findall(r"/\*(.*?)\*/", text, re.DOTALL) if words in match)
    return re.sub(r"^ \* ?", "", comment, flags=re.MULTILINE).strip("\n")


def document(crates: list[Crate]) -> str:
    """The whole file."""
    lines = [HEADER, "Crates", "------", ""]
    for crate in crates:
        lines.append(f"{crate.label}: {crate.expression}")
        if crate.repository:
            lines.append(f"    {crate.repository}")
        if crate.name in LIBRARIES:
            title, terms, _ = LIBRARIES[crate.name]
            lines.append(f"    with {title}: {terms}")
    script = json.loads((UPLOT / "uplot.json").read_text(encoding="utf-8"))
    script_label = f"uPlot {script['version']}"
    lines += ["", "", "JavaScript in the monitoring page", "---------------------------------", ""]
    lines += [f"{script_label}: {script['licence']}", f"    {script['repository']}"]
    # The same words once, whatever the line breaks.
    texts: dict[str, tuple[str, list[str]]] = {}
    for crate in crates:
        for label, text in texts_of(crate):
            _, labels = texts.setdefault(" ".join(text.split()), (text, []))
            if label not in labels:
                labels.append(label)
    terms = (UPLOT / "LICENSE").read_text(encoding="utf-8")
    texts.setdefault(" ".join(terms.split()), (terms, []))[1].append(script_label)
    lines += ["", "", "Terms and notices", "-----------------"]
    for text, labels in texts.values():
        body = "\n".join(line.rstrip() for line in text.strip("\ufeff\r\n").splitlines())
        lines += ["", "=" * 80, ", ".join(labels), "=" * 80, "", body]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check the file; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    wanted = document(linked_crates())
    if not arguments.check:
        OUTPUT.write_text(wanted, encoding="utf-8")
    elif not OUTPUT.exists() or OUTPUT.read_text(encoding="utf-8") != wanted:
        command = f"{Path(sys.executable).name} python/licences.py"
        print(f"{OUTPUT.name} does not fit Cargo.lock: run {command}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
